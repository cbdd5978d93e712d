// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mixed Barlow Twins, the whole objective on one standardisation (unbiased variance, no epsilon).
//
//   A, B, M = the columns of z_a, z_b, z_m with mean 0, divided by their standard deviation (n - 1)
//   C = A' B / n,  D = M - alpha A - (1 - alpha) B[index]
//   L = sum_j (C_jj - 1)^2 + lambda sum_{j != k} C_jk^2
//       + scale lambda (|D' A / n|^2 + |D' B / n|^2)
//
// Arguments, ranks, corner values and errors are those of MixedBarlowRegularizer. BarlowTwins divides by
// sqrt(biased variance + epsilon) instead, so that BarlowTwins plus MixedBarlowRegularizer is another
// objective; here C_jj is (n - 1) / n at most. A constant column is 0: its diagonal term is exactly 1 and
// it gets no gradient. One row: L = d with zero gradient.
// Bandara, De Melo and Patel, Guarding Barlow Twins against overfitting with mixed samples (2023), as the
// authors' code has it.

#include <temper/representation/mixed_barlow.hpp>

namespace temper::inline TEMPER_ABI {

struct MixedBarlowTwins {
    static constexpr std::string_view name = "MixedBarlowTwins";
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
        return detail::mixed_barlow<T>(border,
                                       {.mixed = scale * lambda, .twins = true, .lambda = lambda},
                                       z_a, z_b, z_m, index, alpha, rest...);
    }

    friend bool operator==(const MixedBarlowTwins&, const MixedBarlowTwins&) = default;
};

} // namespace temper::inline TEMPER_ABI
