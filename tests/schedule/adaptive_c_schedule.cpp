// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/adaptive_c_schedule.hpp>
#include <temper/schedule/discretization_doubling.hpp>

#include <cmath>

using temper::AdaptiveCSchedule;

TEST_CASE("AdaptiveCSchedule: c falls as a power of the number of intervals", "[schedule]")
{
    const AdaptiveCSchedule c;
    CHECK(c(2) == Approx(std::exp(-0.72)));
    CHECK(c(11) == Approx(0.032159402631566955).epsilon(1e-12));
    const temper::DiscretizationDoubling levels{.s1 = 640, .total_steps = 7000};
    for (temper::Index k = 1000; k < 7000; k += 1000) // each doubling divides c by 2^1.18
        CHECK(c(levels(k)) / c(levels(k - 1)) == Approx(std::exp2(-1.18)));
    const AdaptiveCSchedule own{.slope = -1, .intercept = 0};
    CHECK(own(5) == Approx(0.25));
    CHECK_THROWS_AS(c(1), temper::RangeError);
    CHECK_THROWS_AS(c(-3), temper::RangeError);
}
