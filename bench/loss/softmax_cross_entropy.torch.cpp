// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <temper/loss/softmax_cross_entropy.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("softmax_cross_entropy", "torch", shape(n, k), [=] {
        auto labels = classes(n, k, 2);
        const auto y = torch::from_blob(labels.data(), {n}, torch::kInt64).clone();
        return forward_and_backward({tensor<T>(n, k, 1)}, [y](const std::vector<torch::Tensor>& z) {
            namespace F = torch::nn::functional;
            return F::cross_entropy(z[0], y, F::CrossEntropyFuncOptions().label_smoothing(0.1));
        });
    });
    add<T>("softmax_cross_entropy", "torch_function", shape(n, k), [=] {
        auto labels = classes(n, k, 2);
        const auto y = torch::from_blob(labels.data(), {n}, torch::kInt64).clone();
        return forward_and_backward({tensor<T>(n, k, 1)}, [y](const std::vector<torch::Tensor>& z) {
            return temper::torch_function(temper::SoftmaxCrossEntropy{.label_smoothing = 0.1})(
                z[0], temper::labels(y));
        });
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{4096, 10}, {256, 1000}, {64, 32000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
