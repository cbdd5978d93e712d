// SPDX-License-Identifier: BSL-1.0
#pragma once

// Random numbers made from the bits of any generator by a rule that is written here: the same seed
// gives the same run with every standard library, which std::normal_distribution does not promise.

#include <cmath>
#include <cstdint>
#include <random>
#include <utility>

#include "support/matrix.hpp"

namespace support {

/// 64 random bits, out of one or two calls of a generator that gives 64 or 32.
template <std::uniform_random_bit_generator Rng>
std::uint64_t random_bits(Rng& rng)
{
    constexpr auto range = static_cast<std::uint64_t>(Rng::max() - Rng::min());
    if constexpr (range == ~std::uint64_t{0}) {
        return static_cast<std::uint64_t>(rng() - Rng::min());
    }
    else {
        static_assert(range == 0xffffffffu, "support: a generator gives 32 or 64 bits");
        const auto high = static_cast<std::uint64_t>(rng() - Rng::min());
        return high << 32 | static_cast<std::uint64_t>(rng() - Rng::min());
    }
}

/// Uniform in [0, 1), a multiple of 2^-53.
template <std::uniform_random_bit_generator Rng>
double uniform(Rng& rng)
{
    return static_cast<double>(support::random_bits(rng) >> 11) * 0x1.0p-53;
}

/// Uniform in 0 .. n - 1. The bias, below n / 2^53, is of no account for the sizes of an example.
template <std::uniform_random_bit_generator Rng>
Index uniform_index(Rng& rng, Index n)
{
    return static_cast<Index>(support::uniform(rng) * static_cast<double>(n));
}

/// Standard normal (Box and Muller 1958), two uniforms for one normal: nothing is kept between calls.
template <std::uniform_random_bit_generator Rng>
double normal(Rng& rng)
{
    constexpr double two_pi = 6.283185307179586;
    const double radius = std::sqrt(-2.0 * std::log1p(-support::uniform(rng)));
    return radius * std::cos(two_pi * support::uniform(rng));
}

/// Fisher and Yates' shuffle of anything with size() and operator[].
template <class List, std::uniform_random_bit_generator Rng>
void shuffle(List& list, Rng& rng)
{
    for (auto i = static_cast<Index>(list.size()); i > 1; --i) {
        using std::swap;
        const auto a = static_cast<std::size_t>(i - 1);
        const auto b = static_cast<std::size_t>(support::uniform_index(rng, i));
        swap(list[a], list[b]);
    }
}

} // namespace support
