// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support.hpp"

#if __has_include(<xtensor/xtensor.hpp>) || __has_include(<xtensor/containers/xtensor.hpp>)
#define TEMPER_BENCH_XTENSOR 1
#include "../tests/support/xtensor.hpp"

namespace bench {

template <class T>
[[nodiscard]] xt::xtensor<T, 2> array(Index n, Index d, std::uint64_t seed)
{
    const auto values = numbers<T>(n * d, seed);
    xt::xtensor<T, 2> out({static_cast<std::size_t>(n), static_cast<std::size_t>(d)});
    std::copy(values.begin(), values.end(), out.begin());
    return out;
}

} // namespace bench
#endif
