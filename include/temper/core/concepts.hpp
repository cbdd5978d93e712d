// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a component and a schedule are.

#include <temper/core/config.hpp>

#include <concepts>
#include <string_view>
#include <type_traits>

namespace temper::inline TEMPER_ABI {

/// A component: hyper-parameters with pure member functions, and a name for error messages.
template <class C>
concept Component = requires {
    { C::name } -> std::convertible_to<std::string_view>;
};

/// A schedule: any callable on a step, lambdas included. A plain number is not one (Constant is),
/// nor is a component, whose call may accept anything as far as its signature tells, nor a matrix of
/// another library, whose entries are read by a call: 2 * m stays that library's.
template <class S>
concept Schedule = !Component<S> && !std::is_arithmetic_v<S> && requires(const S& s, Index step) {
    { s(step) } -> std::convertible_to<double>;
} && !requires(const S& s) { s.size(); } && !requires(const S& s) { s.n_elem; };

} // namespace temper::inline TEMPER_ABI
