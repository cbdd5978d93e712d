// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/discretization_doubling.hpp>

using temper::DiscretizationDoubling;
using temper::Index;

TEST_CASE("DiscretizationDoubling: doubles at equal intervals up to the cap", "[schedule]")
{
    const DiscretizationDoubling n{.total_steps = 400'000}; // the defaults of CIFAR-10
    CHECK(n(0) == 11);
    CHECK(n(49'999) == 11);
    CHECK(n(50'000) == 21);
    CHECK(n(123'456) == 41);
    CHECK(n(350'000) == 1281);
    CHECK(n(400'000) == 1281);
    CHECK(n(Index{1} << 60) == 1281);
    const DiscretizationDoubling latent{.s1 = 640, .total_steps = 100'000};
    CHECK(latent(14'284) == 11);
    CHECK(latent(14'285) == 21);
    CHECK(latent(99'999) == 641);
}

TEST_CASE("DiscretizationDoubling: constant, and a ratio that is no power of two", "[schedule]")
{
    const DiscretizationDoubling constant{.s0 = 40, .s1 = 40, .total_steps = 1000};
    for (const Index k : {0, 10, 999, 5000})
        CHECK(constant(k) == 41);
    // log2(3) + 1 = 2.585 intervals of 386 steps: 10, 20, then the cap of 30 and not 40.
    const DiscretizationDoubling thrice{.s0 = 10, .s1 = 30, .total_steps = 1000};
    CHECK(thrice(385) == 11);
    CHECK(thrice(386) == 21);
    CHECK(thrice(772) == 31);
    CHECK(thrice(999) == 31);
}

TEST_CASE("DiscretizationDoubling: bad settings", "[schedule]")
{
    CHECK_THROWS_AS(DiscretizationDoubling{}(0), temper::RangeError);
    CHECK_THROWS_AS((DiscretizationDoubling{.total_steps = 7}(0)), temper::RangeError);
    CHECK((DiscretizationDoubling{.total_steps = 8}(7)) == 1281);
    CHECK_THROWS_AS((DiscretizationDoubling{.s0 = 0, .total_steps = 99}(0)), temper::RangeError);
    CHECK_THROWS_AS((DiscretizationDoubling{.s1 = 9, .total_steps = 99}(0)), temper::RangeError);
    CHECK_THROWS_AS((DiscretizationDoubling{.total_steps = 99}(-1)), temper::RangeError);
}
