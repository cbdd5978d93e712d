// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which predictions are sure enough to be learned from, and the class that each would give.
//
//   m_i = 1 where max_j p_ij >= threshold, else 0        (> if strict)
//   y_i = argmax_j p_ij, of equal ones the first
//
// probabilities(p) [n, k], or target_logits(t) [n, k] with p = softmax(t); m, y [n]. Returns the fraction
// kept, 0 of none (n = 0). A threshold above 1 keeps nothing. What the kept ones are divided by is the
// loss's affair: give m as sample_weights for a mean over the kept ones, or the loss a sum and 1 / n for
// FixMatch's mean over all. A row with NaN is kept, so that it shows; its class is 0. Throws ShapeError;
// RangeError for a threshold that is NaN.
// Sohn et al., FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence (2020).

#include <temper/core/component.hpp>
#include <temper/core/selection.hpp>
#include <temper/core/target_logits.hpp>

namespace temper::inline TEMPER_ABI {

struct ConfidenceMask {
    static constexpr std::string_view name = "ConfidenceMask";
    double threshold = 0.95;
    bool strict = false;

    /// (probabilities(p) or target_logits(t) [, into(m)] [, pseudo_labels(into(y))])
    template <class P, class... Rest>
    double apply(const P& p, const Rest&... rest) const;

    friend bool operator==(const ConfidenceMask&, const ConfidenceMask&) = default;
};

namespace kernel {
template <class T>
struct ConfidenceMask {
    /// The largest probability of each row and its place.
    static void run(MatrixView<const T> p, bool logits, T* confidence, std::int64_t* label);
};
} // namespace kernel

template <class P, class... Rest>
double ConfidenceMask::apply(const P& p, const Rest&... rest) const
{
    if constexpr (!is_probabilities<P> && !is_target_logits<P>)
        static_assert(is_probabilities<P>,
                      "temper: predictions are said as probabilities(p) or target_logits(t)");
    else {
        accept<1, PseudoLabels>(rest...);
        using T = KernelScalarOf<decltype(p.view)>;
        Border<T> border(name);
        border.require(threshold == threshold, "threshold", threshold, "a number");
        auto ps = border.samples("predictions", p.view);
        ps = p.turned ? ps.transposed() : ps;
        const Index n = ps.rows();
        const auto mask = border.template output<1>("mask", positional<0>(rest...), {n});
        auto* confidence = border.scratch().template take<T>(n);
        auto* label = border.scratch().template take<std::int64_t>(n);
        AnyView<std::int64_t> classes;
        if constexpr (!std::is_same_v<decltype(named<PseudoLabels>(rest...)), detail::Absent>)
            classes =
                border.integers("pseudo_labels", named<PseudoLabels>(rest...).destination, {n});
        kernel::ConfidenceMask<T>::run(ps, is_target_logits<P>, confidence, label);
        Index kept = 0;
        const auto limit = static_cast<T>(threshold);
        for (Index i = 0; i < n; ++i) {
            const bool keeps = !(strict ? confidence[i] <= limit : confidence[i] < limit);
            kept += keeps ? 1 : 0;
            if (mask)
                mask.put(mask.view(i), keeps ? T(1) : T(0));
            if (classes.data != nullptr)
                classes.data[i * classes.strides[0]] = label[i];
        }
        return border.finish(n == 0 ? 0 : static_cast<double>(kept) / static_cast<double>(n));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::ConfidenceMask<T>::run(MatrixView<const T> p, bool logits, T* confidence,
                                    std::int64_t* label)
{
    (void)simd::sum_tiles<T>(simd::operands(p), 0, [&](const auto& tile) {
        const auto largest = tile.max([=](auto at) { return at(p); });
        auto sum = tile.totals();
        if (logits)
            sum = tile.sum([=](auto at) { return exp(at(p) - at(largest)); });
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            confidence[row] = logits ? static_cast<T>(1 / sum[i]) : largest[i];
            label[row] = 0;
            for (Index j = 0; j < p.cols(); ++j)
                if (p(row, j) == largest[i]) {
                    label[row] = j;
                    break;
                }
        }
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::ConfidenceMask);

} // namespace temper::inline TEMPER_ABI
#endif
