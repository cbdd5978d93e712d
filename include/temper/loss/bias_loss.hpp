// SPDX-License-Identifier: BSL-1.0
#pragma once

// Bias loss: cross-entropy in which samples with little variety in their features, of which a small network
// can only guess the class, count for less.
//
//   v_i = the unbiased variance of the d features of sample i
//   u_i = (v_i - min v) / (max v - min v)            over the batch (no state)
//   u_i = (v_i - m) / (max v - min v)                m the least variance observed so far (state)
//   L = (1/n) sum_i (exp(beta u_i) - 1 + alpha) CE(z_i, y_i)           (or without the 1/n)
//
// features [n, d] (the flattened last feature map), without gradient; z logits [n, k], labels(y) [n]. Divided
// by n, not by the sum of the weights. observe(state, features) before the loss, which has the paper's
// global form: its denominator is the batch's range, so that u may exceed 1. All variances equal: u = 0
// (0/0 in the published code); d = 1: variance 0.
// The paper has the weight exp(alpha u) - beta, from 0.7 up at the defaults, the published code the one
// above, from 0.3 up; `paper_weight` is the first.
// Throws ShapeError, RangeError for labels outside [0, k), alpha or beta that are not finite.
// Abrahamyan et al., Bias Loss for Mobile Neural Networks (2021).

#include <temper/loss/softmax_cross_entropy.hpp>

namespace temper::inline TEMPER_ABI {

struct BiasLoss {
    static constexpr std::string_view name = "BiasLoss";
    double alpha = 0.3;
    double beta = 0.3;
    bool paper_weight = false;
    Reduction reduction = Reduction::mean;

    struct State {
        double least = 1e5; ///< variance so far
        template <class Archive>
        void fields(Archive& a)
        {
            a("least", least);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] static State init() { return {}; }
    template <class F>
    void observe(State& state, const F& features) const;

    /// ([state,] features, z, labels(y) [, into(gz)] [, per_sample(into(v)), curvature(into(h))]);
    /// per sample the cross-entropy without its weight
    template <class F, class Z, class Y, class... Rest>
    double operator()(const F& features, const Z& z, const Y& targets, const Rest&... rest) const
    {
        return run(nullptr, features, z, targets, rest...);
    }
    template <class F, class Z, class Y, class... Rest>
    double operator()(const State& state, const F& features, const Z& z, const Y& targets,
                      const Rest&... rest) const
    {
        return run(&state, features, z, targets, rest...);
    }

    friend bool operator==(const BiasLoss&, const BiasLoss&) = default;

  private:
    template <class F, class Z, class Y, class... Rest>
    double run(const State* state, const F& features, const Z& z, const Y& targets,
               const Rest&... rest) const;
};

namespace kernel {
template <class T>
struct BiasLoss {
    /// The unbiased variance of each row.
    static void variances(MatrixView<const T> x, double* variance);
};
} // namespace kernel

template <class F>
void BiasLoss::observe(State& state, const F& features) const
{
    using T = KernelScalarOf<F>;
    Border<T> border(name);
    const auto x = border.samples("features", features);
    auto* v = border.scratch().template take<double>(x.rows());
    kernel::BiasLoss<T>::variances(x, v);
    for (Index i = 0; i < x.rows(); ++i)
        state.least = (std::min)(state.least, v[i]);
}

template <class F, class Z, class Y, class... Rest>
double BiasLoss::run(const State* state, const F& features, const Z& z, const Y& targets,
                     const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come after the predictions, as labels(y)");
    else {
        accept<1, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<F, Z>;
        Border<T> border(name);
        border.require(std::isfinite(alpha), "alpha", alpha, "finite");
        border.require(std::isfinite(beta), "beta", beta, "finite");
        const auto x = border.samples("features", features);
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        border.expect_shape("features", x, {n, x.cols()}, "as logits has rows");
        auto* v = border.scratch().template take<double>(n);
        kernel::BiasLoss<T>::variances(x, v);
        double least = n == 0 ? 0 : v[0];
        double most = least;
        for (Index i = 0; i < n; ++i) {
            least = v[i] < least ? v[i] : least;
            most = v[i] > most ? v[i] : most;
        }
        const double from = state == nullptr ? least : state->least;
        const double factor =
            reduction == Reduction::sum || n == 0 ? 1 : 1 / static_cast<double>(n);
        VectorView<T> weight{border.scratch().template take<T>(n), {n}, {1}};
        for (Index i = 0; i < n; ++i) {
            const double u = most - least == 0 ? 0 * v[i] : (v[i] - from) / (most - least);
            const double w =
                paper_weight ? std::exp(alpha * u) - beta : std::exp(beta * u) - 1 + alpha;
            weight(i) = static_cast<T>(w * factor);
        }
        return SoftmaxCrossEntropy{.reduction = Reduction::sum}(
            zs, targets, sample_weights(VectorView<const T>(weight)), rest...);
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::BiasLoss<T>::variances(MatrixView<const T> x, double* variance)
{
    const auto d = static_cast<double>(x.cols());
    (void)simd::sum_tiles<T>(simd::operands(x), 0, [&](const auto& tile) {
        const auto sum = tile.sum([=](auto at) { return at(x); });
        auto mean = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            mean[i] = static_cast<T>(sum[i] / d);
        const auto squares = tile.sum([=](auto at) {
            const auto c = at(x) - at(mean);
            return c * c;
        });
        for (Index i = 0; i < tile.rows(); ++i)
            variance[tile.row(i)] = d > 1 ? squares[i] / (d - 1) : squares[i] * 0;
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::BiasLoss);

} // namespace temper::inline TEMPER_ABI
#endif
