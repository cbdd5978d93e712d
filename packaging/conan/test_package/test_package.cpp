// SPDX-License-Identifier: BSL-1.0

#include <temper/loss/mean_squared_error.hpp>

#include <array>
#include <cstdio>

int main()
{
    const std::array<double, 3> prediction{1, 2, 4}, target{1, 1, 1};
    std::array<double, 3> gradient{};
    const double value = temper::MeanSquaredError{}(prediction, target, temper::into(gradient));
    std::printf("mean squared error %g, gradient %g %g %g\n", value, gradient[0], gradient[1],
                gradient[2]);
}
