// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/exponential_decay.hpp>

using temper::ExponentialDecay;

TEST_CASE("ExponentialDecay: multiplied at every step", "[schedule]")
{
    const ExponentialDecay s{.from = 8, .gamma = 0.5};
    double want = 8;
    for (temper::Index t = 0; t < 10; ++t, want /= 2)
        CHECK(s(t) == want);
    CHECK_THROWS_AS(ExponentialDecay{}(0), temper::RangeError);
    CHECK_THROWS_AS((ExponentialDecay{.gamma = -1}(0)), temper::RangeError);
    CHECK_THROWS_AS(s(-1), temper::RangeError);
}
