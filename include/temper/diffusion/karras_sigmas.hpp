// SPDX-License-Identifier: BSL-1.0
#pragma once

// A grid of noise levels, dense where they are small.
//
//   sigma_i = (a + i / (n - 1) (b - a))^rho     a = sigma_min^(1/rho), b = sigma_max^(1/rho), i = 0 .. n - 1
//
// `ascending` is what training wants, both ends included: n levels make n - 1 pairs of neighbours.
// `descending` is what samplers want: the same from sigma_max down, and a 0 behind. n = 1, where the
// equation divides by 0, is sigma_max alone, which the published code's first point is. RangeError: n < 1,
// not 0 < sigma_min < sigma_max < infinity, rho <= 0.
// Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models (2022).

#include <temper/core/error.hpp>

#include <cmath>
#include <limits>
#include <vector>

namespace temper::inline TEMPER_ABI {

struct KarrasSigmas {
    static constexpr std::string_view name = "KarrasSigmas";
    double sigma_min = 0.002;
    double sigma_max = 80;
    double rho = 7;

    [[nodiscard]] std::vector<double> ascending(Index n) const
    {
        std::vector<double> out;
        ascending(n, out);
        return out;
    }
    /// The same into memory that is there.
    void ascending(Index n, std::vector<double>& out) const
    {
        require(n >= 1, name, "n", static_cast<double>(n), "at least 1");
        require(sigma_min > 0, name, "sigma_min", sigma_min, "positive");
        require(sigma_max > sigma_min && sigma_max < std::numeric_limits<double>::infinity(), name,
                "sigma_max", sigma_max, "finite and above sigma_min");
        require(rho > 0, name, "rho", rho, "positive");
        out.resize(static_cast<std::size_t>(n));
        const double a = std::pow(sigma_min, 1 / rho);
        const double b = std::pow(sigma_max, 1 / rho);
        for (Index i = 0; i < n; ++i) {
            const double x = static_cast<double>(i) / static_cast<double>(n - 1);
            out[static_cast<std::size_t>(i)] = std::pow(a + x * (b - a), rho);
        }
        // The ends are what was asked for: at sigma_min exactly, a consistency model is the identity.
        out.front() = sigma_min;
        out.back() = sigma_max;
    }
    [[nodiscard]] std::vector<double> descending(Index n) const
    {
        const std::vector<double> up = ascending(n);
        std::vector<double> out(up.rbegin(), up.rend());
        out.push_back(0);
        return out;
    }
    friend bool operator==(const KarrasSigmas&, const KarrasSigmas&) = default;
};

} // namespace temper::inline TEMPER_ABI
