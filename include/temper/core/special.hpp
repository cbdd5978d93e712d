// SPDX-License-Identifier: BSL-1.0
#pragma once

// Special functions of positive numbers, which the standard library lacks or has with a global variable
// (std::lgamma writes the sign of gamma to one). Recurrence up to 10, then Stirling's series; relative error
// about 1e-14 away from the zeros at 1 and 2 (log_gamma) and 1.46 (digamma), near which the error is absolute.

#include <temper/core/config.hpp>

#include <cmath>

namespace temper::inline TEMPER_ABI {

/// log Gamma(x), x > 0.
[[nodiscard]] inline double log_gamma(double x)
{
    double below = 1; // the product of x, x + 1, ... that the recurrence divides by
    double logarithms = 0;
    for (; x < 10; ++x) {
        below *= x;
        if (below < 1e-200) { // x itself was tiny
            logarithms += std::log(below);
            below = 1;
        }
    }
    const double u = 1 / (x * x);
    const double series =
        (1.0 / 12 - u * (1.0 / 360 - u * (1.0 / 1260 - u * (1.0 / 1680 - u / 1188)))) / x;
    constexpr double half_log_two_pi = 0.91893853320467274178;
    return (x - 0.5) * std::log(x) - x + half_log_two_pi + series - std::log(below) - logarithms;
}

/// The derivative of log_gamma, x > 0.
[[nodiscard]] inline double digamma(double x)
{
    double below = 0;
    for (; x < 10; ++x)
        below += 1 / x;
    const double u = 1 / (x * x);
    const double series =
        u *
        (1.0 / 12 -
         u * (1.0 / 120 - u * (1.0 / 252 - u * (1.0 / 240 - u * (1.0 / 132 - u * 691.0 / 32760)))));
    return std::log(x) - 0.5 / x - series - below;
}

} // namespace temper::inline TEMPER_ABI
