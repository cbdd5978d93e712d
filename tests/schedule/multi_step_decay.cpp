// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/multi_step_decay.hpp>

using temper::MultiStepDecay;

TEST_CASE("MultiStepDecay: multiplied at each milestone", "[schedule]")
{
    const MultiStepDecay s{.from = 0.2, .gamma = 0.5, .milestones = {2, 5}};
    const double want[] = {0.2, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05};
    for (temper::Index t = 0; t < 7; ++t)
        CHECK(s(t) == Approx(want[t]));
    // Any order; what is listed twice counts twice.
    const MultiStepDecay twice{.gamma = 0.5, .milestones = {5, 2, 5}};
    CHECK(twice(4) == 0.5);
    CHECK(twice(5) == 0.125);
    CHECK(MultiStepDecay{}(1000) == 1);
    CHECK_THROWS_AS(s(-1), temper::RangeError);
}
