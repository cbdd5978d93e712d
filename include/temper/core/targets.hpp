// SPDX-License-Identifier: BSL-1.0
#pragma once

// Typed targets and weights, so that swapped arguments do not compile:
//
//   labels(y)            class indices [n]: any integers, or floating numbers with integer values
//   probabilities(p)     a distribution per sample [n, k]
//   teacher_logits(t)    what a teacher predicts, before its softmax [n, k]
//   sample_weights(w)    a non-negative weight per sample [n]
//   class_weights(c)     a non-negative weight per class [k]

#include <temper/core/view.hpp>

namespace temper::inline TEMPER_ABI {

template <class V>
struct Labels {
    V view;
};
template <class V>
struct Probabilities {
    V view;
    bool turned = false; ///< samples in columns
};
template <class V>
struct TeacherLogits {
    V view;
    bool turned = false; ///< samples in columns
};
template <class V>
struct SampleWeights {
    V view;
};
template <class V>
struct ClassWeights {
    V view;
};

namespace detail {
template <class O>
using ConstViewOf = ViewOf<const std::remove_reference_t<O>>;
}

template <class O>
[[nodiscard]] auto labels(const O& owner)
{
    return Labels<detail::ConstViewOf<O>>{view(owner)};
}
template <class O>
[[nodiscard]] auto probabilities(const O& owner)
{
    return Probabilities<detail::ConstViewOf<O>>{view(owner)};
}
template <class O>
[[nodiscard]] auto teacher_logits(const O& owner)
{
    return TeacherLogits<detail::ConstViewOf<O>>{view(owner)};
}
template <class O>
[[nodiscard]] auto sample_weights(const O& owner)
{
    return SampleWeights<detail::ConstViewOf<O>>{view(owner)};
}
template <class O>
[[nodiscard]] auto class_weights(const O& owner)
{
    return ClassWeights<detail::ConstViewOf<O>>{view(owner)};
}

/// An input whose samples are in columns; made by in_columns(component)(...).
template <class V>
struct Turned {
    V view;
};

template <class A>
inline constexpr bool is_labels = false;
template <class V>
inline constexpr bool is_labels<Labels<V>> = true;
template <class A>
inline constexpr bool is_probabilities = false;
template <class V>
inline constexpr bool is_probabilities<Probabilities<V>> = true;
template <class A>
inline constexpr bool is_teacher_logits = false;
template <class V>
inline constexpr bool is_teacher_logits<TeacherLogits<V>> = true;
template <class A>
inline constexpr bool is_turned = false;
template <class V>
inline constexpr bool is_turned<Turned<V>> = true;

} // namespace temper::inline TEMPER_ABI
