// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    add<T>("mean_squared_error", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 1)},
                                    [y = tensor<T>(n, d, 2)](const std::vector<torch::Tensor>& x) {
                                        return torch::mse_loss(x[0], y);
                                    });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {256, 3072}, {4096, 768}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
