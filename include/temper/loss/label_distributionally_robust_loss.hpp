// SPDX-License-Identifier: BSL-1.0
#pragma once

// Label-distributionally robust loss (LDR-KL): the worst expected margin over all distributions of the
// label, less what it costs to be far from the uniform one.
//
//   d_ij = u_ij - u_iy + margin [j != y]           y the label, u the normalised logits
//   l_i = max over distributions p of  sum_j p_j d_ij - lambda KL(p || 1/k)
//       = lambda log( sum_j exp(d_ij / lambda) / k )
//   dl_i/du_ij = q_ij - [j = y]                    q_i = softmax(d_i / lambda), the worst p
//   mean:  L = sum_i w_i l_i / sum_i w_i           sum:  L = sum_i w_i l_i
//
// z logits [n, k], labels(y) [n], w sample weights [n], 1 where not given. How u comes of z and its
// gradient back: see logit_normalisation.hpp; a normalised u bounds the loss, which is what makes it robust
// to wrong labels. lambda says how much: towards 0 l is the hinge max_j d_ij, at 1 without margin and
// normalisation cross-entropy - log k, towards infinity the mean of d_ij, to which the uniform label noise
// of any rate only adds a constant. l may be negative, down to -lambda log k.
// Curvature: W_i / lambda times the variance under q_i of du_i/dz_ij, with W_i the factor of l_i: the
// Gauss-Newton part, which without normalisation is q_ij (1 - q_ij) / lambda and exact. Per sample: l_i.
//
// Finite for all finite logits (without normalisation, those that do not overflow when divided by
// lambda); the l1 normalisation of a row of zeros has no gradient, so that a model that starts there
// (boosting) stays there. In float l_i is good to about 1e-7 lambda log k. n = 0: value 0.
// Throws ShapeError, RangeError for lambda not positive and finite, a margin that is not finite, labels
// outside [0, k).
// Zhu et al., Label Distributionally Robust Losses for Multi-class Classification: Consistency, Robustness
// and Adaptivity (2023); defaults from their experiments, which try lambda of 0.1, 1 and 10.

#include <temper/core/component.hpp>
#include <temper/loss/logit_normalisation.hpp>

#include <limits>

namespace temper::inline TEMPER_ABI {

struct LabelDistributionallyRobustLoss {
    static constexpr std::string_view name = "LabelDistributionallyRobustLoss";
    double lambda = 1;
    double margin = 0.1;
    LogitNormalisation normalisation = LogitNormalisation::softplus_mean;
    Reduction reduction = Reduction::mean;

    /// (z, labels(y) [, into(gz)] [, sample_weights(w), per_sample(into(v)), curvature(into(h))])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, const Rest&... rest) const;

