// SPDX-License-Identifier: BSL-1.0
#pragma once

// Self-distillation from past predictions (PS-KD): the targets are refined, more and more, by what the model
// itself predicted of the sample an epoch ago.
//
//   t_i = (1 - alpha) e_y + alpha past_i        l_i = -sum_j t_ij log softmax(z_i)_j
//   at(epoch, epochs):  alpha <- max(0, alpha (epoch + 1) / epochs)       epochs counted from 0
//   observe             past_i <- softmax(z_i)
//
// Reduction and gradient (softmax(z) - t, by the reduction's factor) are those of SoftmaxCrossEntropy. past
// has no gradient; z logits [n, k], labels(y) [n]. The state (target_bank.hpp) starts with the one-hot
// labels of the whole data set, so that the first epoch is plain cross-entropy.
// observe(state, ids, z) AFTER the loss of a batch: the published code stores the predictions once the epoch
// is over, which is the same where an epoch visits every sample once. They are the predictions of training
// (augmented, without average or temperature). alpha = 0: cross-entropy; alpha in [0, 1].
// Throws ShapeError, RangeError for labels outside [0, k), ids outside the state, a state of other classes,
// alpha outside [0, 1], epochs < 1.
// Kim et al., Self-Knowledge Distillation with Progressive Refinement of Targets (2021).

#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/loss/target_bank.hpp>

namespace temper::inline TEMPER_ABI {

struct ProgressiveSelfDistillation {
    static constexpr std::string_view name = "ProgressiveSelfDistillation";
    template <class T>
    using State = TargetBank<T>;

    double alpha = 0.8;
    Reduction reduction = Reduction::mean;

    template <class T = float, class V>
    [[nodiscard]] State<T> init(const Labels<V>& of_all_samples, Index classes) const
    {
        return {of_all_samples, classes};
    }
    /// The loss at an epoch of all.
    [[nodiscard]] ProgressiveSelfDistillation at(Index epoch, Index epochs) const
    {
        require(epochs >= 1, name, "epochs", static_cast<double>(epochs), "at least 1");
        ProgressiveSelfDistillation now = *this;
        now.alpha *= static_cast<double>(epoch + 1) / static_cast<double>(epochs);
        now.alpha = (std::max)(0.0, now.alpha);
        return now;
    }
    template <class T, class Ids, class Z>
    void observe(State<T>& state, const Ids& ids, const Z& z) const
    {
        detail::observe_targets(name, state, ids, z, 0, 0);
    }
    /// t: (state, ids, labels(y), into(t))
    template <class S, class Ids, class V, class D>
    void targets(const TargetBank<S>& state, const Ids& ids, const Labels<V>& labels,
                 const D& t) const;
    /// (state, ids, z, labels(y) [, into(gz)] [, sample_weights(w), per_sample(into(v)),
    ///  curvature(into(h))])
    template <class S, class Ids, class Z, class Y, class... Rest>
    double operator()(const TargetBank<S>& state, const Ids& ids, const Z& z, const Y& targets,
                      const Rest&... rest) const;

    friend bool operator==(const ProgressiveSelfDistillation&,
                           const ProgressiveSelfDistillation&) = default;

  private:
    template <class T, class S, class Ids, class V>
    MatrixView<const T> refined(Border<T>& border, const TargetBank<S>& state, const Ids& ids,
                                const Labels<V>& labels, Index n, Index k) const;
};

/// The paper's name.
using PsKd = ProgressiveSelfDistillation;

template <class T, class S, class Ids, class V>
MatrixView<const T>
ProgressiveSelfDistillation::refined(Border<T>& border, const TargetBank<S>& state, const Ids& ids,
                                     const Labels<V>& labels, Index n, Index k) const
{
    border.require(alpha >= 0 && alpha <= 1, "alpha", alpha, "from 0 to 1");
    const auto* id = detail::bank_ids(border, state, ids, n, k);
    const auto* y = border.labels("labels", labels, n, k);
    const auto t = detail::bank_rows(border, state, id, n);
    for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < k; ++j)
            t(i, j) = static_cast<T>(alpha) * t(i, j);
        t(i, static_cast<Index>(y[i])) += static_cast<T>(1 - alpha);
    }
    return t;
}

template <class S, class Ids, class V, class D>
void ProgressiveSelfDistillation::targets(const TargetBank<S>& state, const Ids& ids,
                                          const Labels<V>& labels, const D& t) const
{
    if constexpr (!std::is_same_v<D, Discard>) {
        using T = typename detail::KernelScalar<std::remove_pointer_t<decltype(t.view.data)>>::type;
        Border<T> border(name);
        const Index n = labels.view.size();
        const auto to = border.template output<2>("targets", t, {n, state.classes});
        const auto from = refined(border, state, ids, labels, n, state.classes);
        for (Index i = 0; to && i < n; ++i)
            for (Index j = 0; j < from.cols(); ++j)
                to.put(to.view(i, j), from(i, j));
        border.finish();
    }
}

template <class S, class Ids, class Z, class Y, class... Rest>
double ProgressiveSelfDistillation::operator()(const TargetBank<S>& state, const Ids& ids,
                                               const Z& z, const Y& targets,
                                               const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come after the predictions, as labels(y)");
    else {
        accept<1, SampleWeights, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        const auto zs = border.samples("logits", z);
        const auto t = refined(border, state, ids, targets, zs.rows(), zs.cols());
        return SoftmaxCrossEntropy{.reduction = reduction}(zs, probabilities(t), rest...);
    }
}

} // namespace temper::inline TEMPER_ABI
