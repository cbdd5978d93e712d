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

} // namespace temper::inline TEMPER_ABI