    friend bool operator==(const LabelDistributionallyRobustLoss&,
                           const LabelDistributionallyRobustLoss&) = default;
};

/// The paper's name.
using LdrKl = LabelDistributionallyRobustLoss;

namespace kernel {
template <class T>
struct LabelDistributionallyRobustLoss {
    struct Lambdas {
        const double* numbers; ///< one for all samples, or one for each
        Index count;
        const double* offsets = nullptr; ///< what is added to each sample's loss
        double operator[](Index i) const { return numbers[count == 1 ? 0 : i]; }
    };
    static double run(MatrixView<const T> z, const std::int64_t* labels, const Lambdas& lambdas,
                      double margin, LogitNormalisation normalisation, RowScale<T> scale,
                      const Destination<T, 2>& gz, const Destination<T, 1>& per_sample,
                      const Destination<T, 2>& curvature);
};
} // namespace kernel

template <class Z, class Y, class... Rest>
double LabelDistributionallyRobustLoss::operator()(const Z& z, const Y& targets,
                                                   const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
    else {
        accept<1, SampleWeights, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(lambda > 0 && lambda < std::numeric_limits<double>::infinity(), "lambda",
                       lambda, "positive and finite");
        border.require(std::isfinite(margin), "margin", margin, "finite");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const Index k = zs.cols();
        const auto* y = border.labels("labels", targets, n, k);
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const auto gz = border.gradient("logits", zs, positional<0>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto h =
            border.template named_into<2>("curvature", named<Curvature>(rest...), {n, k});
        return border.finish(kernel::LabelDistributionallyRobustLoss<T>::run(
            zs, y, {&lambda, 1}, margin, normalisation, row_scale(reduction, n, weights), gz, each,
            h));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::LabelDistributionallyRobustLoss<T>::run(
    MatrixView<const T> z, const std::int64_t* labels, const Lambdas& lambdas, double margin,
    LogitNormalisation normalisation, RowScale<T> scale, const Destination<T, 2>& gz,
    const Destination<T, 1>& per_sample, const Destination<T, 2>& curvature)
{
    using V = simd::Pack<T>;
    const auto k = static_cast<double>(z.cols());
    const bool bounded = normalisation != LogitNormalisation::none;
    const auto label_of = [=](Index row) { return static_cast<Index>(labels[row]); };

    return simd::sum_tiles<T>(simd::operands(z, gz, curvature), 3, [&](const auto& tile) {
        const auto u =
            simd::normalised_logits(tile, z, normalisation, tile.scratch(0), tile.scratch(1));
        // To lower the label's logit is to raise all others, and q does not change.
        auto own = tile.numbers();
        auto sharpness = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            T& entry = tile.entry(u.a, i, label_of(tile.row(i)));
            own[i] = entry;
            entry -= static_cast<T>(margin * u.size[i]);
            sharpness[i] = static_cast<T>(1 / (u.size[i] * lambdas[tile.row(i)]));
        }
        const auto q = simd::softmax_of_one(
            tile, [=](auto at) { return at(u.a) * at(sharpness); }, tile.scratch(2), label_of);

        double total = 0;
        auto w = tile.numbers();
        auto bend = tile.numbers();
        auto inverse = tile.numbers(); // 1 / sum of the exponentials
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            tile.entry(u.a, i, label_of(row)) = own[i];
            const double loss = lambdas[row] * (static_cast<double>(q.loss[i]) - std::log(k)) +
                                (lambdas.offsets != nullptr ? lambdas.offsets[row] : 0);
            w[i] = static_cast<T>(scale(row));
            bend[i] = static_cast<T>(scale(row) / lambdas[row]);
            inverse[i] = 1 / q.sum[i];
            total += scale(row) * loss;
            if (per_sample)
                per_sample.put(per_sample.view(row), static_cast<T>(loss));
        }
        if (!gz && !curvature)
            return total;

        auto pull = tile.numbers(); // <g, u> / k
        auto unit = tile.numbers(); // 1 / (size k)
        if (bounded) {
            const auto sums = tile.sum([=](auto at) { return at(q.e) * (at(u.a) - at(own)); });
            for (Index i = 0; i < tile.rows(); ++i) {
                unit[i] = static_cast<T>(1 / (u.size[i] * k));
                pull[i] = static_cast<T>(sums[i] / (u.size[i] * k * static_cast<double>(q.sum[i])));
            }
        }
        if (curvature) {
            // How far u is from its mean under q, over k; and the variance of that.
            const auto apart = [=](auto at) { return (at(u.a) - at(own)) * at(unit) - at(pull); };
            auto variance = tile.numbers();
            if (bounded) {
                const auto sums = tile.sum([=](auto at) {
                    const V t = apart(at);
                    return at(q.e) * t * t;
                });
                for (Index i = 0; i < tile.rows(); ++i)
                    variance[i] = static_cast<T>(sums[i] / static_cast<double>(q.sum[i]));
            }
            tile.each([=](auto at) {
                const V e = at(q.e);
                const V p = e * at(inverse);
                V spread = p * max(at(q.sum) - e, V(0)) * at(inverse);
                if (bounded) {
                    const V b = u.b_at(at);
                    const V c = u.c_at(at);
                    spread = b * b * spread + c * (c * at(variance) - V(2) * b * p * apart(at));
                }
                at.put(curvature, at(bend) * max(spread, V(0)) * at(u.rate) * at(u.rate));
            });
        }
        if (gz) {
            for (Index i = 0; i < tile.rows(); ++i)
                tile.entry(q.e, i, label_of(tile.row(i))) = -q.others[i]; // (q_y - 1) sum
            tile.each([=](auto at) {
                const V g = at(q.e) * at(inverse);
                const V x = bounded ? u.b_at(at) * g - u.c_at(at) * at(pull) : g;
                at.put(gz, at(w) * (at(u.rate) * x));
            });
        }
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::LabelDistributionallyRobustLoss);

} // namespace temper::inline TEMPER_ABI
#endif
