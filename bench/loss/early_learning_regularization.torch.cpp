// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <numeric>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("elr", "torch", shape(n, k), [=] {
        auto labels = classes(n, k, 2);
        const auto y = torch::from_blob(labels.data(), {n}, torch::kInt64).clone();
        const auto logits = tensor<T>(n, k, 1);
        const auto targets = torch::zeros({n, k}, logits.options());
        const auto ids = torch::arange(n, torch::kInt64);
        return forward_and_backward({logits}, [=](const std::vector<torch::Tensor>& z) {
            const auto p = torch::softmax(z[0], 1).clamp(1e-4, 1 - 1e-4);
            {
                const torch::NoGradGuard no_gradient;
                const auto c = p.detach();
                const auto now = 0.7 * targets.index_select(0, ids) + 0.3 * (c / c.sum(1, true));
                torch::Tensor(targets).index_copy_(0, ids, now);
            }
            const auto term = (1 - (targets.index_select(0, ids) * p).sum(1)).log().mean();
            return torch::cross_entropy_loss(z[0], y) + 3 * term;
        });
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{4096, 10}, {256, 1000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
