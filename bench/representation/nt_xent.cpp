// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/representation/nt_xent.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    const auto name = "nt_xent";
    add<T>(name, "temper", shape(n, d),
           Work{.entries = 4 * n * d, .flops = 12 * n * n * d, .exps = 2 * n * n}, [=] {
               return [a = matrix<T>(n, d, 1), b = matrix<T>(n, d, 2), ga = Matrix<T>(n, d),
                       gb = Matrix<T>(n, d)]() mutable {
                   const temper::NtXent loss;
                   benchmark::DoNotOptimize(loss(a, b, temper::into(ga), temper::into(gb)));
               };
           });
    add<T>(name, "eigen", shape(n, d), [=] {
        return [a = matrix<T>(n, d, 1), b = matrix<T>(n, d, 2), ga = Matrix<T>(n, d),
                gb = Matrix<T>(n, d), u = Matrix<T>(2 * n, d), gu = Matrix<T>(2 * n, d),
                s = Matrix<T>(2 * n, 2 * n), n]() mutable {
            using Vector = Eigen::Vector<T, Eigen::Dynamic>;
            u.topRows(n) = a;
            u.bottomRows(n) = b;
            const Vector norms = u.rowwise().norm();
            u.array().colwise() /= norms.array();
            s.noalias() = T(2) * u * u.transpose();
            s.diagonal().setConstant(-std::numeric_limits<T>::infinity());
            Vector positive(2 * n);
            positive.head(n) = s.diagonal(n);
            positive.tail(n) = s.diagonal(-n);
            s = s.array().exp();
            const Vector sums = s.rowwise().sum();
            const T value = (sums.array().log() - positive.array()).mean();
            const T each = T(1) / static_cast<T>(2 * n);
            s.array().colwise() /= sums.array();
            s.diagonal(n).array() -= T(1);
            s.diagonal(-n).array() -= T(1);
            gu.noalias() = s * u;
            gu.noalias() += s.transpose() * u;
            gu *= T(2) * each;
            const Vector along = (gu.array() * u.array()).rowwise().sum();
            gu -= along.asDiagonal() * u;
            gu.array().colwise() /= norms.array();
            ga = gu.topRows(n);
            gb = gu.bottomRows(n);
            benchmark::DoNotOptimize(value);
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {1024, 128}, {2048, 256}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
