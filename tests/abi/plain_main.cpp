// SPDX-License-Identifier: BSL-1.0

// Both units give the mean squared error of their own inputs and its gradient.

#include "plain_border.hpp"

#include <cmath>
#include <cstdio>
#include <vector>

static bool correct(LossFunction& loss, const char* name)
{
    const std::ptrdiff_t n = 7, d = 13;
    std::vector<float> x(n * d), y(n * d), gradient(n * d);
    double squares = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        x[i] = static_cast<float>(i % 5);
        y[i] = static_cast<float>(i % 3);
        squares += static_cast<double>(x[i] - y[i]) * static_cast<double>(x[i] - y[i]);
    }
    const double count = static_cast<double>(x.size());
    const double value = loss(x.data(), y.data(), n, d, gradient.data());
    bool ok = std::abs(value - squares / count) < 1e-6;
    for (std::size_t i = 0; i < x.size(); ++i)
        ok = ok && std::abs(gradient[i] - 2 * (x[i] - y[i]) / static_cast<float>(count)) < 1e-6F;
    if (!ok)
        std::printf("%s: value %g, must be %g\n", name, value, squares / count);
    return ok;
}

int main() { return correct(baseline_loss, "baseline") && correct(wide_loss, "wide") ? 0 : 1; }
