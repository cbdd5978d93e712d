// SPDX-License-Identifier: BSL-1.0
#pragma once

// Adaptive label-distributionally robust loss (ALDR-KL): LabelDistributionallyRobustLoss with a lambda of
// each sample's own, small where the prediction is sure and large where it is not, as of noisy samples.
//
//   observe   p = softmax(u_i / lambda_i), p_j <- (p_j + epsilon) / (1 + k epsilon)
//             lambda_i <- lambda_0 - lambda_0 KL(p || 1/k) / (alpha log k)
//   l_i = lambda_i log( sum_j exp(d_ij / lambda_i) / k ) - alpha log k / (2 lambda_0) (lambda_i - lambda_0)^2
//
// u, d, mean, sum, gradient and curvature as in LabelDistributionallyRobustLoss, with lambda_i held still.
// The state has a lambda for each sample of the data set, lambda_0 at first; ids [n] say which samples the
// rows of z [n, k] are. observe(state, ids, z) once for each batch, BEFORE the state is used: one step of
// a fixed-point iteration, which knows neither margin nor labels. Of an id that occurs twice the last row
// counts. lambda_i stays in [lambda_0 (1 - 1 / alpha), lambda_0]; a uniform prediction has lambda_0; k = 1:
// lambda_0. Per sample: l_i. n = 0: value 0.
// Under the default normalisation a row of zeros has no gradient; the paper has softplus_mean for images.
// Throws ShapeError, RangeError for lambda_0 not positive and finite, alpha <= 1, epsilon < 0, a margin
// that is not finite, ids outside the state, a lambda of the state <= 0, labels outside [0, k).
// Zhu et al., Label Distributionally Robust Losses for Multi-class Classification: Consistency, Robustness
// and Adaptivity (2023); epsilon and the order of the two steps from the published code.

#include <temper/loss/label_distributionally_robust_loss.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

struct AdaptiveLabelDistributionallyRobustLoss {
    static constexpr std::string_view name = "AdaptiveLabelDistributionallyRobustLoss";
    double lambda_0 = 1;
    double alpha = 2;
    double margin = 0.1;
    double epsilon = 1e-5;
    LogitNormalisation normalisation = LogitNormalisation::l1;
    Reduction reduction = Reduction::mean;

    struct State {
        std::vector<double> lambda; ///< [samples]
        template <class Archive>
        void fields(Archive& a)
        {
            a("lambda", lambda);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] State init(Index samples) const
    {
        return {std::vector<double>(static_cast<std::size_t>(samples), lambda_0)};
    }
    template <class Ids, class Z>
    void observe(State& state, const Ids& ids, const Z& z) const;

    /// (state, ids, z, labels(y) [, into(gz)] [, sample_weights(w), per_sample(into(v)),
    ///  curvature(into(h))])
    template <class Ids, class Z, class Y, class... Rest>
    double operator()(const State& state, const Ids& ids, const Z& z, const Y& targets,
                      const Rest&... rest) const;

    friend bool operator==(const AdaptiveLabelDistributionallyRobustLoss&,
                           const AdaptiveLabelDistributionallyRobustLoss&) = default;

