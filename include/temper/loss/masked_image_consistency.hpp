// SPDX-License-Identifier: BSL-1.0
#pragma once

// Masked image consistency (MIC): what a network says of an image with blocks masked out shall be what its
// teacher says of the whole image.
//
//   y_i = argmax_j t_ij, of equal ones the first         p_i = softmax(t_i)
//   l_i = -log softmax(z_i)_y
//   L = weight / N sum_i w_i q_i l_i                     N all rows, whatever their weights
//   Quality::batch_fraction   q_i = the fraction of all rows with max_j p_ij >= threshold, one number
//   Quality::confidence       q_i = max_j p_ij
//   dL/dz_ij = weight / N w_i q_i (softmax(z_i)_j - [j = y_i])
//
// z logits of the masked images, target_logits(t) of the whole ones by the teacher (an Ema of the network;
// nothing comes back to t), [n, k], or [n, k, h, w], whose rows are the N = n h w pixels. sample_weights(w)
// [N], 0 for borders that shall not count. Masks are BlockMask's. quality(into(q)) gives the mean of q_i,
// pseudo_labels(into(y)) [n] or [n, h, w]. Nothing sure: 0; threshold 0: plain pseudo-labels. N = 0: 0.
// The published code has batch_fraction for segmentation, over all images together although the paper's
// equation reads as one number for each image, and confidence for classification.
// Throws ShapeError; RangeError for a threshold that is NaN.
// Hoyer et al., MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation (2023).

#include <temper/core/selection.hpp>
#include <temper/core/target_logits.hpp>
#include <temper/loss/pixel_rows.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/mask/confidence_mask.hpp>

namespace temper::inline TEMPER_ABI {

/// The output said by quality(into(q)).
template <class D>
struct QualityOutput {
    D destination;
};
template <class D>
[[nodiscard]] QualityOutput<D> quality(const D& destination)
{
    return {destination};
}

struct MaskedImageConsistency {
    static constexpr std::string_view name = "MaskedImageConsistency";
    enum class Quality { batch_fraction, confidence };
    double threshold = 0.968;
    double weight = 1;
    Quality quality = Quality::batch_fraction;

    /// (z, target_logits(t) [, into(gz)] [, sample_weights(w), quality(into(q)),
    ///  pseudo_labels(into(y))])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& target, const Rest&... rest) const;

    friend bool operator==(const MaskedImageConsistency&, const MaskedImageConsistency&) = default;
};

template <class Z, class Y, class... Rest>
double MaskedImageConsistency::operator()(const Z& z, const Y& target, const Rest&... rest) const
{
    if constexpr (!is_target_logits<Y>)
        static_assert(is_target_logits<Y>, "temper: targets come second, as target_logits(t)");
    else {
        accept<1, SampleWeights, QualityOutput, PseudoLabels>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(threshold == threshold, "threshold", threshold, "a number");
        const auto zs = border.sample_tensor("logits", z);
        const auto ts =
            target.turned
                ? border.sample_tensor("target", Turned<decltype(target.view)>{target.view})
                : border.sample_tensor("target", target.view);
        if (zs.rank < 2)
            fail<ShapeError>(name, "logits", joined({"has shape ", shape_text(zs)}),
                             "[n, k] or [n, k, ...]");
        if (ts.rank != zs.rank || ts.extents != zs.extents)
            fail<ShapeError>(name, "target", joined({"has shape ", shape_text(ts)}),
                             joined({shape_text(zs), " as logits"}));
        const Index n = pixel_count(zs);
        const auto given = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                  n, "a weight for each row or pixel");
        const auto gz = border.sample_gradient("logits", zs, positional<0>(rest...));
        const auto q = border.template named_into<0>("quality", named<QualityOutput>(rest...), {});
        AnyView<std::int64_t> classes;
        if constexpr (!std::is_same_v<decltype(named<PseudoLabels>(rest...)), detail::Absent>) {
            const auto& to = named<PseudoLabels>(rest...).destination;
            classes = zs.rank == 2 ? border.integers("pseudo_labels", to, {zs.extent(0)})
                      : zs.rank == 3
                          ? border.integers("pseudo_labels", to, {zs.extent(0), zs.extent(2)})
                          : border.integers("pseudo_labels", to,
                                            {zs.extent(0), zs.extent(2), zs.extent(3)});
        }

        auto* confidence = border.scratch().template take<T>(n);
        auto* label = border.scratch().template take_zeros<std::int64_t>(n);
        pixel_blocks(
            [&](Index row, MatrixView<const T> t) {
                kernel::ConfidenceMask<T>::run(t, true, confidence + row, label + row);
            },
            ts);
        if (zs.extent(1) == 0)
            std::fill(confidence, confidence + n, T(0));
        double mean = 0;
        for (Index i = 0; i < n; ++i) {
            const T c = confidence[i]; // NaN shows in either quality
            const bool sure = c >= static_cast<T>(threshold);
            mean += quality == Quality::batch_fraction && c == c ? (sure ? 1.0 : 0.0)
                                                                 : static_cast<double>(c);
        }
        mean /= static_cast<double>((std::max)(n, Index{1}));
        const bool each = quality == Quality::confidence;
        for (Index i = 0; i < n; ++i)
            confidence[i] = (each ? confidence[i] : T(1)) * (given.data ? given(i) : T(1));
        const double factor =
            weight * (each ? 1 : mean) / static_cast<double>((std::max)(n, Index{1}));

        if (classes.data != nullptr)
            for (Index i = 0; i < n; ++i) {
                Index rest_of = i;
                Index offset = 0;
                for (int d = classes.rank - 1; d >= 0; --d) {
                    offset += rest_of % classes.extent(d) * classes.stride(d);
                    rest_of /= classes.extent(d);
                }
                classes.data[offset] = label[i];
            }
        for (Index i = 0; i < n; ++i) // what counts for nothing is not looked at
            if (factor * static_cast<double>(confidence[i]) == 0)
                label[i] = -1;

        double value = 0;
        const auto run = [&](Index row, MatrixView<const T> logits, const Destination<T, 2>& to) {
            using CrossEntropy = kernel::SoftmaxCrossEntropy<T>;
            typename CrossEntropy::Outputs out{};
            out.gz = to;
            value += CrossEntropy::hard(logits, {label + row, {}, true}, 0,
                                        {{confidence + row, {logits.rows()}, {1}}, factor}, out);
        };
        if (gz)
            pixel_blocks([&](Index row, MatrixView<const T> logits,
                             MatrixView<T> g) { run(row, logits, {g, gz.scale, gz.mode}); },
                         zs, gz.view);
        else
            pixel_blocks([&](Index row, MatrixView<const T> logits) { run(row, logits, {}); }, zs);
        if (q)
            q.put(*q.view.data, static_cast<T>(mean));
        return border.finish(value);
    }
}

} // namespace temper::inline TEMPER_ABI
