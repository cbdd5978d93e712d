// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/layer/sinkhorn.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index m)
{
    add<T>("sinkhorn", "temper", shape(n, m), Work{.entries = 100 * n * m, .exps = n * m}, [=] {
        const Eigen::Vector<T, Eigen::Dynamic> a =
            Eigen::Vector<T, Eigen::Dynamic>::Constant(n, T(1) / static_cast<T>(n));
        const Eigen::Vector<T, Eigen::Dynamic> b =
            Eigen::Vector<T, Eigen::Dynamic>::Constant(m, T(1) / static_cast<T>(m));
        return [c = matrix<T>(n, m, 1), p = Matrix<T>(n, m), a, b]() mutable {
            const temper::Sinkhorn matching{.epsilon = 0.5, .iterations = 100};
            benchmark::DoNotOptimize(matching.forward(a, b, c, temper::into(p)));
        };
    });
    add<T>("sinkhorn", "eigen", shape(n, m), [=] {
        return [c = matrix<T>(n, m, 1), p = Matrix<T>(n, m), k = Matrix<T>(n, m), n, m]() mutable {
            using Vector = Eigen::Vector<T, Eigen::Dynamic>;
            const Vector a = Vector::Constant(n, T(1) / static_cast<T>(n));
            const Vector b = Vector::Constant(m, T(1) / static_cast<T>(m));
            k = (c.array() / T(-0.5)).exp();
            Vector u(n);
            Vector v = Vector::Ones(m);
            for (int iteration = 0; iteration < 100; ++iteration) {
                u.noalias() = k * v;
                u = a.array() / u.array();
                v.noalias() = k.transpose() * u;
                v = b.array() / v.array();
            }
            p = u.asDiagonal() * k * v.asDiagonal();
            benchmark::DoNotOptimize(p.cwiseProduct(c).sum());
        };
    });
}

const bool added = [] {
    for (const auto& [n, m] : {std::pair{8, 8}, {512, 512}}) {
        add_all<float>(n, m);
        add_all<double>(n, m);
    }
    return true;
}();

} // namespace
