// SPDX-License-Identifier: BSL-1.0
#pragma once

// Softmax cross-entropy of mixed samples: two labels each, and a weight between them that may be learned.
//
//   l_i = lambda_i CE(z_i, a_i) + (1 - lambda_i) CE(z_i, b_i)       CE(z, y) = -log softmax(z)_y
//   mean:  L = sum_i w_i l_i / sum_i w_i          sum:  L = sum_i w_i l_i
//   dL/dz_i = W_i (softmax(z_i) - lambda_i e_a - (1 - lambda_i) e_b)
//   dL/dlambda_i = W_i (z_i,b - z_i,a)
//
// z logits [n, k], a the labels of the samples themselves and b of their partners [n], lambda the weight
// of the samples themselves: a number, or [n], or [1] for the whole batch (its gradient is then the sum).
// It is usually in [0, 1]; that is not checked. w sample weights [n]; W_i is w_i, divided by the mean's
// sum. The same as SoftmaxCrossEntropy on the mixed labels as probabilities, without the matrix of them.
// Curvature (exact): W_i p_ij (1 - p_ij). Per sample: l_i. n = 0: value 0. Logits of any size are fine; a
// label whose weight is 0 costs nothing even at a logit of minus infinity.
// Throws ShapeError, RangeError for labels outside [0, k).
// Zhang et al., mixup: Beyond Empirical Risk Minimization (2018); with a learned lambda Guo et al., MixUp
// as Locally Linear Out-Of-Manifold Regularization (2019).

#include <temper/core/coefficients.hpp>
#include <temper/core/component.hpp>

#include <numeric>

namespace temper::inline TEMPER_ABI {

struct MixupCrossEntropy {
    static constexpr std::string_view name = "MixupCrossEntropy";
    Reduction reduction = Reduction::mean;

    /// (z, labels(a), labels(b), lambda [, sample_weights(w)] [, into(gz), into(glambda)]
    ///  [, per_sample(into(v)), curvature(into(h))])
    template <class Z, class A, class B, class L, class... Rest>
    double operator()(const Z& z, const A& labels_a, const B& labels_b, const L& lambda,
                      const Rest&... rest) const;

    friend bool operator==(const MixupCrossEntropy&, const MixupCrossEntropy&) = default;
};

namespace kernel {
template <class T>
struct MixupCrossEntropy {
    static double run(MatrixView<const T> z, const std::int64_t* a, const std::int64_t* b,
                      const Coefficients& lambda, const AnyDestination<T>& gl, RowScale<T> scale,
                      const Destination<T, 2>& gz, const Destination<T, 1>& per_sample,
                      const Destination<T, 2>& curvature);
};
} // namespace kernel

template <class Z, class A, class B, class L, class... Rest>
double MixupCrossEntropy::operator()(const Z& z, const A& labels_a, const B& labels_b,
                                     const L& lambda, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample, Curvature>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const Index k = zs.cols();
    const auto* a = border.labels("labels_a", labels_a, n, k);
    const auto* b = border.labels("labels_b", labels_b, n, k);
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as logits has rows");
    const auto ls = coefficients(border, "lambda", lambda, n);
    const auto gz = border.gradient("logits", zs, positional<0>(rest...));
    const auto gl = border.gradient("lambda", ls.template like<T>(), positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto h = border.template named_into<2>("curvature", named<Curvature>(rest...), {n, k});
    return border.finish(kernel::MixupCrossEntropy<T>::run(
        zs, a, b, ls, gl, row_scale(reduction, n, weights), gz, each, h));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::MixupCrossEntropy<T>::run(MatrixView<const T> z, const std::int64_t* a,
                                         const std::int64_t* b, const Coefficients& lambda,
                                         const AnyDestination<T>& gl, RowScale<T> scale,
                                         const Destination<T, 2>& gz,
                                         const Destination<T, 1>& per_sample,
                                         const Destination<T, 2>& curvature)
{
    Workspace::Frame frame;
    auto* slope = frame.take<double>(z.rows()); // dL/dlambda_i
    const double value =
        simd::sum_tiles<T>(simd::operands(z, gz, curvature), 1, [&](const auto& tile) {
            const auto s = simd::softmax(tile, z, tile.scratch(0));
            double total = 0;
            auto factor = tile.numbers();
            auto of_h = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                const Index row = tile.row(i);
                const double w = scale(row);
                const auto sum = static_cast<double>(s.sum[i]);
                const double log_sum = std::log(sum);
                const double below_a = static_cast<double>(s.largest[i]) -
                                       static_cast<double>(z(row, static_cast<Index>(a[row])));
                const double below_b = static_cast<double>(s.largest[i]) -
                                       static_cast<double>(z(row, static_cast<Index>(b[row])));
                const double l = lambda[row];
                const double loss = (l == 0 ? 0 : l * (log_sum + below_a)) +
                                    (l == 1 ? 0 : (1 - l) * (log_sum + below_b));
                slope[row] = a[row] == b[row] ? 0 : w * (below_a - below_b);
                factor[i] = static_cast<T>(w / sum);
                of_h[i] = static_cast<T>(w / (sum * sum));
                total += w * loss;
                if (per_sample)
                    per_sample.put(per_sample.view(row), static_cast<T>(loss));
            }
            if (curvature)
                tile.each([=](auto at) {
                    const auto e = at(s.e);
                    at.put(curvature, at(of_h) * e * max(at(s.sum) - e, simd::Pack<T>(0)));
                });
            if (gz) {
                for (Index i = 0; i < tile.rows(); ++i) {
                    const Index row = tile.row(i);
                    const double l = lambda[row];
                    tile.entry(s.e, i, a[row]) -= static_cast<T>(l) * s.sum[i];
                    tile.entry(s.e, i, b[row]) -= static_cast<T>(1 - l) * s.sum[i];
                }
                tile.each([=](auto at) { at.put(gz, at(factor) * at(s.e)); });
            }
            return total;
        });
    if (gl) {
        const auto put = [&](Index i, double number) {
            const Destination<T, 1> to{
                {gl.view.data, {lambda.count}, {gl.view.strides[0]}}, gl.scale, gl.mode};
            to.put(to.view(i), static_cast<T>(number));
        };
        if (lambda.count == z.rows())
            for (Index i = 0; i < lambda.count; ++i)
                put(i, slope[i]);
        else
            put(0, std::accumulate(slope, slope + z.rows(), 0.0));
    }
    return value;
}

TEMPER_INSTANTIATE(kernel::MixupCrossEntropy);

} // namespace temper::inline TEMPER_ABI
#endif
