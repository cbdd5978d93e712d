// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index tensors)
{
    add<T>("update", "torch", std::to_string(n) + "_in_" + std::to_string(tensors), [=] {
        std::vector<torch::Tensor> parameters, averages;
        for (Index i = 0; i < tensors; ++i) {
            const auto seed = static_cast<std::uint64_t>(i);
            auto w = tensor<T>(n / tensors, 1, 2 * seed).requires_grad_(true);
            w.mutable_grad() = tensor<T>(n / tensors, 1, 2 * seed + 1);
            parameters.push_back(w);
            averages.push_back(w.detach().clone());
        }
        auto adamw = std::make_shared<torch::optim::AdamW>(parameters);
        return [parameters, averages, adamw]() mutable {
            torch::nn::utils::clip_grad_norm_(parameters, 1.0);
            adamw->step();
            const torch::NoGradGuard off;
            for (std::size_t i = 0; i < parameters.size(); ++i) {
                auto& w = parameters[i];
                w.copy_(torch::softshrink(w, 1e-6));
                averages[i].lerp_(w, 1e-3);
            }
        };
    });
}

const bool added = [] {
    add_all<float>(1 << 20, 1);
    add_all<double>(1 << 20, 1);
    add_all<float>(1 << 20, 256);
    add_all<float>(1 << 24, 16);
    add_all<float>(64, 4);
    return true;
}();

} // namespace
