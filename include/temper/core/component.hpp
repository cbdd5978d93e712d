// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a component header includes: views, destinations, targets, reductions, composition, the border.
// Its kernels include simd/ and linalg/ themselves, under `#if !TEMPER_COMPILED`.

#include <temper/core/border.hpp>
#include <temper/core/compose.hpp>
#include <temper/core/reduction.hpp>
