// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a pair of neighbouring noise levels counts for in consistency training.
//
//   InverseGapWeight   1 / (high - low)
//   UnitWeight         1
//
// Not normalised: on the default grid the weights span four orders of magnitude. RangeError: high <= low.
// A weight of your own is any `double operator()(double low, double high) const`.
// Song and Dhariwal, Improved Techniques for Training Consistency Models (2023).

#include <temper/core/error.hpp>

#include <concepts>

namespace temper::inline TEMPER_ABI {

template <class W>
concept PairWeight = requires(const W& weight, double sigma) {
    { weight(sigma, sigma) } -> std::convertible_to<double>;
};

struct InverseGapWeight {
    double operator()(double low, double high) const
    {
        require(high > low, "InverseGapWeight", "high", high, "above low");
        return 1 / (high - low);
    }
    friend bool operator==(const InverseGapWeight&, const InverseGapWeight&) = default;
};

struct UnitWeight {
    double operator()(double, double) const { return 1; }
    friend bool operator==(const UnitWeight&, const UnitWeight&) = default;
};

} // namespace temper::inline TEMPER_ABI
