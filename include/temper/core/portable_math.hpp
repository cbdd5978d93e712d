// SPDX-License-Identifier: BSL-1.0
#pragma once

// log and exp with the same bits on every machine, for numbers drawn at random.
//
// C libraries differ in the last place of log and exp, and compilers differ in which a * b + c they
// contract. Here every such sum is an explicit std::fma, which IEEE 754 rounds once, and the
// remaining operations are correctly rounded by definition. Both functions are within 3 ulp of the
// exact value.

#include <temper/core/config.hpp>

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace temper::inline TEMPER_ABI {

static_assert(std::numeric_limits<double>::is_iec559,
              "temper: double must be an IEEE 754 binary64");

namespace detail {
// 1, 1/3, 1/5, ... and 1/0!, 1/1!, 1/2!, ...
inline constexpr auto odd_reciprocals = [] {
    std::array<double, 12> out{};
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = 1 / static_cast<double>(2 * i + 1);
    return out;
}();
inline constexpr auto inverse_factorials = [] {
    std::array<double, 14> out{1};
    double factorial = 1;
    for (std::size_t i = 1; i < out.size(); ++i)
        out[i] = 1 / (factorial *= static_cast<double>(i));
    return out;
}();
/// c[0] + c[1] x + c[2] x^2 + ...
template <std::size_t N>
[[nodiscard]] inline double horner(const std::array<double, N>& c, double x)
{
    double sum = c[N - 1];
    for (std::size_t i = N - 1; i-- > 0;)
        sum = std::fma(sum, x, c[i]);
    return sum;
}
} // namespace detail

/// The natural logarithm of a positive, finite, normal x.
///
/// x = 2^k m with m in [1/sqrt(2), sqrt(2)), and log m = 2 artanh s with s = (m - 1) / (m + 1),
/// whose series in s^2 <= 0.0295 needs twelve terms.
[[nodiscard]] inline double portable_log(double x)
{
    constexpr std::uint64_t root_half = 0x3FE6A09E667F3BCD;
    const auto u = std::bit_cast<std::uint64_t>(x);
    const std::int64_t k = static_cast<std::int64_t>(u - root_half) >> 52;
    const auto m = std::bit_cast<double>(u - (static_cast<std::uint64_t>(k) << 52));

    const double s = (m - 1) / (m + 1);
    const double series = detail::horner(detail::odd_reciprocals, s * s);
    return std::fma(static_cast<double>(k), 0x1.62e42fefa39efp-1, 2 * s * series);
}

/// e to the x, for every x that is not NaN: 0 below -745.2, infinity above 709.8.
///
/// x = k log 2 + r with |r| <= log(2) / 2, and exp r by its Taylor series.
[[nodiscard]] inline double portable_exp(double x)
{
    if (x < -746)
        return 0;
    if (x > 710)
        return std::numeric_limits<double>::infinity();
    const double k = std::floor(std::fma(x, 0x1.71547652b82fep+0, 0.5));
    double r = std::fma(-k, 0x1.62e42fefa39efp-1, x);
    r = std::fma(-k, 0x1.abc9e3b39803fp-56, r);
    return std::ldexp(detail::horner(detail::inverse_factorials, r), static_cast<int>(k));
}

} // namespace temper::inline TEMPER_ABI
