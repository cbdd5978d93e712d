// SPDX-License-Identifier: BSL-1.0
#pragma once

// The scale c of the robust loss of consistency training, as the discretisation gets finer: the
// differences between neighbouring levels shrink, and c with them.
//
//   c(N) = exp(slope ln(N - 1) + intercept)
//
// N is the number of noise levels (what DiscretizationDoubling gives), not a step:
// `adaptive_c(doubling(step))`. N = 2: c = exp(intercept). RangeError: N < 2.
//
// Dao et al., "Improved Training Technique for Latent Consistency Models", 2025. The two constants
// are quoted second-hand: neither the paper's text nor its code could be consulted for them. At N =
// 11 they give c = 0.0322, next to the 0.0346 that 0.00054 sqrt(d) of Song and Dhariwal 2023 gives
// for a latent of 4 x 32 x 32.

#include <temper/schedule/schedule.hpp>

#include <cmath>

namespace temper::inline TEMPER_ABI {

struct AdaptiveCSchedule {
    double slope = -1.18;
    double intercept = -0.72;

    double operator()(Index levels) const
    {
        require(levels >= 2, "AdaptiveCSchedule", "levels", static_cast<double>(levels),
                "at least 2");
        return std::exp(slope * std::log(static_cast<double>(levels - 1)) + intercept);
    }
    friend bool operator==(const AdaptiveCSchedule&, const AdaptiveCSchedule&) = default;
};

} // namespace temper::inline TEMPER_ABI
