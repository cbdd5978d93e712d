// SPDX-License-Identifier: BSL-1.0
#pragma once

// Multiplied by gamma at each milestone.
//
//   value(t) = from * gamma^(number of milestones <= t)
//
// The milestones may stand in any order; one that is listed twice counts twice. None: constant.
// RangeError: t < 0.

#include <temper/schedule/schedule.hpp>

#include <cmath>
#include <vector>

namespace temper::inline TEMPER_ABI {

struct MultiStepDecay {
    double from = 1;
    double gamma = 0.1;
    std::vector<Index> milestones{};

    double operator()(Index step) const
    {
        require(step >= 0, "MultiStepDecay", "step", static_cast<double>(step), "non-negative");
        int passed = 0;
        for (const Index milestone : milestones)
            passed += milestone <= step ? 1 : 0;
        return from * std::pow(gamma, passed);
    }
    friend bool operator==(const MultiStepDecay&, const MultiStepDecay&) = default;
};

} // namespace temper::inline TEMPER_ABI
