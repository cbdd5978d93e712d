// SPDX-License-Identifier: BSL-1.0
#pragma once

// A step of solving an inverse problem y = H x with a denoiser as prior (RED-diff).
//
//   x_t = sqrt(a) mu + sqrt(1 - a) z                              what the denoiser sees: `noised`
//   s = sqrt(1 - a) / sqrt(a)      w = prior_weight g(s)
//   L = w mean((e - z) mu) + data_weight mean((y - H mu)^2) / 2
//   dL/dmu = w (e - z) / (n d) - data_weight (y - H mu) H / (n m)
//
// mu the solutions so far and z standard normal noise [n, d], e the noise that the denoiser predicts in x_t,
// held still, y measurements [n, m], a the cumulative product of the step. H is a matrix [m, d], or an
// operator of the caller's with outputs() = m, apply(v, into(Hv)) and adjoint(r, into(H'r)) on dense [n, d]
// and [n, m]. Both terms are means over their own entries. The value only stands for its gradient: that of
// the first term has no meaning. terms(into(v)): both. g of the Weight: s, sqrt(s), s^2, log(1 + s),
// min(s, 1), s^(2/3) or 1. a = 1: weight 0 but for constant; for a near 0 choose truncated_linear or logarithm. n, d
// or m = 0: that term is 0.
// Throws ShapeError; RangeError for a outside (0, 1].
// Mardani, Song, Kautz and Vahdat, A Variational Perspective on Solving Inverse Problems with Diffusion Models
// (2024): 0.25, linear; Adam at 0.1 with betas 0.9 and 0.99, t from the end to 0 once.

#include <temper/core/component.hpp>
#include <temper/core/terms.hpp>
#include <temper/diffusion/ddim_step.hpp>

namespace temper::inline TEMPER_ABI {

/// A linear map and its adjoint.
template <class H, class T>
concept LinearOperator = requires(const H& h, MatrixView<const T> v, Into<T> out) {
    { h.outputs() } -> std::convertible_to<Index>;
    h.apply(v, out);
    h.adjoint(v, out);
};

struct RedDiffLoss {
    static constexpr std::string_view name = "RedDiffLoss";
    enum class Weight { linear, root, square, logarithm, truncated_linear, two_thirds, constant };
    double prior_weight = 0.25;
    double data_weight = 1;
    Weight weight = Weight::linear;

    /// w
    [[nodiscard]] double prior(double a) const
    {
        require(a > 0 && a <= 1, name, "a", a, "in (0, 1]");
        const double s = std::sqrt(1 / a - 1);
        switch (weight) {
        case Weight::linear:
            return prior_weight * s;
        case Weight::root:
            return prior_weight * std::sqrt(s);
        case Weight::square:
            return prior_weight * s * s;
        case Weight::logarithm:
            return prior_weight * std::log1p(s);
        case Weight::truncated_linear:
            return prior_weight * (std::min)(s, 1.0);
        case Weight::two_thirds:
            return prior_weight * std::cbrt(s * s);
        case Weight::constant:
            break;
        }
        return prior_weight;
    }
    /// (mu, z, a, into(x_t))
    template <class M, class Z, class D>
    static void noised(const M& mu, const Z& z, double a, const D& x_t);
    /// (mu, z, e, H, y, a [, into(g_mu)] [, terms(into(v))])
    template <class M, class Z, class E, class H, class Y, class... Rest>
    double operator()(const M& mu, const Z& z, const E& predicted, const H& h, const Y& y, double a,
                      const Rest&... rest) const;

