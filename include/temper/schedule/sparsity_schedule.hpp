// SPDX-License-Identifier: BSL-1.0
#pragma once

// How sparse a network is to be while it is pruned as it trains.
//
//   SparsitySchedule, with x = (t - first) / (last - first) clipped to [0, 1]:
//     linear   value(t) = from + (to - from) x
//     cubic    value(t) = to + (from - to) (1 - x)^3    fast at first, when much is redundant
//   first = last: a jump from `from` to `to` at that step. `from` > `to` is allowed (growing back).
//
//   GeometricSparsity, after i of p prune-and-retrain phases:
//     value(i) = 1 - (1 - to)^(i / p)                every phase removes the same share of the rest
//   `to` from phase p on.
//
// `to` has no default that could be right; left at 0 nothing is pruned. RangeError: a sparsity
// outside [0, 1], last < first, phases < 1, t < 0.
//
// Cubic: Zhu and Gupta, "To prune, or not to prune", 2017. Geometric: iterative magnitude pruning,
// as in Zimmer, Spiegel, Pokutta, "Sparse Model Soups", 2024.

#include <temper/schedule/schedule.hpp>

#include <algorithm>
#include <cmath>

namespace temper::inline TEMPER_ABI {

struct SparsitySchedule {
    enum class Shape { linear, cubic };

    double from = 0;
    double to = 0;
    Index first = 0;
    Index last = 0;
    Shape shape = Shape::cubic;

    double operator()(Index step) const
    {
        require(from >= 0 && from <= 1, "SparsitySchedule", "from", from, "in [0, 1]");
        require(to >= 0 && to <= 1, "SparsitySchedule", "to", to, "in [0, 1]");
        require(last >= first, "SparsitySchedule", "last", static_cast<double>(last),
                "at least first");
        require(step >= 0, "SparsitySchedule", "step", static_cast<double>(step), "non-negative");
        if (step < first)
            return from;
        if (step >= last)
            return to;
        const double x = static_cast<double>(step - first) / static_cast<double>(last - first);
        const double rest = 1 - x;
        return to + (from - to) * (shape == Shape::cubic ? rest * rest * rest : rest);
    }
    friend bool operator==(const SparsitySchedule&, const SparsitySchedule&) = default;
};

struct GeometricSparsity {
    double to = 0;
    Index phases = 0;

    double operator()(Index phase) const
    {
        require(to >= 0 && to <= 1, "GeometricSparsity", "to", to, "in [0, 1]");
        require(phases >= 1, "GeometricSparsity", "phases", static_cast<double>(phases),
                "at least 1");
        require(phase >= 0, "GeometricSparsity", "phase", static_cast<double>(phase),
                "non-negative");
        const auto done = static_cast<double>((std::min)(phase, phases));
        return 1 - std::pow(1 - to, done / static_cast<double>(phases));
    }
    friend bool operator==(const GeometricSparsity&, const GeometricSparsity&) = default;
};

} // namespace temper::inline TEMPER_ABI
