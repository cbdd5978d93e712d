// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/regularizer/nuclear_norm.hpp>

#include <Eigen/Eigenvalues>

namespace {

using namespace bench;

template <class T>
void add_all(Index m, Index n)
{
    add<T>("nuclear_norm", "temper", shape(m, n), Work{.entries = 2 * m * n}, [=] {
        return [w = matrix<T>(m, n, 1), g = Matrix<T>(m, n)]() mutable {
            benchmark::DoNotOptimize(temper::NuclearNorm{}(w, temper::into(g)));
        };
    });
    // By the eigenvectors of the smaller Gram matrix.
    add<T>("nuclear_norm", "eigen", shape(m, n), [=] {
        return [w = matrix<T>(m, n, 1), g = Matrix<T>(m, n)]() mutable {
            const Matrix<T> gram = w.transpose() * w;
            const Eigen::SelfAdjointEigenSolver<Matrix<T>> eigen(gram);
            const Eigen::Vector<T, Eigen::Dynamic> s = eigen.eigenvalues().cwiseMax(0).cwiseSqrt();
            const Matrix<T> of_w = eigen.eigenvectors() * s.cwiseInverse().asDiagonal() *
                                   eigen.eigenvectors().transpose();
            g.noalias() = w * of_w;
            benchmark::DoNotOptimize(s.sum());
        };
    });
}

const bool added = [] {
    for (const auto& [m, n] : {std::pair{32, 10}, {512, 256}}) {
        add_all<float>(m, n);
        add_all<double>(m, n);
    }
    return true;
}();

} // namespace
