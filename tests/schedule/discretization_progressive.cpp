// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/discretization_progressive.hpp>

using temper::DiscretizationProgressive;

TEST_CASE("DiscretizationProgressive: levels and the teacher's decay", "[schedule]")
{
    const DiscretizationProgressive s{.total_steps = 800'000}; // the defaults of CIFAR-10
    CHECK(s(0) == 2);
    CHECK(s(1'000) == 6);
    CHECK(s(100'000) == 54);
    CHECK(s(800'000) == 151);
    CHECK(s.teacher_decay(0) == Approx(0.81).epsilon(1e-12));
    CHECK(s.teacher_decay(100'000) == Approx(0.9960320247854625).epsilon(1e-12));
    CHECK(s.teacher_decay(800'000) == Approx(0.998596179403843).epsilon(1e-12));
    const DiscretizationProgressive student{.total_steps = 10, .mu0 = 0};
    CHECK(student.teacher_decay(3) == 0);
}

TEST_CASE("DiscretizationProgressive: bad settings", "[schedule]")
{
    CHECK_THROWS_AS(DiscretizationProgressive{}(0), temper::RangeError);
    CHECK_THROWS_AS((DiscretizationProgressive{.s0 = 0, .total_steps = 9}(0)), temper::RangeError);
    CHECK_THROWS_AS((DiscretizationProgressive{.s1 = 1, .total_steps = 9}(0)), temper::RangeError);
    CHECK_THROWS_AS((DiscretizationProgressive{.total_steps = 9}(-1)), temper::RangeError);
    const DiscretizationProgressive wrong{.total_steps = 9, .mu0 = 1.5};
    CHECK_THROWS_AS(wrong.teacher_decay(0), temper::RangeError);
}
