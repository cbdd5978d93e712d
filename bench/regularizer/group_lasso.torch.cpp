// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    const double weight = std::sqrt(static_cast<double>(d));
    add<T>("group_lasso", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 1)},
                                    [weight](const std::vector<torch::Tensor>& w) {
                                        return weight * w[0].norm(2, 1).sum();
                                    });
    });
    add<T>("group_lasso_prox", "torch", shape(n, d), [=] {
        return [w = tensor<T>(n, d, 1), weight] {
            const torch::NoGradGuard no_gradient;
            const auto norms = w.norm(2, 1, true);
            benchmark::DoNotOptimize(w * (1 - 0.1 * weight / norms).clamp_min(0));
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {1024, 1024}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
