// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support.hpp"

#include <temper/adapt/torch.hpp>

#include <torch/torch.h>

namespace bench {

template <class T>
[[nodiscard]] torch::Tensor tensor(Index n, Index d, std::uint64_t seed)
{
    auto values = numbers<T>(n * d, seed);
    const auto type = std::is_same_v<T, float> ? torch::kFloat32 : torch::kFloat64;
    return torch::from_blob(values.data(), {n, d}, type).clone();
}

/// Forward and backward of `loss`, which is called on the leaves that want gradients.
template <class Loss>
[[nodiscard]] auto forward_and_backward(std::vector<torch::Tensor> leaves, const Loss& loss)
{
    for (auto& leaf : leaves)
        leaf.requires_grad_(true);
    return [leaves, loss]() mutable {
        for (auto& leaf : leaves)
            leaf.mutable_grad() = torch::Tensor();
        const torch::Tensor value = loss(leaves);
        value.backward();
        benchmark::DoNotOptimize(value.template item<double>());
    };
}

} // namespace bench
