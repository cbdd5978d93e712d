// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/balanced_distillation.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    const auto name = "balanced_distillation";
    add<T>(name, "temper", shape(n, k), [=] {
        return [s = matrix<T>(n, k, 1), t = matrix<T>(n, k, 2), g = Matrix<T>(n, k)]() mutable {
            const temper::BdKd loss{.temperature = 4};
            benchmark::DoNotOptimize(loss(s, temper::teacher_logits(t), temper::into(g)));
        };
    });
    add<T>(name, "eigen", shape(n, k), [=] {
        return [s = matrix<T>(n, k, 1), t = matrix<T>(n, k, 2), p = Matrix<T>(n, k),
                q = Matrix<T>(n, k), d = Matrix<T>(n, k), g = Matrix<T>(n, k), n]() mutable {
            using Vector = Eigen::Array<T, Eigen::Dynamic, 1>;
            const T temperature = 4;
            p = (t.colwise() - t.rowwise().maxCoeff()) / temperature;
            q = (s.colwise() - s.rowwise().maxCoeff()) / temperature;
            const Vector log_p = p.array().exp().rowwise().sum().log();
            const Vector log_q = q.array().exp().rowwise().sum().log();
            p.array().colwise() -= log_p;
            q.array().colwise() -= log_q;
            d = p - q;
            const Vector h_p = -(p.array().exp() * p.array()).rowwise().sum();
            const Vector h_q = -(q.array().exp() * q.array()).rowwise().sum();
            p = p.array().exp();
            q = q.array().exp();
            const Vector forward = (p.array() * d.array()).rowwise().sum();
            const Vector reverse = -(q.array() * d.array()).rowwise().sum();
            const Vector a = (h_q > h_p).select(Vector::Constant(n, 1), Vector::Constant(n, 2));
            const Vector b = 3 - a;
            const T scale = temperature / static_cast<T>(n);
            const T value = temperature * scale * (a * forward + b * reverse).sum();
            d = (-d).array().colwise() - reverse;
            g = scale * ((q - p).array().colwise() * a).matrix();
            g.array() += scale * ((q.array() * d.array()).colwise() * b);
            benchmark::DoNotOptimize(value);
            benchmark::DoNotOptimize(g.data());
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
