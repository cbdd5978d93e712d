// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/loss/softmax_cross_entropy.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    const auto name = "softmax_cross_entropy";
    add<T>(name, "temper", shape(n, k), Work{.entries = 2 * n * k, .exps = n * k}, [=] {
        return [z = matrix<T>(n, k, 1), y = classes(n, k, 2), g = Matrix<T>(n, k)]() mutable {
            const temper::SoftmaxCrossEntropy loss{.label_smoothing = 0.1};
            benchmark::DoNotOptimize(loss(z, temper::labels(y), temper::into(g)));
        };
    });
    add<T>("softmax_cross_entropy_soft", "temper", shape(n, k),
           Work{.entries = 3 * n * k, .exps = n * k}, [=] {
               Matrix<T> y = matrix<T>(n, k, 2).array().exp();
               y.array().colwise() /= y.rowwise().sum().array().eval();
               return [z = matrix<T>(n, k, 1), y, g = Matrix<T>(n, k)]() mutable {
                   const temper::SoftmaxCrossEntropy loss;
                   benchmark::DoNotOptimize(loss(z, temper::probabilities(y), temper::into(g)));
               };
           });
    add<T>(name, "eigen", shape(n, k), [=] {
        return [z = matrix<T>(n, k, 1), y = classes(n, k, 2), g = Matrix<T>(n, k), n, k]() mutable {
            const T smooth = T(0.1) / static_cast<T>(k);
            const Eigen::Vector<T, Eigen::Dynamic> top = z.rowwise().maxCoeff();
            g = (z.colwise() - top).array().exp();
            const Eigen::Vector<T, Eigen::Dynamic> sum = g.rowwise().sum();
            const Eigen::Vector<T, Eigen::Dynamic> log_sum = sum.array().log().matrix() + top;
            T value = log_sum.sum() - smooth * z.sum();
            g.array().colwise() /= sum.array();
            g.array() -= smooth;
            for (Index i = 0; i < n; ++i) {
                const Index label = y[static_cast<std::size_t>(i)];
                value -= T(0.9) * z(i, label);
                g(i, label) -= T(0.9);
            }
            g /= static_cast<T>(n);
            benchmark::DoNotOptimize(value / static_cast<T>(n));
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>(name, "xtensor", shape(n, k), [=] {
        return
            [z = array<T>(n, k, 1), y = classes(n, k, 2), g = xt::xtensor<T, 2>(), n, k]() mutable {
                const T smooth = T(0.1) / static_cast<T>(k);
                const xt::xtensor<T, 2> top = xt::amax(z, {1}, xt::keep_dims);
                g = xt::exp(z - top);
                const xt::xtensor<T, 2> sum = xt::sum(g, {1}, xt::keep_dims);
                T value = xt::sum(xt::log(sum) + top)() - smooth * xt::sum(z)();
                g = g / sum - smooth;
                for (std::size_t i = 0; i < y.size(); ++i) {
                    value -= T(0.9) * z(i, static_cast<std::size_t>(y[i]));
                    g(i, static_cast<std::size_t>(y[i])) -= T(0.9);
                }
                g /= static_cast<T>(n);
                benchmark::DoNotOptimize(value / static_cast<T>(n));
            };
    });
#endif
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{8, 8}, {32, 10}, {4096, 10}, {256, 1000}, {64, 32000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
