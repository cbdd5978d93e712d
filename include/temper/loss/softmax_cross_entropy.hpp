// SPDX-License-Identifier: BSL-1.0
#pragma once

// Softmax cross-entropy (log loss), with label smoothing, weights and ignored samples.
//
//   t_ij = c_j ((1 - e) y_ij + e / k)        e = label_smoothing, c_j class weights (1 where not given)
//   l_i = -sum_j t_ij log p_ij               p_i = softmax(z_i), S_i = sum_j t_ij
//   sum:   L = sum_i w_i l_i
//   mean:  L = sum_i w_i l_i / sum_i w_i m_i
//   dL/dz_ij = W_i (S_i p_ij - t_ij)         W_i = w_i, divided by the mean's sum
//   dL/dy_ij = -W_i (1 - e) c_j log p_ij
//
// z logits [n, k]. Targets are labels(y), class indices [n] (y_ij is 1 for the label, else 0), or
// probabilities(p) [n, k], which may be any numbers: rows need not sum to 1. w sample weights [n].
// m_i is the weight of the label's class, and 1 for probabilities, as in PyTorch. A label equal to
// ignore_index leaves its sample out of everything: l_i, m_i and its gradient are 0, whatever its logits;
// where all are left out (or n = 0) L is 0. Curvature (exact, Gauss-Newton alike): W_i S_i p_ij (1 - p_ij).
// Per sample: l_i.
//
// Logits of any size are fine. A logit of minus infinity is a class of probability 0: it costs nothing
// where its target is 0, and plus infinity where it is not.
// Throws ShapeError, RangeError for labels outside [0, k) and label_smoothing outside [0, 1].
// Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016), for label smoothing.

#include <temper/core/class_targets.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct SoftmaxCrossEntropy {
    static constexpr std::string_view name = "SoftmaxCrossEntropy";
    double label_smoothing = 0;
    std::optional<std::int64_t> ignore_index = std::nullopt; ///< for labels
    Reduction reduction = Reduction::mean;

    /// (z, labels(y) [, into(gz)], named...) or (z, probabilities(p) [, into(gz), into(gp)], named...),
    /// named: sample_weights(w), class_weights(c), per_sample(into(v)), curvature(into(h))
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, const Rest&... rest) const;

    friend bool operator==(const SoftmaxCrossEntropy&, const SoftmaxCrossEntropy&) = default;
};

namespace kernel {
template <class T>
struct SoftmaxCrossEntropy {
    struct Outputs {
        Destination<T, 2> gz, gy;
        Destination<T, 1> per_sample;
        Destination<T, 2> curvature;
    };
    static double hard(MatrixView<const T> z, const ClassTargets<T>& y, double smoothing,
                       RowScale<T> scale, const Outputs& out);
    static double soft(MatrixView<const T> z, MatrixView<const T> y,
                       VectorView<const T> class_weights, double smoothing, RowScale<T> scale,
                       const Outputs& out);
};
} // namespace kernel

