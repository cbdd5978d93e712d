// SPDX-License-Identifier: BSL-1.0
#pragma once

// A sampler fine-tuned by a reward on what it made: each reverse step is an action of a Gaussian policy, and
// the score-function gradient is taken on the steps of a trajectory that was sampled with the present weights.
//
//   A_i = (R_i - mean R) / (std R + std_epsilon)                         std divides by n
//   p_it = (1/d) sum_j ( -(x - mu)^2 / (2 s_t^2) - log s_t - log(2 pi) / 2 )
//   k_it = (1/d) sum_j (mu - nu)^2 / (2 s_t^2)
//   L = -mean_it (A_i p_it) + kl_weight mean_it k_it
//   dL/dmu = ( -A_i (x - mu) + kl_weight (mu - nu) ) / (s_t^2 n T d)
//
// mean mu [n, steps, d] of each reverse step, reference nu likewise by the weights before fine-tuning, sample x
// likewise, what was drawn; sigma s [steps], reward R [n]. One update for a batch: no ratio of policies, no
// clipping. Named outputs: advantage A [n], log_probability p [n, steps], reference_divergence k [n, steps].
// The log-probability is a mean over d. Equal rewards, n = 1: A = 0. n = 0: 0. kl_weight and std_epsilon could
// not be checked against the paper. The paper's reward compares generated views with renderings of the field
// reconstructed from all of them. Throws ShapeError; RangeError for sigma <= 0, std_epsilon < 0.
// Xie et al., Carve3D: Improving Multi-view Reconstruction Consistency for Diffusion Models with RL Finetuning
// (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Advantage {
    D destination;
};
template <class D>
struct LogProbability {
    D destination;
};
template <class D>
struct ReferenceDivergence {
    D destination;
};
/// The normalised reward of each sample, [n].
template <class D>
[[nodiscard]] Advantage<D> advantage(const D& destination)
{
    return {destination};
}
/// Of what was drawn at each step, [n, steps].
template <class D>
[[nodiscard]] LogProbability<D> log_probability(const D& destination)
{
    return {destination};
}
/// KL to the reference at each step, [n, steps].
template <class D>
[[nodiscard]] ReferenceDivergence<D> reference_divergence(const D& destination)
{
    return {destination};
}

struct DenoisingPolicyGradient {
    static constexpr std::string_view name = "DenoisingPolicyGradient";
    double kl_weight = 0.2;
    double std_epsilon = 1e-8;

    /// (mean, reference, sample, sigma, reward [, into(g_mean)] [, advantage(into(a)),
    ///  log_probability(into(p)), reference_divergence(into(k))])
    template <class M, class N, class X, class S, class R, class... Rest>
    double operator()(const M& mean, const N& reference, const X& sample, const S& sigma,
                      const R& reward, const Rest&... rest) const;

    friend bool operator==(const DenoisingPolicyGradient&,
                           const DenoisingPolicyGradient&) = default;
};

namespace kernel {
template <class T>
struct DenoisingPolicyGradient {
    struct Trajectory {
        View<const T, 3> mean, reference, sample;
        VectorView<const T> sigma, reward;
    };
    struct Outputs {
        AnyDestination<T> g_mean;
        Destination<T, 1> advantage;
        Destination<T, 2> log_probability, divergence;
    };
    static double run(const temper::DenoisingPolicyGradient& how, const Trajectory& in,
                      const Outputs& out);
};
} // namespace kernel

