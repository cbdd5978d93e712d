// SPDX-License-Identifier: BSL-1.0
#pragma once

// What Mixed Barlow Twins adds to Barlow Twins: the features of a mixed input shall correlate with both
// views as the mixture of their features does.
//
//   x_m = alpha x_a + (1 - alpha) x_b[index]            the inputs behind z_m
//   A, B, M = the columns of z_a, z_b, z_m with mean 0, divided by their standard deviation (n - 1)
//   D = M - alpha A - (1 - alpha) B[index]
//   L = scale lambda (|D' A / n|^2 + |D' B / n|^2)      (M' A - (alpha A + (1 - alpha) B[index])' A = D' A)
//
// z_a, z_b, z_m [n, d], all differentiable, and all gradients flow: the mixture is no fixed target. index
// is a permutation of the rows of b, [n] integers; one alpha in [0, 1] for the batch. (In a temper::MixPlan
// these are `partner` and `lambda[0]`.) Sums of squares, not means; divided by n although the variance is
// unbiased, as in the authors' code. That standardises without an epsilon and so is NaN for constant
// columns: here such a column is 0, with zero gradient. The objective as a whole, on one standardisation,
// is MixedBarlowTwins; adding this term to BarlowTwins is neither paper. Where n < d, n x n Gram matrices
// take the place of d x d ones: |D' A|^2 = <D D', A A'>. One row or none: 0.
// Throws ShapeError; RangeError for alpha outside [0, 1], an index that is no permutation, a negative
// lambda or scale.
// Bandara, De Melo and Patel, Guarding Barlow Twins against overfitting with mixed samples (2023).

#include <temper/representation/barlow_twins.hpp>

namespace temper::inline TEMPER_ABI {

struct MixedBarlowRegularizer {
    static constexpr std::string_view name = "MixedBarlowRegularizer";
    double lambda = 0.005;
    double scale = 5;

    /// (z_a, z_b, z_m, index, alpha [, into(g_a), into(g_b), into(g_m)])
    template <class A, class B, class M, class I, class... Rest>
    double operator()(const A& z_a, const B& z_b, const M& z_m, const I& index, double alpha,
                      const Rest&... rest) const;

