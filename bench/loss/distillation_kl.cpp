// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/distillation_kl.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    const auto name = "distillation_kl";
    add<T>(name, "temper", shape(n, k), Work{.entries = 3 * n * k, .exps = 2 * n * k}, [=] {
        return [s = matrix<T>(n, k, 1), t = matrix<T>(n, k, 2), g = Matrix<T>(n, k)]() mutable {
            const temper::DistillationKl loss{.temperature = 4};
            benchmark::DoNotOptimize(loss(s, temper::teacher_logits(t), temper::into(g)));
        };
    });
    add<T>(name, "eigen", shape(n, k), [=] {
        return [s = matrix<T>(n, k, 1), t = matrix<T>(n, k, 2), g = Matrix<T>(n, k),
                p = Matrix<T>(n, k), n]() mutable {
            using Vector = Eigen::Vector<T, Eigen::Dynamic>;
            const T temperature = 4;
            const Vector top_s = s.rowwise().maxCoeff();
            const Vector top_t = t.rowwise().maxCoeff();
            g = ((s.colwise() - top_s).array() / temperature).exp();
            p = ((t.colwise() - top_t).array() / temperature).exp();
            const Vector sum_s = g.rowwise().sum();
            const Vector sum_t = p.rowwise().sum();
            p.array().colwise() /= sum_t.array();
            g.array().colwise() /= sum_s.array();
            const T scale = temperature / static_cast<T>(n);
            const Vector offset =
                (top_s - top_t) / temperature + (sum_s.array() / sum_t.array()).log().matrix();
            const T value = (p.array() * ((t - s).array() / temperature)).sum() + offset.sum();
            g = scale * (g - p);
            benchmark::DoNotOptimize(temperature * scale * value);
        };
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{8, 8}, {32, 10}, {256, 1000}, {64, 32000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
