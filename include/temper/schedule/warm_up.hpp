// SPDX-License-Identifier: BSL-1.0
#pragma once

// A linear rise to the first number of a schedule, then the schedule.
//
//   value(t) = schedule(0) (t + 1) / steps    for t < steps
//              schedule(t - steps)            after that, or schedule(t) if from_the_start
//
// The last warm-up step has the full number already. Schedules with an end (Linear, Cosine) usually
// begin when the warm-up is over, those that count all steps of a run (StepDecay, MultiStepDecay)
// from the start. steps = 0: the schedule itself. RangeError: steps < 0, t < 0.
//
//   WarmUp<Cosine>{.steps = 500, .schedule = {.from = 0.1, .steps = 9500}}
//
// Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.

#include <temper/schedule/schedule.hpp>

namespace temper::inline TEMPER_ABI {

template <Schedule S>
struct WarmUp {
    Index steps = 0;
    S schedule{};
    bool from_the_start = false;

    double operator()(Index step) const
    {
        require(steps >= 0, "WarmUp", "steps", static_cast<double>(steps), "non-negative");
        require(step >= 0, "WarmUp", "step", static_cast<double>(step), "non-negative");
        if (step < steps)
            return schedule(Index{0}) * static_cast<double>(step + 1) / static_cast<double>(steps);
        return schedule(from_the_start ? step : step - steps);
    }
    friend bool operator==(const WarmUp&, const WarmUp&) = default;
};

} // namespace temper::inline TEMPER_ABI
