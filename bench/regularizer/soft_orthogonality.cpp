// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/regularizer/soft_orthogonality.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index m, Index n)
{
    add<T>("soft_orthogonality", "temper", shape(m, n),
           Work{.entries = 2 * m * n, .flops = 3 * m * n * std::min(m, n)}, [=] {
               return [w = matrix<T>(m, n, 1), g = Matrix<T>(m, n)]() mutable {
                   benchmark::DoNotOptimize(temper::SoftOrthogonality{}(w, temper::into(g)));
               };
           });
    // W' W - I, however wide W is.
    add<T>("soft_orthogonality_columns", "temper", shape(m, n),
           Work{.entries = 2 * m * n, .flops = 3 * m * n * std::min(m, n)}, [=] {
               return [w = matrix<T>(m, n, 1), g = Matrix<T>(m, n)]() mutable {
                   const temper::SoftOrthogonality columns{.side = temper::GramSide::columns};
                   benchmark::DoNotOptimize(columns(w, temper::into(g)));
               };
           });
    add<T>("soft_orthogonality", "eigen", shape(m, n), [=] {
        return [w = matrix<T>(m, n, 1), g = Matrix<T>(m, n), e = Matrix<T>()]() mutable {
            const bool rows = w.rows() <= w.cols();
            if (rows)
                e.noalias() = w * w.transpose();
            else
                e.noalias() = w.transpose() * w;
            e.diagonal().array() -= T(1);
            benchmark::DoNotOptimize(e.squaredNorm());
            if (rows)
                g.noalias() = T(4) * e * w;
            else
                g.noalias() = T(4) * w * e;
        };
    });
}

const bool added = [] {
    for (const auto& [m, n] : {std::pair{8, 8}, {32, 10}, {256, 2048}, {2048, 256}}) {
        add_all<float>(m, n);
        add_all<double>(m, n);
    }
    return true;
}();

} // namespace
