// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/early_learning_regularization.hpp>

#include <numeric>

namespace {

using namespace bench;

// A step of training: the targets are advanced (read and written), then used. beta 0.7, lambda 3.
template <class T>
void add_all(Index n, Index k)
{
    add<T>("elr", "temper", shape(n, k), Work{.entries = 4 * n * k, .exps = n * k}, [=] {
        std::vector<std::int64_t> ids(static_cast<std::size_t>(n));
        std::iota(ids.begin(), ids.end(), 0);
        const temper::EarlyLearningRegularization loss;
        return [loss, state = loss.init<T>(n, k), ids, z = matrix<T>(n, k, 1), y = classes(n, k, 2),
                g = Matrix<T>(n, k)]() mutable {
            loss.observe(state, ids, z);
            benchmark::DoNotOptimize(loss(state, ids, z, temper::labels(y), temper::into(g)));
        };
    });
    add<T>("elr", "eigen", shape(n, k), [=] {
        return [n, t = Matrix<T>(Matrix<T>::Zero(n, k)), z = matrix<T>(n, k, 1),
                y = classes(n, k, 2), p = Matrix<T>(n, k), c = Matrix<T>(n, k),
                g = Matrix<T>(n, k)]() mutable {
            p = (z.colwise() - z.rowwise().maxCoeff()).array().exp();
            p.array().colwise() /= p.rowwise().sum().array();
            c = p.cwiseMax(T(1e-4)).cwiseMin(T(1 - 1e-4));
            t *= T(0.7);
            t.array() += T(0.3) * (c.array().colwise() / c.rowwise().sum().array());
            const Eigen::Array<T, Eigen::Dynamic, 1> apart =
                1 - (t.array() * c.array()).rowwise().sum();
            double value = 3 * static_cast<double>(apart.log().sum());
            c = ((p.array() > T(1e-4)) && (p.array() < T(1 - 1e-4))).select(t, T(0));
            const Eigen::Array<T, Eigen::Dynamic, 1> pull = (c.array() * p.array()).rowwise().sum();
            // p (1 + 3 (<t, p> - t) / (1 - <t, p>)), less the label
            g = (-c.array()).colwise() + pull;
            g.array().colwise() *= 3 / apart;
            g = p.array() * (1 + g.array());
            for (Index i = 0; i < n; ++i) {
                value -= static_cast<double>(std::log(p(i, y[static_cast<std::size_t>(i)])));
                g(i, y[static_cast<std::size_t>(i)]) -= 1;
            }
            g /= static_cast<T>(n);
            benchmark::DoNotOptimize(value);
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
