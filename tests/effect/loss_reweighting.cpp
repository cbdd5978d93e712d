// SPDX-License-Identifier: BSL-1.0

// Dynamic Loss-Based Sample Reweighting for Improved Large Language Model Pretraining.

#include "effect/label_noise.hpp"

#include <temper/loss/loss_reweighting.hpp>

using namespace effect;

// Linear regression in which nine of ten samples repeat one direction that is soon learned, and the rest say
// what is left to learn.
TEST_CASE("easy samples that count for less: a test loss is reached in fewer steps", "[effect]")
{
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        auto rng = temper::stream(seed, 0, "regression");
        constexpr Index d = 10;
        const auto number = [&] { return static_cast<float>(temper::normal(rng)); };
        Matrix<float> truth(d, 1);
        for (Index j = 0; j < d; ++j)
            truth(j, 0) = number();
        Matrix<float> x(200, d);
        for (Index i = 0; i < x.rows(); ++i)
            for (Index j = 0; j < d; ++j)
                x(i, j) = i % 10 == 0 ? number() : j == 0 ? 1 + 0.1F * number() : 0.0F;
        const Matrix<float> y = x * truth;
        const auto steps_to = [&](bool reweighted) {
            Matrix<float> w = Matrix<float>::Zero(d, 1);
            const temper::LossReweighting loss;
            std::vector<float> losses(200);
            std::vector<float> weight(200, 1.0F / 200);
            for (int step = 1; step < 5000; ++step) {
                const Matrix<float> r = x * w - y;
                for (Index i = 0; i < 200; ++i)
                    losses[static_cast<std::size_t>(i)] = r(i, 0) * r(i, 0) / 2;
                if (reweighted)
                    loss(losses, temper::into(weight));
                Matrix<float> g = Matrix<float>::Zero(d, 1);
                for (Index i = 0; i < 200; ++i)
                    g += weight[static_cast<std::size_t>(i)] * r(i, 0) * x.row(i).transpose();
                w -= 0.1F * g;
                if ((w - truth).squaredNorm() / 2 < 0.05F) // what new samples would cost
                    return step;
            }
            return 5000;
        };
        const int plain = steps_to(false);
        const int reweighted = steps_to(true);
        std::printf("loss reweighting, seed %d: %d steps, %d without\n", static_cast<int>(seed),
                    reweighted, plain);
        CHECK(reweighted < 0.8 * plain);
    }
}
