// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"
#include "xtensor.hpp"

#include <temper/loss/label_distributionally_robust_loss.hpp>

namespace {

using namespace bench;

// lambda 1, margin 0.1; logits divided by the mean of their softplus, or as they are.
template <class T>
void add_all(Index n, Index k, bool bounded)
{
    const std::string name = bounded ? "ldr_kl" : "ldr_kl_none";
    add<T>(name, "temper", shape(n, k), Work{.entries = 2 * n * k, .exps = n * k}, [=] {
        return
            [z = matrix<T>(n, k, 1), y = classes(n, k, 2), g = Matrix<T>(n, k), bounded]() mutable {
                temper::LabelDistributionallyRobustLoss loss;
                if (!bounded)
                    loss.normalisation = temper::LogitNormalisation::none;
                benchmark::DoNotOptimize(loss(z, temper::labels(y), temper::into(g)));
            };
    });
    add<T>(name, "eigen", shape(n, k), [=] {
        return [z = matrix<T>(n, k, 1), y = classes(n, k, 2), u = Matrix<T>(n, k),
                g = Matrix<T>(n, k), n, k, bounded]() mutable {
            using Column = Eigen::Vector<T, Eigen::Dynamic>;
            Column size = Column::Ones(n);
            u = z;
            if (bounded) {
                u = (-z.array().abs()).exp().log1p() + z.array().max(T(0));
                size = u.rowwise().mean();
                u.array().colwise() /= size.array();
            }
            g = u.array() + T(0.1);
            T value = 0;
            for (Index i = 0; i < n; ++i) {
                const Index label = y[static_cast<std::size_t>(i)];
                g(i, label) -= T(0.1);
                value -= g(i, label);
            }
            const Column top = g.rowwise().maxCoeff();
            g = (g.colwise() - top).array().exp();
            const Column sum = g.rowwise().sum();
            value += (sum.array() / static_cast<T>(k)).log().sum() + top.sum();
            g.array().colwise() /= sum.array();
            for (Index i = 0; i < n; ++i)
                g(i, y[static_cast<std::size_t>(i)]) -= T(1);
            if (bounded) {
                const Column pull = (g.array() * u.array()).rowwise().mean();
                g.colwise() -= pull;
                g.array().colwise() /= size.array();
                g.array() /= T(1) + (-z.array()).exp();
            }
            g /= static_cast<T>(n);
            benchmark::DoNotOptimize(value / static_cast<T>(n));
        };
    });
#ifdef TEMPER_BENCH_XTENSOR
    add<T>(name, "xtensor", shape(n, k), [=] {
        return [z = array<T>(n, k, 1), y = classes(n, k, 2), g = xt::xtensor<T, 2>(), n, k,
                bounded]() mutable {
            xt::xtensor<T, 2> u = z;
            xt::xtensor<T, 2> size = xt::ones<T>({static_cast<std::size_t>(n), std::size_t{1}});
            if (bounded) {
                u = xt::log1p(xt::exp(-xt::abs(z))) + xt::maximum(z, T(0));
                size = xt::mean(u, {1}, xt::keep_dims);
                u /= size;
            }
            g = u + T(0.1);
            T value = 0;
            for (std::size_t i = 0; i < y.size(); ++i) {
                T& label = g(i, static_cast<std::size_t>(y[i]));
                label -= T(0.1);
                value -= label;
            }
            const xt::xtensor<T, 2> top = xt::amax(g, {1}, xt::keep_dims);
            g = xt::exp(g - top);
            const xt::xtensor<T, 2> sum = xt::sum(g, {1}, xt::keep_dims);
            value += xt::sum(xt::log(sum / static_cast<T>(k)) + top)();
            g /= sum;
            for (std::size_t i = 0; i < y.size(); ++i)
                g(i, static_cast<std::size_t>(y[i])) -= T(1);
            if (bounded) {
                const xt::xtensor<T, 2> pull = xt::mean(g * u, {1}, xt::keep_dims);
                g = (g - pull) / size / (T(1) + xt::exp(-z));
            }
            g /= static_cast<T>(n);
            benchmark::DoNotOptimize(value / static_cast<T>(n));
        };
    });
#endif
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{4096, 10}, {256, 1000}})
        for (const bool bounded : {true, false}) {
            add_all<float>(n, k, bounded);
            add_all<double>(n, k, bounded);
        }
    return true;
}();

} // namespace
