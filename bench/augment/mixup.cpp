// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/augment/mixup.hpp>

namespace {

using namespace bench;

temper::MixPlan plan_for(Index n)
{
    auto rng = temper::stream(3, 0, "bench mixup");
    return temper::Mixup<>{.alpha = 1}.draw(rng, n);
}

template <class T>
void add_all(Index n, Index d)
{
    add<T>("mixup", "temper", shape(n, d), Work{.entries = 2 * n * d}, [=] {
        return [x = matrix<T>(n, d, 1), m = Matrix<T>(n, d), plan = plan_for(n)]() mutable {
            temper::Mixup<>{}.apply(plan, x, temper::into(m));
        };
    });
    add<T>("mixup", "eigen", shape(n, d), [=] {
        return [x = matrix<T>(n, d, 1), m = Matrix<T>(n, d), plan = plan_for(n), n]() mutable {
            const T lambda = static_cast<T>(plan.lambda[0]);
            for (Index i = 0; i < n; ++i)
                m.row(i) = lambda * x.row(i) +
                           (T(1) - lambda) * x.row(plan.partner[static_cast<std::size_t>(i)]);
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>("mixup", "xtensor", shape(n, d), [=] {
        return [x = array<T>(n, d, 1), m = array<T>(n, d, 1), plan = plan_for(n)]() mutable {
            const T lambda = static_cast<T>(plan.lambda[0]);
            for (std::size_t i = 0; i < plan.partner.size(); ++i)
                xt::view(m, i) =
                    lambda * xt::view(x, i) +
                    (T(1) - lambda) * xt::view(x, static_cast<std::size_t>(plan.partner[i]));
        };
    });
#endif
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {256, 3072}, {256, 12288}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
