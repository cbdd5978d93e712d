// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <temper/core/config.hpp>

namespace temper::inline TEMPER_ABI {

/// A hyper-parameter that has no honest default and must be said: `Cauchy{}` does not compile,
/// `Cauchy{.c = 0.03}` does.
struct Required {
    double value;

    Required(double given) : value(given) {}  // NOLINT(google-explicit-constructor): it is a number
    operator double() const { return value; } // NOLINT(google-explicit-constructor)
};

} // namespace temper::inline TEMPER_ABI
