// SPDX-License-Identifier: BSL-1.0
#pragma once

// Magnitude pruning of a list of tensors.
//
//   the round(sparsity n) entries of smallest |w| die (half to even, as torch.nn.utils.prune rounds),
//   Scope::global   in one ranking over all tensors in their order
//   Scope::layer    in a ranking of each tensor's own
//
// On a tie the LOWER flat (row-major) index lives. Takes tensors(w1, w2, ...) or one tensor; masks of the
// same shapes, of zeros and ones. Throws ShapeError; RangeError for sparsity outside [0, 1] and NaN
// weights.
// Han et al., Learning both Weights and Connections for Efficient Neural Networks (2015).

#include <temper/core/tensor_list.hpp>
#include <temper/mask/saliency_mask.hpp>

namespace temper::inline TEMPER_ABI {

struct MagnitudeMask {
    static constexpr std::string_view name = "MagnitudeMask";
    enum class Scope { global, layer };
    double sparsity = 0.5;
    Scope scope = Scope::global;

    /// (weights, into(masks))
    template <class W, class D>
    void apply(W&& weights, const D& masks) const;

    friend bool operator==(const MagnitudeMask&, const MagnitudeMask&) = default;
};

template <class W, class D>
void MagnitudeMask::apply(W&& weights, const D& masks) const
{
    using T = ListScalarOf<W>;
    Border<T> border(name);
    border.require(sparsity >= 0 && sparsity <= 1, "sparsity", sparsity, "in [0, 1]");
    const auto w = border.list("weights", as_list(weights));
    const auto out = border.gradient("weights", w, masks);
    const Index n = total_size(w);
    T* score = border.scratch().template take<T>(n);
    T* live = border.scratch().template take<T>(n);
    Index first = 0;
    for (const auto& tensor : w) {
        if (!kernel::SaliencyMask<T>::dense_score(Saliency::magnitude, tensor, tensor,
                                                  score + first))
            fail<RangeError>(name, "a weight", "is nan", "a number");
        first += tensor.size();
    }
    const auto kept = [this](Index size) {
        return size - static_cast<Index>(std::nearbyint(sparsity * static_cast<double>(size)));
    };
    if (scope == Scope::global)
        kernel::SaliencyMask<T>::select(score, n, kept(n), live, out);
    else {
        first = 0;
        for (std::size_t i = 0; i < w.size(); ++i) {
            const Index size = w[i].size();
            kernel::SaliencyMask<T>::select(score + first, size, kept(size), live + first,
                                            out.subspan(i, 1));
            first += size;
        }
    }
    border.finish();
}

} // namespace temper::inline TEMPER_ABI
