// SPDX-License-Identifier: BSL-1.0
#include "torch.hpp"

#include <temper/diffusion/consistency_scalings.hpp>
#include <temper/diffusion/karras_sigmas.hpp>

#include <cmath>

namespace {

using namespace bench;

/// What a sample's levels are multiplied with, as columns [n, 1].
struct Columns {
    torch::Tensor high, low, skip_high, skip_low, out_high, out_low, weight, early;
};

template <class T>
Columns columns(Index n)
{
    const auto sigmas = temper::KarrasSigmas{}.ascending(161);
    Columns c;
    for (torch::Tensor* each :
         {&c.high, &c.low, &c.skip_high, &c.skip_low, &c.out_high, &c.out_low, &c.weight, &c.early})
        *each = torch::zeros({n, 1}, torch::dtype(torch::CppTypeToScalarType<T>::value));
    for (Index i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i * 7 % 160);
        const auto up = temper::ConsistencyScalings{}(sigmas[at + 1]);
        const auto down = temper::ConsistencyScalings{}(sigmas[at]);
        c.high[i] = sigmas[at + 1], c.low[i] = sigmas[at];
        c.skip_high[i] = up.skip, c.skip_low[i] = down.skip;
        c.out_high[i] = up.out, c.out_low[i] = down.out;
        c.weight[i] = 1 / (sigmas[at + 1] - sigmas[at]);
        c.early[i] = at < 40 ? 1.0 : 0.0;
    }
    return c;
}

template <class T>
void add_all(Index n, Index d)
{
    for (const bool latent : {false, true})
        add<T>(latent ? "latent_consistency_loss" : "consistency_loss", "torch", shape(n, d), [=] {
            return forward_and_backward(
                {tensor<T>(n, d, 3)},
                [=, x = tensor<T>(n, d, 1), z = tensor<T>(n, d, 2), low = tensor<T>(n, d, 4),
                 k = columns<T>(n)](const std::vector<torch::Tensor>& high) {
                    const auto f = k.skip_high * (x + k.high * z) + k.out_high * high[0];
                    const auto target = k.skip_low * (x + k.low * z) + k.out_low * low;
                    const auto s = (f - target).pow(2).sum(1, true);
                    const double c = latent ? 0.03 : 0.00054 * std::sqrt(static_cast<double>(d));
                    if (!latent)
                        return (k.weight * ((s + c * c).sqrt() - c)).mean();
                    return (k.weight * torch::log1p(s / (2 * c * c)) +
                            k.early * (f - x).pow(2).sum(1, true))
                        .mean();
                });
        });
    add<T>("edm_loss", "torch", shape(n, d), [=] {
        return forward_and_backward({tensor<T>(n, d, 3)},
                                    [x = tensor<T>(n, d, 1), z = tensor<T>(n, d, 2),
                                     k = columns<T>(n)](const std::vector<torch::Tensor>& f) {
                                        const auto variance = k.high.pow(2) + 0.25;
                                        const auto denoised = 0.25 / variance * (x + k.high * z) +
                                                              0.5 * k.high / variance.sqrt() * f[0];
                                        const auto weight = 1 / k.high.pow(2) + 4;
                                        return (weight * (denoised - x).pow(2)).mean();
                                    });
    });
}

const bool added = [] {
    for (const auto& [n, d] : {std::pair{32, 16}, {256, 16}, {256, 3072}, {256, 12288}}) {
        add_all<float>(n, d);
        add_all<double>(n, d);
    }
    return true;
}();

} // namespace
