// SPDX-License-Identifier: BSL-1.0
#pragma once

// Layer normalisation without the learned gain, which makes large features of outliers larger.
//
//   forward     y_ij = h_ij + b_j       h_ij = (x_ij - mean_i) / sqrt(var_i + epsilon)
//   pullback    gx_ij = (g_ij - mean_i g - h_ij mean_i (g h)) / sqrt(var_i + epsilon)
//               gb_j = sum_i g_ij
//
// x, y, g [n, d], bias b [d]; mean_i and the biased variance var_i are those of row i. |h_ij| < sqrt(d),
// whatever x is. A constant row gives the bias; its gradient is divided by sqrt(epsilon), large but finite.
// d = 1: y = b, gx = 0. n = 0: gb = 0. Throws ShapeError; RangeError for epsilon <= 0.
// Ba, Kiros and Hinton, Layer Normalization (2016); Wei et al., Outlier Suppression (2022); Dao et al.,
// Improved Training Technique for Latent Consistency Models (2025).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct NonScalingLayerNorm {
    static constexpr std::string_view name = "NonScalingLayerNorm";
    double epsilon = 1e-6;

    /// (x, bias, into(y)); y may be x
    template <class X, class B, class D>
    void forward(const X& x, const B& bias, const D& y) const;
    /// (x, gy, into(gx) [, into(g_bias)])
    template <class X, class G, class... Rest>
    void pullback(const X& x, const G& gy, const Rest&... rest) const;

    friend bool operator==(const NonScalingLayerNorm&, const NonScalingLayerNorm&) = default;
};

namespace kernel {
template <class T>
struct NonScalingLayerNorm {
    static void forward(MatrixView<const T> x, double epsilon, VectorView<const T> bias,
                        const Destination<T, 2>& y);
    static void pullback(MatrixView<const T> x, double epsilon, MatrixView<const T> gy,
                         const Destination<T, 2>& gx, const Destination<T, 1>& g_bias);
};
} // namespace kernel

template <class X, class B, class D>
void NonScalingLayerNorm::forward(const X& x, const B& bias, const D& y) const
{
    using T = KernelScalarOf<X, B>;
    Border<T> border(name);
    border.require(epsilon > 0, "epsilon", epsilon, "positive");
    const auto xs = border.samples("x", x);
    const auto b = border.vector("bias", bias);
    if (b.extents[0] != xs.cols())
        fail<ShapeError>(name, "bias", joined({"has shape ", shape_text(b)}),
                         joined({"[", text(xs.cols()), "], as x has columns"}));
    const auto ys = border.template output<2>("y", y, xs.extents, InPlace::allowed);
    kernel::NonScalingLayerNorm<T>::forward(xs, epsilon, b, ys);
    border.finish();
}

template <class X, class G, class... Rest>
void NonScalingLayerNorm::pullback(const X& x, const G& gy, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<X, G>;
    Border<T> border(name);
    border.require(epsilon > 0, "epsilon", epsilon, "positive");
    const auto xs = border.samples("x", x);
    const auto g = border.samples("gy", gy);
    border.same_shape("gy", g, "x", xs);
    const auto gx = border.gradient("x", xs, positional<0>(rest...));
    const auto gb = border.template output<1>("bias", positional<1>(rest...), {xs.cols()});
    kernel::NonScalingLayerNorm<T>::pullback(xs, epsilon, g, gx, gb);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel::non_scaling_layer_norm {

/// The mean of each row of a tile, and one over the root of its variance. The mean of what is left after
/// a first mean takes off what rounding left of it.
template <class T, class Tile>
auto standard(const Tile& tile, MatrixView<const T> x, double epsilon)
{
    struct Standard {
        typename Tile::Numbers mean, rest, inverse;
    } out;
    const auto d = static_cast<double>(x.cols());
    const auto sum = tile.sum([=](auto at) { return at(x); });
    for (Index i = 0; i < tile.rows(); ++i)
        out.mean[i] = static_cast<T>(sum[i] / d);
    const auto centred = tile.template sums<2>([=, mean = out.mean](auto at) {
        const auto u = at(x) - at(mean);
        return std::array{u, u * u};
    });
    for (Index i = 0; i < tile.rows(); ++i) {
        const double rest = centred[0][i] / d;
        out.rest[i] = static_cast<T>(rest);
        const double variance = centred[1][i] / d - rest * rest;
        out.inverse[i] = static_cast<T>(1 / std::sqrt((variance < 0 ? 0 : variance) + epsilon));
    }
    return out;
}

} // namespace kernel::non_scaling_layer_norm

template <class T>
void kernel::NonScalingLayerNorm<T>::forward(MatrixView<const T> x, double epsilon,
                                             VectorView<const T> bias, const Destination<T, 2>& y)
{
    if (!y)
        return;
    (void)simd::sum_tiles<T>(simd::operands(x, y), 0, [&](const auto& tile) {
        const auto s = non_scaling_layer_norm::standard<T>(tile, x, epsilon);
        tile.each([=](auto at) {
            const auto u = at(x) - at(s.mean) - at(s.rest);
            at.put(y, fma(u, at(s.inverse), at(bias)));
        });
        return 0.0;
    });
}

template <class T>
void kernel::NonScalingLayerNorm<T>::pullback(MatrixView<const T> x, double epsilon,
                                              MatrixView<const T> gy, const Destination<T, 2>& gx,
                                              const Destination<T, 1>& g_bias)
{
    const Index n = x.rows();
    const auto d = static_cast<double>(x.cols());
    if (gx)
        (void)simd::sum_tiles<T>(simd::operands(x, gy, gx), 0, [&](const auto& tile) {
            const auto s = non_scaling_layer_norm::standard<T>(tile, x, epsilon);
            const auto sums = tile.template sums<2>([=](auto at) {
                const auto h = (at(x) - at(s.mean) - at(s.rest)) * at(s.inverse);
                return std::array{at(gy), at(gy) * h};
            });
            auto mean = tile.numbers();
            auto along = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                mean[i] = static_cast<T>(sums[0][i] / d);
                along[i] = static_cast<T>(sums[1][i] / d);
            }
            tile.each([=](auto at) {
                const auto h = (at(x) - at(s.mean) - at(s.rest)) * at(s.inverse);
                at.put(gx, (at(gy) - at(mean) - h * at(along)) * at(s.inverse));
            });
            return 0.0;
        });
    if (!g_bias)
        return;
    // In blocks of rows whose sums are added in order; each block's columns in double.
    const Index columns = x.cols();
    const Blocks rows{n, 64};
    Workspace::Frame frame;
    double* const partial = frame.take_zeros<double>((std::max)(Index{1}, rows.count()) * columns);
    parallel_for(rows.count(), n * columns, [&](Index block) {
        double* const sum = partial + block * columns;
        for (Index i = rows.begin(block); i < rows.end(block); ++i)
            for (Index j = 0; j < columns; ++j)
                sum[j] += static_cast<double>(gy(i, j));
    });
    for (Index j = 0; j < columns; ++j) {
        double sum = 0;
        for (Index block = 0; block < rows.count(); ++block)
            sum += partial[block * columns + j];
        g_bias.put(g_bias.view(j), static_cast<T>(sum));
    }
}

TEMPER_INSTANTIATE(kernel::NonScalingLayerNorm);

} // namespace temper::inline TEMPER_ABI
#endif
