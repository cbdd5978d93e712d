// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    constexpr Index classes = 100;
    add<T>("norm_direction", "torch", shape(n, d), [=] {
        const torch::Tensor y = torch::arange(n, torch::kInt64) * 37 % classes;
        const torch::Tensor t = tensor<T>(n, d, 2).detach();
        const torch::Tensor c = tensor<T>(classes, d, 3).detach();
        return forward_and_backward(
            {tensor<T>(n, d, 1)}, [t, c, y](const std::vector<torch::Tensor>& s) {
                const torch::Tensor centers = c.index_select(0, y);
                const torch::Tensor e = centers / centers.norm(2, 1, true);
                const torch::Tensor longest = torch::max(s[0].norm(2, 1), t.norm(2, 1));
                return (1 - (s[0] * e).sum(1) / longest).mean();
            });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{256, 512}, {1024, 2048}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
