// expect: temper: a divergence has `static constexpr bool hard_targets`
#include <temper/loss/consistency.hpp>

#include <vector>

struct Hellinger {
#ifndef TEMPER_MUST_FAIL
    static constexpr bool hard_targets = true;
#endif
    template <class V>
    temper::Divergence<V> operator()(V p, V, V q, V) const
    {
        using temper::math::sqrt;
        const V d = sqrt(p) - sqrt(q);
        return {d * d, sqrt(p) * d, -sqrt(q) * d};
    }
};

int main()
{
    const temper::Consistency<Hellinger> loss{};
    return loss.temperature > 0 ? 0 : 1;
}
