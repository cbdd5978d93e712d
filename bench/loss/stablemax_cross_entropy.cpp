// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/stablemax_cross_entropy.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    const auto name = "stablemax_cross_entropy";
    add<T>(name, "temper", shape(n, k), Work{.entries = 2 * n * k}, [=] {
        return [z = matrix<T>(n, k, 1), y = classes(n, k, 2), g = Matrix<T>(n, k)]() mutable {
            const temper::StableMaxCrossEntropy loss;
            benchmark::DoNotOptimize(loss(z, temper::labels(y), temper::into(g)));
        };
    });
    add<T>(name, "eigen", shape(n, k), [=] {
        return [z = matrix<T>(n, k, 1), y = classes(n, k, 2), g = Matrix<T>(n, k), n]() mutable {
            g = (z.array() < T(0)).select(T(1) / (T(1) - z.array()), z.array() + T(1));
            const Eigen::Vector<T, Eigen::Dynamic> sum = g.rowwise().sum();
            Eigen::Vector<T, Eigen::Dynamic> own(n);
            for (Index i = 0; i < n; ++i)
                own(i) = g(i, y[static_cast<std::size_t>(i)]);
            const T value = (sum.array() / own.array()).log().sum();
            g = g.array().square().min(T(1)).colwise() / (sum.array() * static_cast<T>(n));
            for (Index i = 0; i < n; ++i)
                g(i, y[static_cast<std::size_t>(i)]) *= 1 - sum(i) / own(i);
            benchmark::DoNotOptimize(value / static_cast<T>(n));
        };
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{8, 8}, {32, 10}, {4096, 113}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
