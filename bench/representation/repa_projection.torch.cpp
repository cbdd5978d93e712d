// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <cmath>

namespace {

using namespace bench;
namespace F = torch::nn::functional;

template <class T>
void add_all(Index n, Index d)
{
    using Leaves = std::vector<torch::Tensor>;
    const auto of_rows = F::CosineSimilarityFuncOptions().dim(1);
    add<T>("repa_projection", "torch", shape(n, d), [=] {
        return forward_and_backward(
            {tensor<T>(n, d, 1)}, [t = tensor<T>(n, d, 2)](const Leaves& x) {
                return -(F::normalize(x[0]) * F::normalize(t)).sum(1).mean();
            });
    });
    add<T>("gram_alignment", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 1)},
                                    [t = tensor<T>(n, d, 2)](const Leaves& x) {
                                        const auto u = F::normalize(x[0]);
                                        const auto v = F::normalize(t);
                                        return F::mse_loss(u.matmul(u.t()), v.matmul(v.t()));
                                    });
    });
    add<T>("sync_cosine_bce", "torch", shape(n, d), [=] {
        const auto y = torch::ones({n}, tensor<T>(1, 1, 1).options());
        return forward_and_backward({tensor<T>(n, d, 1), tensor<T>(n, d, 2)}, [=](const Leaves& x) {
            const auto s = F::cosine_similarity(x[0], x[1], of_rows);
            return F::binary_cross_entropy(((1 + s) / 2).clamp(0, 1), y);
        });
    });
    add<T>("qk_norm", "torch", shape(n, d), [=] {
        return forward_and_backward(
            {tensor<T>(n, d, 1), tensor<T>(n, d, 2)},
            [gs = tensor<T>(n, n, 3), d](const Leaves& x) {
                const auto norm = [d](const torch::Tensor& rows) {
                    return F::layer_norm(rows, F::LayerNormFuncOptions({d}).eps(1e-6));
                };
                const auto s =
                    norm(x[0]).matmul(norm(x[1]).t()) / std::sqrt(static_cast<double>(d));
                return (s * gs).sum();
            });
    });
}

template <class T>
void add_projector(Index n, Index d, Index p)
{
    add<T>("repa_projector", "torch", shape(n, d), [=] {
        return forward_and_backward(
            {tensor<T>(n, d, 1), tensor<T>(p, d, 3), tensor<T>(1, p, 4), tensor<T>(p, p, 5),
             tensor<T>(1, p, 6), tensor<T>(d, p, 7), tensor<T>(1, d, 8)},
            [gy = tensor<T>(n, d, 2)](const std::vector<torch::Tensor>& x) {
                auto a = torch::silu(F::linear(x[0], x[1], x[2].view({-1})));
                a = torch::silu(F::linear(a, x[3], x[4].view({-1})));
                return (F::linear(a, x[5], x[6].view({-1})) * gy).sum();
            });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{32, 16}, {256, 64}, {1024, 768}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    add_projector<float>(512, 384, 1024);
    add_projector<double>(512, 384, 1024);
    return true;
}();

} // namespace
