// SPDX-License-Identifier: BSL-1.0
#pragma once

// Shares in [0, 1] that add up to a budget k: one number that settles all of them, in expected linear time.

#include <temper/core/workspace.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <span>

namespace temper::inline TEMPER_ABI {

[[nodiscard]] inline Index count_nonzero(std::span<const double> m)
{
    return std::count_if(m.begin(), m.end(), [](double x) { return x != 0; });
}

/// The t with sum_g min(1, m_g / t) = k, for more than k masses that are not zero. Masses above the
/// smallest t known so far count as 1 for good.
[[nodiscard]] inline double cap_for_sum(std::span<const double> m, Index k)
{
    Workspace::Frame frame;
    auto* rest = frame.take<double>(static_cast<Index>(m.size()));
    auto* end = std::copy(m.begin(), m.end(), rest);
    auto left = static_cast<double>(k);
    while (true) {
        const double t = std::accumulate(rest, end, 0.0) / left;
        auto* const below = std::partition(rest, end, [t](double x) { return !(x > t); });
        const auto capped = static_cast<double>(end - below);
        if (capped == 0 || capped >= left)
            return t;
        end = below;
        left -= capped;
    }
}

/// A share that rises from 0 at eta = begin() to 1 at eta = end().
struct Ramp {
    double slope;
    double offset;
    [[nodiscard]] double begin() const { return offset / slope; }
    [[nodiscard]] double end() const { return (offset + 1) / slope; }
    [[nodiscard]] double operator()(double eta) const
    {
        const double share = eta * slope - offset;
        return share < 0 ? 0 : share > 1 ? 1 : share;
    }
};

/// The eta at which more than k ramps add up to k. Half of the knots between the bounds are left by each
/// round, and ramps without a knot there are added up for good.
[[nodiscard]] inline double eta_for_sum(std::span<Ramp> ramps, Index k)
{
    Workspace::Frame frame;
    auto* knots = frame.take<double>(2 * static_cast<Index>(ramps.size()));
    double low = 0;
    double high = std::numeric_limits<double>::infinity();
    auto left = static_cast<double>(k); // of k, without the ramps that have reached 1
    Ramp settled{0, 0};
    while (true) {
        Index n = 0;
        std::size_t live = 0;
        for (const Ramp ramp : ramps) {
            const double begin = ramp.begin();
            const double end = ramp.end();
            if (end <= low)
                left -= 1;
            else if (begin <= low && end >= high)
                settled = {settled.slope + ramp.slope, settled.offset + ramp.offset};
            else if (begin < high) {
                ramps[live++] = ramp;
                if (begin > low)
                    knots[n++] = begin;
                if (end < high)
                    knots[n++] = end;
            }
        }
        ramps = ramps.first(live);
        if (n == 0)
            break;
        std::nth_element(knots, knots + n / 2, knots + n);
        const double middle = knots[n / 2];
        double sum = middle * settled.slope - settled.offset;
        for (const Ramp ramp : ramps)
            sum += ramp(middle);
        (sum >= left ? high : low) = middle;
    }
    return settled.slope > 0 ? std::clamp((left + settled.offset) / settled.slope, low, high) : low;
}

} // namespace temper::inline TEMPER_ABI
