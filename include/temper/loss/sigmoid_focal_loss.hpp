// SPDX-License-Identifier: BSL-1.0
#pragma once

// Focal loss of independent yes-or-no predictions: cross-entropy that easy entries hardly count in.
//
//   l = t a q^gamma L + (1 - t) (1 - a) p^gamma M     p = sigmoid(z), q = 1 - p, L = -log p, M = -log q
//   mean:  sum_i w_i sum_j l_ij / (d sum_i w_i)       sum:  sum_i w_i sum_j l_ij
//   dl/dz = -t a q^gamma (q + gamma p L) + (1 - t) (1 - a) p^gamma (p + gamma q M)
//   dl/dt = a q^gamma L - (1 - a) p^gamma M
//
// z logits [n, d]. Targets are probabilities(t) [n, d], the probability of a yes (usually 0 or 1; between
// them l is the expected loss), or labels(y) [n], 0 or 1, for logits [n] or [n, 1]. a = alpha weighs yes
// against no; without it (nullopt) both count 1, and gamma = 0 is then binary cross-entropy. w sample
// weights [n]. torchvision's sigmoid_focal_loss is this with the reduction said there ("none" by default).
// Curvature: l is F(L) of the cross-entropy L, F(L) = (1 - e^-L)^gamma L, and its part of a yes is
// F' p q + max(F'', 0) q^2 (of a no with p and q swapped): exact where F'' >= 0, else the Gauss-Newton
// part; never below the second derivative, which may be negative. Per sample: the mean (sum) over d.
// Value, gradient and curvature are finite for every gamma >= 0 and all finite logits.
// n = 0 or d = 0: value 0. Throws ShapeError, RangeError for gamma < 0, alpha outside [0, 1], labels.
// Lin et al., Focal Loss for Dense Object Detection (2017).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct SigmoidFocalLoss {
    static constexpr std::string_view name = "SigmoidFocalLoss";
    double gamma = 2;
    std::optional<double> alpha = 0.25;
    Reduction reduction = Reduction::mean;

    /// (z, labels(y) [, into(gz)], named...) or (z, probabilities(t) [, into(gz), into(gt)], named...),
    /// named: sample_weights(w), per_sample(into(v)), curvature(into(h))
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, const Rest&... rest) const;

    friend bool operator==(const SigmoidFocalLoss&, const SigmoidFocalLoss&) = default;
};

namespace kernel {
template <class T>
struct SigmoidFocalLoss {
    static double run(const temper::SigmoidFocalLoss& loss, MatrixView<const T> z,
                      MatrixView<const T> t, RowScale<T> scale, const Destination<T, 2>& gz,
                      const Destination<T, 2>& gt, const Destination<T, 1>& per_sample,
                      const Destination<T, 2>& curvature);
};
} // namespace kernel

template <class Z, class Y, class... Rest>
double SigmoidFocalLoss::operator()(const Z& z, const Y& targets, const Rest&... rest) const
{
    if constexpr (!is_labels<Y> && !is_probabilities<Y>)
        static_assert(is_labels<Y>,
                      "temper: targets come second, as labels(y) or probabilities(t)");
    else {
        accept<is_labels<Y> ? 1 : 2, SampleWeights, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(gamma >= 0, "gamma", gamma, "non-negative");
        border.require(!alpha || (*alpha >= 0 && *alpha <= 1), "alpha", alpha.value_or(0),
                       "from 0 to 1");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const Index d = zs.cols();
        MatrixView<const T> ts;
        if constexpr (is_labels<Y>) {
            border.expect_shape("logits", zs, {n, 1}, "where targets are labels");
            const auto* y = border.labels("labels", targets, n, 2);
            const auto dense = border.scratch().template matrix<T>(n, 1);
            std::transform(y, y + n, dense.data, [](auto label) { return static_cast<T>(label); });
            ts = dense;
        }
        else {
            ts = border.probabilities("targets", targets);
            border.same_shape("targets", ts, "logits", zs);
        }
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const auto gz = border.gradient("logits", zs, positional<0>(rest...));
        const auto gt = border.gradient("targets", zs, positional<1>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto h =
            border.template named_into<2>("curvature", named<Curvature>(rest...), {n, d});
        return border.finish(kernel::SigmoidFocalLoss<T>::run(
            *this, zs, ts, row_scale(reduction, n, weights, d), gz, gt, each, h));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::SigmoidFocalLoss<T>::run(const temper::SigmoidFocalLoss& loss, MatrixView<const T> z,
                                        MatrixView<const T> t, RowScale<T> scale,
                                        const Destination<T, 2>& gz, const Destination<T, 2>& gt,
                                        const Destination<T, 1>& per_sample,
                                        const Destination<T, 2>& curvature)
{
    using V = simd::Pack<T>;
    const V gamma(loss.gamma);
    const bool square = loss.gamma == 2; // the paper's, and quicker
    const V of_yes(loss.alpha.value_or(1));
    const V of_no(loss.alpha ? 1 - *loss.alpha : 1);
    const double share =
        loss.reduction == Reduction::mean && z.cols() > 0 ? 1 / static_cast<double>(z.cols()) : 1;
    struct Part {
        V value, slope, curve;
    };
    // Of the class whose probability is p; l is -log p, m is -log q, so that no power of 0 is taken.
    const auto part = [=](V p, V q, V l, V m) -> Part {
        const V weight = square ? q * q : exp(-gamma * m);
        const V slope = q + gamma * p * l;
        const V bend = gamma * (V(2) * q + (gamma - V(1)) * p * l - q * l);
        return {weight * l, weight * slope, weight * p * (slope + max(bend, V(0)))};
    };

    return simd::sum_tiles<T>(simd::operands(z, t, gz, gt, curvature), 0, [&](const auto& tile) {
        auto w = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            w[i] = static_cast<T>(scale(tile.row(i)));
        const auto sums = tile.sum([=](auto at) {
            const V x = at(z);
            const V e = exp(-abs(x));
            const V large = V(1) / (V(1) + e);
            const V small = e * large;
            const V p = select(x > V(0), large, small);
            const V q = select(x > V(0), small, large);
            const V rest = log1p(e);
            const V l = rest + max(-x, V(0));
            const V m = rest + max(x, V(0));
            const Part yes = part(p, q, l, m);
            const Part no = part(q, p, m, l);
            const V a = of_yes * at(t);
            const V b = of_no * (V(1) - at(t));
            at.put(gz, at(w) * (b * no.slope - a * yes.slope));
            at.put(gt, at(w) * (of_yes * yes.value - of_no * no.value));
            at.put(curvature, at(w) * (a * yes.curve + b * no.curve));
            return a * yes.value + b * no.value;
        });
        double total = 0;
        for (Index i = 0; i < tile.rows(); ++i) {
            total += scale(tile.row(i)) * sums[i];
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)), static_cast<T>(share * sums[i]));
        }
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::SigmoidFocalLoss);

} // namespace temper::inline TEMPER_ABI
#endif
