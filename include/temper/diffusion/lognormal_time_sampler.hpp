// SPDX-License-Identifier: BSL-1.0
#pragma once

// Times of diffusion training whose noise level is lognormal, of a standard normal u.
//
//   sigma = exp(p_mean + p_std u)
//   t = sigma / (1 + sigma)               on the linear path   (1 - t) x + t z
//   t = (2 / pi) atan(sigma)              on the cosine path   cos(pi t / 2) x + sin(pi t / 2) z
//
// Computed so that no u overflows: t is in [0, 1]. RangeError: p_std < 0.
// Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models (2022), for -1.2 and 1.2;
// Yu et al., Representation Alignment for Generation (2025), for t. Their code never sets the two numbers,
// so that its training times were uniform ones.

#include <temper/core/random.hpp>

#include <numbers>

namespace temper::inline TEMPER_ABI {

/// How data and noise are mixed over time: linearly, or on a quarter of a circle.
enum class NoisePath { linear, cosine };

struct LognormalTimeSampler {
    static constexpr std::string_view name = "LognormalTimeSampler";
    double p_mean = -1.2;
    double p_std = 1.2;
    NoisePath path = NoisePath::linear;

    [[nodiscard]] double sigma(double u) const
    {
        require(p_std >= 0, name, "p_std", p_std, "non-negative");
        return std::exp(p_mean + p_std * u);
    }
    [[nodiscard]] double operator()(double u) const
    {
        const double s = sigma(u);
        if (path == NoisePath::cosine)
            return 2 / std::numbers::pi * std::atan(s);
        return 1 / (1 + 1 / s);
    }
    template <BitGenerator G>
    [[nodiscard]] double draw(G& rng) const
    {
        return (*this)(normal(rng));
    }
    friend bool operator==(const LognormalTimeSampler&, const LognormalTimeSampler&) = default;
};

} // namespace temper::inline TEMPER_ABI
