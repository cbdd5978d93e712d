// SPDX-License-Identifier: BSL-1.0
#pragma once

// Barlow Twins: the cross-correlation of two views of a batch shall be the identity, so that features are
// the same in both views and say nothing about each other.
//
//   A, B = the columns of z_a, z_b with mean 0, divided by sqrt(variance + epsilon)  (biased variance)
//   C = A' B / n
//   L = sum_j (C_jj - 1)^2 + lambda sum_{j != k} C_jk^2
//   dL/dA = B G' / n,  dL/dB = A G / n,  G = dL/dC;  from there back through the standardisation
//
// z_a, z_b [n, d], both differentiable. Sums, not means, over the entries of C: L grows with d. Where
// n < d the d x d matrix is never made: sum_jk C_jk^2 = <A A', B B'> / n^2, whose gradient by A is
// 2 B B' A / n^2, so two n x n Gram matrices serve value and gradients alike (the correlation form costs
// 6 n d^2 operations, the Gram form 6 n^2 d).
// A constant column has C_jk = 0 and the largest gradient there is, but a finite one: its diagonal term is
// exactly 1. One row: L = d with zero gradient; no row: 0. Throws ShapeError; RangeError for a negative
// lambda or epsilon.
//
// With over_ranks(share, all_reduce, scale) the batch is that of all ranks, n rows in all. Rounds:
//   n >= d   4 d + 1 doubles (rows and means), 4 d doubles (deviations), d^2 + d numbers of type T (C), and
//            d doubles for each gradient; the results are those of one process up to rounding
//   n < d    n (2 d + 1) + 2 numbers of type T (the rows): every rank computes what one process does, with
//            the same bits, and writes the gradient of its own rows
// So for floats at d = 2048: 16.8 MB for n = 4096, 8.4 MB for n = 512.
// Zbontar et al., Barlow Twins: self-supervised learning via redundancy reduction (2021), as the authors'
// code has it.

#include <temper/core/component.hpp>
#include <temper/core/ranks.hpp>

namespace temper::inline TEMPER_ABI {

struct BarlowTwins {
    static constexpr std::string_view name = "BarlowTwins";
    double lambda = 0.0051;
    double epsilon = 1e-5;

    /// (z_a, z_b [, into(g_a), into(g_b)] [, over_ranks(...)])
    template <class A, class B, class... Rest>
    double operator()(const A& z_a, const B& z_b, const Rest&... rest) const;

    friend bool operator==(const BarlowTwins&, const BarlowTwins&) = default;
};

namespace kernel {
template <class T>
struct BarlowTwins {
    static double run(const temper::BarlowTwins& how, MatrixView<const T> z_a,
                      MatrixView<const T> z_b, const Destination<T, 2>& g_a,
                      const Destination<T, 2>& g_b, const Ranks<T>& ranks);

