// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/cosine.hpp>
#include <temper/schedule/cosine_restarts.hpp>

using temper::CosineRestarts;
using temper::Index;

TEST_CASE("CosineRestarts: every cycle is a half cosine from the top", "[schedule]")
{
    const CosineRestarts s{.from = 1, .to = 0.1, .period = 2, .multiplier = 2};
    Index began = 0;
    for (const Index length : {2, 4, 8, 16}) {
        const temper::Cosine cycle{.from = 1, .to = 0.1, .steps = length};
        for (Index t = 0; t < length; ++t)
            CHECK(s(began + t) == Approx(cycle(t)).epsilon(1e-12));
        began += length;
    }
    CHECK(s(3) == Approx(0.8681980515339464).epsilon(1e-12));
}

TEST_CASE("CosineRestarts: equal cycles, also after a million of them", "[schedule]")
{
    const CosineRestarts s{.period = 3};
    for (Index t = 0; t < 9; ++t) {
        CHECK(s(t) == Approx(s(t % 3)));
        CHECK(s(3'000'000 + t) == Approx(s(t % 3)));
    }
}

TEST_CASE("CosineRestarts: bad settings", "[schedule]")
{
    CHECK_THROWS_AS(CosineRestarts{}(0), temper::RangeError);
    CHECK_THROWS_AS((CosineRestarts{.period = 2, .multiplier = 0.5}(0)), temper::RangeError);
    CHECK_THROWS_AS((CosineRestarts{.period = 2}(-1)), temper::RangeError);
}
