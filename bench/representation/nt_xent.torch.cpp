// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <limits>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    add<T>("nt_xent", "torch", shape(n, d), [=] {
        const auto self = torch::eye(2 * n, torch::kBool);
        const auto partner = torch::arange(2 * n).roll(n);
        return forward_and_backward(
            {tensor<T>(n, d, 1), tensor<T>(n, d, 2)}, [=](const std::vector<torch::Tensor>& z) {
                namespace F = torch::nn::functional;
                const auto u = F::normalize(torch::cat({z[0], z[1]}));
                const auto s = (u.matmul(u.t()) / 0.5)
                                   .masked_fill(self, -std::numeric_limits<double>::infinity());
                return F::cross_entropy(s, partner);
            });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {1024, 128}, {2048, 256}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
