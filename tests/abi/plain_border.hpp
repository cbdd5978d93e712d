// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>

// The border that the documentation recommends between units of different flags: no temper type.
using LossFunction = double(const float* x, const float* y, std::ptrdiff_t n, std::ptrdiff_t d,
                            float* gradient);
LossFunction baseline_loss;
LossFunction wide_loss;
