// SPDX-License-Identifier: BSL-1.0
#pragma once

// DR-Tune's objective: while features are fine-tuned, their linear head must go on classifying the features
// that the pretrained network gave, brought to where the new ones are (SemanticCalibration). The head is
// what is regularised; the features are free to move.
//
//   z_i = W f_i + b           c_i = -log softmax(z_i)_{y_i}       for the batch f [n, d]
//   z'_r = W p_r + b          c'_r                                for the bank p [K, d], held fixed
//   Balance::joint_mean:    L = (sum_i c_i + sum_r c'_r) / (n + K)
//   Balance::sum_of_means:  L = (1/n) sum_i c_i + (1/K) sum_r c'_r
//
// W [k, d] (rows are classes, as stored), b [k], labels(y) [n], bank labels [K]. The joint mean is what the
// authors' code does: the bank then weighs K / (n + K), 97 % at n = 64 and K = 2048, and what reaches the
// features is scaled by n / (n + K), which their learning rates make up for. terms: both parts, [2]. An empty
// bank leaves the plain cross-entropy; where there is nothing: 0.
// Throws ShapeError, RangeError for labels outside [0, k).
// Zhou et al., DR-Tune: Improving Fine-tuning of Pretrained Visual Models by Distribution Regularization
// with Semantic Calibration (2023).

#include <temper/core/terms.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

namespace temper::inline TEMPER_ABI {

struct DistributionRegularizedCrossEntropy {
    static constexpr std::string_view name = "DistributionRegularizedCrossEntropy";
    enum class Balance { joint_mean, sum_of_means };
    Balance balance = Balance::joint_mean;

    /// (features, labels(y), W, b, bank, labels(bank_y) [, into(gf), into(gW), into(gb)]
    ///  [, terms(into(v))])
    template <class F, class Y, class W, class B, class P, class L, class... Rest>
    double operator()(const F& features, const Y& targets, const W& weight, const B& bias,
                      const P& bank, const L& bank_targets, const Rest&... rest) const;

    friend bool operator==(const DistributionRegularizedCrossEntropy&,
                           const DistributionRegularizedCrossEntropy&) = default;
};

using DrTune = DistributionRegularizedCrossEntropy;

namespace kernel {
template <class T>
struct DistributionRegularizedCrossEntropy {
    struct Part {
        MatrixView<const T> features;
        const std::int64_t* labels;
        double factor;
        Destination<T, 2> gradient;
    };
    static std::array<double, 2> run(const std::array<Part, 2>& parts, MatrixView<const T> weight,
                                     VectorView<const T> bias, const Destination<T, 2>& g_weight,
                                     const Destination<T, 1>& g_bias);
};
} // namespace kernel

template <class F, class Y, class W, class B, class P, class L, class... Rest>
double DistributionRegularizedCrossEntropy::operator()(const F& features, const Y& targets,
                                                       const W& weight, const B& bias,
                                                       const P& bank, const L& bank_targets,
                                                       const Rest&... rest) const
{
    if constexpr (!is_labels<Y> || !is_labels<L>)
        static_assert(is_labels<Y>, "temper: class indices are said as labels(y)");
    else {
        accept<3, Terms>(rest...);
        using T = KernelScalarOf<F, W, B, P>;
        Border<T> border(name);
        const auto f = border.samples("features", features);
        const auto w = border.matrix("weight", weight);
        border.expect_shape("weight", w, {w.rows(), f.cols()}, "with the columns of features");
        const Index k = w.rows();
        const auto b = border.vector("bias", bias);
        border.expect_shape("bias", b, {k}, "a number for each row of weight");
        const auto p = border.samples("bank", bank);
        border.expect_shape("bank", p, {p.rows(), f.cols()}, "with the columns of features");
        const auto* y = border.labels("labels", targets, f.rows(), k);
        const auto* yp = border.labels("bank_labels", bank_targets, p.rows(), k);
        const auto gf = border.gradient("features", f, positional<0>(rest...));
        const auto gw = border.stored_gradient("weight", w, positional<1>(rest...));
        const auto gb = border.gradient("bias", b, positional<2>(rest...));
        const auto each = border.template named_into<1>("terms", named<Terms>(rest...), {2});
        const auto share = [&](Index rows) {
            const Index of = balance == Balance::joint_mean ? f.rows() + p.rows() : rows;
            return of == 0 ? 0 : 1 / static_cast<double>(of);
        };
        const auto term = kernel::DistributionRegularizedCrossEntropy<T>::run(
            {{{f, y, share(f.rows()), gf}, {p, yp, share(p.rows()), {}}}}, w, b, gw, gb);
        detail::put_terms(each, term);
        return border.finish(term[0] + term[1]);
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
std::array<double, 2> kernel::DistributionRegularizedCrossEntropy<T>::run(
    const std::array<Part, 2>& parts, MatrixView<const T> weight, VectorView<const T> bias,
    const Destination<T, 2>& g_weight, const Destination<T, 1>& g_bias)
{
    const Index k = weight.rows();
    Workspace::Frame frame;
    auto* const of_bias = frame.take_zeros<double>(k);
    std::array<double, 2> value{};
    double kept = g_weight.adds() ? 1 : 0; // of what stands in the destination
    const bool pulls = g_weight || g_bias || parts[0].gradient;
    for (std::size_t which = 0; which < 2; ++which) {
        const Part& part = parts[which];
        const Index n = part.features.rows();
        if (n > 0) {
            const MatrixView<T> z = frame.matrix<T>(n, k);
            simd::map(simd::in(MatrixView<const T>{bias.data, {n, k}, {0, bias.strides[0]}}),
                      simd::out(Destination<T, 2>{z, 1, Mode::overwrite}),
                      [](auto u, auto& v) { v = u; });
            linalg::product(z, 1, part.features, weight.transposed(), 1);
            Destination<T, 2> gz;
            if (pulls)
                gz = {frame.matrix<T>(n, k), 1, Mode::overwrite};
            value[which] = SoftmaxCrossEntropy<T>::hard(z, {part.labels, {}, false}, 0,
                                                        {{}, part.factor}, {gz, {}, {}, {}});
            if (part.gradient)
                linalg::product(part.gradient.view, part.gradient.scale, gz.view, weight,
                                part.gradient.adds() ? 1 : 0);
            if (g_weight)
                linalg::product(g_weight.view, g_weight.scale, gz.view.transposed(), part.features,
                                std::exchange(kept, 1));
            for (Index i = 0; g_bias && i < n; ++i)
                for (Index j = 0; j < k; ++j)
                    of_bias[j] += static_cast<double>(gz.view(i, j));
        }
    }
    if (g_weight && kept == 0) // there was nothing
        simd::map(simd::in(weight), simd::out(g_weight),
                  [](auto u, auto& v) { v = decltype(u)(0); });
    for (Index j = 0; g_bias && j < k; ++j)
        g_bias.put(g_bias.view(j), static_cast<T>(of_bias[j]));
    return value;
}

TEMPER_INSTANTIATE(kernel::DistributionRegularizedCrossEntropy);

} // namespace temper::inline TEMPER_ABI
#endif
