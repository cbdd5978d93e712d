// SPDX-License-Identifier: BSL-1.0
#pragma once

// Trajectory stitching: the first, noisiest steps of a sampler are taken by smaller models.
//
//   model(i) = #{m : i >= b_m}       b_m = min(S, round((f_1 + ... + f_m) S))
//
// for step i = 0 .. S - 1 of S; f_1 .. f_{M-1} are the shares of the steps that models 0 .. M - 2 take, and the
// last, largest model takes the rest. Share 0: always the next model; shares that sum to 1: never the last.
// RangeError: S < 1, a negative share, shares that sum to more than 1, i outside.
// Pan et al., T-Stitch: Accelerating Sampling in Pre-Trained Diffusion Models with Trajectory Stitching (2024).

#include <temper/schedule/schedule.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace temper::inline TEMPER_ABI {

struct TrajectoryStitch {
    Index steps = 0; ///< no default that could be right
    std::vector<double> shares{0.4};

    Index operator()(Index step) const
    {
        require(steps >= 1, "TrajectoryStitch", "steps", static_cast<double>(steps), "at least 1");
        require(step >= 0 && step < steps, "TrajectoryStitch", "step", static_cast<double>(step),
                "below steps");
        double sum = 0;
        Index model = 0;
        for (const double share : shares) {
            require(share >= 0, "TrajectoryStitch", "shares", share, "non-negative");
            sum += share;
            model += static_cast<double>(step) >= std::round(sum * static_cast<double>(steps));
        }
        require(sum <= 1 + 1e-9, "TrajectoryStitch", "the sum of shares", sum, "1 at most");
        return model;
    }
    friend bool operator==(const TrajectoryStitch&, const TrajectoryStitch&) = default;
};

} // namespace temper::inline TEMPER_ABI
