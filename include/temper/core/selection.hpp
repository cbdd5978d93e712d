// SPDX-License-Identifier: BSL-1.0
#pragma once

// Outputs by name of techniques that choose among samples:
//
//   kept(into(m))             1 for each sample that counted, else 0, [n]
//   pseudo_labels(into(y))    the class that was taken for each sample's own, std::int64_t [n]

#include <temper/core/destination.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Kept {
    D destination;
};
template <class D>
struct PseudoLabels {
    D destination;
};

template <class D>
[[nodiscard]] Kept<D> kept(const D& destination)
{
    return {destination};
}
template <class D>
[[nodiscard]] PseudoLabels<D> pseudo_labels(const D& destination)
{
    return {destination};
}

} // namespace temper::inline TEMPER_ABI
