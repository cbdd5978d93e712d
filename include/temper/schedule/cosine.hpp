// SPDX-License-Identifier: BSL-1.0
#pragma once

// Half a cosine from one number to another: flat at both ends.
//
//   value(t) = to + (from - to) (1 + cos(pi p)) / 2,  p = min(1, t / steps)
//
// `from` at step 0, `to` from step `steps` on. With from < to it rises. RangeError: steps < 1 (it
// has no default that could be right), t < 0.
//
// Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017; the restarts
// are CosineRestarts.

#include <temper/schedule/schedule.hpp>

#include <cmath>
#include <numbers>

namespace temper::inline TEMPER_ABI {

struct Cosine {
    double from = 1;
    double to = 0;
    Index steps = 0;

    double operator()(Index step) const
    {
        const double p = detail::progress("Cosine", step, steps);
        return p < 1 ? to + (from - to) * 0.5 * (1 + std::cos(std::numbers::pi * p)) : to;
    }
    friend bool operator==(const Cosine&, const Cosine&) = default;
};

} // namespace temper::inline TEMPER_ABI
