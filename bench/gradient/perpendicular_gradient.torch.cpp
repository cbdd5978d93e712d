// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n)
{
    add<T>("perpendicular_gradient", "torch", std::to_string(n), [=] {
        return [w = tensor<T>(n, 1, 1).view({-1}), g = tensor<T>(n, 1, 2).view({-1})] {
            const auto along = torch::dot(w, g) / (torch::dot(w, w) + 1e-30);
            const auto p = g - along * w;
            const auto out = p * (g.norm(2) / (p.norm(2) + 1e-30));
            benchmark::DoNotOptimize(out.data_ptr());
        };
    });
}

const bool added = [] {
    add_all<float>(1 << 20);
    add_all<double>(1 << 20);
    return true;
}();

} // namespace