  private:
    /// What `ids` say, and the lambdas of the state there.
    struct Rows {
        const std::int64_t* ids;
        double* lambda;
    };
    template <class T, class Ids>
    Rows rows(Border<T>& border, const State& state, const Ids& ids, Index n) const;
};

/// The paper's name.
using AldrKl = AdaptiveLabelDistributionallyRobustLoss;

namespace kernel {
template <class T>
struct AdaptiveLabelDistributionallyRobustLoss {
    /// divergence[i] = KL(p_i || 1/k).
    static void divergence(MatrixView<const T> z, const double* lambda, double epsilon,
                           LogitNormalisation normalisation, double* divergence);
};
} // namespace kernel

template <class T, class Ids>
auto AdaptiveLabelDistributionallyRobustLoss::rows(Border<T>& border, const State& state,
                                                   const Ids& ids, Index n) const -> Rows
{
    border.require(lambda_0 > 0 && lambda_0 < std::numeric_limits<double>::infinity(), "lambda_0",
                   lambda_0, "positive and finite");
    border.require(alpha > 1, "alpha", alpha, "above 1");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    border.require(std::isfinite(margin), "margin", margin, "finite");
    const Rows rows{border.indices("ids", ids, n, static_cast<Index>(state.lambda.size())),
                    border.scratch().template take<double>(n)};
    for (Index i = 0; i < n; ++i) {
        rows.lambda[i] = state.lambda[static_cast<std::size_t>(rows.ids[i])];
        border.require(!(rows.lambda[i] <= 0), "state.lambda", rows.lambda[i], "positive");
    }
    return rows;
}

template <class Ids, class Z>
void AdaptiveLabelDistributionallyRobustLoss::observe(State& state, const Ids& ids,
                                                      const Z& z) const
{
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const auto [id, lambda] = rows(border, state, ids, n);
    auto* divergence = border.scratch().template take<double>(n);
    kernel::AdaptiveLabelDistributionallyRobustLoss<T>::divergence(zs, lambda, epsilon,
                                                                   normalisation, divergence);
    const double most = std::log(static_cast<double>(zs.cols()));
    for (Index i = 0; i < n; ++i)
        state.lambda[static_cast<std::size_t>(id[i])] =
            lambda_0 - (zs.cols() == 1 ? 0 : lambda_0 * divergence[i] / (alpha * most));
}

template <class Ids, class Z, class Y, class... Rest>
double AdaptiveLabelDistributionallyRobustLoss::operator()(const State& state, const Ids& ids,
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
        const Index n = zs.rows();
        const Index k = zs.cols();
        const auto lambda = rows(border, state, ids, n).lambda;
        const auto* y = border.labels("labels", targets, n, k);
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const auto gz = border.gradient("logits", zs, positional<0>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto h =
            border.template named_into<2>("curvature", named<Curvature>(rest...), {n, k});
        auto* offsets = border.scratch().template take<double>(n);
        const double pull = alpha * std::log(static_cast<double>(k)) / (2 * lambda_0);
        for (Index i = 0; i < n; ++i)
            offsets[i] = -pull * (lambda[i] - lambda_0) * (lambda[i] - lambda_0);
        return border.finish(kernel::LabelDistributionallyRobustLoss<T>::run(
            zs, y, {lambda, n, offsets}, margin, normalisation, row_scale(reduction, n, weights),
            gz, each, h));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::AdaptiveLabelDistributionallyRobustLoss<T>::divergence(
    MatrixView<const T> z, const double* lambda, double epsilon, LogitNormalisation normalisation,
    double* divergence)
{
    using V = simd::Pack<T>;
    const auto k = static_cast<double>(z.cols());
    (void)simd::sum_tiles<T>(simd::operands(z), 3, [&](const auto& tile) {
        const auto u =
            simd::normalised_logits(tile, z, normalisation, tile.scratch(0), tile.scratch(1));
        auto sharpness = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            sharpness[i] = static_cast<T>(1 / (u.size[i] * lambda[tile.row(i)]));
        const auto q =
            simd::softmax(tile, [=](auto at) { return at(u.a) * at(sharpness); }, tile.scratch(2));
        auto inverse = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            inverse[i] = 1 / q.sum[i];
        const auto entropy = tile.sum([=](auto at) {
            const V p = (at(q.e) * at(inverse) + V(epsilon)) * V(1 / (1 + k * epsilon));
            return select(p > V(0), p * log(V(k) * p), p);
        });
        for (Index i = 0; i < tile.rows(); ++i)
            divergence[tile.row(i)] = (std::max)(entropy[i], 0.0);
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::AdaptiveLabelDistributionallyRobustLoss);

} // namespace temper::inline TEMPER_ABI
#endif
