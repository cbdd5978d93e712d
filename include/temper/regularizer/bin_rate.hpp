// SPDX-License-Identifier: BSL-1.0
#pragma once

// Bits of a quantised number under a density, from the logits of the cumulative distribution at both ends
// of its bin: what the rate terms of learned compression share.
//
//   p = S(upper) - S(lower)         bits = -log2 max(p, bound)        S the logistic sigmoid
//
// The bin is mirrored to the side where both ends are small, and p is a product there, not a difference:
// neither far out nor in narrow bins does it lose digits. Below the bound the slopes are 0, or, with
// pass_through, those at the bound, which is what raises a p that is too small.

#include <temper/core/math.hpp>

namespace temper::inline TEMPER_ABI {

template <class V>
struct BinRate {
    V bits;
    V by_lower; ///< d bits / d lower
    V by_upper;
};

/// `width` is upper - lower, positive.
template <class V>
[[nodiscard]] BinRate<V> bin_rate(V lower, V upper, V width, double bound, bool pass_through)
{
    using math::exp;
    using math::expm1;
    using math::log;
    using math::select;
    constexpr double log2_e = 1.4426950408889634;
    const V one(1);
    const auto right = lower + upper > V(0);
    const V a = select(right, -lower, upper); // a > b, b <= 0
    const V b = select(right, -upper, lower);
    const V below_a = one / (one + exp(-a)); // S(a)
    const V above_a = one / (one + exp(a));
    const V e_b = exp(b);
    const V above_b = one / (one + e_b);
    const V p = below_a * (-expm1(-width)) * above_b;
    const V limited = select(p < V(bound), V(bound), p);
    const V per_p = V(log2_e) / limited;
    const V rate = select(p < V(bound), V(pass_through ? 1 : 0) * per_p, per_p);
    const V of_a = below_a * above_a * rate;
    const V of_b = e_b * above_b * above_b * rate;
    return {V(-log2_e) * log(limited), select(right, of_a, of_b), -select(right, of_b, of_a)};
}

} // namespace temper::inline TEMPER_ABI
