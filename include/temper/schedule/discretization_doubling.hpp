// SPDX-License-Identifier: BSL-1.0
#pragma once

// How many noise levels consistency training uses: few at first, doubled at equal intervals.
//
//   N(k) = min(s0 2^floor(k / K'), s1) + 1,   K' = floor(K / (log2 floor(s1 / s0) + 1))
//
// for step k of K = total_steps; an integer. Where s1 / s0 is no power of two the cap s1 is reached
// early. s0 = s1: constant. After K steps it stays. RangeError: not 1 <= s0 <= s1, K too small for
// an interval of one step (total_steps has no default that could be right), k < 0.
//
// Song and Dhariwal, "Improved Techniques for Training Consistency Models", 2023: s0 = 10, s1 =
// 1280 with K = 400,000 (CIFAR-10) or 800,000 (ImageNet 64). In latent space (Dao et al., "Improved
// Training Technique for Latent Consistency Models", 2025) s1 = 640.

#include <temper/schedule/schedule.hpp>

#include <algorithm>
#include <cmath>

namespace temper::inline TEMPER_ABI {

struct DiscretizationDoubling {
    Index s0 = 10;
    Index s1 = 1280;
    Index total_steps = 0;

    Index operator()(Index step) const
    {
        require(s0 >= 1, "DiscretizationDoubling", "s0", static_cast<double>(s0), "at least 1");
        require(s1 >= s0, "DiscretizationDoubling", "s1", static_cast<double>(s1), "at least s0");
        require(step >= 0, "DiscretizationDoubling", "step", static_cast<double>(step),
                "non-negative");
        const double doublings = std::log2(static_cast<double>(s1 / s0));
        const auto interval =
            static_cast<Index>(std::floor(static_cast<double>(total_steps) / (doublings + 1)));
        require(interval >= 1, "DiscretizationDoubling", "total_steps",
                static_cast<double>(total_steps), "at least log2(s1 / s0) + 1");
        // 2^62 is beyond any s1 / s0.
        const auto exponent = static_cast<int>((std::min)(step / interval, Index{62}));
        const double levels = std::ldexp(static_cast<double>(s0), exponent);
        return levels < static_cast<double>(s1) ? static_cast<Index>(levels) + 1 : s1 + 1;
    }
    friend bool operator==(const DiscretizationDoubling&, const DiscretizationDoubling&) = default;
};

} // namespace temper::inline TEMPER_ABI
