// SPDX-License-Identifier: BSL-1.0
#include <temper/simd/pack.hpp>

#include "support/catch.hpp"

#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

using namespace temper;

namespace {

template <class T>
T exp_of(T x, bool bounded = false)
{
    using V = simd::Pack<T>;
    std::array<T, static_cast<std::size_t>(V::size)> lanes{};
    (bounded ? bounded_exp(V(x)) : exp(V(x))).store(lanes.data());
    return lanes.back();
}

/// The largest error between `from` and `to`, in units of the last place, but for |x| / 6 of them.
template <class T>
double worst(T from, T to)
{
    double most = 0;
    for (int i = 0; i <= 20000; ++i) {
        const T x = from + (to - from) * static_cast<T>(i) / 20000;
        const long double want = std::exp(static_cast<long double>(x));
        const long double got = exp_of(x);
        const auto error = static_cast<double>(std::fabs(got - want) / want);
        most = (std::max)(most, error / static_cast<double>(std::numeric_limits<T>::epsilon()) -
                                    std::fabs(static_cast<double>(x)) / 6);
        if (exp_of(x, true) != exp_of(x))
            return std::numeric_limits<double>::infinity();
    }
    return most;
}

template <class T>
void check_ends()
{
    constexpr T infinity = std::numeric_limits<T>::infinity();
    CHECK(exp_of(T(0)) == 1);
    CHECK(exp_of(-T(0)) == 1);
    CHECK(exp_of(infinity) == infinity);
    CHECK(exp_of(-infinity) == 0);
    CHECK(exp_of(-infinity, true) == 0);
    CHECK(exp_of(std::numeric_limits<T>::lowest(), true) == 0);
    CHECK(exp_of((std::numeric_limits<T>::max)()) == infinity);
    CHECK(exp_of(T(-1e4), true) == 0);
    CHECK(exp_of(T(1e4)) == infinity);
    for (const bool bounded : {false, true}) {
        CHECK(std::isnan(exp_of(std::numeric_limits<T>::quiet_NaN(), bounded)));
        CHECK(std::isnan(exp_of(-std::numeric_limits<T>::quiet_NaN(), bounded)));
    }
}

} // namespace

TEST_CASE("exp in packs")
{
    CHECK(worst<float>(-87.3F, 88.3F) <= 1);
    CHECK(worst<float>(-1, 1) <= 1);
    CHECK(worst<double>(-708.3, 709.3) <= 1);
    CHECK(worst<double>(-1, 1) <= 1);
    check_ends<float>();
    check_ends<double>();
    // Whatever is in the last bits of a NaN.
    CHECK(std::isnan(exp_of(std::bit_cast<float>(std::uint32_t{0x7fc0ffff}))));
    CHECK(std::isnan(exp_of(std::bit_cast<double>(std::uint64_t{0x7ff80000ffffffff}))));
}

TEST_CASE("packs of numbers that are apart")
{
    using V = simd::Pack<float>;
    std::array<float, 3 * static_cast<std::size_t>(V::size)> numbers{};
    for (std::size_t i = 0; i < numbers.size(); ++i)
        numbers[i] = static_cast<float>(i);
    std::array<float, static_cast<std::size_t>(V::size)> lanes{};
    V::gather(numbers.data() + 1, 3).store(lanes.data());
    for (std::size_t l = 0; l < lanes.size(); ++l)
        CHECK(lanes[l] == static_cast<float>(1 + 3 * l));
    V::lanes().store(lanes.data());
    for (std::size_t l = 0; l < lanes.size(); ++l)
        CHECK(lanes[l] == static_cast<float>(l));
}
