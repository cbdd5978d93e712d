// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/cosine.hpp>

using temper::Cosine;

TEST_CASE("Cosine: half a cosine, then level", "[schedule]")
{
    const Cosine s{.from = 0.1, .to = 0.01, .steps = 7};
    const double want[] = {0.1,
                           0.09554359905560886,
                           0.08305704108364302,
                           0.06501344202803415,
                           0.04498655797196586,
                           0.026942958916356993,
                           0.014456400944391143,
                           0.01,
                           0.01};
    for (temper::Index t = 0; t < 9; ++t)
        CHECK(s(t) == Approx(want[t]).epsilon(1e-12));
    CHECK(s(7) == 0.01);
    // It rises, too, and is symmetric about its middle.
    const Cosine rise{.from = 0, .to = 1, .steps = 10};
    for (temper::Index t = 0; t <= 10; ++t)
        CHECK(rise(t) + rise(10 - t) == Approx(1));
}

TEST_CASE("Cosine: no number of steps is assumed", "[schedule]")
{
    CHECK_THROWS_AS(Cosine{}(0), temper::RangeError);
    CHECK_THROWS_AS((Cosine{.steps = 5}(-1)), temper::RangeError);
}
