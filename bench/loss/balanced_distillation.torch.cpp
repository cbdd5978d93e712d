// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("balanced_distillation", "torch", shape(n, k), [=] {
        return forward_and_backward(
            {tensor<T>(n, k, 1)}, [t = tensor<T>(n, k, 2)](const std::vector<torch::Tensor>& s) {
                const double temperature = 4;
                const torch::Tensor log_p = torch::log_softmax(t / temperature, 1);
                const torch::Tensor log_q = torch::log_softmax(s[0] / temperature, 1);
                const torch::Tensor p = log_p.exp();
                const torch::Tensor q = log_q.exp();
                const torch::Tensor unsure =
                    ((q * log_q).sum(1) < (p * log_p).sum(1)).to(p.dtype()).detach();
                const torch::Tensor forward = (p * (log_p - log_q)).sum(1);
                const torch::Tensor reverse = (q * (log_q - log_p)).sum(1);
                return temperature * temperature *
                       ((2 - unsure) * forward + (1 + unsure) * reverse).mean();
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
