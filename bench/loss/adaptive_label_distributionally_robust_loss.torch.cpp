// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("aldr_kl", "torch", shape(n, k), [=] {
        auto labels = classes(n, k, 2);
        const auto y = torch::from_blob(labels.data(), {n, 1}, torch::kInt64).clone();
        const auto logits = tensor<T>(n, k, 1);
        const auto lambdas = torch::ones({n, 1}, logits.options());
        const double log_k = std::log(static_cast<double>(k));
        return forward_and_backward({logits}, [=](const std::vector<torch::Tensor>& z) {
            const auto u = z[0] / z[0].abs().mean(1, true);
            {
                const torch::NoGradGuard no_gradient;
                auto p = torch::softmax(u / lambdas, 1) + 1e-5;
                p = p / p.sum(1, true);
                const auto divergence = (p * (p * static_cast<double>(k)).log()).sum(1, true);
                lambdas.copy_(1 - divergence / (2 * log_k));
            }
            const auto margin = torch::full_like(u, 0.1).scatter(1, y, 0.0);
            const auto d = (u - u.gather(1, y) + margin) / lambdas;
            const auto loss =
                lambdas * (torch::logsumexp(d, 1, true) - log_k) - log_k * (lambdas - 1).pow(2);
            return loss.mean();
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
