// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mixup cross-entropy with the decoupled regulariser: each of the two labels must also win against all
// other classes where the softmax does not know of its partner, so that the two do not compete.
//
//   phi_a = exp(z_a) / sum_{c != b} exp(z_c)        phi_b = exp(z_b) / sum_{c != a} exp(z_c)
//   l_i = -lambda log p_a - (1 - lambda) log p_b - eta_a log phi_a - eta_b log phi_b        a != b
//         -log p_a                                                                          a = b
//   mean:  L = sum_i w_i l_i / sum_i w_i          sum:  L = sum_i w_i l_i
//   dl/dz = p - lambda e_a - (1 - lambda) e_b + eta_a (phi^(-b) - e_a) + eta_b (phi^(-a) - e_b)
//
// phi^(-b) is the softmax over all classes but b, 0 at b. The weights of the two terms:
//
//   eta_a = eta_a s(lambda), eta_b = eta_b s(1 - lambda)       s(v) = 1 if v >= threshold,
//                                                              else (v / threshold)^power
//   terms  both; less: of the two that of a if lambda < threshold, else that of b; more: the other one
//          (a is then the confident half of a semi-supervised pair)
//
// z logits [n, k], a, b labels [n], lambda a number, [1] or [n]; w sample weights [n]. power = 0 is the
// paper's constant eta; 0.1, and 0.01 in its tuned runs. k = 2: phi = 1 and the regulariser is 0.
// Curvature (exact): W_i (p (1 - p) + sum of eta phi (1 - phi)). Per sample: l_i. n = 0: value 0. Logits of any
// size are fine.
// Throws ShapeError; RangeError for labels outside [0, k), eta < 0, power < 0, threshold outside (0, 1].
// The authors' code matches the two weights to the labels in the order of their class indices in the
// first row, and drops the regulariser at lambda = 1/2 exactly; neither is done here.
// Liu et al., Harnessing Hard Mixed Samples with Decoupled Regularizer (2023).

#include <temper/core/coefficients.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

enum class DecoupledTerms { both, less, more };

struct DecoupledMixupCrossEntropy {
    static constexpr std::string_view name = "DecoupledMixupCrossEntropy";
    double eta_a = 0.1;
    double eta_b = 0.1;
    double power = 0;
    double threshold = 0.5;
    DecoupledTerms terms = DecoupledTerms::both;
    Reduction reduction = Reduction::mean;

    /// (z, labels(a), labels(b), lambda [, sample_weights(w)] [, into(gz)]
    ///  [, per_sample(into(v)), curvature(into(h))])
    template <class Z, class A, class B, class L, class... Rest>
    double operator()(const Z& z, const A& labels_a, const B& labels_b, const L& lambda,
                      const Rest&... rest) const;

    /// What the two terms count for at this lambda.
    [[nodiscard]] std::array<double, 2> weights(double lambda) const
    {
        const auto share = [&](double v) {
            return v >= threshold || power == 0 ? 1.0
                                                : std::pow((std::max)(v, 0.0) / threshold, power);
        };
        const bool first = terms == DecoupledTerms::both ||
                           (terms == DecoupledTerms::less) == (lambda < threshold);
        const bool second = terms == DecoupledTerms::both || !first;
        return {first ? eta_a * share(lambda) : 0, second ? eta_b * share(1 - lambda) : 0};
    }
    friend bool operator==(const DecoupledMixupCrossEntropy&,
                           const DecoupledMixupCrossEntropy&) = default;
};

namespace kernel {
template <class T>
struct DecoupledMixupCrossEntropy {
    static double run(const temper::DecoupledMixupCrossEntropy& loss, MatrixView<const T> z,
                      const std::int64_t* a, const std::int64_t* b, const Coefficients& lambda,
                      RowScale<T> scale, const Destination<T, 2>& gz,
                      const Destination<T, 1>& per_sample, const Destination<T, 2>& curvature);
};
} // namespace kernel

