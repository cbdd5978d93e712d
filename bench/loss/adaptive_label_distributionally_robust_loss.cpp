// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>

#include <numeric>

namespace {

using namespace bench;

// A step of training: the state is advanced, then used. lambda_0 1, alpha 2, margin 0.1, l1.
template <class T>
void add_all(Index n, Index k)
{
    add<T>("aldr_kl", "temper", shape(n, k), Work{.entries = 2 * n * k, .exps = n * k}, [=] {
        std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
        std::iota(ids.begin(), ids.end(), 0);
        const temper::AdaptiveLabelDistributionallyRobustLoss loss;
        return [loss, state = loss.init(n), ids, z = matrix<T>(n, k, 1), y = classes(n, k, 2),
                g = Matrix<T>(n, k)]() mutable {
            loss.observe(state, ids, z);
            benchmark::DoNotOptimize(loss(state, ids, z, temper::labels(y), temper::into(g)));
        };
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{4096, 10}, {256, 1000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
