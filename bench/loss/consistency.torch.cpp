// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("uda_consistency", "torch", shape(n, k), [=] {
        const torch::Tensor t = tensor<T>(n, k, 2);
        return forward_and_backward({tensor<T>(n, k, 1)}, [t](const std::vector<torch::Tensor>& z) {
            const torch::Tensor log_p = torch::log_softmax(t / 0.4, 1).detach();
            const torch::Tensor log_q = torch::log_softmax(z[0], 1);
            return (log_p.exp() * (log_p - log_q)).sum(1).mean();
        });
    });
    add<T>("consistency_js", "torch", shape(n, k), [=] {
        return forward_and_backward(
            {tensor<T>(n, k, 1), tensor<T>(n, k, 2)}, [](const std::vector<torch::Tensor>& z) {
                const torch::Tensor log_p = torch::log_softmax(z[1], 1);
                const torch::Tensor log_q = torch::log_softmax(z[0], 1);
                const torch::Tensor p = log_p.exp();
                const torch::Tensor q = log_q.exp();
                const torch::Tensor log_m = (0.5 * (p + q)).log();
                return 0.5 * (p * (log_p - log_m) + q * (log_q - log_m)).sum(1).mean();
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
