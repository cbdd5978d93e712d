// SPDX-License-Identifier: BSL-1.0

// Label Distributionally Robust Losses for Multi-class Classification: Consistency, Robustness and Adaptivity.

#include "effect/label_noise.hpp"

#include <temper/loss/label_distributionally_robust_loss.hpp>

using namespace effect;
using temper::labels;

TEST_CASE("a label-distributionally robust loss is robust at a lambda between the extremes",
          "[effect]")
{
    const Outcome plain = cross_entropy();
    const auto with = [](double lambda) {
        return train("LDR-KL, lambda " + std::to_string(lambda), [=](const NoisyDigits&) {
            return [=](const Batch& batch, const Matrix<float>& z, const auto& g) {
                temper::LdrKl{.lambda = lambda}(z, labels(batch.y), g);
            };
        });
    };
    const Outcome small = with(0.5);
    const Outcome between = with(4);
    const Outcome large = with(10);
    CHECK(between.accuracy > plain.accuracy + 0.05);
    CHECK(between.accuracy > small.accuracy + 0.05);
    CHECK(between.accuracy > large.accuracy + 0.05);
    CHECK(between.memorised < plain.memorised / 2);

    const Outcome adaptive = train(
        "ALDR-KL, lambda_0 4", [](const NoisyDigits& data) { return demo::adaptive_robust(data); });
    CHECK(adaptive.accuracy > plain.accuracy);
}
