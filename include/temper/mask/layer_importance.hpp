// SPDX-License-Identifier: BSL-1.0
#pragma once

// How much a network's output changes when one layer is left out of it, each on its own.
//
//   I_l = (1/n) sum_i |f_i - f_i without layer l|^2
//
// full [n, ...], the output of the whole network on a batch (or many), without tensors(r1, r2, ...), the
// outputs without the first removable layer, without the second, ... of the same shape; importance [layers].
// Removable layers are those with a skip, or between equal shapes. What a set of layers costs is taken to be
// the sum of its members: additivity, which the paper measures, and with which LayerKnapsack chooses the set
// in one shot. n = 0: 0. Throws ShapeError.
// Zhang et al., LAPTOP-Diff: Layer Pruning and Normalized Distillation for Compressing Diffusion Models
// (2024).

#include <temper/representation/layerwise_distillation.hpp>

namespace temper::inline TEMPER_ABI {

struct LayerImportance {
    static constexpr std::string_view name = "LayerImportance";

    /// (full, tensors(r1, r2, ...), into(importance))
    template <class F, class L, class D>
    void apply(const F& full, const L& without, const D& importance) const
    {
        using T = KernelScalarOf<F>;
        Border<T> border(name);
        const auto f = border.sample_tensor("full", full);
        const auto r = border.list("without", without);
        for (std::size_t l = 0; l < r.size(); ++l)
            border.same_shape(joined({"without[", text(static_cast<Index>(l)), "]"}), r[l], "full",
                              f);
        const auto layers = static_cast<Index>(r.size());
        const auto to = border.template output<1>("importance", importance, {layers});
        const double share = f.extent(0) == 0 ? 0 : 1 / static_cast<double>(f.extent(0));
        for (Index l = 0; to && l < layers; ++l)
            to.put(to.view(l), static_cast<T>(kernel::LayerwiseDistillation<T>::term(
                                   share, r[static_cast<std::size_t>(l)], f, {})));
        border.finish();
    }

    friend bool operator==(const LayerImportance&, const LayerImportance&) = default;
};

} // namespace temper::inline TEMPER_ABI
