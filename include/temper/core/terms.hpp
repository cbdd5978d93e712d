// SPDX-License-Identifier: BSL-1.0
#pragma once

// terms(into(v)): the values of the terms of an objective, weighted as they are summed, in the order of
// the header's equation. A factor before the component does not scale them.

#include <temper/core/border.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Terms {
    D destination;
};
template <class D>
[[nodiscard]] Terms<D> terms(const D& destination)
{
    return {destination};
}

namespace detail {
/// Writes the terms if somebody asked for them.
template <class T, std::size_t n>
void put_terms(const Destination<T, 1>& to, const std::array<double, n>& values)
{
    for (std::size_t i = 0; to && i < n; ++i)
        to.put(to.view(static_cast<Index>(i)), static_cast<T>(values[i]));
}
} // namespace detail

} // namespace temper::inline TEMPER_ABI
