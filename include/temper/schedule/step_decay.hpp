// SPDX-License-Identifier: BSL-1.0
#pragma once

// Multiplied by gamma every so many steps.
//
//   value(t) = from * gamma^floor(t / every)
//
// RangeError: every < 1 (it has no default that could be right), t < 0.

#include <temper/schedule/schedule.hpp>

#include <cmath>

namespace temper::inline TEMPER_ABI {

struct StepDecay {
    double from = 1;
    double gamma = 0.1;
    Index every = 0;

    double operator()(Index step) const
    {
        require(every >= 1, "StepDecay", "every", static_cast<double>(every), "at least 1");
        require(step >= 0, "StepDecay", "step", static_cast<double>(step), "non-negative");
        return from * std::pow(gamma, static_cast<double>(step / every));
    }
    friend bool operator==(const StepDecay&, const StepDecay&) = default;
};

} // namespace temper::inline TEMPER_ABI
