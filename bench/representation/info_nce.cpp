// SPDX-License-Identifier: BSL-1.0
#include "eigen.hpp"

#include <temper/representation/info_nce.hpp>

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    add<T>("info_nce", "temper", shape(n, d),
           Work{.entries = 4 * n * d, .flops = 6 * n * n * d, .exps = n * n}, [=] {
               return [q = matrix<T>(n, d, 1), k = matrix<T>(n, d, 2), gq = Matrix<T>(n, d),
                       gk = Matrix<T>(n, d)]() mutable {
                   const temper::InfoNce loss;
                   benchmark::DoNotOptimize(loss(q, k, temper::into(gq), temper::into(gk)));
               };
           });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {1024, 128}, {2048, 256}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
