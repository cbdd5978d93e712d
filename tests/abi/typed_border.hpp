// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <temper/loss/mean_squared_error.hpp>

// A border with a temper type in it: units of different flags must not link over it.
double typed_loss(const temper::MeanSquaredError& loss, const float* x, const float* y,
                  temper::Index n, temper::Index d);
