// SPDX-License-Identifier: BSL-1.0

// The program of main.cpp on the library of kernels: prints the level that the processor was given.

#include <temper/loss/softmax_cross_entropy.hpp>

#include <array>
#include <cmath>
#include <cstdio>

#ifdef XSIMD_HPP
#error "a program of the compiled library includes xsimd"
#endif

extern "C" const char* temper_level();

int main()
{
    const std::array<std::array<float, 4>, 2> logits{};
    const std::array<int, 2> y{1, 3};
    float g[2][4];
    const double value = temper::SoftmaxCrossEntropy{}(
        temper::MatrixView<const float>{&logits[0][0], {2, 4}, {4, 1}}, temper::labels(y),
        temper::into(g));
    std::printf("%s\n", temper_level());
    return std::abs(value - std::log(4.0)) < 1e-6 && std::abs(g[0][1] + 0.375F) < 1e-6F ? 0 : 1;
}
