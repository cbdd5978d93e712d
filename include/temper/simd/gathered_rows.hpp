// SPDX-License-Identifier: BSL-1.0
#pragma once

// The batch of all ranks on every rank, for batches of fewer rows than columns: one round, a sum of buffers
// in which each rank has filled its own rows. It has the bits of one process, and objectives cost less on
// n x n matrices than on d x d ones.
//
//   on_gathered_rows(ranks, {z...}, {g...}, f)   f(z of all ranks..., g of all ranks...) -> value
//
// f is what one process runs on the whole batch, in the memory order that the ranks' own batches have, so
// its bits are those of one process. Of its gradients (or what else it writes),
// this rank's rows are written.
// The buffer has n (1 + the columns of all z) + 1 for each z numbers of type T: how many ranks hold each
// row, how many store each z by columns, and the rows.

#include <temper/core/ranks.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI::simd {

template <class T>
void copy(MatrixView<const T> from, const Destination<T, 2>& to)
{
    map(in(from), out(to), [](auto u, auto& v) { v = u; });
}

template <class T, std::size_t K, std::size_t G, class F>
double on_gathered_rows(const Ranks<T>& ranks, const std::array<MatrixView<const T>, K>& z,
                        const std::array<Destination<T, 2>, G>& g, const F& f)
{
    Workspace::Frame frame;
    const Index mine = z[0].rows();
    const Index n = ranks.all_rows(mine);
    const Index offset = ranks.offset();
    Index size = n + static_cast<Index>(K);
    for (const auto& x : z)
        size += n * x.cols();
    T* const holders = frame.take_zeros<T>(size);
    T* const by_columns = holders + n;
    std::fill_n(holders + offset, mine, T(1));

    std::array<MatrixView<T>, K> rows;
    T* next = by_columns + K;
    for (std::size_t k = 0; k < K; ++k) {
        const Index d = z[k].cols();
        rows[k] = {next, {n, d}, {(std::max)(d, Index{1}), 1}};
        next += n * d;
        copy(z[k], {rows[k].block(offset, 0, mine, d), 1, Mode::overwrite});
        by_columns[k] = mine > 1 && std::abs(z[k].strides[0]) < std::abs(z[k].strides[1]) ? 1 : 0;
    }
    ranks.sum(holders, size);
    for (Index i = 0; i < n; ++i)
        ranks.expect_one_holder(i, static_cast<double>(holders[i]));

    std::array<MatrixView<const T>, K> all;
    for (std::size_t k = 0; k < K; ++k) {
        all[k] = rows[k];
        if (by_columns[k] == 0)
            continue;
        const MatrixView<T> turned = frame.matrix<T>(z[k].cols(), n).transposed();
        copy<T>(rows[k], {turned, 1, Mode::overwrite});
        all[k] = turned;
    }
    std::array<Destination<T, 2>, G> gradients{};
    for (std::size_t k = 0; k < G; ++k)
        if (g[k])
            gradients[k] = {frame.matrix_like(all[k]), 1, Mode::overwrite};
    const double value = f(all, gradients);
    for (std::size_t k = 0; k < G; ++k)
        if (g[k])
            copy<T>(gradients[k].view.block(offset, 0, mine, z[k].cols()), g[k]);
    return value;
}

} // namespace temper::inline TEMPER_ABI::simd
