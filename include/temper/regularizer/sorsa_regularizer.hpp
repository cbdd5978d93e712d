// SPDX-License-Identifier: BSL-1.0
#pragma once

// SORSA's orthonormal regularisation: the rows of A and the columns of B of adapters W + B diag(s) A stay
// orthonormal, as they are after their initialisation by the singular vectors of W.
//
//   f = (1 / 2L) sum_l |A_l A_l' - I| + |B_l' B_l - I|                      Frobenius norms, not squared
//   df/dA_l = (A_l A_l' - I) A_l / (L |A_l A_l' - I|),   df/dB_l = B_l (B_l' B_l - I) / (L |B_l' B_l - I|)
//
// A_l [r, i], B_l [o, r], as matrices of a list or as stacks [L, r, i] and [L, o, r]; o, i and r may differ
// from layer to layer. The mean is over all 2L matrices, as in the published code; the paper has a sum. That
// code weighs f with gamma over the base learning rate (gamma 4e-4), so that what gradient descent takes
// away in a step does not depend on it: (gamma / learning_rate) * SorsaRegularizer{}.
// The norm has no derivative at 0: where it is no more than rounding leaves of it (8 r epsilon), as after
// the initialisation, the gradient is 0. No layers: value 0. Throws ShapeError.
// Cao and Song, SORSA: Singular Values and Orthonormal Regularized Singular Vectors Adaptation of Large
// Language Models (2024).

#include <temper/core/tensor_list.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>

namespace temper::inline TEMPER_ABI {

struct SorsaRegularizer {
    static constexpr std::string_view name = "SorsaRegularizer";

    /// (tensors(a1, a2, ...), tensors(b1, b2, ...) [, into(tensors(ga1, ...)), into(tensors(gb1, ...))])
    template <class A, class B, class... Rest>
    double operator()(const A& a, const B& b, const Rest&... rest) const;

    friend bool operator==(const SorsaRegularizer&, const SorsaRegularizer&) = default;
};

template <class A, class B, class... Rest>
double SorsaRegularizer::operator()(const A& a, const B& b, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = ListScalarOf<const A>;
    Border<T> border(name);
    const auto a_list = border.list("a", as_list(a));
    const auto b_list = border.list("b", as_list(b));
    const auto as =
        matrices(border, "a", a_list, border.gradient("a", a_list, positional<0>(rest...)));
    const auto bs =
        matrices(border, "b", b_list, border.gradient("b", b_list, positional<1>(rest...)));
    require_factors(name, as, bs);

    double value = 0;
    const double share = as.empty() ? 0 : 0.5 / static_cast<double>(as.size());
    const auto add = [&](GramSide side, const MatrixAndGradient<T>& w) {
        auto gradient = w.gradient;
        gradient.scale *= share;
        const SoftOrthogonality norm{side, SoftOrthogonality::Norm::frobenius};
        value += share * kernel::SoftOrthogonality<T>::run(norm, w.matrix, gradient);
    };
    for (std::size_t l = 0; l < as.size(); ++l) {
        add(GramSide::rows, as[l]);
        add(GramSide::columns, bs[l]);
    }
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI
