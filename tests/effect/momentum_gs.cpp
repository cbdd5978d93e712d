// SPDX-License-Identifier: BSL-1.0

// Momentum-GS: Momentum Gaussian Self-Distillation for High-Quality Large Scene Reconstruction.

#include "effect/distillation.hpp"

#include <temper/schedule/reconstruction_block_weight.hpp>

using namespace effect::distillation;

namespace {

/// The worst mean squared error of four blocks of unequal difficulty that share a network.
double worst(bool weighted)
{
    double mean = 0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        constexpr Index blocks = 4;
        constexpr Index rows = 32;
        Trained network({1 + blocks, 32, 32, 1}, seed, 0.003, support::Activation::tanh);
        const temper::ReconstructionBlockWeight weight{.sigma = 5};
        auto state = weight.init(blocks);
        auto rng = temper::stream(seed, 0, "points");
        Matrix<float> x = Matrix<float>::Zero(blocks * rows, 1 + blocks);
        Matrix<float> g(blocks * rows, 1);
        std::vector<float> w(blocks, 1.0F), psnr(blocks), ssim(blocks);
        std::vector<double> error(blocks);
        std::vector<double> last(blocks);
        for (int step = 0; step < 3000; ++step) {
            for (Index i = 0; i < x.rows(); ++i) {
                x(i, 0) = static_cast<float>(2 * temper::uniform(rng) - 1);
                x(i, 1 + i / rows) = 1;
            }
            const Matrix<float>& y = network.forward(x);
            for (Index b = 0; b < blocks; ++b) {
                const auto at = static_cast<std::size_t>(b);
                error[at] = 0;
                for (Index i = b * rows; i < (b + 1) * rows; ++i) {
                    const float frequency = 1.5F * static_cast<float>(1 + 2 * b);
                    const float d = y(i, 0) - std::sin(frequency * x(i, 0));
                    error[at] += static_cast<double>(d * d) / rows;
                    g(i, 0) = 2 * w[at] * d / (blocks * rows);
                }
                psnr[at] = static_cast<float>(-10 * std::log10(error[at] / 4));
                ssim[at] = static_cast<float>(1 - (std::min)(1.0, 2 * error[at]));
                if (step >= 2900)
                    last[at] += error[at] / 100;
            }
            network.backward(g);
            network.step();
            weight.observe(state, psnr, ssim);
            if (weighted && step > 100)
                weight.weights(state, into(w));
        }
        mean += *std::max_element(last.begin(), last.end()) / 3;
    }
    std::printf("Momentum-GS: worst block's error %.4f %s weights\n", mean,
                weighted ? "with" : "without");
    return mean;
}

} // namespace

TEST_CASE("weights of blocks that lag behind lower the worst block's error", "[effect]")
{
    const double plain = worst(false);
    CHECK(worst(true) < 0.95 * plain);
}
