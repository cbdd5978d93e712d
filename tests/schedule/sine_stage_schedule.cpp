// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/sine_stage_schedule.hpp>

#include <cmath>

using temper::Index;
using temper::SineStageSchedule;

TEST_CASE("SineStageSchedule: stages joined without a jump", "[schedule]")
{
    const SineStageSchedule s{.end_steps = {40, 80, 140}, .values = {0.01, 0.05, 0.2}};
    for (Index t = 0; t <= 40; ++t)
        CHECK(s(t) == 0.01);
    CHECK(s(60) == Approx(0.03));
    CHECK(s(80) == Approx(0.05));
    CHECK(s(110) == Approx(0.125));
    CHECK(s(140) == Approx(0.2));
    CHECK(s(141) == 0.2);
    CHECK(s(10'000) == 0.2);
    // Level at the end of every stage, steepest in its middle: pi / 2 of the mean slope.
    for (const Index end : {40, 80, 140})
        CHECK(std::fabs(s(end + 1) - s(end - 1)) < 0.0006);
    CHECK((s(61) - s(59)) / 2 == Approx(0.04 / 40 * std::acos(-1.0) / 2).epsilon(1e-2));
}

TEST_CASE("SineStageSchedule: a single stage, a flat one, an empty warm-up", "[schedule]")
{
    const SineStageSchedule constant{.end_steps = {5}, .values = {0.2}};
    CHECK(constant(0) == 0.2);
    CHECK(constant(99) == 0.2);
    const SineStageSchedule flat{.end_steps = {1, 5}, .values = {0.2, 0.2}};
    CHECK(flat(3) == 0.2);
    const SineStageSchedule s{.end_steps = {0, 5}, .values = {0, 1}};
    CHECK(s(0) == 0);
    CHECK(s(2) == Approx(0.3454915028125263).epsilon(1e-12));
}

TEST_CASE("SineStageSchedule: bad settings", "[schedule]")
{
    CHECK_THROWS_AS(SineStageSchedule{}(0), temper::RangeError);
    CHECK_THROWS_AS((SineStageSchedule{{3, 3}, {1, 2}}(0)), temper::RangeError);
    CHECK_THROWS_AS((SineStageSchedule{{-1}, {1}}(0)), temper::RangeError);
    CHECK_THROWS_AS((SineStageSchedule{{3}, {1, 2}}(0)), temper::ShapeError);
    CHECK_THROWS_AS((SineStageSchedule{{3}, {1}}(-1)), temper::RangeError);
}
