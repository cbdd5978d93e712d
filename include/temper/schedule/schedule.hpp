// SPDX-License-Identifier: BSL-1.0
#pragma once

// What all schedules share. A schedule gives a number for a step, counted from 0: a learning rate,
// the weight of a loss, a temperature, a sparsity. Whatever can be called with a step is one, so a
// lambda is:
//
//   auto ramp = [](temper::Index step) { return step < 100 ? 0.0 : 1.0; };
//
// Schedules are pure: they remember nothing, a resumed run asks again. Negative steps are a
// RangeError.

#include <temper/core/concepts.hpp>
#include <temper/core/error.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// How much of `steps` has passed, from 0 to 1.
[[nodiscard]] inline double progress(std::string_view schedule, Index step, Index steps)
{
    require(steps >= 1, schedule, "steps", static_cast<double>(steps), "at least 1");
    require(step >= 0, schedule, "step", static_cast<double>(step), "non-negative");
    return step < steps ? static_cast<double>(step) / static_cast<double>(steps) : 1.0;
}

} // namespace detail

} // namespace temper::inline TEMPER_ABI
