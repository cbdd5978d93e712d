// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d, bool element)
{
    add<T>(element ? "robust_loss" : "robust_loss_sample", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 1)}, [element, y = tensor<T>(n, d, 2)](
                                                              const std::vector<torch::Tensor>& x) {
            auto s = (x[0] - y).pow(2);
            if (!element)
                s = s.sum(1);
            return ((s + 0.03 * 0.03).sqrt() - 0.03).mean();
        });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {4096, 64}, {256, 3072}})
        for (const bool element : {true, false}) {
            add_all<float>(n, d, element);
            add_all<double>(n, d, element);
        }
    return true;
}();

} // namespace
