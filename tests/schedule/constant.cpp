// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/constant.hpp>

TEST_CASE("Constant: the same number at every step", "[schedule]")
{
    static_assert(temper::Schedule<temper::Constant>);
    CHECK(temper::Constant{}(7) == 1);
    const temper::Constant c{.value = 0.3};
    CHECK(c(0) == 0.3);
    CHECK(c(1'000'000) == 0.3);
    CHECK(c == temper::Constant{0.3});
}