template <class Z, class A, class B, class L, class... Rest>
double DecoupledMixupCrossEntropy::operator()(const Z& z, const A& labels_a, const B& labels_b,
                                              const L& lambda, const Rest&... rest) const
{
    accept<1, SampleWeights, PerSample, Curvature>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    border.require(eta_a >= 0, "eta_a", eta_a, "non-negative");
    border.require(eta_b >= 0, "eta_b", eta_b, "non-negative");
    border.require(power >= 0, "power", power, "non-negative");
    border.require(threshold > 0 && threshold <= 1, "threshold", threshold, "above 0, at most 1");
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const Index k = zs.cols();
    const auto* a = border.labels("labels_a", labels_a, n, k);
    const auto* b = border.labels("labels_b", labels_b, n, k);
    const auto w = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                          "as logits has rows");
    const auto ls = coefficients(border, "lambda", lambda, n);
    const auto gz = border.gradient("logits", zs, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto h = border.template named_into<2>("curvature", named<Curvature>(rest...), {n, k});
    return border.finish(kernel::DecoupledMixupCrossEntropy<T>::run(
        *this, zs, a, b, ls, row_scale(reduction, n, w), gz, each, h));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {

/// A softmax over two labels and all other classes, of which the sum of exponentials is known, so that no
/// probability comes from a difference: one logit may tower above the others. A label that is not there
/// has the logit of minus infinity, and so have other classes that are not there.
template <class V>
struct SoftmaxOfTwo {
    V p_a, not_a, cost_a; ///< probability, what is missing to 1, and minus logarithm
    V p_b, not_b, cost_b;
    V factor; ///< of the others' exponentials

    SoftmaxOfTwo(V z_a, V z_b, V top, V sum)
    {
        const V largest = max(max(z_a, z_b), top);
        const V others = exp(top - largest);
        const V a = exp(z_a - largest);
        const V b = exp(z_b - largest);
        const V rest = sum * others;
        const V inverse = V(1) / (a + b + rest);
        p_a = a * inverse;
        p_b = b * inverse;
        not_a = (b + rest) * inverse;
        not_b = (a + rest) * inverse;
        factor = others * inverse;
        cost_a = log1p(select(z_a == largest, b + rest, a + b + rest - V(1))) + (largest - z_a);
        cost_b = log1p(select(z_b == largest, a + rest, a + b + rest - V(1))) + (largest - z_b);
    }
};

} // namespace kernel

template <class T>
double kernel::DecoupledMixupCrossEntropy<T>::run(const temper::DecoupledMixupCrossEntropy& loss,
                                                  MatrixView<const T> z, const std::int64_t* a,
                                                  const std::int64_t* b, const Coefficients& lambda,
                                                  RowScale<T> scale, const Destination<T, 2>& gz,
                                                  const Destination<T, 1>& per_sample,
                                                  const Destination<T, 2>& curvature)
{
    using V = simd::Pack<T>;
    constexpr T infinity = std::numeric_limits<T>::infinity();
    return simd::sum_tiles<T>(simd::operands(z, gz, curvature), 1, [&](const auto& tile) {
        // The exponentials of all classes but the two labels: every gradient is a multiple of them.
        const auto e = tile.scratch(0);
        tile.each([=](auto at) { at.put(e, at(z)); });
        auto z_a = tile.numbers();
        auto z_b = tile.numbers();
        auto l = tile.numbers();
        auto w = tile.numbers();
        auto eta_a = tile.numbers();
        auto eta_b = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const bool same = a[row] == b[row]; // the row of a single label
            T& of_a = tile.entry(e, i, a[row]);
            T& of_b = tile.entry(e, i, b[row]);
            z_a[i] = of_a;
            z_b[i] = same ? -infinity : of_b;
            of_a = of_b = -infinity;
            w[i] = static_cast<T>(scale(row));
            l[i] = same ? T(1) : static_cast<T>(lambda[row]);
            const auto eta = loss.weights(lambda[row]);
            eta_a[i] = same ? T(0) : static_cast<T>(eta[0]);
            eta_b[i] = same ? T(0) : static_cast<T>(eta[1]);
        }
        auto top = tile.max([=](auto at) { return at(e); });
        for (Index i = 0; i < tile.rows(); ++i)
            top[i] = top[i] == -infinity ? T(0) : top[i]; // there are no others
        const auto sum = tile.sum([=](auto at) {
                                 const auto x = exp(at(e) - at(top));
                                 at.put(e, x);
                                 return x;
                             })
                             .narrow();

        auto value = tile.numbers();
        auto g_a = tile.numbers();
        auto g_b = tile.numbers();
        auto h_a = tile.numbers();
        auto h_b = tile.numbers();
        auto of_g = tile.numbers();      // the gradient of the others is of_g e, their curvature
        auto of_square = tile.numbers(); // of_g e - of_square e^2
        tile.each_row([&](auto at) {
            const V nothing(-infinity);
            const V s = at(sum);
            const V others = select(s == V(0), nothing, at(top));
            const SoftmaxOfTwo<V> all(at(z_a), at(z_b), others, s);
            const SoftmaxOfTwo<V> without_b(at(z_a), nothing, others, s);
            const SoftmaxOfTwo<V> without_a(nothing, at(z_b), others, s);
            const V weight = at(w);
            const V first = at(l);
            const V second = V(1) - first;
            const V a_alone = at(eta_a);
            const V b_alone = at(eta_b);
            const auto times = [](V factor, V cost) {
                return select(factor == V(0), factor, factor * cost);
            };
            at.put(value, times(first, all.cost_a) + times(second, all.cost_b) +
                              times(a_alone, without_b.cost_a) + times(b_alone, without_a.cost_b));
            at.put(g_a, weight * (second * all.p_a - first * all.not_a -
                                  times(a_alone, without_b.not_a)));
            at.put(g_b, weight * (first * all.p_b - second * all.not_b -
                                  times(b_alone, without_a.not_b)));
            at.put(h_a, weight * (all.p_a * all.not_a +
                                  times(a_alone, without_b.p_a * without_b.not_a)));
            at.put(h_b, weight * (all.p_b * all.not_b +
                                  times(b_alone, without_a.p_b * without_a.not_b)));
            at.put(of_g, weight * (all.factor + times(a_alone, without_b.factor) +
                                   times(b_alone, without_a.factor)));
            at.put(of_square, weight * (all.factor * all.factor +
                                        times(a_alone, without_b.factor * without_b.factor) +
                                        times(b_alone, without_a.factor * without_a.factor)));
        });
        double total = 0;
        for (Index i = 0; i < tile.rows(); ++i) {
            total += scale(tile.row(i)) * static_cast<double>(value[i]);
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)), value[i]);
        }
        // The exponentials of the labels are 0, so that what is due to them can be added afterwards.
        const auto add = [&](const Destination<T, 2>& to, const auto& at_a, const auto& at_b) {
            for (Index i = 0; i < tile.rows(); ++i) {
                const Index row = tile.row(i);
                to.view(row, static_cast<Index>(a[row])) += static_cast<T>(to.scale) * at_a[i];
                if (a[row] != b[row])
                    to.view(row, static_cast<Index>(b[row])) += static_cast<T>(to.scale) * at_b[i];
            }
        };
        if (gz) {
            tile.each([=](auto at) { at.put(gz, at(of_g) * at(e)); });
            add(gz, g_a, g_b);
        }
        if (curvature) {
            tile.each([=](auto at) {
                const V x = at(e);
                at.put(curvature, x * max(at(of_g) - at(of_square) * x, V(0)));
            });
            add(curvature, h_a, h_b);
        }
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::DecoupledMixupCrossEntropy);

} // namespace temper::inline TEMPER_ABI
#endif
