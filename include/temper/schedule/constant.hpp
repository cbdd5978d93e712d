// SPDX-License-Identifier: BSL-1.0
#pragma once

// The same number at every step. What a plain number becomes where a schedule is wanted.

#include <temper/schedule/schedule.hpp>

namespace temper::inline TEMPER_ABI {

struct Constant {
    double value = 1;

    double operator()(Index) const { return value; }
    friend bool operator==(const Constant&, const Constant&) = default;
};

} // namespace temper::inline TEMPER_ABI
