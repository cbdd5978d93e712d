// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

namespace {

using namespace bench;

template <class T>
void add_all(Index n, Index d)
{
    namespace F = torch::nn::functional;
    add<T>("cosine_alignment", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 1)}, [t = tensor<T>(n, d, 2)](
                                                              const std::vector<torch::Tensor>& x) {
            return -F::cosine_similarity(x[0], t, F::CosineSimilarityFuncOptions().dim(1)).mean();
        });
    });
    add<T>("trepa", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 1)},
                                    [t = tensor<T>(n, d, 2)](const std::vector<torch::Tensor>& x) {
                                        return F::mse_loss(F::normalize(x[0]), F::normalize(t));
                                    });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{8, 8}, {32, 10}, {4096, 768}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