    friend bool operator==(const MixedBarlowRegularizer&, const MixedBarlowRegularizer&) = default;
};

namespace kernel {
/// mixed (|D' A / n|^2 + |D' B / n|^2), and the loss of Barlow Twins where it is wanted.
template <class T>
struct MixedBarlow {
    struct Terms {
        double mixed = 0;
        bool twins = false;
        double lambda = 0;
        double alpha = 1;
    };
    /// `partner` [n] is the permutation.
    static double run(const Terms& terms, MatrixView<const T> z_a, MatrixView<const T> z_b,
                      MatrixView<const T> z_m, const std::int64_t* partner,
                      const Destination<T, 2>& g_a, const Destination<T, 2>& g_b,
                      const Destination<T, 2>& g_m);
};
} // namespace kernel

namespace detail {
/// The call that the regularizer and the whole objective share; `terms` lacks alpha.
template <class T, class A, class B, class M, class I, class... Rest>
double mixed_barlow(Border<T>& border, typename kernel::MixedBarlow<T>::Terms terms, const A& z_a,
                    const B& z_b, const M& z_m, const I& index, double alpha, const Rest&... rest)
{
    accept<3>(rest...);
    const auto a = border.samples("z_a", z_a);
    const auto b = border.samples("z_b", z_b);
    const auto m = border.samples("z_m", z_m);
    border.same_shape("z_b", b, "z_a", a);
    border.same_shape("z_m", m, "z_a", a);
    const auto* partner = border.permutation("index", index, a.rows());
    border.require(alpha >= 0 && alpha <= 1, "alpha", alpha, "from 0 to 1");
    terms.alpha = alpha;
    const auto g_a = border.gradient("z_a", a, positional<0>(rest...));
    const auto g_b = border.gradient("z_b", b, positional<1>(rest...));
    const auto g_m = border.gradient("z_m", m, positional<2>(rest...));
    return border.finish(kernel::MixedBarlow<T>::run(terms, a, b, m, partner, g_a, g_b, g_m));
}
} // namespace detail

template <class A, class B, class M, class I, class... Rest>
double MixedBarlowRegularizer::operator()(const A& z_a, const B& z_b, const M& z_m, const I& index,
                                          double alpha, const Rest&... rest) const
{
    using T = KernelScalarOf<A, B, M>;
    Border<T> border(name);
    border.require(lambda >= 0, "lambda", lambda, "non-negative");
    border.require(scale >= 0, "scale", scale, "non-negative");
    return detail::mixed_barlow<T>(border, {.mixed = scale * lambda}, z_a, z_b, z_m, index, alpha,
                                   rest...);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/standard_columns.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::MixedBarlow<T>::run(const Terms& terms, MatrixView<const T> z_a,
                                   MatrixView<const T> z_b, MatrixView<const T> z_m,
                                   const std::int64_t* partner, const Destination<T, 2>& g_a,
                                   const Destination<T, 2>& g_b, const Destination<T, 2>& g_m)
{
    const Index n = z_a.rows();
    const Index d = z_a.cols();
    if (n == 0)
        return 0;
    Workspace::Frame frame;
    const MatrixView<T> difference = frame.matrix<T>(n, d);
    // Rows are permuted, so batches are stored by rows as `difference` is, whatever the inputs are.
    const simd::ColumnScaling scaling{.epsilon = 0, .unbiased = true};
    const simd::StandardBatch<T> a(frame, scaling, z_a, difference);
    const simd::StandardBatch<T> b(frame, scaling, z_b, difference);
    const simd::StandardBatch<T> m(frame, scaling, z_m, difference);
    const auto blocks = simd::row_blocks(n, d);
    const auto for_rows = [&](const auto& body) {
        parallel_for(blocks.count(), n * d, [&](Index block) {
            for (Index i = blocks.begin(block); i < blocks.end(block); ++i)
                body(i);
        });
    };
    const auto row = [](const auto& v, Index i) { return v.data + i * v.strides[0]; };
    for_rows([&](Index i) {
        simd::row_map(d,
                      std::array{simd::source<T>(row(m.y, i)), simd::source<T>(row(a.y, i)),
                                 simd::source<T>(row(b.y, partner[i]))},
                      std::array{simd::sink(row(difference, i))},
                      [alpha = terms.alpha](auto u, auto v, auto w, auto& out) {
                          using V = decltype(u);
                          out = u - V(alpha) * v - V(1 - alpha) * w;
                      });
    });

    // The value, and the matrices that multiply D, A and B on the way back. Gram form: symmetric n x n
    // ones from the left. Correlation form: D' A, D' B and the off-diagonal part of C from the right.
    const bool by_gram = n < d;
    const double each = 1 / static_cast<double>(n);
    const double lambda = terms.twins ? terms.lambda : 0;
    const double mixed_pull = 2 * each * terms.mixed;
    const double twins_pull = 2 * each * lambda;
    typename BarlowTwins<T>::Diagonal diagonal{0, nullptr};
    if (terms.twins)
        diagonal = BarlowTwins<T>::diagonal(frame, a.y, b.y, by_gram ? lambda : 0);
    else
        diagonal.pull = frame.take_zeros<T>(d);
    const Index size = by_gram ? n : d;
    const MatrixView<T> for_a = frame.matrix<T>(size, size);
    const MatrixView<T> for_b = frame.matrix<T>(size, size);
    const MatrixView<T> third = frame.matrix<T>(size, size);
    double value = diagonal.value;
    if (by_gram) {
        linalg::gram(for_a, each, a.y, 0);
        linalg::gram(for_b, each, b.y, 0);
        linalg::gram(third, each, difference, 0);
        value += terms.mixed * (linalg::inner(third, for_a) + linalg::inner(third, for_b));
        if (terms.twins)
            value += lambda * linalg::inner(for_a, for_b);
        const auto onto = [](const MatrixView<T>& v) {
            return Destination<T, 2>{v, 1, Mode::overwrite};
        };
        simd::map(simd::in(for_a, for_b, third), simd::out(onto(for_a), onto(for_b), onto(third)),
                  [=](auto ka, auto kb, auto kd, auto& to_a, auto& to_b, auto& to_d) {
                      using V = decltype(ka);
                      to_a = V(twins_pull) * kb + V(mixed_pull) * kd;
                      to_b = V(twins_pull) * ka + V(mixed_pull) * kd;
                      to_d = V(mixed_pull) * (ka + kb);
                  });
    }
    else {
        linalg::product(for_a, each, difference.transposed(), a.y, 0);
        linalg::product(for_b, each, difference.transposed(), b.y, 0);
        value += terms.mixed * (linalg::squared_norm(for_a) + linalg::squared_norm(for_b));
        if (terms.twins) {
            linalg::product(third, each, a.y.transposed(), b.y, 0);
            for (Index j = 0; j < d; ++j)
                third(j, j) = 0;
            value += lambda * linalg::squared_norm(third);
        }
    }
    if (!g_a && !g_b && !g_m)
        return value;

    // dL/dD; D holds A and the permuted B.
    const MatrixView<T> of_d = frame.matrix<T>(n, d);
    if (by_gram)
        linalg::product(of_d, 1, third, difference, 0);
    else {
        linalg::product(of_d, mixed_pull, a.y, for_a.transposed(), 0);
        linalg::product(of_d, mixed_pull, b.y, for_b.transposed(), 1);
    }
    const auto pull = [&](const simd::StandardBatch<T>& of, double through_d, const auto& to_row,
                          MatrixView<const T> matrix, MatrixView<const T> third_matrix,
                          const simd::StandardBatch<T>& other, const Destination<T, 2>& to) {
        if (!to)
            return;
        Workspace::Frame inner;
        const MatrixView<T> g = inner.matrix<T>(n, d);
        for_rows([&](Index i) {
            simd::row_map(d, std::array{simd::source<T>(row(of_d, i))},
                          std::array{simd::sink(row(g, to_row(i)))},
                          [=](auto u, auto& v) { v = decltype(u)(-through_d) * u; });
        });
        if (by_gram)
            linalg::product(g, 1, matrix, of.y, 1);
        else {
            linalg::product(g, mixed_pull, difference, matrix, 1);
            if (terms.twins)
                linalg::product(g, twins_pull, other.y, third_matrix, 1);
        }
        of.pull(g, diagonal.pull, other.y, to);
    };
    pull(a, terms.alpha, [](Index i) { return i; }, for_a, third.transposed(), b, g_a);
    pull(b, 1 - terms.alpha, [&](Index i) { return Index{partner[i]}; }, for_b, third, a, g_b);
    T* const none = frame.take_zeros<T>(d);
    m.pull(of_d, none, m.y, g_m);
    return value;
}

TEMPER_INSTANTIATE(kernel::MixedBarlow);

} // namespace temper::inline TEMPER_ABI
#endif
