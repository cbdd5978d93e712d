// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effects of semi-supervised and adaptation techniques share beside the examples' code.

#include "digits/few_labels.hpp"

#include <string>
#include <vector>

namespace effect {

using demo::Classifier;
using demo::FewLabels;
using demo::Matrix;
using demo::Network;
using demo::shift;
using support::Index;

inline constexpr temper::ImageSize image{8, 8};

inline const support::LabelledData& digits()
{
    static const support::LabelledData data = support::load_digits(TEMPER_EXAMPLE_DATA);
    return data;
}

inline double mean(const std::vector<double>& x)
{
    double sum = 0;
    for (const double v : x)
        sum += v;
    return x.empty() ? 0 : sum / static_cast<double>(x.size());
}

} // namespace effect
