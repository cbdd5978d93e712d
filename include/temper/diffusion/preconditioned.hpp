// SPDX-License-Identifier: BSL-1.0
#pragma once

// A denoiser around the caller's own network F: its input scaled, its output put together with x.
//
//   input      y_i = in_i x_i                           what F is fed
//   forward    f_i = skip_i x_i + out_i F_i             what the denoiser gives
//   pullback   gF_i = out_i gf_i,  gx_i = skip_i gf_i   to F's output and to x (add what comes through F)
//
// x, F, f [n, d], sigma a noise level for each sample [n] or one for all. The scalings are a policy:
// EdmPreconditioning, ConsistencyScalings, or any function of the level that returns Scalings. Where out is
// 0 (a consistency model at its smallest level) F counts for nothing, but a NaN in it shows. f may be F.
// Throws ShapeError; RangeError as the policy does.
// Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models (2022).

#include <temper/diffusion/consistency_scalings.hpp>
#include <temper/diffusion/noise_levels.hpp>

namespace temper::inline TEMPER_ABI {

template <class S = EdmPreconditioning>
struct Preconditioned {
    static_assert(NoiseScalings<S>, "temper: scalings are called with a noise level and return "
                                    "temper::Scalings");
    static constexpr std::string_view name = "Preconditioned";
    S scalings{};

    /// (x, sigma, into(y))
    template <class X, class L, class D>
    void input(const X& x, const L& sigma, const D& y) const;
    /// (x, sigma, F, into(f))
    template <class X, class L, class F, class D>
    void forward(const X& x, const L& sigma, const F& output, const D& f) const;
    /// (sigma, gf, into(gF) [, into(gx)])
    template <class L, class G, class... Rest>
    void pullback(const L& sigma, const G& gf, const Rest&... rest) const;

    friend bool operator==(const Preconditioned&, const Preconditioned&) = default;

  private:
    template <class T, class L>
    double* factors(Border<T>& border, const L& sigma, Index n, double Scalings::* which) const
    {
        const double* const levels = noise_levels(border, "sigma", sigma, n, [](double) {});
        double* const out = border.scratch().template take<double>(n);
        for (Index i = 0; i < n; ++i)
            out[i] = scalings(levels[i]).*which;
        return out;
    }
};

template <class S>
template <class X, class L, class D>
void Preconditioned<S>::input(const X& x, const L& sigma, const D& y) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.samples("x", x);
    const auto* const in = factors(border, sigma, xs.rows(), &Scalings::in);
    const auto to = border.template output<2>("y", y, {xs.rows(), xs.cols()}, InPlace::allowed);
    kernel::ScaledRows<T>::run(in, xs, to);
    border.finish();
}

template <class S>
template <class X, class L, class F, class D>
void Preconditioned<S>::forward(const X& x, const L& sigma, const F& output, const D& f) const
{
    using T = KernelScalarOf<X, F>;
    Border<T> border(name);
    const auto xs = border.samples("x", x);
    const auto outputs = border.samples("output", output);
    border.same_shape("output", outputs, "x", xs);
    const auto* const skip = factors(border, sigma, xs.rows(), &Scalings::skip);
    const auto* const out = factors(border, sigma, xs.rows(), &Scalings::out);
    const auto to = border.template output<2>("f", f, {xs.rows(), xs.cols()}, InPlace::allowed);
    kernel::ScaledRows<T>::run(skip, xs, out, outputs, to);
    border.finish();
}

template <class S>
template <class L, class G, class... Rest>
void Preconditioned<S>::pullback(const L& sigma, const G& gf, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<G>;
    Border<T> border(name);
    const auto g = border.samples("gf", gf);
    const auto* const skip = factors(border, sigma, g.rows(), &Scalings::skip);
    const auto* const out = factors(border, sigma, g.rows(), &Scalings::out);
    const auto to_output = border.gradient("output", g, positional<0>(rest...));
    const auto to_x = border.gradient("x", g, positional<1>(rest...));
    kernel::ScaledRows<T>::run(out, g, to_output);
    kernel::ScaledRows<T>::run(skip, g, to_x);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI
