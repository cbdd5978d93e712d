// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n)
{
    add<T>("adamw", "torch", std::to_string(n), [=] {
        auto w = tensor<T>(n, 1, 1).requires_grad_(true);
        w.mutable_grad() = tensor<T>(n, 1, 2);
        auto adamw = std::make_shared<torch::optim::AdamW>(std::vector<torch::Tensor>{w});
        return [adamw] { adamw->step(); };
    });
}

const bool added = [] {
    for (const Index n : {64, 320, 1 << 20}) {
        add_all<float>(n);
        add_all<double>(n);
    }
    return true;
}();

} // namespace
