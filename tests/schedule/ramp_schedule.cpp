// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/ramp_schedule.hpp>

#include <cmath>

using temper::RampSchedule;

TEST_CASE("RampSchedule: what is faded in ends at 1, what is faded out begins there", "[schedule]")
{
    using Shape = RampSchedule::Shape;
    for (const Shape up : {Shape::linear_up, Shape::cosine_up, Shape::sigmoid_up}) {
        const RampSchedule ramp{up, 40};
        CHECK(ramp(40) == Approx(1));
        CHECK(ramp(1000) == Approx(1));
        for (temper::Index t = 0; t < 40; ++t)
            CHECK(ramp(t) < ramp(t + 1));
    }
    for (const Shape down : {Shape::linear_down, Shape::cosine_down, Shape::sigmoid_down}) {
        const RampSchedule ramp{down, 40};
        CHECK(ramp(0) == Approx(1));
        for (temper::Index t = 0; t < 40; ++t)
            CHECK(ramp(t) > ramp(t + 1));
    }
    CHECK(RampSchedule{Shape::linear_jump, 40}(39) == Approx(1.0 / 40));
    CHECK(RampSchedule{Shape::linear_jump, 40}(40) == 1);
    CHECK(RampSchedule{.steps = 40}(0) == Approx(std::exp(-5)));
    CHECK(RampSchedule{Shape::sigmoid_down, 40}(40) == Approx(std::exp(-12.5)));
}

TEST_CASE("RampSchedule: no length is no ramp", "[schedule]")
{
    using Shape = RampSchedule::Shape;
    for (const Shape shape : {Shape::linear_up, Shape::cosine_up, Shape::sigmoid_up})
        CHECK(RampSchedule{shape, 0}(0) == 1);
    CHECK(RampSchedule{Shape::sigmoid_down, 0}(3) == 1);
    CHECK(RampSchedule{Shape::linear_down, 0}(3) == 0);
    CHECK_THROWS_AS((RampSchedule{.steps = -1}(0)), temper::RangeError);
    CHECK_THROWS_AS((RampSchedule{.steps = 5}(-1)), temper::RangeError);
}
