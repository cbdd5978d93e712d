// SPDX-License-Identifier: BSL-1.0
#pragma once

// The shrinkage that projects onto an l1 ball: used wherever a norm is a sum of non-negative numbers
// (entries' magnitudes, groups' norms, singular values).

#include <temper/core/config.hpp>

#include <span>

namespace temper::inline TEMPER_ABI {

/// The t >= 0 with sum_i d_i max(a_i - t d_i, 0) = radius for magnitudes a_i >= 0 and weights d_i > 0
/// (all 1 where `weights` is empty); 0 if sum_i d_i a_i <= radius already. Numbers that cannot be active
/// are dropped until none is left to drop (Michelot 1986); expected linear time. `a` and `weights` are
/// reordered and overwritten.
template <class T>
[[nodiscard]] double shrinkage_for_radius(std::span<T> a, std::span<T> weights, double radius)
{
    std::size_t active = a.size();
    double t = 0;
    while (true) {
        double total = 0;
        double mass = 0;
        for (std::size_t i = 0; i < active; ++i) {
            const double d = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
            total += d * static_cast<double>(a[i]);
            mass += d * d;
        }
        if (active == a.size() && total <= radius)
            return 0;
        if (mass == 0)
            return t;
        t = (total - radius) / mass;
        std::size_t kept = 0;
        for (std::size_t i = 0; i < active; ++i) {
            const double d = weights.empty() ? 1.0 : static_cast<double>(weights[i]);
            if (static_cast<double>(a[i]) > t * d) {
                a[kept] = a[i];
                if (!weights.empty())
                    weights[kept] = weights[i];
                ++kept;
            }
        }
        if (kept == active)
            return t;
        active = kept;
    }
}

} // namespace temper::inline TEMPER_ABI
