// SPDX-License-Identifier: BSL-1.0
#pragma once

// A straight line from one number to another.
//
//   value(t) = from + (to - from) min(1, t / steps)
//
// `from` at step 0, `to` from step `steps` on. RangeError: steps < 1 (it has no default that could
// be right), t < 0.

#include <temper/schedule/schedule.hpp>

namespace temper::inline TEMPER_ABI {

struct Linear {
    double from = 0;
    double to = 1;
    Index steps = 0;

    double operator()(Index step) const
    {
        const double p = detail::progress("Linear", step, steps);
        return from + (to - from) * p;
    }
    friend bool operator==(const Linear&, const Linear&) = default;
};

} // namespace temper::inline TEMPER_ABI
