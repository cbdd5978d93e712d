// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/loss/mixup_cross_entropy.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index k)
{
    // Mixed labels, smoothing, weights and an ignored index, in one call.
    add<T>("mixup_cross_entropy", "temper", shape(n, k), Work{.entries = 2 * n * k, .exps = n * k},
           [=] {
               return [z = matrix<T>(n, k, 1), a = classes(n, k, 2), b = classes(n, k, 3),
                       w = numbers<T>(n, 4), g = Matrix<T>(n, k)]() mutable {
                   const temper::MixupCrossEntropy loss{.label_smoothing = 0.1, .ignore_index = 0};
                   benchmark::DoNotOptimize(loss(z, temper::labels(a), temper::labels(b), 0.3,
                                                 temper::into(g), temper::sample_weights(w)));
               };
           });
}

const bool added = [] {
    for (const auto& [n, k] : {std::pair{8, 8}, {32, 10}, {4096, 10}, {256, 1000}, {64, 32000}}) {
        add_all<float>(n, k);
        add_all<double>(n, k);
    }
    return true;
}();

} // namespace
