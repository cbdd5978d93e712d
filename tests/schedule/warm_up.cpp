// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/cosine.hpp>
#include <temper/schedule/exponential_decay.hpp>
#include <temper/schedule/product.hpp>
#include <temper/schedule/warm_up.hpp>

using temper::Cosine;
using temper::ExponentialDecay;
using temper::Index;
using temper::WarmUp;

TEST_CASE("WarmUp: a rise to the first number of a schedule", "[schedule]")
{
    const Cosine cosine{.from = 0.1, .to = 0.01, .steps = 7};
    const WarmUp s{.steps = 3, .schedule = cosine};
    CHECK(s(0) == Approx(0.1 / 3));
    CHECK(s(1) == Approx(0.2 / 3));
    CHECK(s(2) == Approx(0.1));
    for (Index t = 3; t < 15; ++t)
        CHECK(s(t) == cosine(t - 3));
}

TEST_CASE("WarmUp: schedules that count all steps of the run", "[schedule]")
{
    const ExponentialDecay decay{.from = 2, .gamma = 0.9};
    const WarmUp<ExponentialDecay> s{.steps = 4, .schedule = decay, .from_the_start = true};
    CHECK(s(0) == Approx(0.5));
    CHECK(s(3) == Approx(2));
    for (Index t = 4; t < 8; ++t)
        CHECK(s(t) == decay(t));
}

TEST_CASE("WarmUp: of no steps, and bad settings", "[schedule]")
{
    const ExponentialDecay decay{.gamma = 0.9};
    CHECK(WarmUp{.schedule = decay}(0) == decay(0));
    CHECK(WarmUp{.schedule = decay}(5) == decay(5));
    CHECK_THROWS_AS((WarmUp{.steps = -1, .schedule = decay}(0)), temper::RangeError);
    CHECK_THROWS_AS((WarmUp{.steps = 1, .schedule = decay}(-1)), temper::RangeError);
}

TEST_CASE("WarmUp: of lambdas and products", "[schedule]")
{
    const auto two = [](Index) { return 2.0; };
    const WarmUp s{.steps = 2, .schedule = 0.5 * ExponentialDecay{.gamma = 0.5}};
    static_assert(temper::Schedule<decltype(s)>);
    CHECK(s(0) == 0.25);
    CHECK(s(3) == 0.25);
    CHECK(WarmUp<decltype(two)>{.steps = 4, .schedule = two}(0) == 0.5);
}
