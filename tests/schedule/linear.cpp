// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/linear.hpp>

using temper::Linear;

TEST_CASE("Linear: a straight line, then level", "[schedule]")
{
    const Linear s{.from = 0.5, .to = 0, .steps = 5};
    const double want[] = {0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0};
    for (temper::Index t = 0; t < 8; ++t)
        CHECK(s(t) == Approx(want[t]).margin(1e-15));
    CHECK(s(5) == 0);
    CHECK(Linear{.from = 0.1, .to = 0.7, .steps = 3}(1'000) == Approx(0.7));
    CHECK(s == Linear{0.5, 0, 5});
}

TEST_CASE("Linear: no number of steps is assumed", "[schedule]")
{
    CHECK_THROWS_AS(Linear{}(0), temper::RangeError);
    CHECK_THROWS_AS((Linear{.steps = -1}(0)), temper::RangeError);
    CHECK_THROWS_AS((Linear{.steps = 5}(-1)), temper::RangeError);
}