    friend bool operator==(const RedDiffLoss&, const RedDiffLoss&) = default;
};

namespace kernel {
template <class T>
struct RedDiffLoss {
    /// Sum of (e - z) mu; g = factor (e - z).
    static double prior(MatrixView<const T> mu, MatrixView<const T> z, MatrixView<const T> e,
                        double factor, const Destination<T, 2>& g);
    /// r = y - r, and the sum of r^2.
    static double residual(MatrixView<const T> y, MatrixView<T> r);
    static void multiply(MatrixView<const T> mu, MatrixView<const T> h, MatrixView<T> out);
    static void add(double factor, MatrixView<const T> from, const Destination<T, 2>& to);
};
} // namespace kernel

template <class M, class Z, class D>
void RedDiffLoss::noised(const M& mu, const Z& z, double a, const D& x_t)
{
    using T = KernelScalarOf<M, Z>;
    Border<T> border(name);
    border.require(a > 0 && a <= 1, "a", a, "in (0, 1]");
    const auto ms = border.samples("mu", mu);
    const auto zs = border.samples("z", z);
    border.same_shape("z", zs, "mu", ms);
    const auto to = border.template output<2>("x_t", x_t, ms.extents, InPlace::allowed);
    kernel::LinearCombination<T>::run(std::sqrt(a), ms, std::sqrt(1 - a), zs, to);
    border.finish();
}

template <class M, class Z, class E, class H, class Y, class... Rest>
double RedDiffLoss::operator()(const M& mu, const Z& z, const E& predicted, const H& h, const Y& y,
                               double a, const Rest&... rest) const
{
    accept<1, Terms>(rest...);
    using T = KernelScalarOf<M, Z, E, Y>;
    using Kernel = kernel::RedDiffLoss<T>;
    constexpr bool is_matrix = ViewLike<const H>;
    Border<T> border(name);
    const double w = prior(a);
    const auto ms = border.samples("mu", mu);
    const auto zs = border.samples("z", z);
    const auto es = border.samples("predicted", predicted);
    const auto ys = border.samples("y", y);
    border.same_shape("z", zs, "mu", ms);
    border.same_shape("predicted", es, "mu", ms);
    const Index n = ms.rows();
    const Index d = ms.cols();
    MatrixView<const T> matrix{};
    Index m = 0;
    if constexpr (is_matrix) {
        matrix = border.matrix("H", h);
        m = matrix.rows();
        border.expect_shape("H", matrix, {m, d}, "with the columns of mu");
    }
    else {
        static_assert(LinearOperator<H, T>,
                      "temper: H is a matrix, or has outputs(), apply(v, into(Hv)) and adjoint(r, "
                      "into(H'r))");
        m = h.outputs();
    }
    border.expect_shape("y", ys, {n, m}, "a measurement for each row of mu");
    const auto g = border.gradient("mu", ms, positional<0>(rest...));
    const auto both = border.template named_into<1>("terms", named<Terms>(rest...), {2});

    auto& scratch = border.scratch();
    const MatrixView<T> r = scratch.template matrix<T>(n, m);
    const auto share = [](Index k) { return k > 0 ? 1 / static_cast<double>(k) : 0; };
    if constexpr (is_matrix)
        Kernel::multiply(ms, matrix, r);
    else
        h.apply(ms, into(r));
    const double data = data_weight * Kernel::residual(ys, r) * share(n * m) / 2;
    const double value = w * Kernel::prior(ms, zs, es, w * share(n * d), g) * share(n * d);
    if (g && m > 0) {
        const MatrixView<T> back = scratch.template matrix<T>(n, d);
        if constexpr (is_matrix)
            Kernel::multiply(r, matrix.transposed(), back);
        else
            h.adjoint(MatrixView<const T>(r), into(back));
        Kernel::add(-data_weight * share(n * m), back, g);
    }
    detail::put_terms(both, std::array{value, data});
    return border.finish(value + data);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::RedDiffLoss<T>::prior(MatrixView<const T> mu, MatrixView<const T> z,
                                     MatrixView<const T> e, double factor,
                                     const Destination<T, 2>& g)
{
    return simd::map_sum(simd::in(mu, z, e), simd::out(g), [=](auto m, auto u, auto v, auto& out) {
        const auto difference = v - u;
        out = decltype(m)(factor) * difference;
        return difference * m;
    });
}
template <class T>
double kernel::RedDiffLoss<T>::residual(MatrixView<const T> y, MatrixView<T> r)
{
    const Destination<T, 2> to{r, 1, Mode::overwrite};
    return simd::map_sum(simd::in(y, MatrixView<const T>(r)), simd::out(to),
                         [](auto u, auto v, auto& out) {
                             out = u - v;
                             return out * out;
                         });
}
template <class T>
void kernel::RedDiffLoss<T>::multiply(MatrixView<const T> mu, MatrixView<const T> h,
                                      MatrixView<T> out)
{
    linalg::product(out, 1, mu, h.transposed(), 0);
}
template <class T>
void kernel::RedDiffLoss<T>::add(double factor, MatrixView<const T> from,
                                 const Destination<T, 2>& to)
{
    const Destination<T, 2> adding{to.view, to.scale * factor, Mode::add};
    simd::map(simd::in(from), simd::out(adding), [](auto u, auto& v) { v = u; });
}

TEMPER_INSTANTIATE(kernel::RedDiffLoss);

} // namespace temper::inline TEMPER_ABI
#endif
