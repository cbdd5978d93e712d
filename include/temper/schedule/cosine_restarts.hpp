// SPDX-License-Identifier: BSL-1.0
#pragma once

// Half cosines one after another, each starting anew from `from`.
//
//   value(t) = to + (from - to) (1 + cos(pi s / L_i)) / 2
//
// where cycle i has length L_i = period * multiplier^i and s is the number of steps since it began.
// `to` is approached at the end of each cycle and not reached: the step after is `from` again.
// RangeError: period < 1 (it has no default that could be right), multiplier < 1, t < 0.
//
// Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.

#include <temper/schedule/schedule.hpp>

#include <cmath>
#include <numbers>

namespace temper::inline TEMPER_ABI {

struct CosineRestarts {
    double from = 1;
    double to = 0;
    Index period = 0;
    double multiplier = 1;

    double operator()(Index step) const
    {
        require(period >= 1, "CosineRestarts", "period", static_cast<double>(period), "at least 1");
        require(multiplier >= 1, "CosineRestarts", "multiplier", multiplier, "at least 1");
        require(step >= 0, "CosineRestarts", "step", static_cast<double>(step), "non-negative");
        auto since = static_cast<double>(step);
        auto length = static_cast<double>(period);
        if (multiplier == 1)
            since = std::fmod(since, length);
        while (since >= length) {
            since -= length;
            length *= multiplier;
        }
        return to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * since / length));
    }
    friend bool operator==(const CosineRestarts&, const CosineRestarts&) = default;
};

} // namespace temper::inline TEMPER_ABI
