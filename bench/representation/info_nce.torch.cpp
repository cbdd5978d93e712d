// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    add<T>("info_nce", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 1), tensor<T>(n, d, 2)},
                                    [own = torch::arange(n)](const std::vector<torch::Tensor>& z) {
                                        namespace F = torch::nn::functional;
                                        const auto s =
                                            F::normalize(z[0]).matmul(F::normalize(z[1]).t()) / 0.2;
                                        return F::cross_entropy(s, own);
                                    });
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
