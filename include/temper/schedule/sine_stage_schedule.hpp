// SPDX-License-Identifier: BSL-1.0
#pragma once

// Stages of given lengths, joined by half sines, so that the number never jumps and its slope is 0
// at the end of every stage.
//
//   value(t) = v_1                                             for t <= e_1
//              v_{i-1} + (v_i - v_{i-1}) (1 + sin(pi s - pi/2)) / 2   for e_{i-1} < t <= e_i,
//                                                              s = (t - e_{i-1}) / (e_i - e_{i-1})
//              v_S                                             for t > e_S
//
// with stage i ending at step e_i at the value v_i. The first stage is constant (a warm-up), equal
// neighbours make a flat one. RangeError: no stages, ends not increasing or negative, t < 0;
// ShapeError: unequal numbers of ends and values.
//
// The strength of the L1 penalty on activations in Song et al., "ProSparse: Introducing and
// Enhancing Intrinsic Activation Sparsity within Large Language Models", 2024, which sets stages
// per model by hand.

#include <temper/schedule/schedule.hpp>

#include <cmath>
#include <numbers>
#include <vector>

namespace temper::inline TEMPER_ABI {

struct SineStageSchedule {
    std::vector<Index> end_steps{};
    std::vector<double> values{};

    double operator()(Index step) const
    {
        check();
        require(step >= 0, "SineStageSchedule", "step", static_cast<double>(step), "non-negative");
        if (step <= end_steps.front())
            return values.front();
        for (std::size_t i = 1; i < end_steps.size(); ++i) {
            if (step > end_steps[i])
                continue;
            const double s = static_cast<double>(step - end_steps[i - 1]) /
                             static_cast<double>(end_steps[i] - end_steps[i - 1]);
            const double rise = 0.5 * (std::sin(std::numbers::pi * (s - 0.5)) + 1);
            return values[i - 1] + (values[i] - values[i - 1]) * rise;
        }
        return values.back();
    }
    friend bool operator==(const SineStageSchedule&, const SineStageSchedule&) = default;

  private:
    void check() const
    {
        require(!end_steps.empty(), "SineStageSchedule", "number of end_steps", 0, "at least 1");
        if (values.size() != end_steps.size())
            fail<ShapeError>("SineStageSchedule", "values",
                             "has " + text(static_cast<Index>(values.size())) + " entries",
                             text(static_cast<Index>(end_steps.size())) + " as end_steps");
        Index last = -1;
        for (const Index end : end_steps) {
            require(end > last, "SineStageSchedule", "end_steps", static_cast<double>(end),
                    last < 0 ? "non-negative" : "above the end before, " + text(last));
            last = end;
        }
    }
};

} // namespace temper::inline TEMPER_ABI
