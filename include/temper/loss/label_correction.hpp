// SPDX-License-Identifier: BSL-1.0
#pragma once

// Correction of noisy segmentation labels by sure predictions, class by class as their memorisation begins
// (the labels of ADELE, with MemorizationOnset for the flags).
//
//   pred = argmax_j p_j (the first of equal ones)           class 0 is the background
//   replace y by pred where all of these hold
//     sure      max over j >= 1 of p_j > threshold, or p_0 > background_threshold
//     from, to  y is flagged or 0;  pred is flagged or 0
//     present   pred is 0 or occurs among the labels of this image          (class_constraint)
//
// labels(y) [h, w] with p [c, h, w], or [n, h, w] with [n, c, h, w]; flagged [c]; the new labels, std::int64_t,
// may be the old ones. Images without a flagged label stay as they are, so with nothing flagged nothing
// changes. The sure class need not be pred, which a threshold from 1/2 up implies. With `ignored` that label
// is allowed among y, and the published rule for PASCAL VOC is applied: where y is not 0 and pred is 0, sure
// or not, the new label is the ignored one. Published: thresholds 0.8 and 0.95; the paper has one, 0.8.
// Returns how many labels changed. Throws ShapeError, RangeError for labels outside [0, c), thresholds that
// are NaN.
// Liu et al., Adaptive Early-Learning Correction for Segmentation from Noisy
// Annotations (2022).

#include <temper/core/component.hpp>
#include <temper/loss/pixel_rows.hpp>

namespace temper::inline TEMPER_ABI {

struct LabelCorrection {
    static constexpr std::string_view name = "LabelCorrection";
    double threshold = 0.8;
    double background_threshold = 0.95;
    bool class_constraint = true;
    std::optional<std::int64_t> ignored = std::nullopt;

    /// (labels(y), p, flagged, into(new labels))
    template <class Y, class P, class F, class D>
    Index apply(const Y& targets, const P& probs, const F& flagged, const D& corrected) const;

    friend bool operator==(const LabelCorrection&, const LabelCorrection&) = default;
};

namespace kernel {
template <class T>
struct LabelCorrection {
    /// One image: p [c, h, w], y dense, to [h, w]. Returns the number of changes.
    static Index run(const temper::LabelCorrection& rule, const AnyView<const T>& p,
                     const std::int64_t* y, const char* flagged, char* present,
                     const MatrixView<std::int64_t>& to);
};
} // namespace kernel

template <class Y, class P, class F, class D>
Index LabelCorrection::apply(const Y& targets, const P& probs, const F& flagged,
                             const D& corrected) const
{
    static_assert(is_labels<Y>, "temper: the labels come first, as labels(y)");
    using T = KernelScalarOf<P>;
    Border<T> border(name);
    border.require(!std::isnan(threshold), "threshold", threshold, "a number");
    border.require(!std::isnan(background_threshold), "background_threshold", background_threshold,
                   "a number");
    auto p = border.tensor("probabilities", probs);
    if (p.rank != 3 && p.rank != 4)
        fail<ShapeError>(name, "probabilities", joined({"has shape ", shape_text(p)}),
                         "[c, h, w] or [n, c, h, w]");
    const bool one = p.rank == 3;
    const Index n = one ? 1 : p.extent(0);
    const Index c = p.extent(p.rank - 3);
    const Index h = p.extent(p.rank - 2);
    const Index w = p.extent(p.rank - 1);
    if (static_cast<Index>(std::size(flagged)) != c)
        fail<ShapeError>(name, "flagged",
                         joined({"has ", text(static_cast<Index>(std::size(flagged))), " classes"}),
                         joined({text(c), " as probabilities"}));
    const std::array extents{n, h, w};
    const auto* y = pixel_labels(border, "labels", targets,
                                 std::span<const Index>(extents).subspan(one ? 1 : 0), c, ignored);
    const AnyView<std::int64_t> out = one ? border.integers("labels", corrected, {h, w})
                                          : border.integers("labels", corrected, {n, h, w});
    auto* flags = border.scratch().template take<char>(c);
    for (Index j = 0; j < c; ++j)
        flags[j] = flagged[static_cast<std::size_t>(j)] ? 1 : 0;
    auto* present = border.scratch().template take<char>(c);
    Index changed = 0;
    for (Index i = 0; i < n; ++i) {
        AnyView<const T> image = p;
        MatrixView<std::int64_t> to{
            out.data, {h, w}, {out.stride(out.rank - 2), out.stride(out.rank - 1)}};
        if (!one) {
            image.data += i * p.stride(0);
            image.rank = 3;
            for (std::size_t d = 0; d < 3; ++d) {
                image.extents[d] = p.extents[d + 1];
                image.strides[d] = p.strides[d + 1];
            }
            to.data += i * out.stride(0);
        }
        changed += kernel::LabelCorrection<T>::run(*this, image, y + i * h * w, flags, present, to);
    }
    return changed;
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
Index kernel::LabelCorrection<T>::run(const temper::LabelCorrection& rule,
                                      const AnyView<const T>& p, const std::int64_t* y,
                                      const char* flagged, char* present,
                                      const MatrixView<std::int64_t>& to)
{
    const Index c = p.extent(0);
    const Index h = p.extent(1);
    const Index w = p.extent(2);
    const auto is_flagged = [&](std::int64_t label) { return label >= 0 && flagged[label] != 0; };
    std::fill(present, present + c, char{0});
    bool any = false;
    for (Index i = 0; i < h * w; ++i) {
        any = any || is_flagged(y[i]);
        if (y[i] >= 0)
            present[y[i]] = 1;
    }
    Index changed = 0;
    for (Index row = 0; row < h; ++row)
        for (Index col = 0; col < w; ++col) {
            const std::int64_t label = y[row * w + col]; // -1: ignored
            std::int64_t next = label;
            if (any) {
                const T* at = p.data + row * p.stride(1) + col * p.stride(2);
                Index pred = 0;
                double foreground = -std::numeric_limits<double>::infinity();
                for (Index j = 1; j < c; ++j) {
                    const T share = at[j * p.stride(0)];
                    pred = share > at[pred * p.stride(0)] ? j : pred;
                    foreground = (std::max)(foreground, static_cast<double>(share));
                }
                const bool sure = foreground > rule.threshold ||
                                  static_cast<double>(*at) > rule.background_threshold;
                if (sure && (label == 0 || is_flagged(label)) && (pred == 0 || is_flagged(pred)) &&
                    (!rule.class_constraint || pred == 0 || present[pred] != 0))
                    next = pred;
                if (rule.ignored && label != 0 && pred == 0)
                    next = -1;
            }
            changed += next != label ? 1 : 0;
            to(row, col) = next < 0 ? *rule.ignored : next;
        }
    return changed;
}

TEMPER_INSTANTIATE(kernel::LabelCorrection);

} // namespace temper::inline TEMPER_ABI
#endif
