// SPDX-License-Identifier: BSL-1.0
#pragma once

// How the values of samples become one number, in one place for all losses:
//
//   sum    sum_i w_i l_i
//   mean   sum_i w_i l_i / sum_i w_i m_i
//
// w_i is the sample's weight (1 where none are given). m_i is 0 for an ignored sample, the weight of its
// class where class weights meet class indices (PyTorch's weighted mean), 1 otherwise. Where all that
// counts is 0 (everything ignored, an empty batch), value and gradient are 0.

#include <temper/core/view.hpp>

namespace temper::inline TEMPER_ABI {

enum class Reduction { mean, sum };

/// For what is summed over the entries of samples as well as over samples.
enum class MeanOver { entries, samples, nothing };

/// The factor of a sum over d entries of a sample, before that of the samples.
[[nodiscard]] inline double entry_scale(MeanOver mean_over, Index d)
{
    return mean_over == MeanOver::entries && d > 0 ? 1 / static_cast<double>(d) : 1;
}
[[nodiscard]] inline Reduction reduction_of(MeanOver mean_over)
{
    return mean_over == MeanOver::nothing ? Reduction::sum : Reduction::mean;
}

/// The factor of each sample in value, gradient and curvature alike.
template <class T>
struct RowScale {
    VectorView<const T> weights{};
    double factor = 1;

    [[nodiscard]] double operator()(Index i) const
    {
        return weights.data == nullptr ? factor : factor * static_cast<double>(weights(i));
    }
};

/// `mass(i)` is m_i above; `per_sample` entries of each sample share its weight (element-wise losses).
template <class T, class Mass>
[[nodiscard]] RowScale<T> row_scale(Reduction reduction, Index n, VectorView<const T> weights,
                                    Index per_sample, const Mass& mass)
{
    if (reduction == Reduction::sum)
        return {weights, 1};
    double total = 0;
    for (Index i = 0; i < n; ++i)
        total += mass(i) * (weights.data == nullptr ? 1.0 : static_cast<double>(weights(i)));
    total *= static_cast<double>(per_sample);
    return {weights, total == 0 ? 0 : 1 / total};
}

/// Every sample counts.
template <class T>
[[nodiscard]] RowScale<T> row_scale(Reduction reduction, Index n, VectorView<const T> weights,
                                    Index per_sample = 1)
{
    if (weights.data == nullptr) {
        const auto total = static_cast<double>(n * per_sample);
        return {weights, reduction == Reduction::sum ? 1 : total == 0 ? 0 : 1 / total};
    }
    return row_scale(reduction, n, weights, per_sample, [](Index) { return 1.0; });
}

} // namespace temper::inline TEMPER_ABI
