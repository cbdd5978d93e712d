// SPDX-License-Identifier: BSL-1.0
#pragma once

// A typed target beside those of targets.hpp:
//
//   target_logits(t)     the distributions softmax(t), of a teacher or of another view [n, k, ...]

#include <temper/core/targets.hpp>

namespace temper::inline TEMPER_ABI {

template <class V>
struct TargetLogits {
    V view;
    bool turned = false; ///< samples in columns
};

template <class O>
[[nodiscard]] auto target_logits(const O& owner)
{
    return TargetLogits<detail::ConstViewOf<O>>{view(owner)};
}

template <class A>
inline constexpr bool is_target_logits = false;
template <class V>
inline constexpr bool is_target_logits<TargetLogits<V>> = true;

} // namespace temper::inline TEMPER_ABI
