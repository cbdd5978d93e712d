// SPDX-License-Identifier: BSL-1.0
#pragma once

// A linear structural causal model: factors of which each depends on those before it, with interventions.
//
//   forward    z_i = u_i + sum_{j < i} A_ji z_j, i = 0 .. k - 1        z = u (I - A)^-1
//              do(i = v): z_i = v, and what depends on it follows
//   pullback   g_i = gz_i + sum_{l > i} A_il g_l,  gu_i = g_i,  gA_ji = <z_j, g_i>
//              do(i = v): 0 to u_i and to A_ji, and nothing goes on from g_i
//
// u, z [n, k] in topological order, A [k, k]: A_ji is what z_j does to z_i. Only what is above A's diagonal is
// read and gets a gradient, the rest gets 0. do_index = -1: no intervention. z = u for A = 0. The sum over j
// runs over columns, so k is small beside n. Nonlinear mechanisms z_i = f_i(parents, u_i) generalise it.
// Throws ShapeError; RangeError for a do_index that is no factor.
// Komanduri et al., Causal diffusion autoencoders: toward counterfactual generation via
// diffusion probabilistic models (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct LinearScm {
    static constexpr std::string_view name = "LinearScm";
    Index do_index = -1;
    double do_value = 0;

    /// (u, a, into(z))
    template <class U, class A, class D>
    void forward(const U& u, const A& a, const D& z) const;
    /// (u, a, gz [, into(gu), into(ga)])
    template <class U, class A, class G, class... Rest>
    void pullback(const U& u, const A& a, const G& gz, const Rest&... rest) const;

    friend bool operator==(const LinearScm&, const LinearScm&) = default;

  private:
    template <class T>
    void check(const Border<T>& border, MatrixView<const T> u, MatrixView<const T> a) const
    {
        border.expect_shape("adjacency", a, {u.cols(), u.cols()},
                            "a row and a column for each factor");
        border.require(do_index >= -1 && do_index < (std::max)(u.cols(), Index{1}), "do_index",
                       static_cast<double>(do_index), "a factor, or -1 for none");
    }
};

namespace kernel {
template <class T>
struct LinearScm {
    static void solve(const temper::LinearScm& how, MatrixView<const T> u, MatrixView<const T> a,
                      MatrixView<T> z);
    static void forward(const temper::LinearScm& how, MatrixView<const T> u, MatrixView<const T> a,
                        const Destination<T, 2>& z);
    static void pullback(const temper::LinearScm& how, MatrixView<const T> u, MatrixView<const T> a,
                         MatrixView<const T> gz, const Destination<T, 2>& gu,
                         const Destination<T, 2>& ga);
};
} // namespace kernel

template <class U, class A, class D>
void LinearScm::forward(const U& u, const A& a, const D& z) const
{
    using T = KernelScalarOf<U, A>;
    Border<T> border(name);
    const auto us = border.samples("u", u);
    const auto as = border.matrix("adjacency", a);
    check(border, us, as);
    const auto to = border.template output<2>("z", z, {us.rows(), us.cols()});
    kernel::LinearScm<T>::forward(*this, us, as, to);
    border.finish();
}

template <class U, class A, class G, class... Rest>
void LinearScm::pullback(const U& u, const A& a, const G& gz, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<U, A, G>;
    Border<T> border(name);
    const auto us = border.samples("u", u);
    const auto as = border.matrix("adjacency", a);
    check(border, us, as);
    const auto g = border.samples("gz", gz);
    border.same_shape("gz", g, "u", us);
    const auto gu = border.gradient("u", us, positional<0>(rest...));
    const auto ga = border.stored_gradient("adjacency", as, positional<1>(rest...));
    kernel::LinearScm<T>::pullback(*this, us, as, g, gu, ga);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {
/// to += factor * from, down columns that may have any stride.
template <class T>
void add_column(VectorView<const T> from, T factor, VectorView<T> to)
{
    simd::row_map(from.extents[0], std::array{simd::source<T>(from)},
                  std::array{simd::Sink<T>{to.data, to.strides[0], factor, Mode::add}},
                  [](auto x, auto& y) { y = x; });
}
} // namespace detail

template <class T>
void kernel::LinearScm<T>::solve(const temper::LinearScm& how, MatrixView<const T> u,
                                 MatrixView<const T> a, MatrixView<T> z)
{
    for (Index i = 0; i < u.cols(); ++i) {
        for (Index r = 0; r < u.rows(); ++r)
            z(r, i) = i == how.do_index ? static_cast<T>(how.do_value) : u(r, i);
        for (Index j = 0; j < i && i != how.do_index; ++j)
            detail::add_column<T>(z.col(j), a(j, i), z.col(i));
    }
}

template <class T>
void kernel::LinearScm<T>::forward(const temper::LinearScm& how, MatrixView<const T> u,
                                   MatrixView<const T> a, const Destination<T, 2>& z)
{
    if (!z)
        return;
    Workspace::Frame frame;
    const MatrixView<T> made =
        frame.matrix<T>(u.cols(), u.rows()).transposed(); // columns are dense
    solve(how, u, a, made);
    simd::map(simd::in(made), simd::out(z), [](auto x, auto& y) { y = x; });
}

template <class T>
void kernel::LinearScm<T>::pullback(const temper::LinearScm& how, MatrixView<const T> u,
                                    MatrixView<const T> a, MatrixView<const T> gz,
                                    const Destination<T, 2>& gu, const Destination<T, 2>& ga)
{
    const Index n = u.rows();
    const Index k = u.cols();
    Workspace::Frame frame;
    const MatrixView<T> z = frame.matrix<T>(k, n).transposed();
    const MatrixView<T> g = frame.matrix<T>(k, n).transposed();
    if (ga)
        solve(how, u, a, z);
    for (Index i = k; i-- > 0;) {
        for (Index r = 0; r < n; ++r)
            g(r, i) = i == how.do_index ? T(0) : gz(r, i);
        for (Index l = i + 1; l < k && i != how.do_index; ++l)
            detail::add_column<T>(g.col(l), a(i, l), g.col(i));
    }
    if (gu)
        simd::map(simd::in(g), simd::out(gu), [](auto x, auto& y) { y = x; });
    for (Index j = 0; ga && j < k; ++j)
        for (Index i = 0; i < k; ++i)
            ga.put(ga.view(j, i), j < i ? static_cast<T>(simd::dot(n, simd::source<T>(z.col(j)),
                                                                   simd::source<T>(g.col(i))))
                                        : T(0));
}

TEMPER_INSTANTIATE(kernel::LinearScm);

} // namespace temper::inline TEMPER_ABI
#endif
