// SPDX-License-Identifier: BSL-1.0
#pragma once

// Flow matching over sequences of different lengths in one batch: padding counts for nothing.
//
//   pair      x_t = t_i data + (1 - t_i) noise,   target = data - noise        t = 0 noise, t = 1 data
//   l_i = sum over valid tokens of |pred - target|^2 / (c count_i)             count_i valid tokens of i
//   L = (1/n) sum_i l_i,   dL/dpred = 2 mask (pred - target) / (n c count_i)
//
// data, noise, pred [n, N, c], mask [n, N] of 0 and 1, t a number in [0, 1] for each sample [n] or one for
// all. Per sample: l_i. A sample without valid tokens has l_i = 0 and no gradient (the published code divides
// by 0), and counts in n. A number of a padding token does not matter, except that NaN and infinity show.
// n = 0: 0. Throws ShapeError; RangeError for a mask of other numbers.
// Wang et al., FiTv2: scalable and improved flexible vision transformer for diffusion model (2024).

#include <temper/core/flatten.hpp>
#include <temper/diffusion/interpolant_velocity_loss.hpp>
#include <temper/representation/l2_alignment.hpp>

namespace temper::inline TEMPER_ABI {

struct MaskedFlowLoss {
    static constexpr std::string_view name = "MaskedFlowLoss";

    /// (data, noise, t, into(x_t) [, into(target)])
    template <class X, class N, class L, class... Rest>
    void pair(const X& data, const N& noise, const L& t, const Rest&... rest) const
    {
        InterpolantVelocityLoss{.data_at_one = true}.path(data, noise, t, rest...);
    }
    /// (pred, target, mask [, into(g_pred)] [, per_sample(into(l))])
    template <class P, class Y, class M, class... Rest>
    double operator()(const P& pred, const Y& target, const M& mask, const Rest&... rest) const;

    friend bool operator==(const MaskedFlowLoss&, const MaskedFlowLoss&) = default;
};

template <class P, class Y, class M, class... Rest>
double MaskedFlowLoss::operator()(const P& pred, const Y& target, const M& mask,
                                  const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    using T = KernelScalarOf<P, Y, M>;
    Border<T> border(name);
    const auto p = border.tensor("pred", pred);
    const auto y = border.tensor("target", target);
    if (p.rank != 3)
        fail<ShapeError>(name, "pred", joined({"has shape ", shape_text(p)}), "[n, N, c]");
    border.same_shape("target", y, "pred", p);
    const auto valid = border.matrix("mask", mask);
    const Index n = p.extent(0);
    const Index tokens = p.extent(1);
    border.expect_shape("mask", valid, {n, tokens}, "a number for each token of pred");
    auto& scratch = border.scratch();
    T* const weights = scratch.template take<T>(n * tokens);
    double* const share = scratch.template take_zeros<double>(n);
    for (Index i = 0; i < n; ++i) {
        double count = 0;
        for (Index j = 0; j < tokens; ++j) {
            const T m = valid(i, j);
            border.require(m == T(0) || m == T(1), "mask", static_cast<double>(m), "0 or 1");
            count += static_cast<double>(m);
        }
        share[i] = count > 0 ? 1 / count : 0;
        for (Index j = 0; j < tokens; ++j)
            weights[i * tokens + j] = static_cast<T>(static_cast<double>(valid(i, j)) * share[i]);
    }
    const auto g = border.gradient("pred", p, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    T* const values = scratch.template take<T>(n * tokens);
    Flatten<T> flat(border);
    const Destination<T, 1> of_tokens =
        each ? Destination<T, 1>{{values, {n * tokens}, {1}}, 1, Mode::overwrite}
             : Destination<T, 1>{};
    const RowScale<T> scale{VectorView<const T>{weights, {n * tokens}, {1}},
                            n > 0 ? 1 / static_cast<double>(n) : 0};
    const double value = kernel::L2Alignment<T>::plain(flat.input(p, 2), flat.input(y, 2),
                                                       entry_scale(MeanOver::entries, p.extent(2)),
                                                       scale, flat.output(g, 2), {}, of_tokens);
    for (Index i = 0; each && i < n; ++i) {
        double sum = 0;
        for (Index j = i * tokens; j < (i + 1) * tokens; ++j)
            sum += static_cast<double>(weights[j]) * static_cast<double>(values[j]);
        each.put(each.view(i), static_cast<T>(sum));
    }
    flat.finish();
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI
