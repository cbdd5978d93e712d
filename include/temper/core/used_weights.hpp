// SPDX-License-Identifier: BSL-1.0
#pragma once

// used_weights(into(w)): the weights that a technique gave to samples, layers or parts, as an output by
// name.

#include <temper/core/destination.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct UsedWeights {
    D destination;
};
template <class D>
[[nodiscard]] UsedWeights<D> used_weights(const D& destination)
{
    return {destination};
}

} // namespace temper::inline TEMPER_ABI
