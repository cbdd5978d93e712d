// SPDX-License-Identifier: BSL-1.0
#pragma once

// Scalings that keep a denoiser's inputs and outputs at unit variance whatever the noise level s is.
//
//   D(x; s) = skip x + out F(in x; noise)
//   skip = sd^2 / (s^2 + sd^2)    out = s sd / sqrt(s^2 + sd^2)    in = 1 / sqrt(s^2 + sd^2)
//   noise = ln(s) / 4             weight = 1 / s^2 + 1 / sd^2 = 1 / out^2
//
// s = 0: skip 1, out 0, noise minus infinity, weight infinite. RangeError: s < 0, sd <= 0.
// Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models (2022). Networks of the
// published consistency models are fed 1000 ln(s + 1e-44) / 4 as their time.

#include <temper/core/error.hpp>

#include <cmath>
#include <concepts>

namespace temper::inline TEMPER_ABI {

/// Factors of a denoiser's input x, of its network's output, and of its network's input.
struct Scalings {
    double skip;
    double out;
    double in;
    friend bool operator==(const Scalings&, const Scalings&) = default;
};

/// Gives the scalings of a noise level, and throws if it cannot be one.
template <class S>
concept NoiseScalings = requires(const S& scalings, double sigma) {
    { scalings(sigma) } -> std::same_as<Scalings>;
};

struct EdmPreconditioning {
    static constexpr std::string_view name = "EdmPreconditioning";
    double sigma_data = 0.5;

    Scalings operator()(double sigma) const
    {
        check(sigma);
        const double length = std::hypot(sigma, sigma_data);
        const double share = sigma_data / length;
        return {share * share, sigma * share, 1 / length};
    }
    [[nodiscard]] double noise(double sigma) const
    {
        check(sigma);
        return std::log(sigma) / 4;
    }
    [[nodiscard]] double weight(double sigma) const
    {
        check(sigma);
        return 1 / (sigma * sigma) + 1 / (sigma_data * sigma_data);
    }
    friend bool operator==(const EdmPreconditioning&, const EdmPreconditioning&) = default;

  private:
    void check(double sigma) const
    {
        require(sigma_data > 0, name, "sigma_data", sigma_data, "positive");
        require(!(sigma < 0), name, "sigma", sigma, "non-negative");
    }
};

} // namespace temper::inline TEMPER_ABI
