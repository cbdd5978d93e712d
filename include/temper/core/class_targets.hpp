// SPDX-License-Identifier: BSL-1.0
#pragma once

// Class indices as the kernels of losses see them: which class, how much it weighs, what is ignored.

#include <temper/core/view.hpp>

#include <cstdint>

namespace temper::inline TEMPER_ABI {

template <class T>
struct ClassTargets {
    const std::int64_t* labels = nullptr; ///< -1: ignored
    VectorView<const T> class_weights{};  ///< empty: all are 1
    bool ignoring = false;                ///< is there an index to ignore?

    [[nodiscard]] bool ignores(Index i) const { return labels[i] < 0; }
    /// The class of sample i, -1 if it is ignored.
    [[nodiscard]] Index operator()(Index i) const { return static_cast<Index>(labels[i]); }
    /// What sample i counts for in a mean: the weight of its class, 0 if it is ignored.
    [[nodiscard]] double weight(Index i) const
    {
        return ignores(i)                      ? 0.0
               : class_weights.data == nullptr ? 1.0
                                               : static_cast<double>(class_weights(labels[i]));
    }
    /// Do all samples count for 1?
    [[nodiscard]] bool plain() const { return !ignoring && class_weights.data == nullptr; }
};

} // namespace temper::inline TEMPER_ABI
