// SPDX-License-Identifier: BSL-1.0
#pragma once

// Catch2, version 2 or 3, as one header: TEST_CASE, SECTION, CHECK, REQUIRE, CHECK_THROWS_AS and
// Approx. Tests use nothing else of it, so that both versions serve.

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
