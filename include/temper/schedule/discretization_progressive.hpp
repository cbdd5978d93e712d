// SPDX-License-Identifier: BSL-1.0
#pragma once

// How many noise levels consistency training uses, and how slowly its teacher moves: the schedule
// of the first consistency models, which DiscretizationDoubling replaces.
//
//   s(k)  = max(1, ceil(sqrt(k / K ((s1 + 1)^2 - s0^2) + s0^2) - 1))
//   N(k)  = s(k) + 1                           (an integer)
//   mu(k) = exp(s0 ln(mu0) / s(k))             decay of the teacher's moving average
//
// for step k of K = total_steps; beyond K both go on growing, as the published code does. mu0 = 0:
// no average, the teacher is the student (with which the later paper replaces the moving teacher).
// RangeError: not 1 <= s0 <= s1, K < 1 (it has no default that could be right), mu0 outside [0, 1],
// k < 0.
//
// Song, Dhariwal, Chen, Sutskever, "Consistency Models", 2023: s0 = 2, s1 = 150, mu0 = 0.9
// (CIFAR-10); s1 = 200, mu0 = 0.95 elsewhere.

#include <temper/schedule/schedule.hpp>

#include <algorithm>
#include <cmath>

namespace temper::inline TEMPER_ABI {

struct DiscretizationProgressive {
    Index s0 = 2;
    Index s1 = 150;
    Index total_steps = 0;
    double mu0 = 0.9;

    Index operator()(Index step) const { return intervals(step) + 1; }
    [[nodiscard]] double teacher_decay(Index step) const
    {
        require(mu0 >= 0 && mu0 <= 1, "DiscretizationProgressive", "mu0", mu0, "in [0, 1]");
        return std::exp(static_cast<double>(s0) * std::log(mu0) /
                        static_cast<double>(intervals(step)));
    }
    friend bool operator==(const DiscretizationProgressive&,
                           const DiscretizationProgressive&) = default;

  private:
    [[nodiscard]] Index intervals(Index step) const
    {
        require(s0 >= 1, "DiscretizationProgressive", "s0", static_cast<double>(s0), "at least 1");
        require(s1 >= s0, "DiscretizationProgressive", "s1", static_cast<double>(s1),
                "at least s0");
        require(total_steps >= 1, "DiscretizationProgressive", "total_steps",
                static_cast<double>(total_steps), "at least 1");
        require(step >= 0, "DiscretizationProgressive", "step", static_cast<double>(step),
                "non-negative");
        const auto low = static_cast<double>(s0);
        const auto high = static_cast<double>(s1 + 1);
        const double p = static_cast<double>(step) / static_cast<double>(total_steps);
        const double s = std::ceil(std::sqrt(p * (high * high - low * low) + low * low) - 1);
        return (std::max)(Index{1}, static_cast<Index>(s));
    }
};

} // namespace temper::inline TEMPER_ABI
