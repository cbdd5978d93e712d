// SPDX-License-Identifier: BSL-1.0
#pragma once

// Scalings of a consistency model f, which is the identity at the smallest noise level whatever the network
// says: f(x, s) = skip x + out F(in x, s).
//
//   skip = sd^2 / ((s - smin)^2 + sd^2)   out = sd (s - smin) / sqrt(s^2 + sd^2)   in = 1 / sqrt(s^2 + sd^2)
//
// s = smin: exactly 1 and 0, also for a smin that went through a float. RangeError: s < smin, sd <= 0,
// smin < 0.
// Song, Dhariwal, Chen and Sutskever, Consistency Models (2023).

#include <temper/diffusion/edm_preconditioning.hpp>

namespace temper::inline TEMPER_ABI {

struct ConsistencyScalings {
    static constexpr std::string_view name = "ConsistencyScalings";
    double sigma_data = 0.5;
    double sigma_min = 0.002;

    Scalings operator()(double sigma) const
    {
        require(sigma_data > 0, name, "sigma_data", sigma_data, "positive");
        require(sigma_min >= 0, name, "sigma_min", sigma_min, "non-negative");
        double above = sigma - sigma_min;
        if (std::fabs(above) <= 6e-8 * sigma_min) // half a unit in a float's last place
            above = 0;
        require(!(above < 0), name, "sigma", sigma, "sigma_min at least");
        const double share = sigma_data / std::hypot(above, sigma_data);
        const double length = std::hypot(sigma, sigma_data);
        return {share * share, sigma_data * above / length, 1 / length};
    }
    friend bool operator==(const ConsistencyScalings&, const ConsistencyScalings&) = default;
};

} // namespace temper::inline TEMPER_ABI
