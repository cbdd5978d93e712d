// expect: temper: the encoder needs features(), forward(x, into(y)) and pullback(x, gy, into(gx))
#include <temper/representation/trepa.hpp>

struct Encoder {
    static temper::Index features() { return 1; }
    static void forward(const temper::AnyView<const float>&, const temper::Into<float>&) {}
#ifndef TEMPER_MUST_FAIL
    static void pullback(const temper::AnyView<const float>&,
                         const temper::MatrixView<const float>&, const temper::Into<float>&)
    {
    }
#endif
};

double check(const float (&frames)[2][3], Encoder& encoder)
{
    return temper::Trepa{}.through(encoder)(frames, frames);
}
