// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <temper/representation/barlow_twins.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    add<T>("barlow_twins", "torch", shape(n, d), [=] {
        return forward_and_backward(
            {tensor<T>(n, d, 1), tensor<T>(n, d, 2)}, [n](const std::vector<torch::Tensor>& z) {
                const auto standardized = [](const torch::Tensor& x) {
                    return torch::batch_norm(x, {}, {}, {}, {}, true, 0.1, 1e-5, false);
                };
                const auto c =
                    standardized(z[0]).t().matmul(standardized(z[1])) / static_cast<double>(n);
                const auto on = (torch::diagonal(c) - 1).pow(2).sum();
                const auto off = c.pow(2).sum() - torch::diagonal(c).pow(2).sum();
                return on + 0.0051 * off;
            });
    });
    add<T>("barlow_twins", "torch_function", shape(n, d), [=] {
        return forward_and_backward(
            {tensor<T>(n, d, 1), tensor<T>(n, d, 2)}, [](const std::vector<torch::Tensor>& z) {
                return temper::torch_function(temper::BarlowTwins{})(z[0], z[1]);
            });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{256, 2048}, {1024, 1024}, {2048, 256}, {256, 8192}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
