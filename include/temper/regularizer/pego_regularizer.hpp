// SPDX-License-Identifier: BSL-1.0
#pragma once

// PEGO's orthogonal regularisation of a group of low-rank adapters W_0 + sum_g B_g A_g: what they learn
// shall be orthogonal to the pre-trained weights (preserve) and to each other (diversify).
//
//   f = sum_g <W_0, D_g> + sum_{g<h} <D_g, D_h>,   D_g = B_g A_g
//   <X, Y> = sum_ab |(X Y')_ab| (side rows), sum_ab |(X' Y)_ab| (columns)
//   rows:  df/dD_g = sign(W_0 D_g')' W_0 + sum_{h>g} sign(D_g D_h') D_h + sum_{h<g} sign(D_h D_g')' D_h
//          df/dB_g = df/dD_g A_g',   df/dA_g = B_g' df/dD_g,   sign(0) = 0
//
// W_0 [o, i] without gradient; A_g [r, i], B_g [o, r] as matrices of a list or as stacks [N, r, i] and
// [N, o, r]. D_g is never made: every product goes through its r columns, and what takes o^2 (i^2) numbers is
// one matrix of signs. A sum over those o^2 numbers, not a mean: the shipped weight is 0.1 for each pair
// of query and value projections, with N up to 4 and r = 4. The published code has rows where the paper
// writes columns. At the usual start B = 0 value and gradient are 0, and the first step of the loss
// begins. One adapter: nothing to diversify; none: value 0. Throws ShapeError.
// Hu et al., Learn to Preserve and Diversify: Parameter-Efficient Group with Orthogonal Regularization for
// Domain Generalization (2024).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct PegoRegularizer {
    static constexpr std::string_view name = "PegoRegularizer";
    enum class Side { rows, columns };

    Side side = Side::rows;

    /// (w0, tensors(a1, a2, ...), tensors(b1, b2, ...) [, into(tensors(ga1, ...)), into(tensors(gb1, ...))])
    template <class W, class A, class B, class... Rest>
    double operator()(const W& w0, const A& a, const B& b, const Rest&... rest) const;

    friend bool operator==(const PegoRegularizer&, const PegoRegularizer&) = default;
};

namespace kernel {
template <class T>
struct PegoRegularizer {
    /// Of rows.
    static double run(MatrixView<const T> w0, std::span<const MatrixAndGradient<T>> a,
                      std::span<const MatrixAndGradient<T>> b);
};
} // namespace kernel

template <class W, class A, class B, class... Rest>
double PegoRegularizer::operator()(const W& w0, const A& a, const B& b, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto w = border.matrix("w0", w0);
    const auto a_list = border.list("a", as_list(a));
    const auto b_list = border.list("b", as_list(b));
    const auto as =
        matrices(border, "a", a_list, border.gradient("a", a_list, positional<0>(rest...)));
    const auto bs =
        matrices(border, "b", b_list, border.gradient("b", b_list, positional<1>(rest...)));
    require_factors(name, as, bs);
    for (std::size_t g = 0; g < as.size(); ++g) {
        if (as[g].matrix.cols() != w.cols())
            fail<ShapeError>(name, "a", joined({"has shape ", shape_text(as[g].matrix)}),
                             joined({"[r, ", text(w.cols()), "], as w0 has columns"}));
        if (bs[g].matrix.rows() != w.rows())
            fail<ShapeError>(name, "b", joined({"has shape ", shape_text(bs[g].matrix)}),
                             joined({"[", text(w.rows()), ", r], as w0 has rows"}));
    }
    using Kernel = kernel::PegoRegularizer<T>;
    if (side == Side::rows)
        return border.finish(Kernel::run(w, as, bs));
    return border.finish(
        Kernel::run(w.transposed(), transposed(border, bs), transposed(border, as)));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::PegoRegularizer<T>::run(MatrixView<const T> w0,
                                       std::span<const MatrixAndGradient<T>> a,
                                       std::span<const MatrixAndGradient<T>> b)
{
    const Index o = w0.rows();
    Workspace::Frame frame;
    const MatrixView<T> signs = frame.matrix<T>(o, o);
    double value = 0;
    // signs = sign(x y'), and its magnitudes to the value
    const auto compare = [&](MatrixView<const T> x, MatrixView<const T> y) {
        linalg::product(signs, 1, x, y.transposed(), 0);
        value +=
            simd::map_sum(simd::in(signs), simd::out(Destination<T, 2>{signs, 1, Mode::overwrite}),
                          [](auto p, auto& s) {
                              s = sign(p);
                              return abs(p);
                          });
    };
    const auto product_of = [](Workspace::Frame& from, MatrixView<const T> x,
                               MatrixView<const T> y) {
        const MatrixView<T> made = from.matrix<T>(x.rows(), y.cols());
        linalg::product(made, 1, x, y, 0);
        return MatrixView<const T>(made);
    };
    const auto put = [](const Destination<T, 2>& to, MatrixView<const T> x, MatrixView<const T> y,
                        bool first) {
        if (to)
            linalg::product(to.view, to.scale, x, y, first && !to.adds() ? 0 : 1);
    };

    for (std::size_t g = 0; g < a.size(); ++g) {
        Workspace::Frame inner;
        const auto seen = product_of(inner, w0, a[g].matrix.transposed()); // W_0 A'
        compare(seen, b[g].matrix);
        put(b[g].gradient, signs.transposed(), seen, true);
        if (a[g].gradient)
            put(a[g].gradient, product_of(inner, signs, b[g].matrix).transposed(), w0, true);
    }
    for (std::size_t g = 0; g < a.size(); ++g)
        for (std::size_t h = g + 1; h < a.size(); ++h) {
            Workspace::Frame inner;
            const auto overlap = product_of(inner, a[g].matrix, a[h].matrix.transposed());
            compare(product_of(inner, b[g].matrix, overlap), b[h].matrix);
            if (a[g].gradient || b[g].gradient || a[h].gradient) {
                const auto of_h = product_of(inner, signs, b[h].matrix);
                put(b[g].gradient, of_h, overlap.transposed(), false);
                if (a[g].gradient || a[h].gradient) {
                    const auto between = product_of(inner, b[g].matrix.transposed(), of_h);
                    put(a[g].gradient, between, a[h].matrix, false);
                    put(a[h].gradient, between.transposed(), a[g].matrix, false);
                }
            }
            if (b[h].gradient)
                put(b[h].gradient, product_of(inner, signs.transposed(), b[g].matrix), overlap,
                    false);
        }
    return value;
}

TEMPER_INSTANTIATE(kernel::PegoRegularizer);

} // namespace temper::inline TEMPER_ABI
#endif
