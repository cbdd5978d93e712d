// SPDX-License-Identifier: BSL-1.0
#pragma once

// A schedule times a schedule or a number is a schedule.
//
//   0.1 * Cosine{.steps = 1000}          Linear{.steps = 100} * ExponentialDecay{.gamma = 0.999}
//
// A schedule times a component is a scheduled component: <temper/core/compose.hpp>.

#include <temper/schedule/constant.hpp>

namespace temper::inline TEMPER_ABI {

template <Schedule A, Schedule B>
struct Product {
    A first{};
    B second{};

    double operator()(Index step) const
    {
        return static_cast<double>(first(step)) * static_cast<double>(second(step));
    }
    friend bool operator==(const Product&, const Product&) = default;
};

template <Schedule A, Schedule B>
[[nodiscard]] Product<A, B> operator*(const A& a, const B& b)
{
    return {a, b};
}
template <Schedule S>
[[nodiscard]] Product<Constant, S> operator*(double factor, const S& schedule)
{
    return {{factor}, schedule};
}
template <Schedule S>
[[nodiscard]] Product<Constant, S> operator*(const S& schedule, double factor)
{
    return {{factor}, schedule};
}

} // namespace temper::inline TEMPER_ABI
