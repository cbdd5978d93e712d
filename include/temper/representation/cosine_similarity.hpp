// SPDX-License-Identifier: BSL-1.0
#pragma once

// The cosines of all pairs of rows of two batches.
//
//   forward     S_ij = <u_i, v_j>,  u_i = a_i / max(|a_i|, epsilon),  v_j = b_j / max(|b_j|, epsilon)
//   pullback    ga_i = (p_i - u_i <u_i, p_i>) / |a_i|,  p_i = sum_j gS_ij v_j;  gb likewise
//
// a [n, d], b [m, d], S and gS [n, m]. S(a, a) is allowed; its gradient is the sum of ga and gb (say
// add_to for the second). A row no longer than epsilon gets no gradient, by convention; a zero row has
// cosine 0 with everything. Throws ShapeError; RangeError for a negative epsilon.
// Salton, Wong and Yang, A vector space model for automatic indexing (1975).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct CosineSimilarity {
    static constexpr std::string_view name = "CosineSimilarity";
    double epsilon = 1e-8;

    /// (a, b, into(s))
    template <class A, class B, class D>
    void forward(const A& a, const B& b, const D& s) const;
    /// (a, b, gs, into(ga) [, into(gb)])
    template <class A, class B, class G, class... Rest>
    void pullback(const A& a, const B& b, const G& gs, const Rest&... rest) const;

    friend bool operator==(const CosineSimilarity&, const CosineSimilarity&) = default;
};

namespace kernel {
template <class T>
struct CosineSimilarity {
    static void forward(MatrixView<const T> a, MatrixView<const T> b, double epsilon,
                        const Destination<T, 2>& s);
    static void pullback(MatrixView<const T> a, MatrixView<const T> b, double epsilon,
                         MatrixView<const T> gs, const Destination<T, 2>& ga,
                         const Destination<T, 2>& gb);
};
} // namespace kernel

template <class A, class B, class D>
void CosineSimilarity::forward(const A& a, const B& b, const D& s) const
{
    using T = KernelScalarOf<A, B>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto as = border.samples("a", a);
    const auto bs = border.samples("b", b);
    border.expect_shape("b", bs, {bs.rows(), as.cols()}, "with the columns of a");
    const auto to = border.template output<2>("s", s, {as.rows(), bs.rows()});
    kernel::CosineSimilarity<T>::forward(as, bs, epsilon, to);
    border.finish();
}

template <class A, class B, class G, class... Rest>
void CosineSimilarity::pullback(const A& a, const B& b, const G& gs, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<A, B, G>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto as = border.samples("a", a);
    const auto bs = border.samples("b", b);
    border.expect_shape("b", bs, {bs.rows(), as.cols()}, "with the columns of a");
    const auto g = border.samples("gs", gs);
    border.expect_shape("gs", g, {as.rows(), bs.rows()}, "a row for each row of a");
    const auto ga = border.gradient("a", as, positional<0>(rest...));
    const auto gb = border.gradient("b", bs, positional<1>(rest...));
    kernel::CosineSimilarity<T>::pullback(as, bs, epsilon, g, ga, gb);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::CosineSimilarity<T>::forward(MatrixView<const T> a, MatrixView<const T> b,
                                          double epsilon, const Destination<T, 2>& s)
{
    if (!s)
        return;
    Workspace::Frame frame;
    const simd::UnitRows<T> u(frame, a, epsilon);
    const simd::UnitRows<T> v(frame, b, epsilon);
    linalg::product(s.view, s.scale, u.u, v.u.transposed(), s.adds() ? 1 : 0);
}

template <class T>
void kernel::CosineSimilarity<T>::pullback(MatrixView<const T> a, MatrixView<const T> b,
                                           double epsilon, MatrixView<const T> gs,
                                           const Destination<T, 2>& ga, const Destination<T, 2>& gb)
{
    Workspace::Frame frame;
    const simd::UnitRows<T> u(frame, a, epsilon);
    const simd::UnitRows<T> v(frame, b, epsilon);
    const auto gradient = [&](const simd::UnitRows<T>& of, MatrixView<const T> g,
                              const simd::UnitRows<T>& other, const Destination<T, 2>& to) {
        if (!to)
            return;
        Workspace::Frame inner;
        const MatrixView<T> p = inner.matrix_like(of.u);
        linalg::product(p, 1, g, other.u, 0);
        of.pull(p, to);
    };
    gradient(u, gs, v, ga);
    gradient(v, gs.transposed(), u, gb);
}

TEMPER_INSTANTIATE(kernel::CosineSimilarity);

} // namespace temper::inline TEMPER_ABI
#endif
