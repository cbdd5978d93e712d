// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

// Scalings by products with vectors, the fastest way that torch has.
template <class T>
void add_all(Index n, Index m)
{
    add<T>("sinkhorn", "torch", shape(n, m), [=] {
        return [c = tensor<T>(n, m, 1), n, m] {
            const torch::NoGradGuard no_gradients;
            const auto a = torch::full({n}, 1.0 / static_cast<double>(n), c.options());
            const auto b = torch::full({m}, 1.0 / static_cast<double>(m), c.options());
            const auto k = (c / -0.5).exp_();
            const auto turned = k.t();
            torch::Tensor u;
            auto v = torch::ones({m}, c.options());
            for (int iteration = 0; iteration < 100; ++iteration) {
                u = a / k.mv(v);
                v = b / turned.mv(u);
            }
            const auto p = u.unsqueeze(1) * k * v;
            benchmark::DoNotOptimize((p * c).sum().template item<double>());
        };
    });
}

const bool added = [] {
    for (const auto& [n, m] : {std::pair{8, 8}, {512, 512}}) {
        add_all<float>(n, m);
        add_all<double>(n, m);
    }
    return true;
}();

} // namespace
