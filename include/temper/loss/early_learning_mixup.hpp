// SPDX-License-Identifier: BSL-1.0
#pragma once

// ELR+: early-learning regularization of mixed batches, with the predictions of an averaged model as what
// is remembered.
//
//   observe   t_i <- beta t_i + (1 - beta) softmax(teacher_i)     of the batch BEFORE it is mixed
//   q_i = lambda'_i t_i + (1 - lambda'_i) t_p(i)                  as the labels are mixed
//   l_i = -sum_j y_ij log p_ij + lambda log(1 - <q_i, clamp(p_i)>)
//
// p, clamp, reduction and gradient as in EarlyLearningRegularization, with the mixed labels y [n, k] given as
// probabilities and q in the place of t. p(i) and lambda' come from the plan that mixed the batch
// (Mixup, with lambda = max(lambda, 1 - lambda) in the published code). `at(step)` multiplies the term's
// lambda by sigmoid_up over ramp_steps (40000 for CIFAR-100, 0: no ramp). Two networks are trained, each with
// the other's average of weights as teacher. For 100 classes the code also multiplies the labels by q and
// normalises them again, which the paper does not say: `reweight_labels`; a row of which nothing is left is
// taken as it was.
// Errors as in EarlyLearningRegularization; RangeError for a plan that is not of the batch.
// Liu et al., Early-Learning Regularization Prevents Memorization of Noisy
// Labels (2020).

#include <temper/augment/mix_plan.hpp>
#include <temper/loss/early_learning_regularization.hpp>
#include <temper/schedule/ramp_schedule.hpp>

namespace temper::inline TEMPER_ABI {

struct EarlyLearningMixup {
    static constexpr std::string_view name = "EarlyLearningMixup";
    template <class T>
    using State = TargetBank<T>;

    double beta = 0.7;
    double lambda = 3;
    double clamp = 1e-4;
    Index ramp_steps = 0;
    bool reweight_labels = false;
    Reduction reduction = Reduction::mean;

    template <class T = float>
    [[nodiscard]] State<T> init(Index samples, Index classes) const
    {
        return {samples, classes};
    }
    /// The loss at a step of training.
    [[nodiscard]] EarlyLearningMixup at(Index step) const
    {
        EarlyLearningMixup ramped = *this;
        ramped.lambda *= RampSchedule{.steps = ramp_steps}(step);
        return ramped;
    }
    template <class T, class Ids, class Z>
    void observe(State<T>& state, const Ids& ids, const Z& teacher) const
    {
        detail::observe_targets(name, state, ids, teacher, beta, 0);
    }
    /// q: (state, ids, plan, into(q))
    template <class S, class Ids, class D>
    void mixed_targets(const TargetBank<S>& state, const Ids& ids, const MixPlan& plan,
                       const D& q) const;
    /// (state, ids, z, probabilities(y), plan [, into(gz)] [, sample_weights(w), per_sample(into(v))])
    template <class S, class Ids, class Z, class Y, class... Rest>
    double operator()(const TargetBank<S>& state, const Ids& ids, const Z& z, const Y& targets,
                      const MixPlan& plan, const Rest&... rest) const;

    friend bool operator==(const EarlyLearningMixup&, const EarlyLearningMixup&) = default;

  private:
    template <class T, class S, class Ids>
    MatrixView<T> mixed(Border<T>& border, const TargetBank<S>& state, const Ids& ids,
                        const MixPlan& plan, Index n, Index k) const;
};

/// The paper's name.
using ElrPlus = EarlyLearningMixup;

template <class T, class S, class Ids>
MatrixView<T> EarlyLearningMixup::mixed(Border<T>& border, const TargetBank<S>& state,
                                        const Ids& ids, const MixPlan& plan, Index n, Index k) const
{
    const auto* id = detail::bank_ids(border, state, ids, n, k);
    border.require(plan.size() == n, "plan", static_cast<double>(plan.size()),
                   "of the batch's size");
    border.require(plan.label_lambda.size() == 1 ||
                       static_cast<Index>(plan.label_lambda.size()) == n,
                   "plan.label_lambda.size()", static_cast<double>(plan.label_lambda.size()),
                   "1 or the batch's size");
    const auto q = border.scratch().template matrix<T>(n, k);
    for (Index i = 0; i < n; ++i) {
        const Index partner = plan.partner[static_cast<std::size_t>(i)];
        border.require(partner >= 0 && partner < n, "plan.partner", static_cast<double>(partner),
                       "a row of the batch");
        const S* own = state.targets.data() + id[i] * k;
        const S* other = state.targets.data() + id[partner] * k;
        const auto l = static_cast<T>(plan.label_lambda_of(i));
        for (Index j = 0; j < k; ++j)
            q(i, j) = l * static_cast<T>(own[j]) + (1 - l) * static_cast<T>(other[j]);
    }
    return q;
}

template <class S, class Ids, class D>
void EarlyLearningMixup::mixed_targets(const TargetBank<S>& state, const Ids& ids,
                                       const MixPlan& plan, const D& q) const
{
    if constexpr (!std::is_same_v<D, Discard>) {
        using T = typename detail::KernelScalar<std::remove_pointer_t<decltype(q.view.data)>>::type;
        Border<T> border(name);
        const auto to = border.template output<2>("mixed targets", q, {plan.size(), state.classes});
        const auto from = mixed(border, state, ids, plan, plan.size(), state.classes);
        for (Index i = 0; to && i < from.rows(); ++i)
            for (Index j = 0; j < from.cols(); ++j)
                to.put(to.view(i, j), from(i, j));
        border.finish();
    }
}

template <class S, class Ids, class Z, class Y, class... Rest>
double EarlyLearningMixup::operator()(const TargetBank<S>& state, const Ids& ids, const Z& z,
                                      const Y& targets, const MixPlan& plan,
                                      const Rest&... rest) const
{
    if constexpr (!is_probabilities<Y>)
        static_assert(is_probabilities<Y>,
                      "temper: mixed labels come after the predictions, as probabilities(y)");
    else {
        accept<1, SampleWeights, PerSample>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(std::isfinite(lambda), "lambda", lambda, "finite");
        border.require(clamp > 0 && clamp < 0.5, "clamp", clamp, "between 0 and 1/2");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const Index k = zs.cols();
        auto y = border.probabilities("targets", targets);
        border.same_shape("targets", y, "logits", zs);
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const auto gz = border.gradient("logits", zs, positional<0>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto q = mixed(border, state, ids, plan, n, k);
        if (reweight_labels) {
            const auto ours = border.scratch().template matrix<T>(n, k);
            for (Index i = 0; i < n; ++i) {
                T sum = 0;
                for (Index j = 0; j < k; ++j)
                    sum += ours(i, j) = y(i, j) * q(i, j);
                for (Index j = 0; j < k; ++j)
                    ours(i, j) = sum == 0 ? y(i, j) : ours(i, j) / sum;
            }
            y = ours;
        }
        return border.finish(kernel::EarlyLearningRegularization<T>::run(
            zs, nullptr, y, q, lambda, clamp, row_scale(reduction, n, weights), gz, each));
    }
}

} // namespace temper::inline TEMPER_ABI
