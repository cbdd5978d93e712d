// SPDX-License-Identifier: BSL-1.0
#pragma once

// The functions that formulas are written with, for plain numbers. simd::Pack has the same ones, so that
// a policy's formula on a template parameter V serves both (and a user's, with `using namespace
// temper::math`).

#include <temper/core/config.hpp>

#include <cmath>
#include <concepts>

namespace temper::inline TEMPER_ABI {
namespace math {

using std::abs;
using std::exp;
using std::expm1;
using std::fma;
using std::log;
using std::log1p;
using std::pow;
using std::sqrt;
using std::tanh;

template <std::floating_point T>
[[nodiscard]] T select(bool condition, T a, T b)
{
    return condition ? a : b;
}
template <std::floating_point T>
[[nodiscard]] T(min)(T a, T b)
{
    return b < a ? b : a;
}
template <std::floating_point T>
[[nodiscard]] T(max)(T a, T b)
{
    return a < b ? b : a;
}
/// -1, 0 or 1; NaN stays NaN.
template <std::floating_point T>
[[nodiscard]] T sign(T a)
{
    return a > T(0) ? T(1) : a < T(0) ? T(-1) : a * T(0);
}

} // namespace math

using math::sign;

} // namespace temper::inline TEMPER_ABI
