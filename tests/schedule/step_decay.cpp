// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/step_decay.hpp>

using temper::StepDecay;

TEST_CASE("StepDecay: multiplied every so many steps", "[schedule]")
{
    const StepDecay s{.every = 3};
    const double want[] = {1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001};
    for (temper::Index t = 0; t < 10; ++t)
        CHECK(s(t) == Approx(want[t]));
    CHECK_THROWS_AS(StepDecay{}(0), temper::RangeError);
    CHECK_THROWS_AS(s(-1), temper::RangeError);
}
