// SPDX-License-Identifier: BSL-1.0

// Random sizes, layouts and numbers, over the whole catalogue. TEMPER_FUZZ_SEEDS says how many.

#include "laws.hpp"

#include "support/catch.hpp"

#include <cstdlib>

using namespace test;

TEST_CASE("fuzz")
{
    const char* asked = std::getenv("TEMPER_FUZZ_SEEDS");
    const long seeds = asked == nullptr ? 40 : std::strtol(asked, nullptr, 10);
    REQUIRE(seeds > 0);
    REQUIRE(!catalog().empty());
    for (const Entry* entry : catalog())
        for (long seed = 0; seed < seeds; ++seed)
            CHECK(text(fuzz(*entry, static_cast<std::uint64_t>(seed))) == "");
}
