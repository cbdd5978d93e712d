// SPDX-License-Identifier: BSL-1.0

// The law that takes longest; CTest runs it beside the others.

#include "support/hold.hpp"

using namespace test;

TEST_CASE("law of threads") { hold(Law::threads); }
