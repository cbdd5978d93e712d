// SPDX-License-Identifier: BSL-1.0
#pragma once

// Multiplied by gamma at every step.
//
//   value(t) = from * gamma^t
//
// RangeError: gamma <= 0 (it has no default that could be right), t < 0.

#include <temper/schedule/schedule.hpp>

#include <cmath>

namespace temper::inline TEMPER_ABI {

struct ExponentialDecay {
    double from = 1;
    double gamma = 0;

    double operator()(Index step) const
    {
        require(gamma > 0, "ExponentialDecay", "gamma", gamma, "positive");
        require(step >= 0, "ExponentialDecay", "step", static_cast<double>(step), "non-negative");
        return from * std::pow(gamma, static_cast<double>(step));
    }
    friend bool operator==(const ExponentialDecay&, const ExponentialDecay&) = default;
};

} // namespace temper::inline TEMPER_ABI
