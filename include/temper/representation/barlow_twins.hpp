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
// Zbontar et al., Barlow Twins: self-supervised learning via redundancy reduction (2021), as the authors'
// code has it.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct BarlowTwins {
    static constexpr std::string_view name = "BarlowTwins";
    double lambda = 0.0051;
    double epsilon = 1e-5;

    /// (z_a, z_b [, into(g_a), into(g_b)])
    template <class A, class B, class... Rest>
    double operator()(const A& z_a, const B& z_b, const Rest&... rest) const;

    friend bool operator==(const BarlowTwins&, const BarlowTwins&) = default;
};

namespace kernel {
template <class T>
struct BarlowTwins {
    static double run(const temper::BarlowTwins& how, MatrixView<const T> z_a,
                      MatrixView<const T> z_b, const Destination<T, 2>& g_a,
                      const Destination<T, 2>& g_b);

    /// sum_j (C_jj - 1)^2 - w C_jj^2, and its gradients: dL/dA_ij = pull_j B_ij, dL/dB_ij = pull_j A_ij.
    struct Diagonal {
        double value = 0;
        T* pull = nullptr;
    };
    static Diagonal diagonal(Workspace::Frame& frame, MatrixView<const T> a, MatrixView<const T> b,
                             double w);
};
} // namespace kernel

template <class A, class B, class... Rest>
double BarlowTwins::operator()(const A& z_a, const B& z_b, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<A, B>;
    Border<T> border(name);
    border.require(lambda >= 0, "lambda", lambda, "non-negative");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto a = border.samples("z_a", z_a);
    const auto b = border.samples("z_b", z_b);
    border.same_shape("z_b", b, "z_a", a);
    const auto g_a = border.gradient("z_a", a, positional<0>(rest...));
    const auto g_b = border.gradient("z_b", b, positional<1>(rest...));
    return border.finish(kernel::BarlowTwins<T>::run(*this, a, b, g_a, g_b));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/standard_columns.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
typename kernel::BarlowTwins<T>::Diagonal
kernel::BarlowTwins<T>::diagonal(Workspace::Frame& frame, MatrixView<const T> a,
                                 MatrixView<const T> b, double w)
{
    const Index d = a.cols();
    const double each = 1 / static_cast<double>(a.rows());
    Diagonal out{0, frame.take<T>(d)};
    auto* const dots = frame.take<double>(d);
    simd::column_dots(a, b, dots);
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
                                   const Destination<T, 2>& g_b)
{
    const Index n = z_a.rows();
    const Index d = z_a.cols();
    if (n == 0)
        return 0;
    Workspace::Frame frame;
    const simd::ColumnScaling scaling{.epsilon = how.epsilon};
    const simd::StandardBatch<T> a(frame, scaling, z_a, z_a);
    const simd::StandardBatch<T> b(frame, scaling, z_b, z_a);
    const double each = 1 / static_cast<double>(n);
    const double pull = 2 * how.lambda * each;
    // The Gram form's sum has the diagonal in it, which is taken out here.
    const bool by_gram = n < d;
    const Diagonal diagonal = BarlowTwins::diagonal(frame, a.y, b.y, by_gram ? how.lambda : 0);

    const auto gradient = [&](const simd::StandardBatch<T>& of, double factor,
                              MatrixView<const T> left, MatrixView<const T> right,
                              const simd::StandardBatch<T>& other, const Destination<T, 2>& to) {
        if (!to)
            return;
        Workspace::Frame inner;
        const MatrixView<T> g = inner.matrix_like(of.y);
        linalg::product(g, factor, left, right, 0);
        of.pull(g, diagonal.pull, other.y, to);
    };
    if (by_gram) {
        const MatrixView<T> gram_a = frame.matrix<T>(n, n);
        const MatrixView<T> gram_b = frame.matrix<T>(n, n);
        linalg::gram(gram_a, 1, a.y, 0);
        linalg::gram(gram_b, 1, b.y, 0);
        gradient(a, pull * each, gram_b, a.y, b, g_a);
        gradient(b, pull * each, gram_a, b.y, a, g_b);
        return diagonal.value + how.lambda * each * each * linalg::inner(gram_a, gram_b);
    }
    const MatrixView<T> c = frame.matrix<T>(d, d);
    linalg::product(c, each, a.y.transposed(), b.y, 0);
    for (Index j = 0; j < d; ++j)
        c(j, j) = 0;
    gradient(a, pull, b.y, c.transposed(), b, g_a);
    gradient(b, pull, a.y, c, a, g_b);
    return diagonal.value + how.lambda * linalg::squared_norm(c);
}

TEMPER_INSTANTIATE(kernel::BarlowTwins);

} // namespace temper::inline TEMPER_ABI
#endif
