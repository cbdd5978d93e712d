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

namespace kernel {
/// Samples of any rank as rows: where their entries do not lie evenly, through a dense copy.
template <class T>
struct SampleRows {
    static MatrixView<const T> read(Workspace::Frame& frame, const AnyView<const T>& v);
    static Destination<T, 2> write(Workspace::Frame& frame, const AnyDestination<T>& d);
    static void commit(const Destination<T, 2>& from, const AnyDestination<T>& to);
};
} // namespace kernel

template <class X, class Z, class L, class... Rest>
void InterpolantVelocityLoss::path(const X& x, const Z& noise, const L& t,
                                   const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<X, Z>;
    using Rows = kernel::SampleRows<T>;
    Border<T> border(name);
    const auto data = border.sample_tensor("x", x);
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
    const auto xs = Rows::read(scratch, data);
    const auto zs = Rows::read(scratch, z);
    for (int k = 0; k < 2; ++k) {
        const auto& to = k == 0 ? x_t : v;
        const auto as_rows = Rows::write(scratch, to);
        kernel::ScaledRows<T>::run(a[place(2 * k)], xs, a[place(2 * k + 1)], zs, as_rows);
        Rows::commit(as_rows, to);
    }
    border.finish();
}

template <class X, class Z, class L, class F, class... Rest>
double InterpolantVelocityLoss::operator()(const X& x, const Z& noise, const L& t,
                                           const F& prediction, const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    using T = KernelScalarOf<X, Z, F>;
    using Rows = kernel::SampleRows<T>;
    Border<T> border(name);
    const auto data = border.sample_tensor("x", x);
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
    const auto to = Rows::write(scratch, g);
    const L2Residual square{};
    const ResidualTerm<3> term{{a[0], a[1], a[2]}, RhoReference::to(square, name), a[3]};
    const double value = kernel::RowResidual<T>::run(
        {Rows::read(scratch, f), Rows::read(scratch, data), Rows::read(scratch, z)}, term, nullptr,
        {to, each, a[4]})[0];
    Rows::commit(to, g);
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel::sample_rows {

/// The stride of a sample's entries if they lie evenly in memory, else 0.
template <class V>
Index even_stride(const V& v)
{
    Index stride = 0;
    Index next = 0;
    for (int d = v.rank - 1; d > 0; --d) {
        if (v.extent(d) == 1)
            continue;
        if (stride == 0)
            stride = v.stride(d);
        else if (v.stride(d) != next)
            return 0;
        next = v.stride(d) * v.extent(d);
    }
    return stride == 0 ? 1 : stride;
}

template <class S>
MatrixView<S> as_matrix(const AnyView<S>& v, Index stride)
{
    const Index n = v.extent(0);
    return {v.data, {n, n > 0 ? v.size() / n : 0}, {v.stride(0), stride}};
}

} // namespace kernel::sample_rows

template <class T>
MatrixView<const T> kernel::SampleRows<T>::read(Workspace::Frame& frame, const AnyView<const T>& v)
{
    if (const Index stride = sample_rows::even_stride(v))
        return sample_rows::as_matrix(v, stride);
    const auto dense = simd::dense_like(frame.take<T>(v.size()), v);
    simd::map(simd::in(v), simd::out(dense), [](auto x, auto& y) { y = x; });
    return sample_rows::as_matrix(AnyView<const T>(dense.view), 1);
}

template <class T>
Destination<T, 2> kernel::SampleRows<T>::write(Workspace::Frame& frame, const AnyDestination<T>& d)
{
    if (!d)
        return {};
    if (const Index stride = sample_rows::even_stride(d.view))
        return {sample_rows::as_matrix(d.view, stride), d.scale, d.mode};
    const auto dense = simd::dense_like(frame.take<T>(d.view.size()), AnyView<const T>(d.view));
    return {sample_rows::as_matrix(dense.view, 1), 1, Mode::overwrite};
}

template <class T>
void kernel::SampleRows<T>::commit(const Destination<T, 2>& from, const AnyDestination<T>& to)
{
    if (!to || from.view.data == to.view.data)
        return;
    AnyView<const T> dense = simd::dense_like(from.view.data, AnyView<const T>(to.view)).view;
    simd::map(simd::in(dense), simd::out(to), [](auto x, auto& y) { y = x; });
}

TEMPER_INSTANTIATE(kernel::SampleRows);

} // namespace temper::inline TEMPER_ABI
#endif
