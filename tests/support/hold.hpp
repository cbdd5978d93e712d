// SPDX-License-Identifier: BSL-1.0
#pragma once

// A law over the whole catalogue.

#include "laws.hpp"

#include "support/catch.hpp"

namespace test {

inline void hold(Law law)
{
    REQUIRE(!catalog().empty());
    for (const Entry* entry : catalog())
        CHECK(text(check(law, *entry)) == "");
}

} // namespace test
