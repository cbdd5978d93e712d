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
//
// With over_ranks(share, all_reduce, scale) the batch is that of all ranks, n rows in all; index permutes
// the rows of this rank, which mixed them, and alpha is that of this rank, the same on all or not. Rounds:
//   n >= d   6 d + 1 doubles (rows and means), 6 d doubles (deviations), 2 d^2 numbers of type T (D' A and
//            D' B; with the loss of Barlow Twins 3 d^2 + d), and for the gradients 2 d doubles for z_a and
//            z_b each and d for z_m; the results are those of one process up to rounding
//   n < d    n (3 d + 4) + 4 numbers of type T (the rows, and how they were mixed): every rank computes
//            what one process does, with the same bits, and writes the gradient of its own rows
// Bandara, De Melo and Patel, Guarding Barlow Twins against overfitting with mixed samples (2023).

#include <temper/representation/mixed_barlow.hpp>

namespace temper::inline TEMPER_ABI {

struct MixedBarlowRegularizer {
    static constexpr std::string_view name = "MixedBarlowRegularizer";
    double lambda = 0.005;
    double scale = 5;

    /// (z_a, z_b, z_m, index, alpha [, into(g_a), into(g_b), into(g_m)] [, over_ranks(...)])
    template <class A, class B, class M, class I, class... Rest>
    double operator()(const A& z_a, const B& z_b, const M& z_m, const I& index, double alpha,
                      const Rest&... rest) const
    {
        using T = KernelScalarOf<A, B, M>;
        Border<T> border(name);
        border.require(lambda >= 0, "lambda", lambda, "non-negative");
        border.require(scale >= 0, "scale", scale, "non-negative");
        return detail::mixed_barlow<T>(border, {.mixed = scale * lambda}, z_a, z_b, z_m, index,
                                       alpha, rest...);
    }

    friend bool operator==(const MixedBarlowRegularizer&, const MixedBarlowRegularizer&) = default;
};

} // namespace temper::inline TEMPER_ABI
