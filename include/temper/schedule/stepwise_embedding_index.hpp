// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which of K embeddings of a subject conditions a denoising step: one for each stretch of the noise levels.
//
//   index(t) = floor(t K / T)
//
// t from 0 to T - 1. K = 1: always 0. RangeError: steps or stages < 1, t outside.
// Wang et al., HiFi Tuner: High-Fidelity Subject-Driven Fine-Tuning for Diffusion Models (2023).

#include <temper/core/error.hpp>

namespace temper::inline TEMPER_ABI {

struct StepwiseEmbeddingIndex {
    static constexpr std::string_view name = "StepwiseEmbeddingIndex";
    Index steps = 1000; ///< T
    Index stages = 5;   ///< K

    Index operator()(Index t) const
    {
        require(steps >= 1, name, "steps", static_cast<double>(steps), "at least 1");
        require(stages >= 1, name, "stages", static_cast<double>(stages), "at least 1");
        require(t >= 0 && t < steps, name, "t", static_cast<double>(t), "from 0 to steps - 1");
        return t * stages / steps;
    }
    friend bool operator==(const StepwiseEmbeddingIndex&, const StepwiseEmbeddingIndex&) = default;
};

} // namespace temper::inline TEMPER_ABI
