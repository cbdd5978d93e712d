// SPDX-License-Identifier: BSL-1.0

// Compiled twice, each time with other flags and another TEMPER_TEST_NAME.

#include "plain_border.hpp"

#include <temper/loss/mean_squared_error.hpp>

double TEMPER_TEST_NAME(const float* x, const float* y, std::ptrdiff_t n, std::ptrdiff_t d,
                        float* gradient)
{
    return temper::MeanSquaredError{}(temper::view(x, {n, d}), temper::view(y, {n, d}),
                                      temper::into(temper::view(gradient, {n, d})));
}