    /// sum_j (C_jj - 1)^2 - w C_jj^2, and its gradients: dL/dA_ij = pull_j B_ij, dL/dB_ij = pull_j A_ij.
    struct Diagonal {
        double value = 0;
        T* pull = nullptr;
    };
    /// Over ranks this is the round of C, whose `size` numbers stand at `products`, with room for d more.
    static Diagonal diagonal(Workspace::Frame& frame, MatrixView<const T> a, MatrixView<const T> b,
                             double w, const Ranks<T>& ranks, T* products, Index size);
};
} // namespace kernel

template <class A, class B, class... Rest>
double BarlowTwins::operator()(const A& z_a, const B& z_b, const Rest&... rest) const
{
    accept<2, OverRanks>(rest...);
    using T = KernelScalarOf<A, B>;
    Border<T> border(name);
    border.require(lambda >= 0, "lambda", lambda, "non-negative");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto a = border.samples("z_a", z_a);
    const auto b = border.samples("z_b", z_b);
    border.same_shape("z_b", b, "z_a", a);
    const auto g_a = border.gradient("z_a", a, positional<0>(rest...));
    const auto g_b = border.gradient("z_b", b, positional<1>(rest...));
    const auto ranks = Ranks<T>::of_loss(name, a.rows(), rest...);
    return border.finish(
        kernel::BarlowTwins<T>::run(*this, a, b, ranks.scaled(g_a), ranks.scaled(g_b), ranks));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/gathered_rows.hpp>
#include <temper/simd/standard_batch.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
typename kernel::BarlowTwins<T>::Diagonal
kernel::BarlowTwins<T>::diagonal(Workspace::Frame& frame, MatrixView<const T> a,
                                 MatrixView<const T> b, double w, const Ranks<T>& ranks,
                                 T* products, Index size)
{
    const Index d = a.cols();
    const auto mine = static_cast<double>(a.rows());
    const auto n = static_cast<double>(ranks.all_rows(a.rows()));
    Diagonal out{0, frame.take<T>(d)};
    auto* const dots = frame.take<double>(d);
    simd::column_dots(a, b, dots);
    if (ranks) { // as T, what is missing to 1 has more digits than C_jj
        for (Index j = 0; j < d; ++j)
            products[size + j] = static_cast<T>(dots[j] - mine);
        ranks.sum(products, size + d);
        for (Index j = 0; j < d; ++j)
            dots[j] = static_cast<double>(products[size + j]) + n;
    }
    const double each = 1 / n;
    for (Index j = 0; j < d; ++j) {
        const double c = dots[j] * each;
        out.value += (c - 1) * (c - 1) - w * c * c;
        out.pull[j] = static_cast<T>(2 * each * ((c - 1) - w * c));
    }
    return out;
}

template <class T>
double kernel::BarlowTwins<T>::run(const temper::BarlowTwins& how, MatrixView<const T> z_a,
                                   MatrixView<const T> z_b, const Destination<T, 2>& g_a,
                                   const Destination<T, 2>& g_b, const Ranks<T>& ranks)
{
    const Index n = ranks.all_rows(z_a.rows());
    const Index d = z_a.cols();
    if (n == 0)
        return 0;
    const bool by_gram = n < d;
    if (ranks && by_gram)
        return simd::on_gathered_rows(ranks, std::array{z_a, z_b}, std::array{g_a, g_b},
                                      [&](const auto& z, const auto& g) {
                                          return run(how, z[0], z[1], g[0], g[1], Ranks<T>());
                                      });
    Workspace::Frame frame;
    const auto batches = simd::standard_batches(frame, simd::ColumnScaling{.epsilon = how.epsilon},
                                                ranks, std::array{z_a, z_b}, z_a);
    const simd::StandardBatch<T>& a = batches[0];
    const simd::StandardBatch<T>& b = batches[1];
    const double each = 1 / static_cast<double>(n);
    const double pull = 2 * how.lambda * each;
    simd::StandardPullbacks<T> pullbacks(frame, ranks, d);
    const auto gradient = [&](const simd::StandardBatch<T>& of, const T* diagonal, double factor,
                              MatrixView<const T> left, MatrixView<const T> right,
                              const simd::StandardBatch<T>& other, const Destination<T, 2>& to) {
        pullbacks.add_made(
            of, diagonal, other.y, to, simd::Centered::yes,
            [&](const MatrixView<T>& g) { linalg::product(g, factor, left, right, 0); });
    };
    if (by_gram) {
        // The sum over all entries has the diagonal in it, which is taken out here.
        const Diagonal diagonal =
            BarlowTwins::diagonal(frame, a.y, b.y, how.lambda, ranks, nullptr, 0);
        const MatrixView<T> gram_a = frame.matrix<T>(n, n);
        const MatrixView<T> gram_b = frame.matrix<T>(n, n);
        linalg::gram(gram_a, 1, a.y, 0);
        linalg::gram(gram_b, 1, b.y, 0);
        gradient(a, diagonal.pull, pull * each, gram_b, a.y, b, g_a);
        gradient(b, diagonal.pull, pull * each, gram_a, b.y, a, g_b);
        return diagonal.value + how.lambda * each * each * linalg::inner(gram_a, gram_b);
    }
    const MatrixView<T> c = frame.matrix<T>(d + 1, d).block(0, 0, d, d);
    linalg::product(c, each, a.y.transposed(), b.y, 0);
    const Diagonal diagonal = BarlowTwins::diagonal(frame, a.y, b.y, 0, ranks, c.data, d * d);
    for (Index j = 0; j < d; ++j)
        c(j, j) = 0;
    gradient(a, diagonal.pull, pull, b.y, c.transposed(), b, g_a);
    gradient(b, diagonal.pull, pull, a.y, c, a, g_b);
    pullbacks.finish();
    return diagonal.value + how.lambda * linalg::squared_norm(c);
}

TEMPER_INSTANTIATE(kernel::BarlowTwins);

} // namespace temper::inline TEMPER_ABI
#endif
