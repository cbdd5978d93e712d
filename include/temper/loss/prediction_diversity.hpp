// SPDX-License-Identifier: BSL-1.0
#pragma once

// The entropy of the mean prediction: how evenly a batch's predictions are spread over the classes. It is
// usually maximised (give it a negative weight), so that entropy minimisation does not put all samples
// into one class.
//
//   r = sum_i w_i p_i / sum_i w_i                 p_i = softmax(z_i)
//   L = -sum_j r_j log r_j
//   dL/dz_ij = W_i p_ij (<p_i, log r> - log r_j)  W_i = w_i / sum_i w_i
//
// z logits [n, k], w sample weights [n]. n = 0, or no weight at all: value 0. A class that no row gives
// any probability counts for nothing. Throws ShapeError.
// Bridle, Heading and MacKay, Unsupervised Classifiers, Mutual Information and 'Phantom Targets' (1991).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct PredictionDiversity {
    static constexpr std::string_view name = "PredictionDiversity";

    /// (z [, into(gz)] [, sample_weights(w)])
    template <class Z, class... Rest>
    double operator()(const Z& z, const Rest&... rest) const;

    friend bool operator==(const PredictionDiversity&, const PredictionDiversity&) = default;
};

namespace kernel {
template <class T>
struct PredictionDiversity {
    static double run(MatrixView<const T> z, RowScale<T> scale, const Destination<T, 2>& gz);
};
} // namespace kernel

template <class Z, class... Rest>
double PredictionDiversity::operator()(const Z& z, const Rest&... rest) const
{
    accept<1, SampleWeights>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as logits has rows");
    const auto gz = border.gradient("logits", zs, positional<0>(rest...));
    return border.finish(
        kernel::PredictionDiversity<T>::run(zs, row_scale(Reduction::mean, n, weights), gz));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::PredictionDiversity<T>::run(MatrixView<const T> z, RowScale<T> scale,
                                           const Destination<T, 2>& gz)
{
    const Index n = z.rows();
    const Index k = z.cols();
    Workspace::Frame frame;
    const MatrixView<T> p = frame.matrix_like(z);
    simd::softmax_rows<T>(z, {p, 1, Mode::overwrite});
    auto* w = frame.take<T>(n);
    for (Index i = 0; i < n; ++i)
        w[i] = static_cast<T>(scale(i));
    auto* r = frame.take<T>(k);
    linalg::product(VectorView<T>{r, {k}, {1}}, 1.0, MatrixView<const T>(p.transposed()),
                    VectorView<const T>{w, {n}, {1}}, 0.0);
    double value = 0;
    for (Index j = 0; j < k; ++j) {
        const T log_r = r[j] == 0 ? T(0) : std::log(r[j]);
        value -= static_cast<double>(r[j]) * static_cast<double>(log_r);
        r[j] = log_r;
    }
    const MatrixView<const T> q = p;
    const VectorView<const T> log_r{r, {k}, {1}};
    (void)simd::sum_tiles<T>(simd::operands(q, gz), 0, [&](const auto& tile) {
        const auto along = tile.sum([=](auto at) { return at(q) * at(log_r); }).narrow();
        auto factor = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            factor[i] = w[tile.row(i)];
        tile.each([=](auto at) { at.put(gz, at(factor) * at(q) * (at(along) - at(log_r))); });
        return 0.0;
    });
    return value;
}

TEMPER_INSTANTIATE(kernel::PredictionDiversity);

} // namespace temper::inline TEMPER_ABI
#endif
