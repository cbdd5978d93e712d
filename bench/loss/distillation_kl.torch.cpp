// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("distillation_kl", "torch", shape(n, k), [=] {
        return forward_and_backward(
            {tensor<T>(n, k, 1)}, [t = tensor<T>(n, k, 2)](const std::vector<torch::Tensor>& s) {
                namespace F = torch::nn::functional;
                const double temperature = 4;
                const auto options = F::KLDivFuncOptions().reduction(torch::kBatchMean);
                return temperature * temperature *
                       F::kl_div(torch::log_softmax(s[0] / temperature, 1),
                                 torch::softmax(t / temperature, 1), options);
            });
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{8, 8}, {32, 10}, {256, 1000}, {64, 32000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
