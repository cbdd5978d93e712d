// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index m, Index n)
{
    add<T>("soft_orthogonality", "torch", shape(m, n), [=] {
        // The Gram of the smaller side, as the published code takes it.
        return forward_and_backward(
            {tensor<T>(m, n, 1)}, [m, n](const std::vector<torch::Tensor>& w) {
                const auto k = m <= n ? w[0].matmul(w[0].t()) : w[0].t().matmul(w[0]);
                return (k - torch::eye((std::min)(m, n), w[0].options().requires_grad(false)))
                    .pow(2)
                    .sum();
            });
    });
    add<T>("soft_orthogonality_columns", "torch", shape(m, n), [=] {
        return forward_and_backward({tensor<T>(m, n, 1)}, [n](const std::vector<torch::Tensor>& w) {
            const auto k = w[0].t().matmul(w[0]);
            return (k - torch::eye(n, w[0].options().requires_grad(false))).pow(2).sum();
        });
    });
}

const bool added = [] {
    for (const auto& [m, n] : {std::pair{8, 8}, {32, 10}, {256, 2048}, {2048, 256}}) {
        add_all<float>(m, n);
        add_all<double>(m, n);
    }
    return true;
}();

} // namespace
