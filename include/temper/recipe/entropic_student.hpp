// SPDX-License-Identifier: BSL-1.0
#pragma once

// Entropic Student: a network is split at a bottleneck whose code is short and still says what the teacher's
// features say.
//
//   stage 1   L = sum_l |s_l - t_l|^2 + beta R        R = sum of all bits of z + noise (LogisticRate)
//             encoder, entropy model and decoder learn, the layers behind them are the teacher's and frozen
//   stage 2   DistillationCrossEntropy{.alpha = 0.5, .temperature = 1}
//             encoder and entropy model frozen; decoder and layers behind it learn
//
//   plan = student.draw(rng, n, d)                    while training; at test round z
//   student.noisy(z, plan, into(zn))                  the decoder sees zn; what comes back to zn is z's
//   student(tensors(s...), tensors(t...), zn, mean, log_scale, into(tensors(gs...)), into(gz), ...)
//
// Both terms are sums, so beta does not depend on the size of a batch, but on that of the features, and the
// learning rate scales with the batch. In the paper beta is 0.01 to 2.56. beta = 0 is generalised head
// network distillation, BottleFit's first stage (`ghnd` alone needs no code). For a learned density give
// `ghnd` and beta times FactorizedPriorRate{.mean_over = MeanOver::nothing}. terms: distortion and beta R.
// Throws as LayerwiseDistillation and LogisticRate do; RangeError for a negative beta.
// Matsubara, Yang, Levorato and Mandt, Supervised Compression for Resource-Constrained Edge Computing
// Systems (2022).

#include <temper/core/random.hpp>
#include <temper/loss/distillation_cross_entropy.hpp>
#include <temper/regularizer/logistic_rate.hpp>
#include <temper/representation/layerwise_distillation.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

/// Noise of [-1/2, 1/2) in the place of rounding, [n, d] by rows.
struct RoundingNoise {
    std::vector<double> noise;
    Index columns = 0;
    friend bool operator==(const RoundingNoise&, const RoundingNoise&) = default;
};

struct EntropicStudent {
    static constexpr std::string_view name = "EntropicStudent";
    double beta = 0.08;
    double bound = 1e-9;

    template <BitGenerator G>
    void draw(G& rng, Index n, Index d, RoundingNoise& plan) const
    {
        plan.columns = d;
        plan.noise.resize(static_cast<std::size_t>(n * d));
        for (double& x : plan.noise)
            x = uniform(rng) - 0.5;
    }
    template <BitGenerator G>
    [[nodiscard]] RoundingNoise draw(G& rng, Index n, Index d) const
    {
        RoundingNoise plan;
        draw(rng, n, d, plan);
        return plan;
    }
    /// (z, plan, into(zn))
    template <class Z, class D>
    void noisy(const Z& z, const RoundingNoise& plan, const D& out) const
    {
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        const auto zs = border.samples("z", z);
        const auto drawn = static_cast<Index>(plan.noise.size());
        if (plan.columns != zs.cols() || drawn != zs.size())
            fail<ShapeError>(name, "z", joined({"has shape ", shape_text(zs)}),
                             joined({"of the plan's ", text(drawn), " entries in ",
                                     text(plan.columns), " columns"}));
        const auto to = border.gradient("z", zs, out, InPlace::allowed);
        for (Index i = 0; to && i < zs.rows(); ++i)
            for (Index j = 0; j < zs.cols(); ++j)
                to.put(to.view(i, j),
                       static_cast<T>(static_cast<double>(zs(i, j)) +
                                      plan.noise[static_cast<std::size_t>(i * zs.cols() + j)]));
        border.finish();
    }
    /// (student, teacher, zn, mean, log_scale [, into(gs), into(gz), into(g_mean), into(g_log_scale)]
    ///  [, terms(into(v))])
    template <class S, class L, class Z, class M, class C, class... Rest>
    double operator()(const S& student, const L& teacher, const Z& z, const M& mean,
                      const C& log_scale, const Rest&... rest) const
    {
        accept<4, Terms>(rest...);
        using T = KernelScalarOf<Z, M, C>;
        Border<T> border(name);
        border.require(beta >= 0, "beta", beta, "non-negative");
        border.require(bound > 0 && bound < 1, "bound", bound, "between 0 and 1");
        const auto s = border.list("student", student);
        const auto t = border.list("teacher", teacher);
        same_shapes(name, "teacher", t, "student", s);
        const auto zs = border.samples("z", z);
        const auto mu = border.vector("mean", mean);
        border.expect_shape("mean", mu, {zs.cols()}, "as z has columns");
        const auto scale = border.vector("log_scale", log_scale);
        border.expect_shape("log_scale", scale, {zs.cols()}, "as z has columns");
        const auto gs = border.gradient("student", s, positional<0>(rest...));
        typename kernel::LogisticRate<T>::Outputs out;
        out.gz = border.gradient("z", zs, positional<1>(rest...));
        out.g_mean = border.gradient("mean", mu, positional<2>(rest...));
        out.g_log_scale = border.gradient("log_scale", scale, positional<3>(rest...));
        const auto each = border.template named_into<1>("terms", named<Terms>(rest...), {2});
        std::array<double, 2> term{};
        for (std::size_t l = 0; l < s.size(); ++l)
            term[0] += kernel::LayerwiseDistillation<T>::term(1, s[l], t[l], gs[l]);
        term[1] = kernel::LogisticRate<T>::run({.bound = bound}, beta, zs, mu, scale, out);
        detail::put_terms(each, term);
        return border.finish(term[0] + term[1]);
    }
    /// The objective of the second stage.
    [[nodiscard]] DistillationCrossEntropy second_stage() const { return {}; }

    friend bool operator==(const EntropicStudent&, const EntropicStudent&) = default;
};

} // namespace temper::inline TEMPER_ABI
