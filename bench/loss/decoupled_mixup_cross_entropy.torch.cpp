// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <temper/loss/decoupled_mixup_cross_entropy.hpp>

#include <limits>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    add<T>("decoupled_mixup_cross_entropy", "torch", shape(n, k), [=] {
        auto first = classes(n, k, 2);
        auto second = classes(n, k, 3);
        const auto a = torch::from_blob(first.data(), {n}, torch::kInt64).clone();
        const auto b = torch::from_blob(second.data(), {n}, torch::kInt64).clone();
        return forward_and_backward({tensor<T>(n, k, 1)}, [a,
                                                           b](const std::vector<torch::Tensor>& z) {
            namespace F = torch::nn::functional;
            const auto mixed = (a != b).to(z[0].scalar_type());
            const double nothing = -std::numeric_limits<double>::infinity();
            // A row of one label keeps its own class, and counts for nothing in the regulariser.
            const auto without = [&](const torch::Tensor& other, const torch::Tensor& label) {
                const auto left = z[0].scatter(1, other.unsqueeze(1), nothing);
                const auto safe = torch::where((a != b).unsqueeze(1), left, z[0]).log_softmax(1);
                return -(safe.gather(1, label.unsqueeze(1)).squeeze(1) * mixed).mean();
            };
            return 0.7 * F::cross_entropy(z[0], a) + 0.3 * F::cross_entropy(z[0], b) +
                   0.1 * without(b, a) + 0.1 * without(a, b);
        });
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{4096, 10}, {256, 1000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
