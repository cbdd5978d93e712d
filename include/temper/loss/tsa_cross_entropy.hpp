// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cross-entropy with training signal annealing: labelled samples that the network is sure of already
// count for nothing, so that few labels are not learned by heart while the unlabelled term works.
//
//   l_i = -log p_iy                     p_i = softmax(z_i), y the label
//   m_i = 0 where p_iy > threshold, else 1
//   mean:  L = sum_i m_i l_i / max(sum_i m_i, 1)      sum:  L = sum_i m_i l_i
//   dL/dz_ij = M m_i (p_ij - [j = y])   M the factor of the sum, m_i held still
//
// z logits [n, k], labels(y) [n]; the threshold of a step is TsaThreshold's, 1 keeps all. The mean is over
// the kept samples (UDA's unlabelled term is over all). kept: m_i. per_sample: m_i l_i. Nothing kept, or
// n = 0: value and gradient 0. Throws ShapeError, RangeError for labels outside [0, k) and a threshold
// that is NaN.
// Xie et al., Unsupervised Data Augmentation for Consistency Training (2020).

#include <temper/core/selection.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

namespace temper::inline TEMPER_ABI {

struct TsaCrossEntropy {
    static constexpr std::string_view name = "TsaCrossEntropy";
    double threshold = 1;
    Reduction reduction = Reduction::mean;

    /// (z, labels(y) [, into(gz)] [, per_sample(into(v)), kept(into(m))])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, const Rest&... rest) const;

    friend bool operator==(const TsaCrossEntropy&, const TsaCrossEntropy&) = default;
};

template <class Z, class Y, class... Rest>
double TsaCrossEntropy::operator()(const Z& z, const Y& targets, const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
    else {
        accept<1, PerSample, Kept>(rest...);
        using T = KernelScalarOf<Z>;
        using CrossEntropy = kernel::SoftmaxCrossEntropy<T>;
        Border<T> border(name);
        border.require(threshold == threshold, "threshold", threshold, "a number");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const auto* y = border.labels("labels", targets, n, zs.cols());
        typename CrossEntropy::Outputs out{};
        out.gz = border.gradient("logits", zs, positional<0>(rest...));
        out.per_sample =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto kept = border.template named_into<1>("kept", named<Kept>(rest...), {n});

        auto* loss = border.scratch().template take<T>(n);
        typename CrossEntropy::Outputs first{};
        first.per_sample = {{loss, {n}, {1}}, 1, Mode::overwrite};
        (void)CrossEntropy::hard(zs, {y, {}, false}, 0, {{}, 1}, first);

        auto* left = border.scratch().template take<std::int64_t>(n);
        Index count = 0;
        for (Index i = 0; i < n; ++i) {
            const bool keeps = !(std::exp(-static_cast<double>(loss[i])) > threshold);
            left[i] = keeps ? y[i] : -1;
            count += keeps ? 1 : 0;
            if (kept)
                kept.put(kept.view(i), keeps ? T(1) : T(0));
        }
        const double factor =
            reduction == Reduction::sum || count == 0 ? 1 : 1 / static_cast<double>(count);
        return border.finish(CrossEntropy::hard(zs, {left, {}, true}, 0, {{}, factor}, out));
    }
}

} // namespace temper::inline TEMPER_ABI
