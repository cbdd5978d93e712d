// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/representation/barlow_twins.hpp>

namespace {

using namespace bench;

/// The standardised batch and one over its deviations.
template <class T>
struct Standardized {
    Matrix<T> z;
    Eigen::RowVector<T, Eigen::Dynamic> inverse;
    explicit Standardized(const Matrix<T>& x)
        : z(x.rowwise() - x.colwise().mean()),
          inverse((z.colwise().squaredNorm() / static_cast<T>(x.rows())).array() + T(1e-5))
    {
        inverse = inverse.array().rsqrt();
        z = z.array().rowwise() * inverse.array();
    }
    [[nodiscard]] Matrix<T> backward(const Matrix<T>& g) const
    {
        const T n = static_cast<T>(g.rows());
        const Eigen::RowVector<T, Eigen::Dynamic> mean = g.colwise().sum() / n;
        const Eigen::RowVector<T, Eigen::Dynamic> along = g.cwiseProduct(z).colwise().sum() / n;
        return ((g.rowwise() - mean) - Matrix<T>(z.array().rowwise() * along.array()))
                   .array()
                   .rowwise() *
               inverse.array();
    }
};

template <class T>
void add_all(Index n, Index d)
{
    add<T>("barlow_twins", "temper", shape(n, d),
           Work{.entries = 4 * n * d, .flops = 6 * n * d * std::min(n, d)}, [=] {
               return [a = matrix<T>(n, d, 1), b = matrix<T>(n, d, 2), ga = Matrix<T>(n, d),
                       gb = Matrix<T>(n, d)]() mutable {
                   benchmark::DoNotOptimize(
                       temper::BarlowTwins{}(a, b, temper::into(ga), temper::into(gb)));
               };
           });
    add<T>("barlow_twins", "eigen", shape(n, d), [=] {
        return [a = matrix<T>(n, d, 1), b = matrix<T>(n, d, 2), ga = Matrix<T>(), gb = Matrix<T>(),
                c = Matrix<T>(), n, d]() mutable {
            const T lambda = T(0.0051);
            const Standardized<T> sa(a), sb(b);
            c.noalias() = sa.z.transpose() * sb.z / static_cast<T>(n);
            c.diagonal().array() -= T(1);
            const T on = c.diagonal().squaredNorm();
            benchmark::DoNotOptimize(on + lambda * (c.squaredNorm() - on));
            const Eigen::Vector<T, Eigen::Dynamic> diagonal = c.diagonal();
            c *= 2 * lambda / static_cast<T>(n);
            c.diagonal() = diagonal * (2 / static_cast<T>(n));
            Matrix<T> g(n, d);
            g.noalias() = sb.z * c.transpose();
            ga = sa.backward(g);
            g.noalias() = sa.z * c;
            gb = sb.backward(g);
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] :
         {std::pair{8, 8}, {32, 10}, {256, 2048}, {1024, 1024}, {2048, 256}, {256, 8192}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
