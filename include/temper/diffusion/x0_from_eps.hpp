// SPDX-License-Identifier: BSL-1.0
#pragma once

// The clean sample that a predicted noise stands for, for every technique that judges what the model would
// draw rather than the noise it predicts.
//
//   noised    x_t = sqrt(ab_i) x0 + sqrt(1 - ab_i) eps
//   forward   x0 = (x_t - sqrt(1 - ab_i) eps) / sqrt(ab_i)
//   pullback  g_eps = - sqrt((1 - ab_i) / ab_i) g,   g_x = g / sqrt(ab_i)
//
// x_t, eps, x0, g [n, ...]; ab the cumulative product of a schedule: a number for each sample [n] or one for
// all, or at_steps(table, t), table [T] and t [n] integers. Nothing is clipped. At the end of the usual
// schedules the factor of g_eps is large (14.6 for LatentSync's 1000 scaled-linear steps): losses on x0 are
// dominated by large t, and the published code does not weigh them down.
// Throws ShapeError; RangeError for ab outside (0, 1] (noised: [0, 1]) and for a t that is not in the table.
// Ho, Jain and Abbeel, Denoising diffusion probabilistic models (2020); Li et al., LatentSync: audio
// conditioned latent diffusion models for lip sync (2024).

#include <temper/core/flatten.hpp>
#include <temper/diffusion/noise_levels.hpp>

namespace temper::inline TEMPER_ABI {

/// A number of a table for each sample.
template <class V, class I>
struct AtSteps {
    V table;
    I steps;
};
template <class A, class S>
[[nodiscard]] AtSteps<ViewOf<const A>, ViewOf<const S>> at_steps(const A& table, const S& steps)
{
    return {view(table), view(steps)};
}

namespace detail {
template <class A>
inline constexpr bool is_at_steps = false;
template <class V, class I>
inline constexpr bool is_at_steps<AtSteps<V, I>> = true;
} // namespace detail

struct X0FromEps {
    static constexpr std::string_view name = "X0FromEps";

    /// (x0, alpha_bar, eps, into(x_t))
    template <class X, class L, class E, class D>
    void noised(const X& x0, const L& alpha_bar, const E& eps, const D& x_t) const
    {
        combine(x0, alpha_bar, eps, x_t, "x0", true);
    }
    /// (x_t, alpha_bar, eps, into(x0))
    template <class X, class L, class E, class D>
    void forward(const X& x_t, const L& alpha_bar, const E& eps, const D& x0) const
    {
        combine(x_t, alpha_bar, eps, x0, "x_t", false);
    }
    /// (alpha_bar, g, into(g_eps) [, into(g_x)])
    template <class L, class G, class... Rest>
    void pullback(const L& alpha_bar, const G& g, const Rest&... rest) const;

    friend bool operator==(const X0FromEps&, const X0FromEps&) = default;

  private:
    struct Factors {
        double* x;
        double* eps;
    };
    template <class T, class L>
    static Factors factors(Border<T>& border, const L& alpha_bar, Index n, bool noise);
    template <class X, class L, class E, class D>
    static void combine(const X& x, const L& alpha_bar, const E& eps, const D& out,
                        std::string_view which, bool noise);
};

template <class T, class L>
X0FromEps::Factors X0FromEps::factors(Border<T>& border, const L& alpha_bar, Index n, bool noise)
{
    const auto check = [&](double a) {
        border.require(noise ? !(a < 0) && !(a > 1) : !(a <= 0) && !(a > 1), "alpha_bar", a,
                       noise ? "in [0, 1]" : "in (0, 1]");
    };
    const double* levels = nullptr;
    if constexpr (detail::is_at_steps<L>) {
        const AnyView<const typename decltype(alpha_bar.table)::Scalar> table(alpha_bar.table);
        if (table.rank != 1)
            fail<ShapeError>(name, "alpha_bar", joined({"has shape ", shape_text(table)}),
                             "[T], a number for each step");
        const std::int64_t* const t = border.indices("t", alpha_bar.steps, n, table.extent(0));
        double* const gathered = border.scratch().template take<double>(n);
        for (Index i = 0; i < n; ++i)
            check(gathered[i] = static_cast<double>(table.data[t[i] * table.stride(0)]));
        levels = gathered;
    }
    else
        levels = noise_levels(border, "alpha_bar", alpha_bar, n, check);
    Factors f{border.scratch().template take<double>(n), border.scratch().template take<double>(n)};
    for (Index i = 0; i < n; ++i) {
        const double a = levels[i];
        f.x[i] = noise ? std::sqrt(a) : 1 / std::sqrt(a);
        f.eps[i] = noise ? std::sqrt(1 - a) : -std::sqrt((1 - a) / a);
    }
    return f;
}

template <class X, class L, class E, class D>
void X0FromEps::combine(const X& x, const L& alpha_bar, const E& eps, const D& out,
                        std::string_view which, bool noise)
{
    using T = KernelScalarOf<X, E>;
    Border<T> border(name);
    const auto xs = detail::batch(border, which, x);
    const auto es = border.sample_tensor("eps", eps);
    border.same_shape("eps", es, which, xs);
    const Factors f = factors(border, alpha_bar, xs.extent(0), noise);
    const auto to = border.sample_gradient(noise ? "x_t" : "x0", xs, out);
    Flatten<T> flat(border);
    kernel::ScaledRows<T>::run(f.x, flat.input(xs, 1), f.eps, flat.input(es, 1),
                               flat.output(to, 1));
    flat.finish();
    border.finish();
}

template <class L, class G, class... Rest>
void X0FromEps::pullback(const L& alpha_bar, const G& g, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<G>;
    Border<T> border(name);
    const auto gs = detail::batch(border, "g", g);
    const Factors f = factors(border, alpha_bar, gs.extent(0), false);
    const auto g_eps = border.sample_gradient("eps", gs, positional<0>(rest...));
    const auto g_x = border.sample_gradient("x_t", gs, positional<1>(rest...));
    Flatten<T> flat(border);
    const auto rows = flat.input(gs, 1);
    kernel::ScaledRows<T>::run(f.eps, rows, flat.output(g_eps, 1));
    kernel::ScaledRows<T>::run(f.x, rows, flat.output(g_x, 1));
    flat.finish();
    border.finish();
}

} // namespace temper::inline TEMPER_ABI
