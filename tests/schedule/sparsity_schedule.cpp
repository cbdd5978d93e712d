// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/sparsity_schedule.hpp>

using temper::GeometricSparsity;
using temper::Index;
using temper::SparsitySchedule;

TEST_CASE("SparsitySchedule: linear and cubic between two steps", "[schedule]")
{
    const SparsitySchedule line{
        .to = 0.9, .first = 2, .last = 10, .shape = SparsitySchedule::Shape::linear};
    const SparsitySchedule cubic{.to = 0.9, .first = 2, .last = 10};
    const double want_line[] = {0, 0, 0, 0.1125, 0.225, 0.3375, 0.45, 0.5625};
    const double want_cubic[] = {0,      0,           0, 0.2970703125, 0.5203125, 0.6802734375,
                                 0.7875, 0.8525390625};
    for (Index t = 0; t < 8; ++t) {
        CHECK(line(t) == Approx(want_line[t]));
        CHECK(cubic(t) == Approx(want_cubic[t]));
    }
    for (Index t = 10; t < 20; ++t) {
        CHECK(line(t) == 0.9);
        CHECK(cubic(t) == 0.9);
    }
}

TEST_CASE("SparsitySchedule: a jump, and growing back", "[schedule]")
{
    const SparsitySchedule jump{.from = 0.1, .to = 0.8, .first = 5, .last = 5};
    CHECK(jump(4) == 0.1);
    CHECK(jump(5) == 0.8);
    const SparsitySchedule back{.from = 0.8, .to = 0.2, .last = 10};
    for (Index t = 0; t < 10; ++t)
        CHECK(back(t) > back(t + 1));
}

TEST_CASE("GeometricSparsity: every phase removes the same share of the rest", "[schedule]")
{
    const GeometricSparsity s{.to = 0.9, .phases = 3};
    CHECK(s(0) == 0);
    CHECK(s(1) == Approx(0.5358411166387221).epsilon(1e-12));
    for (Index i = 0; i < 3; ++i)
        CHECK((1 - s(i + 1)) / (1 - s(i)) == Approx(1 - s(1)));
    CHECK(s(3) == Approx(0.9));
    CHECK(s(7) == Approx(0.9));
    const GeometricSparsity all{.to = 1, .phases = 2};
    CHECK(all(0) == 0);
    CHECK(all(1) == 1);
}

TEST_CASE("SparsitySchedule: bad settings", "[schedule]")
{
    CHECK_THROWS_AS((SparsitySchedule{.to = 1.1}(0)), temper::RangeError);
    CHECK_THROWS_AS((SparsitySchedule{.from = -0.1}(0)), temper::RangeError);
    CHECK_THROWS_AS((SparsitySchedule{.first = 3, .last = 2}(0)), temper::RangeError);
    CHECK_THROWS_AS(SparsitySchedule{}(-1), temper::RangeError);
    CHECK_THROWS_AS((GeometricSparsity{.to = 0.5}(0)), temper::RangeError);
    CHECK_THROWS_AS((GeometricSparsity{.to = 1.5, .phases = 1}(0)), temper::RangeError);
    CHECK_THROWS_AS((GeometricSparsity{.phases = 1}(-1)), temper::RangeError);
}