template <class M, class N, class X, class S, class R, class... Rest>
double DenoisingPolicyGradient::operator()(const M& mean, const N& reference, const X& sample,
                                           const S& sigma, const R& reward,
                                           const Rest&... rest) const
{
    accept<1, Advantage, LogProbability, ReferenceDivergence>(rest...);
    using T = KernelScalarOf<M, N, X, S, R>;
    Border<T> border(name);
    border.require(std_epsilon >= 0, "std_epsilon", std_epsilon, "non-negative");
    const auto mu = border.tensor("mean", mean);
    if (mu.rank != 3)
        fail<ShapeError>(name, "mean", joined({"has shape ", shape_text(mu)}), "[n, steps, d]");
    const Index n = mu.extent(0);
    const Index steps = mu.extent(1);
    const auto nu = border.tensor("reference", reference);
    const auto x = border.tensor("sample", sample);
    border.expect_shape("reference", nu, {n, steps, mu.extent(2)}, "as mean");
    border.expect_shape("sample", x, {n, steps, mu.extent(2)}, "as mean");
    const auto s = border.vector("sigma", sigma);
    border.expect_shape("sigma", s, {steps}, "a number for each step");
    for (Index t = 0; t < steps; ++t)
        border.require(!(s(t) <= 0), "sigma", static_cast<double>(s(t)), "positive");
    const auto r = border.vector("reward", reward);
    border.expect_shape("reward", r, {n}, "a number for each sample");
    typename kernel::DenoisingPolicyGradient<T>::Outputs out;
    out.g_mean = border.gradient("mean", mu, positional<0>(rest...));
    out.advantage = border.template named_into<1>("advantage", named<Advantage>(rest...), {n});
    out.log_probability = border.template named_into<2>("log_probability",
                                                        named<LogProbability>(rest...), {n, steps});
    out.divergence = border.template named_into<2>("reference_divergence",
                                                   named<ReferenceDivergence>(rest...), {n, steps});
    return border.finish(kernel::DenoisingPolicyGradient<T>::run(
        *this, {mu.template as<3>(), nu.template as<3>(), x.template as<3>(), s, r}, out));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::DenoisingPolicyGradient<T>::run(const temper::DenoisingPolicyGradient& how,
                                               const Trajectory& in, const Outputs& out)
{
    const Index n = in.mean.extents[0];
    const Index steps = in.mean.extents[1];
    const Index d = in.mean.extents[2];
    if (n == 0)
        return 0;
    Workspace::Frame frame;
    auto* const advantage = frame.take<double>(n);
    const auto count = static_cast<double>(n);
    double mean = 0;
    for (Index i = 0; i < n; ++i)
        mean += static_cast<double>(in.reward(i));
    mean /= count;
    double variance = 0;
    for (Index i = 0; i < n; ++i) {
        advantage[i] = static_cast<double>(in.reward(i)) - mean;
        variance += advantage[i] * advantage[i] / count;
    }
    const double deviation = std::sqrt(variance) + how.std_epsilon;
    for (Index i = 0; i < n; ++i) {
        advantage[i] = deviation == 0 ? 0 : advantage[i] / deviation;
        if (out.advantage)
            out.advantage.put(out.advantage.view(i), static_cast<T>(advantage[i]));
    }

    const double share = 1 / (count * static_cast<double>(steps));
    const auto entries = static_cast<double>((std::max)(d, Index{1}));
    const auto row = [](const View<const T, 3>& v, Index i, Index t) {
        return simd::Source<T>{v.data + i * v.strides[0] + t * v.strides[1], v.strides[2]};
    };
    return parallel_sum(
        simd::row_blocks(n * steps, d), in.mean.size(), [&](Index begin, Index end) {
            double value = 0;
            for (Index at = begin; at < end; ++at) {
                const Index i = at / steps;
                const Index t = at % steps;
                const auto sigma = static_cast<double>(in.sigma(t));
                const double precision = 1 / (sigma * sigma);
                simd::Sink<T> to;
                if (out.g_mean) {
                    const auto& v = out.g_mean.view;
                    to = {v.data + i * v.stride(0) + t * v.stride(1), v.stride(2),
                          static_cast<T>(out.g_mean.scale), out.g_mean.mode};
                }
                const double rate = share / entries * precision;
                const double moved = simd::row_sum(
                    d,
                    std::array{row(in.mean, i, t), row(in.reference, i, t), row(in.sample, i, t)},
                    std::array{to},
                    [of_x = rate * advantage[i], of_nu = rate * how.kl_weight](auto mu, auto nu,
                                                                               auto x, auto& g) {
                        using V = decltype(mu);
                        const V away = mu - nu;
                        g = V(of_nu) * away - V(of_x) * (x - mu);
                        return away * away;
                    });
                const double drawn =
                    simd::row_sum(d, std::array{row(in.mean, i, t), row(in.sample, i, t)},
                                  [](auto mu, auto x) { return (x - mu) * (x - mu); });
                constexpr double half_log_2_pi = 0.91893853320467274178;
                const double log_p =
                    d == 0 ? 0
                           : -drawn * precision / (2 * entries) - std::log(sigma) - half_log_2_pi;
                const double kl = moved * precision / (2 * entries);
                value += share * (how.kl_weight * kl - advantage[i] * log_p);
                if (out.log_probability)
                    out.log_probability.put(out.log_probability.view(i, t), static_cast<T>(log_p));
                if (out.divergence)
                    out.divergence.put(out.divergence.view(i, t), static_cast<T>(kl));
            }
            return value;
        });
}

TEMPER_INSTANTIATE(kernel::DenoisingPolicyGradient);

} // namespace temper::inline TEMPER_ABI
#endif
