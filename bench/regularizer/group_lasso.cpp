// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/regularizer/group_lasso.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    const T weight = std::sqrt(static_cast<T>(d));
    add<T>("group_lasso", "temper", shape(n, d), Work{.entries = 2 * n * d}, [=] {
        return [w = matrix<T>(n, d, 1), g = Matrix<T>(n, d)]() mutable {
            benchmark::DoNotOptimize(temper::GroupLasso{}(w, temper::into(g)));
        };
    });
    add<T>("group_lasso_prox", "temper", shape(n, d), Work{.entries = 2 * n * d}, [=] {
        return [w = matrix<T>(n, d, 1), v = Matrix<T>(n, d)]() mutable {
            temper::GroupLasso{}.prox(w, 0.1, temper::into(v));
        };
    });
    add<T>("group_lasso", "eigen", shape(n, d), [=] {
        return [w = matrix<T>(n, d, 1), g = Matrix<T>(n, d), weight]() mutable {
            const Eigen::Vector<T, Eigen::Dynamic> norms = w.rowwise().norm();
            benchmark::DoNotOptimize(weight * norms.sum());
            g = w.array().colwise() * (weight / norms.array());
        };
    });
    add<T>("group_lasso_prox", "eigen", shape(n, d), [=] {
        return [w = matrix<T>(n, d, 1), v = Matrix<T>(n, d), weight]() mutable {
            const Eigen::Vector<T, Eigen::Dynamic> norms = w.rowwise().norm();
            v = w.array().colwise() * (T(1) - T(0.1) * weight / norms.array()).max(T(0));
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>("group_lasso", "xtensor", shape(n, d), [=] {
        return [w = array<T>(n, d, 1), g = array<T>(n, d, 1), weight]() mutable {
            const xt::xtensor<T, 2> norms = xt::sqrt(xt::sum(w * w, {1}, xt::keep_dims));
            benchmark::DoNotOptimize(weight * xt::sum(norms)());
            xt::noalias(g) = w * (weight / norms);
        };
    });
    add<T>("group_lasso_prox", "xtensor", shape(n, d), [=] {
        return [w = array<T>(n, d, 1), v = array<T>(n, d, 1), weight]() mutable {
            const xt::xtensor<T, 2> norms = xt::sqrt(xt::sum(w * w, {1}, xt::keep_dims));
            xt::noalias(v) = w * xt::maximum(T(1) - T(0.1) * weight / norms, T(0));
        };
    });
#endif
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {1024, 1024}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
