// SPDX-License-Identifier: BSL-1.0
#pragma once

// Focal loss over classes: softmax cross-entropy that easy samples hardly count in.
//
//   l_i = c_y q^gamma L        p = softmax(z_i), y the label, q = 1 - p_y, L = -log p_y
//   mean:  sum_i w_i l_i / sum_i w_i c_y          sum:  sum_i w_i l_i
//   dl_i/dz_ij = c_y F' (p_j - [j = y])           F(L) = (1 - e^-L)^gamma L
//   F' = q^gamma (1 + gamma p_y L / q)
//
// z logits [n, k], labels(y) [n], c class weights [k] (the paper's alpha), w sample weights [n], 1 where
// not given. A label equal to ignore_index leaves its sample out of everything. gamma = 0 is
// SoftmaxCrossEntropy. The classes exclude each other; for independent ones see SigmoidFocalLoss.
// Curvature: F' p_j (1 - p_j) + max(F'', 0) (p_j - [j = y])^2, with the factor of l_i: exact where
// F'' >= 0, else the Gauss-Newton part; never below the second derivative, which may be negative.
// Per sample: l_i. Value, gradient and curvature are finite for every gamma >= 0 and all finite logits,
// at q = 0 too, where L / q is 1. n = 0 or all ignored: value 0.
// Throws ShapeError, RangeError for gamma < 0 and labels outside [0, k).
// Lin et al., Focal Loss for Dense Object Detection (2017).

#include <temper/core/class_targets.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct FocalLoss {
    static constexpr std::string_view name = "FocalLoss";
    double gamma = 2;
    std::optional<std::int64_t> ignore_index = std::nullopt;
    Reduction reduction = Reduction::mean;

    /// (z, labels(y) [, into(gz)] [, sample_weights(w), class_weights(c), per_sample(into(v)),
    ///  curvature(into(h))])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, const Rest&... rest) const;

    friend bool operator==(const FocalLoss&, const FocalLoss&) = default;
};

namespace kernel {
template <class T>
struct FocalLoss {
    static double run(double gamma, MatrixView<const T> z, const ClassTargets<T>& y,
                      RowScale<T> scale, const Destination<T, 2>& gz,
                      const Destination<T, 1>& per_sample, const Destination<T, 2>& curvature);
};
} // namespace kernel

template <class Z, class Y, class... Rest>
double FocalLoss::operator()(const Z& z, const Y& targets, const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
    else {
        accept<1, SampleWeights, ClassWeights, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(gamma >= 0, "gamma", gamma, "non-negative");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const Index k = zs.cols();
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const auto of_classes = border.optional_vector(
            "class_weights", named<ClassWeights>(rest...), k, "as logits has columns");
        const ClassTargets<T> y{border.labels("labels", targets, n, k, ignore_index), of_classes,
                                ignore_index.has_value()};
        const auto gz = border.gradient("logits", zs, positional<0>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto h =
            border.template named_into<2>("curvature", named<Curvature>(rest...), {n, k});
        const auto scale =
            row_scale(reduction, n, weights, 1, [&](Index i) { return y.weight(i); });
        return border.finish(kernel::FocalLoss<T>::run(gamma, zs, y, scale, gz, each, h));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::FocalLoss<T>::run(double gamma, MatrixView<const T> z, const ClassTargets<T>& y,
                                 RowScale<T> scale, const Destination<T, 2>& gz,
                                 const Destination<T, 1>& per_sample,
                                 const Destination<T, 2>& curvature)
{
    using V = simd::Pack<T>;
    return simd::sum_tiles<T>(simd::operands(z, gz, curvature), 1, [&](const auto& tile) {
        const auto s = simd::softmax_of_one(tile, z, tile.scratch(0), y);
        auto loss = tile.numbers();
        auto first = tile.numbers();  // F' / sum
        auto second = tile.numbers(); // max(F'', 0) q^2
        auto inverse = tile.numbers();
        tile.each_row([&](auto at) {
            const V sum = at(s.sum);
            const V q = at(s.others) / sum;
            const V p = at(s.one) / sum;
            const V l = at(s.loss);
            const V ratio = select(q > V(0), l / q, V(1));
            const V weight = gamma == 0 ? V(1) : exp(V(gamma) * log(q));
            at.put(loss, weight * l);
            at.put(first, weight * fma(V(gamma) * p, ratio, V(1)) / sum);
            at.put(second,
                   V(gamma) * weight * q * p * max(V(2) + V(gamma - 1) * p * ratio - l, V(0)));
            at.put(inverse, select(q > V(0), V(1) / at(s.others), V(0)));
        });

        double total = 0;
        auto w = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const double c = y.weight(row);
            const double value = c == 0 ? 0 : c * static_cast<double>(loss[i]);
            w[i] = static_cast<T>(scale(row) * c);
            total += scale(row) * value;
            if (per_sample)
                per_sample.put(per_sample.view(row), static_cast<T>(value));
            if (const Index label = y(row); label >= 0)
                tile.entry(s.e, i, label) = -s.others[i]; // (p_y - 1) sum
        }
        if (gz)
            tile.each([=](auto at) { at.put(gz, at(w) * at(first) * at(s.e)); });
        if (curvature)
            tile.each([=](auto at) {
                const V e = at(s.e);
                const V x =
                    abs(e); // of the label: others, and others * one is p (1 - p) sum^2 as well
                const V part = e * at(inverse);
                const V spread = x * max(at(s.sum) - x, V(0)) / at(s.sum);
                at.put(curvature, at(w) * (at(first) * spread + at(second) * part * part));
            });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::FocalLoss);

} // namespace temper::inline TEMPER_ABI
#endif
