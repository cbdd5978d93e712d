// SPDX-License-Identifier: BSL-1.0
#pragma once

// Softmax cross-entropy of mixed samples: two labels each, and a weight between them that may be learned;
// with label smoothing, weights and ignored labels as SoftmaxCrossEntropy has them, in one pass.
//
//   l_i = lambda_i CE(z_i, a_i) + (1 - lambda_i) CE(z_i, b_i)
//   CE(z, y) = -sum_j t_j log p_j      p = softmax(z), t_j = c_j ((1 - e) [j = y] + e / k)
//   sum:   L = sum_i w_i l_i
//   mean:  L = sum_i w_i l_i / sum_i w_i m_i        m_i = lambda_i c_a + (1 - lambda_i) c_b
//   dL/dz_ij = W_i (S_i p_ij - t_ij)                t_i mixed like the labels, S_i = sum_j t_ij
//   dL/dlambda_i = W_i (CE(z_i, a_i) - CE(z_i, b_i) [- L (c_a - c_b) for the mean])
//
// z logits [n, k], a the labels of the samples themselves and b of their partners [n], lambda the weight
// of the samples themselves: a number, or [n], or [1] for the whole batch (its gradient is then the sum).
// It is usually in [0, 1]; that is not checked. e = label_smoothing; c class weights [k], 1 where not
// given; w sample weights [n]; W_i is w_i, divided by the mean's sum. A label equal to ignore_index leaves
// its share of the sample out of everything: its CE and its c are 0. Where all are left out, or n = 0, L
// is 0. The same as SoftmaxCrossEntropy on the mixed labels as probabilities, without the matrix of them,
// but for the mean's divisor where classes weigh, which is that of labels.
// Curvature (exact): W_i S_i p_ij (1 - p_ij). Per sample: l_i. Logits of any size are fine; a label whose
// weight is 0 costs nothing even at a logit of minus infinity.
// Throws ShapeError, RangeError for labels outside [0, k) and label_smoothing outside [0, 1].
// Zhang et al., mixup: Beyond Empirical Risk Minimization (2018); with a learned lambda Guo et al., MixUp
// as Locally Linear Out-Of-Manifold Regularization (2019).

#include <temper/core/class_targets.hpp>
#include <temper/core/coefficients.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct MixupCrossEntropy {
    static constexpr std::string_view name = "MixupCrossEntropy";
    double label_smoothing = 0;
    std::optional<std::int64_t> ignore_index = std::nullopt;
    Reduction reduction = Reduction::mean;

    /// (z, labels(a), labels(b), lambda [, into(gz), into(glambda)], named...), named: sample_weights(w),
    /// class_weights(c), per_sample(into(v)), curvature(into(h))
    template <class Z, class A, class B, class L, class... Rest>
    double operator()(const Z& z, const A& labels_a, const B& labels_b, const L& lambda,
                      const Rest&... rest) const;

    friend bool operator==(const MixupCrossEntropy&, const MixupCrossEntropy&) = default;
};

namespace kernel {
template <class T>
struct MixupCrossEntropy {
    struct Lambda : Coefficients { ///< `gradient` is of the same shape
        AnyDestination<T> gradient;
        void put(Index i, double number) const
        {
            const Destination<T, 1> to{{gradient.view.data, {count}, {gradient.view.strides[0]}},
                                       gradient.scale,
                                       gradient.mode};
            to.put(to.view(i), static_cast<T>(number));
        }
    };
    struct Outputs {
        Destination<T, 2> gz;
        Destination<T, 1> per_sample;
        Destination<T, 2> curvature;
    };
    static double run(const temper::MixupCrossEntropy& how, MatrixView<const T> z,
                      const ClassTargets<T>& a, const ClassTargets<T>& b, const Lambda& lambda,
                      VectorView<const T> weights, const Outputs& out);
};
} // namespace kernel

