// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index m, Index n)
{
    add<T>("nuclear_norm", "torch", shape(m, n), [=] {
        return forward_and_backward({tensor<T>(m, n, 1)}, [](const std::vector<torch::Tensor>& w) {
            return torch::nuclear_norm(w[0]);
        });
    });
}

const bool added = [] {
    for (const auto& [m, n] : {std::pair{32, 10}, {512, 256}}) {
        add_all<float>(m, n);
        add_all<double>(m, n);
    }
    return true;
}();

} // namespace
