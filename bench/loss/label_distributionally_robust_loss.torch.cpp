// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k, bool bounded)
{
    add<T>(bounded ? "ldr_kl" : "ldr_kl_none", "torch", shape(n, k), [=] {
        auto labels = classes(n, k, 2);
        const auto y = torch::from_blob(labels.data(), {n, 1}, torch::kInt64).clone();
        return forward_and_backward({tensor<T>(n, k, 1)}, [=](const std::vector<torch::Tensor>& z) {
            auto u = z[0];
            if (bounded) {
                u = torch::softplus(u);
                u = u / u.mean(1, true);
            }
            const auto margin = torch::full_like(u, 0.1).scatter(1, y, 0.0);
            const auto d = u - u.gather(1, y) + margin;
            return (torch::logsumexp(d, 1) - std::log(static_cast<double>(k))).mean();
        });
    });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{4096, 10}, {256, 1000}})
        for (const bool bounded : {true, false}) {
            add_all<float>(n, k, bounded);
            add_all<double>(n, k, bounded);
        }
    return true;
}();

} // namespace