template <class Z, class A, class B, class L, class... Rest>
double MixupCrossEntropy::operator()(const Z& z, const A& labels_a, const B& labels_b,
                                     const L& lambda, const Rest&... rest) const
{
    accept<2, SampleWeights, ClassWeights, PerSample, Curvature>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    border.require(label_smoothing >= 0 && label_smoothing <= 1, "label_smoothing", label_smoothing,
                   "from 0 to 1");
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const Index k = zs.cols();
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as logits has rows");
    const auto of_classes = border.optional_vector("class_weights", named<ClassWeights>(rest...), k,
                                                   "as logits has columns");
    const auto targets = [&](const char* which, const auto& given) {
        return ClassTargets<T>{border.labels(which, given, n, k, ignore_index), of_classes,
                               ignore_index.has_value()};
    };
    const auto a = targets("labels_a", labels_a);
    const auto b = targets("labels_b", labels_b);
    const auto ls = coefficients(border, "lambda", lambda, n);

    typename kernel::MixupCrossEntropy<T>::Outputs out;
    out.gz = border.gradient("logits", zs, positional<0>(rest...));
    const auto gl = border.gradient("lambda", ls.template like<T>(), positional<1>(rest...));
    out.per_sample = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    out.curvature = border.template named_into<2>("curvature", named<Curvature>(rest...), {n, k});
    return border.finish(
        kernel::MixupCrossEntropy<T>::run(*this, zs, a, b, {ls, gl}, weights, out));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::MixupCrossEntropy<T>::run(const temper::MixupCrossEntropy& how,
                                         MatrixView<const T> z, const ClassTargets<T>& a,
                                         const ClassTargets<T>& b, const Lambda& lambda,
                                         VectorView<const T> weights, const Outputs& out)
{
    using V = simd::Pack<T>;
    const Index n = z.rows();
    const Index k = z.cols();
    const VectorView<const T> c = a.class_weights;
    const double hardness = 1 - how.label_smoothing;
    // The smoothed part of every class's target but for its weight, and the sum of all.
    const double spread = how.label_smoothing / static_cast<double>(k);
    double spread_sum = how.label_smoothing;
    if (spread > 0 && c.data != nullptr)
        spread_sum =
            spread * simd::row_sum(k, std::array{simd::source(c)}, [](auto u) { return u; });
    const auto scale = a.plain() ? row_scale(how.reduction, n, weights)
                                 : row_scale(how.reduction, n, weights, 1, [&](Index i) {
                                       const double l = lambda[i];
                                       return l * a.weight(i) + (1 - l) * b.weight(i);
                                   });

    Workspace::Frame frame;
    auto* slope = frame.take<double>(n); // CE(z_i, a_i) - CE(z_i, b_i)
    const auto all = simd::operands(z, out.gz, out.curvature);
    const double value = simd::sum_tiles<T>(all, 1, [&](const auto& tile) {
        auto smooth_loss = tile.totals();
        auto s = [&] {
            const auto e = tile.scratch(0, out.gz);
            if (spread == 0)
                return simd::softmax(tile, z, e);
            const auto [with_sums, sums] = simd::softmax<1>(tile, z, e, [c](auto at, V below) {
                const V t = c.data == nullptr ? V(1) : at(c);
                return std::array{select(t == V(0), t, -t * below)};
            });
            smooth_loss = sums[0];
            return with_sums;
        }();
        double total = 0;
        auto of_p = tile.numbers(); // the gradient is of_p_i e_ij - of_spread_i c_j,
        auto of_spread = tile.numbers();
        auto off_a = tile.numbers(); // once this is taken off the labels' e_ij
        auto off_b = tile.numbers();
        auto of_h = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const double share_a = a.ignores(row) ? 0 : lambda[row];
            const double share_b = b.ignores(row) ? 0 : 1 - lambda[row];
            double loss = 0;
            slope[row] = 0;
            const auto clear = [&] {
                for (Index j = 0; j < k; ++j)
                    tile.entry(s.e, i, j) = 0;
            };
            if (a.ignores(row) && b.ignores(row)) { // whatever its logits are
                s.sum[i] = 1;
                clear();
            }
            else {
                const double w = scale(row);
                const auto sum = static_cast<double>(s.sum[i]);
                const double log_sum = std::log(sum);
                const double smooth =
                    spread == 0 ? 0 : spread_sum * log_sum + spread * smooth_loss[i];
                const auto loss_of = [&](const ClassTargets<T>& y) {
                    const double hard = hardness * y.weight(row);
                    if (y.ignores(row))
                        return 0.0;
                    return hard == 0 ? smooth
                                     : smooth + hard * (log_sum + static_cast<double>(s.shift[i]) -
                                                        static_cast<double>(z(row, y(row))));
                };
                const double loss_a = loss_of(a);
                const double loss_b = loss_of(b);
                if (a(row) != b(row))
                    slope[row] = loss_a - loss_b;
                loss =
                    (share_a == 0 ? 0 : share_a * loss_a) + (share_b == 0 ? 0 : share_b * loss_b);
                total += w * loss;
                const double hard_a = hardness * share_a * a.weight(row);
                const double hard_b = hardness * share_b * b.weight(row);
                const double mass = hard_a + hard_b + spread_sum * (share_a + share_b);
                const double divisor = mass == 0 ? 1 : mass;
                of_p[i] = static_cast<T>(w * divisor / sum);
                of_h[i] = static_cast<T>(w * mass / (sum * sum));
                of_spread[i] = static_cast<T>(w * spread * (share_a + share_b));
                off_a[i] = static_cast<T>(hard_a * sum / divisor);
                off_b[i] = static_cast<T>(hard_b * sum / divisor);
                if (mass == 0)
                    clear();
            }
            if (out.per_sample)
                out.per_sample.put(out.per_sample.view(row), static_cast<T>(loss));
        }
        if (out.curvature)
            tile.each([=](auto at) {
                const V e = at(s.e);
                at.put(out.curvature, at(of_h) * e * max(at(s.sum) - e, V(0)));
            });
        if (out.gz) {
            const auto take_off = [&](const ClassTargets<T>& y, const auto& off) {
                for (Index i = 0; i < tile.rows(); ++i)
                    if (const Index label = y(tile.row(i)); label >= 0)
                        tile.entry(s.e, i, label) -= off[i];
            };
            take_off(a, off_a);
            take_off(b, off_b);
            if (spread == 0)
                tile.each([=](auto at) { at.put(out.gz, at(of_p) * at(s.e)); });
            else
                tile.each([=](auto at) {
                    const V t = c.data == nullptr ? V(1) : at(c);
                    at.put(out.gz, at(of_p) * at(s.e) - at(of_spread) * t);
                });
        }
        return total;
    });
    if (!lambda.gradient)
        return value;
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
        const double heavier = how.reduction == Reduction::sum ? 0 : a.weight(i) - b.weight(i);
        const double g = scale(i) * (slope[i] - (heavier == 0 ? 0 : heavier * value));
        sum += g;
        if (lambda.count == n)
            lambda.put(i, g);
    }
    if (lambda.count != n)
        lambda.put(0, sum);
    return value;
}

TEMPER_INSTANTIATE(kernel::MixupCrossEntropy);

} // namespace temper::inline TEMPER_ABI
#endif
