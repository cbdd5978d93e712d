// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("stablemax_cross_entropy", "torch", shape(n, k), [=] {
        auto labels = classes(n, k, 2);
        const auto y = torch::from_blob(labels.data(), {n}, torch::kInt64).clone();
        return forward_and_backward({tensor<T>(n, k, 1)}, [y](const std::vector<torch::Tensor>& z) {
            const auto s = torch::where(z[0] < 0, 1 / (1 - z[0] + 1e-30), z[0] + 1);
            const auto log_p = torch::log(s / s.sum(1, true));
            return torch::nll_loss(log_p, y);
        });
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{8, 8}, {32, 10}, {4096, 113}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
