// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/constant.hpp>
#include <temper/schedule/linear.hpp>
#include <temper/schedule/sequence.hpp>

using temper::Constant;
using temper::Index;
using temper::Linear;
using temper::sequence;

TEST_CASE("Sequence: one schedule after another, each from its own start", "[schedule]")
{
    const Linear up{.from = 0, .to = 1, .steps = 4};
    const Linear down{.from = 1, .to = 0, .steps = 5};
    const auto s = sequence({4, 10}, up, Constant{7}, down);
    static_assert(temper::Schedule<decltype(s)>);
    for (Index t = 0; t < 4; ++t)
        CHECK(s(t) == up(t));
    for (Index t = 4; t < 10; ++t)
        CHECK(s(t) == 7);
    for (Index t = 10; t < 20; ++t)
        CHECK(s(t) == down(t - 10));
    CHECK(s == sequence({4, 10}, up, Constant{7}, down));
    CHECK(temper::Sequence<Constant>{{}, {Constant{2}}}(5) == 2);
}

TEST_CASE("Sequence: starts increase", "[schedule]")
{
    const Constant c{1};
    CHECK_THROWS_AS(sequence({4, 4}, c, c, c)(0), temper::RangeError);
    CHECK_THROWS_AS(sequence({5, 4}, c, c, c)(0), temper::RangeError);
    CHECK_THROWS_AS(sequence({0}, c, c)(0), temper::RangeError);
    CHECK_THROWS_AS(sequence({4}, c, c)(-1), temper::RangeError);
}