template <class Z, class Y, class... Rest>
double SoftmaxCrossEntropy::operator()(const Z& z, const Y& targets, const Rest&... rest) const
{
    if constexpr (!is_labels<Y> && !is_probabilities<Y>)
        static_assert(is_labels<Y>,
                      "temper: targets come second, as labels(y) or probabilities(p)");
    else {
        accept<is_labels<Y> ? 1 : 2, SampleWeights, ClassWeights, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(label_smoothing >= 0 && label_smoothing <= 1, "label_smoothing",
                       label_smoothing, "from 0 to 1");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const Index k = zs.cols();
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const auto of_classes = border.optional_vector(
            "class_weights", named<ClassWeights>(rest...), k, "as logits has columns");
        typename kernel::SoftmaxCrossEntropy<T>::Outputs out;
        const auto announce_outputs = [&] {
            out.gz = border.gradient("logits", zs, positional<0>(rest...));
            if constexpr (is_probabilities<Y>)
                out.gy = border.gradient("targets", zs, positional<1>(rest...));
            out.per_sample =
                border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
            out.curvature =
                border.template named_into<2>("curvature", named<Curvature>(rest...), {n, k});
        };
        if constexpr (is_labels<Y>) {
            const ClassTargets<T> y{border.labels("labels", targets, n, k, ignore_index),
                                    of_classes, ignore_index.has_value()};
            announce_outputs();
            const auto scale = y.plain() ? row_scale(reduction, n, weights)
                                         : row_scale(reduction, n, weights, 1,
                                                     [&](Index i) { return y.weight(i); });
            return border.finish(
                kernel::SoftmaxCrossEntropy<T>::hard(zs, y, label_smoothing, scale, out));
        }
        else {
            const auto y = border.probabilities("targets", targets);
            border.same_shape("targets", y, "logits", zs);
            announce_outputs();
            return border.finish(kernel::SoftmaxCrossEntropy<T>::soft(
                zs, y, of_classes, label_smoothing, row_scale(reduction, n, weights), out));
        }
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::SoftmaxCrossEntropy<T>::hard(MatrixView<const T> z, const ClassTargets<T>& y,
                                            double smoothing, RowScale<T> scale, const Outputs& out)
{
    using V = simd::Pack<T>;
    const Index k = z.cols();
    // The smoothed part of every class's target but for its weight, and the sum of all.
    const VectorView<const T> c = y.class_weights;
    const double spread = smoothing / static_cast<double>(k);
    double spread_sum = smoothing;
    if (smoothing > 0 && c.data != nullptr)
        spread_sum =
            spread * simd::row_sum(k, std::array{simd::source(c)}, [](auto u) { return u; });

    return simd::sum_tiles<T>(simd::operands(z, out.gz, out.curvature), 1, [&](const auto& tile) {
        const auto s = simd::softmax_of_one(tile, z, tile.scratch(0, out.gz), y);
        const auto e = s.e;
        auto smooth_loss = tile.totals();
        auto log_sum = tile.numbers();
        if (smoothing > 0) {
            const auto shift = s.shift;
            smooth_loss = c.data == nullptr
                              ? tile.sum([=](auto at) { return at(shift) - at(z); })
                              : tile.sum([=](auto at) {
                                    const V t = at(c);
                                    return select(t == V(0), t, t * (at(shift) - at(z)));
                                });
            tile.each_row([&](auto at) { at.put(log_sum, log(at(s.sum))); });
        }

        double total = 0;
        auto of_p = tile.numbers(); // the gradient is of_p_i e_ij - of_spread_i c_j,
        auto of_spread = tile.numbers();
        auto of_h = tile.numbers();     // the curvature of_h_i e_ij (sum_i - e_ij)
        auto of_label = tile.numbers(); // once the label's e_ij is this
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const double w = scale(row);
            const Index label = y(row);
            double loss = 0;
            if (label >= 0) {
                const double hard = (1 - smoothing) * y.weight(row);
                const double all = hard + spread_sum;
                loss = hard == 0 ? 0 : hard * static_cast<double>(s.loss[i]);
                if (smoothing > 0)
                    loss += spread_sum * static_cast<double>(log_sum[i]) + spread * smooth_loss[i];
                const double inverse = 1 / static_cast<double>(s.sum[i]);
                of_p[i] = static_cast<T>(w * all * inverse);
                of_spread[i] = static_cast<T>(w * spread);
                of_h[i] = static_cast<T>(w * all * inverse * inverse);
                of_label[i] =
                    all == 0 ? T(0)
                             : static_cast<T>((spread_sum * s.one[i] - hard * s.others[i]) / all);
                total += w * loss;
            }
            if (out.per_sample)
                out.per_sample.put(out.per_sample.view(row), static_cast<T>(loss));
        }
        if (out.curvature)
            tile.each([=, sum = s.sum](auto at) {
                const V x = at(e);
                at.put(out.curvature, at(of_h) * x * max(at(sum) - x, V(0)));
            });
        if (out.gz) {
            for (Index i = 0; i < tile.rows(); ++i)
                if (const Index label = y(tile.row(i)); label >= 0)
                    tile.entry(e, i, label) = of_label[i];
            if (smoothing == 0)
                tile.each([=](auto at) { at.put(out.gz, at(of_p) * at(e)); });
            else if (c.data == nullptr)
                tile.each([=](auto at) { at.put(out.gz, at(of_p) * at(e) - at(of_spread)); });
            else
                tile.each(
                    [=](auto at) { at.put(out.gz, at(of_p) * at(e) - at(of_spread) * at(c)); });
        }
        return total;
    });
}

template <class T>
double kernel::SoftmaxCrossEntropy<T>::soft(MatrixView<const T> z, MatrixView<const T> y,
                                            VectorView<const T> class_weights, double smoothing,
                                            RowScale<T> scale, const Outputs& out)
{
    using V = simd::Pack<T>;
    const Index k = z.cols();
    const double spread = smoothing / static_cast<double>(k);
    const auto of_class = [=](auto at) {
        return class_weights.data == nullptr ? V(1) : at(class_weights);
    };
    const auto all = simd::operands(z, y, out.gz, out.gy, out.curvature);
    const auto with_targets = [&](auto target) {
        return simd::sum_tiles<T>(all, 1, [&](const auto& tile) {
            const auto [s, sums] =
                simd::softmax<2>(tile, z, tile.scratch(0, out.gz), [target](auto at, V below) {
                    const V t = target(at);
                    return std::array{t, select(t == V(0), t, -t * below)};
                });
            const auto& mass = sums[0];
            const auto& below = sums[1];
            double total = 0;
            auto of_p = tile.numbers();
            auto of_target = tile.numbers();
            auto of_h = tile.numbers();
            auto log_sum = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                const Index row = tile.row(i);
                const double w = scale(row);
                const auto sum = static_cast<double>(s.sum[i]);
                const double logarithm = std::log(sum);
                const double loss = k == 0 ? 0 : mass[i] * logarithm + below[i];
                of_p[i] = static_cast<T>(w * mass[i] / sum);
                of_target[i] = static_cast<T>(w);
                of_h[i] = static_cast<T>(w * mass[i] / (sum * sum));
                log_sum[i] = static_cast<T>(logarithm);
                total += w * loss;
                if (out.per_sample)
                    out.per_sample.put(out.per_sample.view(row), static_cast<T>(loss));
            }
            if (out.gy)
                tile.each([=, shift = s.shift](auto at) {
                    const V c = V(1 - smoothing) * of_class(at);
                    const V surprise = at(log_sum) + (at(shift) - at(z));
                    at.put(out.gy, at(of_target) * select(c == V(0), c, c * surprise));
                });
            if (out.curvature)
                tile.each([=, e = s.e, sum = s.sum](auto at) {
                    const V x = at(e);
                    at.put(out.curvature, at(of_h) * x * max(at(sum) - x, V(0)));
                });
            if (out.gz)
                tile.each([=, e = s.e](auto at) {
                    at.put(out.gz, at(of_p) * at(e) - at(of_target) * target(at));
                });
            return total;
        });
    };
    if (smoothing == 0 && class_weights.data == nullptr)
        return with_targets([=](auto at) { return at(y); });
    return with_targets(
        [=](auto at) { return of_class(at) * fma(V(1 - smoothing), at(y), V(spread)); });
}

TEMPER_INSTANTIATE(kernel::SoftmaxCrossEntropy);

} // namespace temper::inline TEMPER_ABI
#endif
