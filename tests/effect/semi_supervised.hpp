// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effects of semi-supervised and adaptation techniques share beside the examples' code.

#include "digits/few_labels.hpp"
#include "effect/support.hpp"

namespace effect {

using demo::Classifier;
using demo::FewLabels;
using demo::Matrix;
using demo::shift;

inline constexpr temper::ImageSize image{8, 8};

} // namespace effect
