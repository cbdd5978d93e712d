// SPDX-License-Identifier: BSL-1.0
#pragma once

// Velocity loss: the network predicts where a sample moves on its path between data and noise.
//
//   x_t = alpha x + sigma z       v = alpha' x + sigma' z
//   linear:  alpha = 1 - t, sigma = t              cosine:  alpha = cos(pi t / 2), sigma = sin(pi t / 2)
//   l_i = mean over entries (F_i - v_i)^2          mean:  L = (1 / n) sum_i l_i     sum: without 1 / n
//   dL/dF_i = 2 (F_i - v_i) / (n numel)
//
// x data, z noise and F predictions [n, ...] of one shape, t [n] in [0, 1] or one number. That is with t = 0
// data and 1 noise; with data_at_one, t = 0 is noise and 1 data: t becomes 1 - t and v, a derivative by t,
// changes its sign. `path` gives x_t and v. per_sample: l_i. n = 0: 0. Throws ShapeError; RangeError for t
// outside [0, 1].
// Ma et al., SiT (2024); Yu et al., Representation Alignment for Generation (2025); Wang et al., FiTv2 (2024),
// linear with data_at_one.

#include <temper/core/flatten.hpp>
#include <temper/diffusion/lognormal_time_sampler.hpp>
#include <temper/diffusion/noise_levels.hpp>
#include <temper/diffusion/row_residual.hpp>

namespace temper::inline TEMPER_ABI {

struct InterpolantVelocityLoss {
    static constexpr std::string_view name = "InterpolantVelocityLoss";
    NoisePath path_kind = NoisePath::linear;
    bool data_at_one = false;
    Reduction reduction = Reduction::mean;

    struct Coefficients {
        double alpha, sigma, d_alpha, d_sigma;
    };
    [[nodiscard]] Coefficients at(double t) const
    {
        require(t >= 0 && t <= 1, name, "t", t, "in [0, 1]");
        const double s = data_at_one ? 1 - t : t;
        const double sign = data_at_one ? -1 : 1;
        if (path_kind == NoisePath::linear)
            return {1 - s, s, -sign, sign};
        constexpr double quarter = std::numbers::pi / 2;
        const double alpha = std::cos(quarter * s);
        const double sigma = std::sin(quarter * s);
        return {alpha, sigma, -sign * quarter * sigma, sign * quarter * alpha};
    }

    /// (x, noise, t, into(x_t) [, into(v)])
    template <class X, class Z, class L, class... Rest>
    void path(const X& x, const Z& noise, const L& t, const Rest&... rest) const;
    /// (x, noise, t, F [, into(gF)] [, per_sample(into(v))])
    template <class X, class Z, class L, class F, class... Rest>
    double operator()(const X& x, const Z& noise, const L& t, const F& prediction,
                      const Rest&... rest) const;

    friend bool operator==(const InterpolantVelocityLoss&,
                           const InterpolantVelocityLoss&) = default;
};

template <class X, class Z, class L, class... Rest>
void InterpolantVelocityLoss::path(const X& x, const Z& noise, const L& t,
                                   const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<X, Z>;
    Border<T> border(name);
    const auto data = detail::batch(border, "x", x);
    const auto z = border.sample_tensor("noise", noise);
    border.same_shape("noise", z, "x", data);
    const Index n = data.extent(0);
    const auto* const times = noise_levels(border, "t", t, n, [](double) {});
    auto& scratch = border.scratch();
    std::array<double*, 4> a;
    for (double*& each : a)
        each = scratch.template take<double>(n);
    for (Index i = 0; i < n; ++i) {
        const Coefficients c = at(times[i]);
        a[0][i] = c.alpha;
        a[1][i] = c.sigma;
        a[2][i] = c.d_alpha;
        a[3][i] = c.d_sigma;
    }
    const auto x_t = border.sample_gradient("x_t", data, positional<0>(rest...));
    const auto v = border.sample_gradient("velocity", data, positional<1>(rest...));
    Flatten<T> flat(border);
    const auto xs = flat.input(data, 1);
    const auto zs = flat.input(z, 1);
    kernel::ScaledRows<T>::run(a[0], xs, a[1], zs, flat.output(x_t, 1));
    kernel::ScaledRows<T>::run(a[2], xs, a[3], zs, flat.output(v, 1));
    flat.finish();
    border.finish();
}

template <class X, class Z, class L, class F, class... Rest>
double InterpolantVelocityLoss::operator()(const X& x, const Z& noise, const L& t,
                                           const F& prediction, const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    using T = KernelScalarOf<X, Z, F>;
    Border<T> border(name);
    const auto data = detail::batch(border, "x", x);
    const auto z = border.sample_tensor("noise", noise);
    const auto f = border.sample_tensor("prediction", prediction);
    border.same_shape("noise", z, "x", data);
    border.same_shape("prediction", f, "x", data);
    const Index n = data.extent(0);
    const auto* const times = noise_levels(border, "t", t, n, [](double) {});
    auto& scratch = border.scratch();
    std::array<double*, 5> a; // factors of F, x and z, scale, 1 / numel
    for (double*& each : a)
        each = scratch.template take<double>(n);
    const auto rows = row_scale<T>(reduction, n, {});
    const double share = entry_scale(MeanOver::entries, n > 0 ? data.size() / n : 0);
    for (Index i = 0; i < n; ++i) {
        const Coefficients c = at(times[i]);
        a[0][i] = 1;
        a[1][i] = -c.d_alpha;
        a[2][i] = -c.d_sigma;
        a[3][i] = rows(i) * share;
        a[4][i] = share;
    }
    const auto g = border.sample_gradient("prediction", f, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    Flatten<T> flat(border);
    const L2Residual square{};
    const ResidualTerm<3> term{{a[0], a[1], a[2]}, RhoReference::to(square, name), a[3]};
    const double value =
        kernel::RowResidual<T>::run({flat.input(f, 1), flat.input(data, 1), flat.input(z, 1)}, term,
                                    nullptr, {flat.output(g, 1), each, a[4]})[0];
    flat.finish();
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI
