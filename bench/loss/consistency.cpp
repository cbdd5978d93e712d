// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/uda_consistency.hpp>

namespace {

using namespace bench;

// The work of a training step: value and gradient of the augmented view for a target that stands still
// (UDA), and of both views (Jensen and Shannon's divergence).

template <class T>
void add_all(Index n, Index k)
{
    const Work of_one{.entries = 3 * n * k, .exps = 2 * n * k};
    add<T>("uda_consistency", "temper", shape(n, k), of_one, [=] {
        return [z = matrix<T>(n, k, 1), t = matrix<T>(n, k, 2), g = Matrix<T>(n, k)]() mutable {
            const temper::UdaConsistency loss{.threshold = 0};
            benchmark::DoNotOptimize(loss(z, temper::target_logits(t), temper::into(g)));
        };
    });
    add<T>("uda_consistency", "eigen", shape(n, k), [=] {
        return [z = matrix<T>(n, k, 1), t = matrix<T>(n, k, 2), p = Matrix<T>(n, k),
                q = Matrix<T>(n, k), n]() mutable {
            using Column = Eigen::Array<T, Eigen::Dynamic, 1>;
            p = (t.colwise() - t.rowwise().maxCoeff()) / T(0.4);
            q = z.colwise() - z.rowwise().maxCoeff();
            const Column log_p = p.array().exp().rowwise().sum().log();
            const Column log_q = q.array().exp().rowwise().sum().log();
            p.array().colwise() -= log_p;
            q.array().colwise() -= log_q;
            const T value = (p.array().exp() * (p - q).array()).sum() / static_cast<T>(n);
            q = (q.array().exp() - p.array().exp()) / static_cast<T>(n);
            benchmark::DoNotOptimize(value);
            benchmark::DoNotOptimize(q.data());
        };
    });
    const Work of_both{.entries = 4 * n * k, .exps = 2 * n * k};
    add<T>("consistency_js", "temper", shape(n, k), of_both, [=] {
        return [z = matrix<T>(n, k, 1), t = matrix<T>(n, k, 2), g = Matrix<T>(n, k),
                gt = Matrix<T>(n, k)]() mutable {
            const temper::Consistency<temper::JensenShannon> loss{};
            benchmark::DoNotOptimize(
                loss(z, temper::target_logits(t), temper::into(g), temper::into(gt)));
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
