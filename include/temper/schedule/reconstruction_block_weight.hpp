// SPDX-License-Identifier: BSL-1.0
#pragma once

// A weight for each block of a scene (group of samples, task, client) by how far its quality lags behind:
// the worst counts up to twice as much as the best.
//
//   observe   P_b <- momentum P_b + (1 - momentum) psnr_b, the first time psnr_b; S_b likewise of ssim_b
//   weights   w_b = 2 - exp(-((max P - P_b)^2 + (ssim_scale (max S - S_b))^2) / (2 sigma^2))     in [1, 2)
//
// psnr in dB, ssim in [0, 1], [blocks]. The weight multiplies a block's whole objective (Momentum-GS: the
// reconstruction and 50 times momentum_consistency); nothing comes back through it, and the weights are not
// normalised. The best of P and of S may be two blocks, so that all weights are above 1. A 0 in the state
// means that nothing has been seen. In the paper all weights are 1 for the first 1000 steps: ask for them
// later. Throws ShapeError; RangeError for momentum outside [0, 1] and sigma <= 0.
// Fan et al., Momentum-GS: Momentum Gaussian Self-Distillation for High-Quality Large Scene Reconstruction
// (2024).

#include <temper/core/component.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

struct ReconstructionBlockWeight {
    static constexpr std::string_view name = "ReconstructionBlockWeight";
    double momentum = 0.9;
    double ssim_scale = 10;
    double sigma = 10;

    struct State {
        std::vector<double> psnr, ssim; ///< [blocks], 0 at first
        template <class Archive>
        void fields(Archive& a)
        {
            a("psnr", psnr)("ssim", ssim);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] State init(Index blocks) const
    {
        const auto n = static_cast<std::size_t>(blocks);
        return {std::vector<double>(n), std::vector<double>(n)};
    }
    /// (state, psnr, ssim)
    template <class P, class S>
    void observe(State& state, const P& psnr, const S& ssim) const
    {
        using T = KernelScalarOf<P, S>;
        Border<T> border(name);
        border.require(momentum >= 0 && momentum <= 1, "momentum", momentum, "from 0 to 1");
        const auto blocks = static_cast<Index>(state.psnr.size());
        const auto p = border.vector("psnr", psnr);
        const auto s = border.vector("ssim", ssim);
        border.expect_shape("psnr", p, {blocks}, "as the state has blocks");
        border.expect_shape("ssim", s, {blocks}, "as the state has blocks");
        border.require(state.ssim.size() == state.psnr.size(), "state.ssim.size()",
                       static_cast<double>(state.ssim.size()), "as state.psnr has entries");
        const auto move = [&](double& average, T seen) {
            const auto x = static_cast<double>(seen);
            average = average == 0 ? x : momentum * average + (1 - momentum) * x;
        };
        for (Index b = 0; b < blocks; ++b) {
            move(state.psnr[static_cast<std::size_t>(b)], p(b));
            move(state.ssim[static_cast<std::size_t>(b)], s(b));
        }
    }
    /// (state, into(w))
    template <class D>
    void weights(const State& state, const D& out) const
    {
        using T = std::remove_const_t<std::remove_pointer_t<decltype(out.view.data)>>;
        Border<T> border(name);
        border.require(sigma > 0, "sigma", sigma, "positive");
        border.require(state.ssim.size() == state.psnr.size(), "state.ssim.size()",
                       static_cast<double>(state.ssim.size()), "as state.psnr has entries");
        const auto blocks = static_cast<Index>(state.psnr.size());
        const auto w = border.template output<1>("weights", out, {blocks});
        double best_psnr = -std::numeric_limits<double>::infinity();
        double best_ssim = best_psnr;
        for (std::size_t b = 0; b < state.psnr.size(); ++b) {
            best_psnr = (std::max)(best_psnr, state.psnr[b]);
            best_ssim = (std::max)(best_ssim, state.ssim[b]);
        }
        for (Index b = 0; w && b < blocks; ++b) {
            const double lag = (best_psnr - state.psnr[static_cast<std::size_t>(b)]) / sigma;
            const double other =
                ssim_scale * (best_ssim - state.ssim[static_cast<std::size_t>(b)]) / sigma;
            w.put(w.view(b), static_cast<T>(2 - std::exp(-(lag * lag + other * other) / 2)));
        }
        border.finish();
    }

    friend bool operator==(const ReconstructionBlockWeight&,
                           const ReconstructionBlockWeight&) = default;
};

} // namespace temper::inline TEMPER_ABI
