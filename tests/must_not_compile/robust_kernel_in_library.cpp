// expect: include <temper/loss/robust_loss.kernel.hpp>
#define TEMPER_COMPILED 1
#include <temper/loss/robust_loss.hpp>
#ifndef TEMPER_MUST_FAIL
#include <temper/loss/robust_loss.kernel.hpp>
#endif

#include <span>

struct Mine {
    template <class V>
    temper::Rho<V> operator()(V s) const
    {
        return {s, V(1), V(0)};
    }
};

double loss(std::span<const float> x, std::span<const float> y)
{
    return temper::RobustLoss<Mine>{}(x, y);
}
