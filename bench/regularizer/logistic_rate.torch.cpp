// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    add<T>("logistic_rate", "torch", shape(n, d), [=] {
        return forward_and_backward(
            {tensor<T>(n, d, 1), tensor<T>(1, d, 2), tensor<T>(1, d, 3)},
            [n](const std::vector<torch::Tensor>& x) {
                const torch::Tensor t = -(x[0] - x[1]).abs();
                const torch::Tensor inverse = (-x[2]).exp();
                const torch::Tensor p =
                    torch::sigmoid((t + 0.5) * inverse) - torch::sigmoid((t - 0.5) * inverse);
                return -torch::log2(p.clamp_min(1e-9)).sum() / static_cast<double>(n);
            });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{256, 256}, {64, 12288}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
