// expect: temper: the coefficient slot of Mixup needs `double operator()(rng) const`
#include <temper/augment/mixup.hpp>

struct Half {
#ifdef TEMPER_MUST_FAIL
    double lambda() const { return 0.5; }
#else
    template <class G>
    double operator()(G&) const
    {
        return 0.5;
    }
#endif
};

temper::MixPlan draw()
{
    auto rng = temper::stream(1, 0, "mixup");
    return temper::Mixup<Half>{}.draw(rng, 8);
}
