// SPDX-License-Identifier: BSL-1.0

// Self-Knowledge Distillation with Progressive Refinement of Targets.

#include "effect/label_noise.hpp"

#include <temper/loss/progressive_self_distillation.hpp>

using namespace effect;
using temper::labels;

TEST_CASE("targets refined by past predictions give a better likelihood", "[effect]")
{
    const Outcome plain = cross_entropy();
    const Outcome smooth = train("label smoothing 0.1", [](const NoisyDigits&) {
        return [](const Batch& batch, const Matrix<float>& z, const auto& g) {
            temper::SoftmaxCrossEntropy{.label_smoothing = 0.1}(z, labels(batch.y), g);
        };
    });
    const Outcome kd = train("PS-KD, alpha 0.8", [](const NoisyDigits& data) {
        return [past = temper::PsKd{}.init(labels(data.given), 10)](
                   const Batch& batch, const Matrix<float>& z, const auto& g) mutable {
            const auto now = temper::PsKd{}.at(batch.epoch, epochs);
            now(past, batch.ids, z, labels(batch.y), g);
            now.observe(past, batch.ids, z);
        };
    });
    CHECK(kd.nll < plain.nll);
    CHECK(kd.accuracy > plain.accuracy);
    CHECK(smooth.accuracy > 0.5);
}
