// SPDX-License-Identifier: BSL-1.0
#pragma once

// Distillation beside the labels: what students are trained with once their features are in place.
//
//   L = alpha CE(s, y) + (1 - alpha) KL_T(t, s)
//
//   CE = SoftmaxCrossEntropy{}, KL_T = DistillationKl{T}: with its T^2, a sum over classes, and like CE a
//   mean over samples (sum: a sum)
//
// s logits of the student [n, k], y = labels(y) [n], t = teacher_logits(t) [n, k], which is held fixed. An
// alpha of 1 or 0 leaves a term out exactly: neither the teacher's nor the labels' numbers are then looked
// at beyond their checks. terms: alpha CE and (1 - alpha) KL_T, [2]. n = 0: 0.
// Throws ShapeError; RangeError for labels outside [0, k), alpha outside [0, 1], T that is not positive.
// Matsubara, Yang, Levorato and Mandt, Supervised Compression for Resource-Constrained Edge Computing
// Systems (2022), the second stage; Matsubara et al., BottleFit (2022).

#include <temper/core/terms.hpp>
#include <temper/loss/distillation_kl.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

namespace temper::inline TEMPER_ABI {

struct DistillationCrossEntropy {
    static constexpr std::string_view name = "DistillationCrossEntropy";
    double alpha = 0.5;
    double temperature = 1;
    Reduction reduction = Reduction::mean;

    /// (s, labels(y), teacher_logits(t) [, into(gs)] [, sample_weights(w), terms(into(v))])
    template <class S, class Y, class L, class... Rest>
    double operator()(const S& s, const Y& targets, const L& teacher, const Rest&... rest) const;

    friend bool operator==(const DistillationCrossEntropy&,
                           const DistillationCrossEntropy&) = default;
};

template <class S, class Y, class L, class... Rest>
double DistillationCrossEntropy::operator()(const S& s, const Y& targets, const L& teacher,
                                            const Rest&... rest) const
{
    if constexpr (!is_labels<Y> || !is_teacher_logits<L>)
        static_assert(is_labels<Y> && is_teacher_logits<L>,
                      "temper: after the student come labels(y) and teacher_logits(t)");
    else {
        accept<1, SampleWeights, Terms>(rest...);
        using T = KernelScalarOf<S>;
        Border<T> border(name);
        border.require(alpha >= 0 && alpha <= 1, "alpha", alpha, "from 0 to 1");
        border.require(temperature > 0, "temperature", temperature, "positive");
        const auto ss = border.samples("student", s);
        const Index n = ss.rows();
        const ClassTargets<T> y{border.labels("labels", targets, n, ss.cols()), {}, false};
        const auto ts = border.teacher_logits("teacher", teacher);
        border.same_shape("teacher", ts, "student", ss);
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as student has rows");
        auto gs = border.gradient("student", ss, positional<0>(rest...));
        const auto each = border.template named_into<1>("terms", named<Terms>(rest...), {2});

        const auto scale = row_scale(reduction, n, weights);
        std::array<double, 2> term{};
        if (alpha > 0) {
            term[0] = kernel::SoftmaxCrossEntropy<T>::hard(
                ss, y, 0, {scale.weights, alpha * scale.factor}, {gs, {}, {}, {}});
            if (gs)
                gs.mode = Mode::add;
        }
        if (alpha < 1)
            term[1] = kernel::DistillationKl<T>::run(
                temperature, ss, ts, {scale.weights, (1 - alpha) * scale.factor}, {gs, {}, {}, {}});
        detail::put_terms(each, term);
        return border.finish(term[0] + term[1]);
    }
}

} // namespace temper::inline TEMPER_ABI
