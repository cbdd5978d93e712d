// SPDX-License-Identifier: BSL-1.0
#pragma once

// A loss as the custom objective of a gradient-boosting library: from the margins of n samples with k
// outputs each to the gradient and the curvature of every margin, all in flat arrays.
//
//   entry (i, j)   margins     gradient, curvature         of
//   row_major      i k + j     i k + j                     XGBoost's C interface, 1.7 and 2.x
//   class_major    j n + i     j n + i                     LightGBM's C interface, 3.x and 4.x
//   pairs          i k + j     2 (i k + j), and next to it XGBoost's C++ objectives (GradientPair)
//
//   XGBoost    margins are float, of XGBoosterPredictFromDMatrix with "type": 1; the arrays go to
//              XGBoosterBoostOneIter or, from 2.1 on, as array interfaces of shape [n, k] to
//              XGBoosterTrainOneIter; labels and weights are those of XGDMatrixGetFloatInfo
//   LightGBM   margins are double, of LGBM_BoosterGetPredict under objective=none; the arrays go to
//              LGBM_BoosterUpdateOneIterCustom. Its Python arrays have this order up to 3.x; from 4.0 on
//              they are matrices [n, k], which need no adapter
//
// Targets are labels(y), float as these libraries store them, or for regression the numbers themselves, in
// the order of the margins. Gradient, curvature and sample_weights(w) may be of another floating type than
// the margins. What is written is of the sum over samples, unless `reduction` says otherwise: the mean's
// curvature is n times smaller, and falls below what a leaf must have (min_child_weight of XGBoost,
// min_sum_hessian_in_leaf of LightGBM), so that no tree splits.
// Curvature is what the loss's header says, times curvature_factor: that of softmax cross-entropy is
// p (1 - p), of which the libraries' own objectives take 2 (XGBoost 1.7 and 2.x) and k / (k - 1) times
// (LightGBM from 3.0 on), to allow for all outputs moving at once.
// A loss with a state is wrapped: {.loss = [&](const auto&... a) { return loss(state, ids, a...); }},
// which has its own reduction.
// Returns the loss. Throws ShapeError for arrays of other sizes, and what the loss throws.
// Chen and Guestrin, XGBoost: A Scalable Tree Boosting System (2016).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class Loss>
struct BoostingObjective {
    static constexpr std::string_view name = "BoostingObjective";
    Loss loss{};
    double curvature_factor = 1;
    Reduction reduction = Reduction::sum;

    /// (n, margins, targets, gradient, curvature [, sample_weights(w), per_sample(into(v)), ...])
    template <class Z, class Y, class G, class H, class... Rest>
    double row_major(Index n, const Z& margins, const Y& targets, G&& gradient, H&& curvature,
                     const Rest&... rest) const
    {
        const Index k = outputs(n, margins);
        return run({n, k, k, 1}, margins, targets, window("gradient", gradient, {n, k, k, 1}),
                   window("curvature", curvature, {n, k, k, 1}), rest...);
    }
    /// (n, margins, targets, gradient, curvature [, ...])
    template <class Z, class Y, class G, class H, class... Rest>
    double class_major(Index n, const Z& margins, const Y& targets, G&& gradient, H&& curvature,
                       const Rest&... rest) const
    {
        const Index k = outputs(n, margins);
        return run({n, k, 1, n}, margins, targets, window("gradient", gradient, {n, k, 1, n}),
                   window("curvature", curvature, {n, k, 1, n}), rest...);
    }
    /// (n, margins, targets, pairs [, ...])
    template <class Z, class Y, class P, class... Rest>
    double pairs(Index n, const Z& margins, const Y& targets, P&& pairs, const Rest&... rest) const
    {
        const Index k = outputs(n, margins);
        auto gradient = window("pairs", pairs, {n, k, 2 * k, 2});
        auto curvature = gradient;
        ++curvature.data;
        return run({n, k, k, 1}, margins, targets, gradient, curvature, rest...);
    }

  private:
    struct Layout {
        Index n, k, row, column;
    };
    template <class Z>
    static Index outputs(Index n, const Z& margins)
    {
        const Index size = view(margins).size();
        if (n < 0 || (n == 0 ? size != 0 : size % n != 0))
            fail<ShapeError>(name, "margins", joined({"has ", text(size), " entries"}),
                             joined({"a number of outputs for each of ", text(n), " samples"}));
        return n == 0 ? 0 : size / n;
    }
    template <class O>
    static auto window(std::string_view what, O& owner, const Layout& at)
    {
        static_assert(static_rank<O>() == 1, "temper: boosting libraries have flat arrays");
        const auto flat = view(owner);
        const Index size = at.n * at.k * (std::min)(at.row, at.column);
        if (flat.size() != size || (size > 0 && flat.strides[0] != 1))
            fail<ShapeError>(name, what, joined({"has ", text(flat.size()), " entries"}),
                             joined({text(size), ", one after the other"}));
        return View<std::remove_pointer_t<decltype(flat.data)>, 2>{
            flat.data, {at.n, at.k}, {at.row, at.column}};
    }
    template <class L>
    static L reduced(L loss, Reduction reduction)
    {
        if constexpr (requires { loss.reduction = reduction; })
            loss.reduction = reduction;
        else if constexpr (requires { loss.component; }) // scaled, or checked
            loss.component = reduced(loss.component, reduction);
        return loss;
    }
    template <class Z, class Y, class G, class H, class... Rest>
    double run(const Layout& at, const Z& margins, const Y& targets, const G& gradient,
               const H& curvature, const Rest&... rest) const
    {
        const auto z = window("margins", margins, at);
        auto bend = into(curvature);
        bend.scale = curvature_factor;
        const auto call = [&](const auto& y) {
            return static_cast<double>(
                reduced(loss, reduction)(z, y, into(gradient), temper::curvature(bend), rest...));
        };
        if constexpr (is_labels<Y> || is_probabilities<Y>)
            return call(targets);
        else {
            // Labels are float whatever margins are.
            const auto y = window("targets", targets, at);
            Workspace::Frame frame;
            const auto same = frame.matrix_like(z);
            for (Index j = 0; j < at.k; ++j)
                for (Index i = 0; i < at.n; ++i)
                    same(i, j) = static_cast<typename decltype(same)::Scalar>(y(i, j));
            return call(same);
        }
    }
};

} // namespace temper::inline TEMPER_ABI
