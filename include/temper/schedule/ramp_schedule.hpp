// SPDX-License-Identifier: BSL-1.0
#pragma once

// Weights that are faded in or out, as consistency and early-learning terms are. With x = min(t, steps) /
// steps:
//
//   linear_up    x                     linear_down    1 - x
//   cosine_up    (1 - cos(pi x)) / 2   cosine_down    (1 + cos(pi x)) / 2
//   sigmoid_up   exp(-5 (1 - x)^2)     sigmoid_down   exp(-12.5 x^2)
//
// linear_jump is linear_down up to the last step and 1 from there on, which is what the published code
// does. sigmoid_up begins at e^-5 and sigmoid_down ends at e^-12.5, not at 0. steps = 0: what is faded in is
// at 1 at once; linear_down and cosine_down are at 0, sigmoid_down is at 1, as in the published code.
// RangeError: steps < 0 (0, the default, is no ramp), t < 0.
// Laine and Aila, Temporal Ensembling for Semi-Supervised Learning (2017); the set as in the code of Liu
// et al., Early-Learning Regularization Prevents Memorization of Noisy Labels (2020).

#include <temper/schedule/schedule.hpp>

#include <cmath>
#include <numbers>

namespace temper::inline TEMPER_ABI {

struct RampSchedule {
    enum class Shape {
        linear_up,
        linear_down,
        linear_jump,
        cosine_up,
        cosine_down,
        sigmoid_up,
        sigmoid_down
    };

    Shape shape = Shape::sigmoid_up;
    Index steps = 0;

    double operator()(Index step) const
    {
        require(steps >= 0, "RampSchedule", "steps", static_cast<double>(steps), "non-negative");
        require(step >= 0, "RampSchedule", "step", static_cast<double>(step), "non-negative");
        if (steps == 0)
            return shape == Shape::linear_down || shape == Shape::cosine_down ? 0 : 1;
        const double x = detail::progress("RampSchedule", step, steps);
        switch (shape) {
        case Shape::linear_up:
            return x;
        case Shape::linear_down:
            return 1 - x;
        case Shape::linear_jump:
            return x < 1 ? 1 - x : 1;
        case Shape::cosine_up:
            return (1 - std::cos(std::numbers::pi * x)) / 2;
        case Shape::cosine_down:
            return (1 + std::cos(std::numbers::pi * x)) / 2;
        case Shape::sigmoid_up:
            return std::exp(-5 * (1 - x) * (1 - x));
        case Shape::sigmoid_down:
            return std::exp(-12.5 * x * x);
        }
        return 1; // a compiler cannot know that there is no other shape
    }
    friend bool operator==(const RampSchedule&, const RampSchedule&) = default;
};

} // namespace temper::inline TEMPER_ABI
