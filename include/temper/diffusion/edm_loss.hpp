// SPDX-License-Identifier: BSL-1.0
#pragma once

// The loss that denoisers are trained with.
//
//   xs_i = x_i + s_i z_i                              what the denoiser sees: `noised`
//   D_i = skip_i xs_i + out_i F_i                     what it gives, F its network's output
//   l_i = w_i mean_j (D_ij - x_ij)^2                  w_i = 1 / s_i^2 + 1 / sd^2
//   mean:  L = (1 / n) sum_i l_i                      sum: without 1 / n
//   dL/dF_ij = 2 w_i out_i (D_ij - x_ij) / (n d)
//
// x data and z standard normal noise [n, d], s noise levels [n] or one number, F [n, d], all but F without
// gradient. per_sample: l_i. x and z are what is given, so that xs need not be kept. n = 0 or d = 0: 0.
// Throws ShapeError; RangeError for s <= 0, whose weight is infinite, and sd <= 0.
// Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models (2022).

#include <temper/diffusion/edm_preconditioning.hpp>
#include <temper/diffusion/noise_levels.hpp>
#include <temper/diffusion/row_residual.hpp>

namespace temper::inline TEMPER_ABI {

struct EdmLoss {
    static constexpr std::string_view name = "EdmLoss";
    EdmPreconditioning preconditioning{};
    Reduction reduction = Reduction::mean;

    /// (x, noise, sigma, into(xs))
    template <class X, class Z, class L, class D>
    void noised(const X& x, const Z& noise, const L& sigma, const D& xs) const;
    /// (x, noise, sigma, F [, into(gF)] [, per_sample(into(v))])
    template <class X, class Z, class L, class F, class... Rest>
    double operator()(const X& x, const Z& noise, const L& sigma, const F& output,
                      const Rest&... rest) const;

    friend bool operator==(const EdmLoss&, const EdmLoss&) = default;
};

template <class X, class Z, class L, class D>
void EdmLoss::noised(const X& x, const Z& noise, const L& sigma, const D& xs) const
{
    using T = KernelScalarOf<X, Z>;
    Border<T> border(name);
    const auto data = border.samples("x", x);
    const auto z = border.samples("noise", noise);
    border.same_shape("noise", z, "x", data);
    const Index n = data.rows();
    const auto* const s = noise_levels(border, "sigma", sigma, n, [](double) {});
    double* const ones = border.scratch().template take<double>(n);
    std::fill_n(ones, n, 1.0);
    const auto to = border.template output<2>("xs", xs, {n, data.cols()}, InPlace::allowed);
    kernel::ScaledRows<T>::run(ones, data, s, z, to);
    border.finish();
}

template <class X, class Z, class L, class F, class... Rest>
double EdmLoss::operator()(const X& x, const Z& noise, const L& sigma, const F& output,
                           const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    using T = KernelScalarOf<X, Z, F>;
    Border<T> border(name);
    const auto data = border.samples("x", x);
    const auto z = border.samples("noise", noise);
    const auto f = border.samples("output", output);
    border.same_shape("noise", z, "x", data);
    border.same_shape("output", f, "x", data);
    const Index n = data.rows();
    const auto* const s = noise_levels(border, "sigma", sigma, n, [&](double level) {
        border.require(level > 0, "sigma", level, "positive");
    });
    auto& scratch = border.scratch();
    std::array<double*, 5> a; // factors of F, x and z, scale, weight / d
    for (double*& each : a)
        each = scratch.template take<double>(n);
    const auto rows = row_scale<T>(reduction, n, {});
    for (Index i = 0; i < n; ++i) {
        const Scalings c = preconditioning(s[i]);
        a[0][i] = c.out;
        a[1][i] = c.skip - 1;
        a[2][i] = c.skip * s[i];
        a[4][i] = preconditioning.weight(s[i]) * entry_scale(MeanOver::entries, data.cols());
        a[3][i] = rows(i) * a[4][i];
    }
    const auto g = border.gradient("output", f, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const L2Residual square{};
    const ResidualTerm<3> term{{a[0], a[1], a[2]}, RhoReference::to(square, name), a[3]};
    return border.finish(
        kernel::RowResidual<T>::run({f, data, z}, term, nullptr, {g, each, a[4]})[0]);
}

} // namespace temper::inline TEMPER_ABI
