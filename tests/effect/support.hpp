// SPDX-License-Identifier: BSL-1.0
#pragma once

// What all effects share beside the examples' code.

#include "support/data.hpp"
#include "support/stats.hpp"

#include <cstdint>
#include <vector>

namespace effect {

using support::Index;

inline const support::LabelledData& digits()
{
    static const support::LabelledData data = support::load_digits(TEMPER_EXAMPLE_DATA);
    return data;
}

inline double mean(const std::vector<double>& x) { return support::summarize(x).mean; }
/// The mean of f(seed) over seeds 0, 1, ...
template <class F>
double mean_over_seeds(std::uint64_t seeds, const F& f)
{
    std::vector<double> each;
    for (std::uint64_t seed = 0; seed < seeds; ++seed)
        each.push_back(f(seed));
    return mean(each);
}

} // namespace effect
