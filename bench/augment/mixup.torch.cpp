// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <temper/augment/mixup.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    add<T>("mixup", "torch", shape(n, d), [=] {
        auto rng = temper::stream(3, 0, "bench mixup");
        auto plan = temper::Mixup<>{.alpha = 1}.draw(rng, n);
        std::vector<std::int64_t> partner(plan.partner.begin(), plan.partner.end());
        const auto index = torch::from_blob(partner.data(), {n}, torch::kInt64).clone();
        return [x = tensor<T>(n, d, 1), index, lambda = plan.lambda[0]] {
            const torch::NoGradGuard no_gradient;
            benchmark::DoNotOptimize(lambda * x + (1 - lambda) * x.index_select(0, index));
        };
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {256, 3072}, {256, 12288}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
