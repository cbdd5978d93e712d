// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("mixup_cross_entropy", "torch", shape(n, k), [=] {
        const auto labels = [=](std::uint64_t seed) {
            auto y = classes(n, k, seed);
            return torch::from_blob(y.data(), {n}, torch::kInt64).clone();
        };
        return forward_and_backward(
            {tensor<T>(n, k, 1)}, [a = labels(2), b = labels(3), w = tensor<T>(n, 1, 4).squeeze(1)](
                                      const std::vector<torch::Tensor>& z) {
                const auto of = [&](const torch::Tensor& y) {
                    return torch::cross_entropy_loss(z[0], y, {}, at::Reduction::None, 0, 0.1);
                };
                const auto loss = w * (0.3 * of(a) + 0.7 * of(b));
                const auto mass = w * (0.3 * a.ne(0) + 0.7 * b.ne(0));
                return loss.sum() / mass.sum();
            });
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{8, 8}, {32, 10}, {4096, 10}, {256, 1000}, {64, 32000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
