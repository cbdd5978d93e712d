// SPDX-License-Identifier: BSL-1.0
#pragma once

// Logit-adjusted cross-entropy: the logits are shifted by how frequent the classes are, so that the model
// itself learns what is left, scores that are fair to rare classes.
//
//   z'_ij = z_ij + log(count_j^tau + epsilon)        l_i = -log softmax(z'_i)_y
//
// z logits [n, k], counts [k] how often each class occurs in the training data (raw counts or frequencies:
// they differ by the epsilon only). Weights, smoothing, ignored labels, reduction, gradient (that of z'),
// curvature and per-sample values are those of SoftmaxCrossEntropy{} on z'; its settings are in
// `cross_entropy`. tau = 0: cross-entropy; tau > 0 favours rare classes in what is predicted without the
// shift, tau < 0 frequent ones (MDCS gives its three experts -0.5, 1 and 2.5).
// Throws ShapeError, RangeError for a negative count, and for a count of 0 with tau < 0 (let such counts be
// 1); what SoftmaxCrossEntropy throws.
// Menon et al., Long-tail learning via logit adjustment (2021); as in Zhao et al., MDCS: More Diverse Experts
// with Consistency Self-distillation for Long-tailed Recognition (2023).

#include <temper/loss/softmax_cross_entropy.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {
template <class T>
struct LogitAdjustedCrossEntropy {
    /// adjusted = z + shift in every row.
    static void adjust(MatrixView<const T> z, const T* shift, MatrixView<T> adjusted);
};
} // namespace kernel

struct LogitAdjustedCrossEntropy {
    static constexpr std::string_view name = "LogitAdjustedCrossEntropy";
    double tau = 1;
    double epsilon = 1e-9;
    SoftmaxCrossEntropy cross_entropy{};

    /// (z, labels(y) or probabilities(p), counts, and then as in SoftmaxCrossEntropy)
    template <class Z, class Y, class C, class... Rest>
    double operator()(const Z& z, const Y& targets, const C& counts, const Rest&... rest) const
    {
        using T = KernelScalarOf<Z, C>;
        Border<T> border(name);
        const auto zs = border.samples("logits", z);
        const auto* shift = shifts(border, counts, zs.cols());
        const auto adjusted = border.scratch().matrix_like(zs);
        kernel::LogitAdjustedCrossEntropy<T>::adjust(zs, shift, adjusted);
        return cross_entropy(MatrixView<const T>(adjusted), targets, rest...);
    }

    friend bool operator==(const LogitAdjustedCrossEntropy&,
                           const LogitAdjustedCrossEntropy&) = default;

  private:
    friend struct MoreDiverseExperts;

    /// log(count^tau + epsilon) of each class, in scratch.
    template <class T, class C>
    const T* shifts(Border<T>& border, const C& counts, Index k) const;
};

template <class T, class C>
const T* LogitAdjustedCrossEntropy::shifts(Border<T>& border, const C& counts, Index k) const
{
    const auto c = border.vector("class_counts", counts);
    border.expect_shape("class_counts", c, {k}, "as logits has columns");
    border.require(std::isfinite(tau), "tau", tau, "finite");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    auto* shift = border.scratch().template take<T>(k);
    for (Index j = 0; j < k; ++j) {
        const auto count = static_cast<double>(c(j));
        border.require(!(count < 0), "class_counts", count, "non-negative");
        border.require(!(count == 0 && tau < 0), "class_counts", count,
                       "positive where tau is negative");
        shift[j] = static_cast<T>(std::log(std::pow(count, tau) + epsilon));
    }
    return shift;
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::LogitAdjustedCrossEntropy<T>::adjust(MatrixView<const T> z, const T* shift,
                                                  MatrixView<T> adjusted)
{
    const VectorView<const T> of_classes{shift, {z.cols()}, {1}};
    const Destination<T, 2> to{adjusted, 1, Mode::overwrite};
    (void)simd::sum_tiles<T>(simd::operands(z, to), 0, [&](const auto& tile) {
        tile.each([=](auto at) { at.put(to, at(z) + at(of_classes)); });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::LogitAdjustedCrossEntropy);

} // namespace temper::inline TEMPER_ABI
#endif
