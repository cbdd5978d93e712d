// SPDX-License-Identifier: BSL-1.0
#include <temper/simd/loops.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace temper;

namespace {

/// Whole numbers, so that sums and products are exact in any order.
template <class T>
T number(Index i)
{
    return static_cast<T>(i % 7 - 3);
}

/// y = 2 (x + 1) of n entries that begin at `x` and at `y` in one array, and the sum of x + 1, of every way to
/// lie; what is wrong, or nothing. Entries before, between and behind those of y are left alone.
template <class T>
std::string check(Index n, Index x, Index y, Index stride, Mode mode)
{
    std::vector<T> memory(static_cast<std::size_t>((std::max)(x, y) + n * stride + 8));
    for (std::size_t i = 0; i < memory.size(); ++i)
        memory[i] = number<T>(static_cast<Index>(i));
    std::vector<T> want = memory;
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
        const T bigger = memory[static_cast<std::size_t>(x + i * stride)] + 1;
        T& entry = want[static_cast<std::size_t>(y + i * stride)];
        if (mode != Mode::discard)
            entry = 2 * bigger + (mode == Mode::add ? entry : T(0));
        sum += static_cast<double>(bigger);
    }
    const double got =
        simd::row_sum(n, std::array{simd::Source<T>{memory.data() + x, stride}},
                      std::array{simd::Sink<T>{memory.data() + y, stride, T(2), mode}},
                      [](auto u, auto& v) { return v = u + decltype(u)(1); });
    if (got == sum && memory == want)
        return "";
    return joined(
        {"n = ", text(n), ", x at ", text(x), ", y at ", text(y), ", stride ", text(stride)});
}

template <class T>
void check_runs()
{
    for (const Mode mode : {Mode::overwrite, Mode::add, Mode::discard})
        for (const Index stride : {1, 3})
            for (Index n = 0; n < 70; ++n) {
                CHECK(check<T>(n, 2, 2 + n * stride, stride, mode) == ""); // side by side
                CHECK(check<T>(n, 2 + n * stride, 2, stride, mode) == "");
                CHECK(check<T>(n, 2, 2, stride, mode) == "");
            }
    for (const Index n : {1023, 1024, 1025, 2050})
        for (const Index to : {Index{0}, n + 5})
            CHECK(check<T>(n, 0, to, 1, Mode::overwrite) == "");
}

template <class T>
void check_largest()
{
    using Limits = std::numeric_limits<T>;
    std::vector<T> x(40);
    const auto row = simd::source(static_cast<const T*>(x.data()));
    for (std::size_t n = 1; n <= x.size(); ++n)
        for (std::size_t at = 0; at < n; ++at) {
            std::fill(x.begin(), x.end(), T(-5));
            std::fill(x.begin() + static_cast<std::ptrdiff_t>(n), x.end(), T(9));
            x[at] = T(-1);
            CHECK(simd::row_max(static_cast<Index>(n), row) == T(-1));
            x[at] = Limits::quiet_NaN();
            CHECK(std::isnan(simd::row_max(static_cast<Index>(n), row)));
        }
    CHECK(simd::row_max(0, row) == -Limits::infinity());
}

} // namespace

TEST_CASE("runs of every length, apart and in place")
{
    check_runs<float>();
    check_runs<double>();
}

TEST_CASE("the largest entry of runs of every length")
{
    check_largest<float>();
    check_largest<double>();
}
