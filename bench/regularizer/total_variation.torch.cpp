// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index h, Index w)
{
    add<T>("total_variation", "torch", shape(h, w), [=] {
        return forward_and_backward({tensor<T>(h, w, 1)}, [](const std::vector<torch::Tensor>& x) {
            return x[0].diff(1, 0).abs().sum() + x[0].diff(1, 1).abs().sum();
        });
    });
    add<T>("total_variation_isotropic", "torch", shape(h, w), [=] {
        return forward_and_backward({tensor<T>(h, w, 1)}, [](const std::vector<torch::Tensor>& x) {
            namespace F = torch::nn::functional;
            const auto down = F::pad(x[0].diff(1, 0), F::PadFuncOptions({0, 0, 0, 1}));
            const auto right = F::pad(x[0].diff(1, 1), F::PadFuncOptions({0, 1}));
            return (down.square() + right.square() + 1e-8).sqrt().sum();
        });
    });
}

const bool added = [] {
    for (const auto& [h, w] : {std::pair{8, 8}, {1024, 1024}}) {
        add_all<float>(h, w);
        add_all<double>(h, w);
    }
    return true;
}();

} // namespace
