// SPDX-License-Identifier: BSL-1.0
#pragma once

// Soft Dice loss over the pixels of a whole batch: overlap counts, not area, so that small classes weigh as
// much as large ones.
//
//   A_c = 2 sum p_c y_c + smooth        p = softmax over the classes, y_c = 1 where the label is c
//   B_c = sum p_c^2 + sum y_c + smooth  sums over all pixels of all images
//   L = (1 / k) sum_c (1 - A_c / B_c)
//   dL/dp_c = -(2 / k) (y_c / B_c - p_c A_c / B_c^2), then through the softmax
//
// z logits [n, k] or [n, k, h, w], labels(y) [n] or [n, h, w]. All classes count, the background too. The
// denominator has squares (Milletari et al. 2016), and there is one overlap for the batch, not one for
// each image, as in the published code. A class that no label has is near 1 unless p is next to 0 there.
// No pixels: 0. Throws ShapeError, RangeError for labels outside [0, k) and smooth <= 0.
// Yuan et al., Adaptively Weighted Data Augmentation Consistency Regularization for Robust Optimization
// under Concept Shift (2023), whose code this is after.

#include <temper/loss/pixel_rows.hpp>

namespace temper::inline TEMPER_ABI {

struct SoftDiceLoss {
    static constexpr std::string_view name = "SoftDiceLoss";
    double smooth = 1e-5;

    /// (z, labels(y) [, into(gz)])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, const Rest&... rest) const;

    friend bool operator==(const SoftDiceLoss&, const SoftDiceLoss&) = default;
};

namespace kernel {
template <class T>
struct SoftDiceLoss {
    static double run(double smooth, const AnyView<const T>& z, const std::int64_t* y,
                      const AnyDestination<T>& gz);
    static void pull(MatrixView<const T> p, const std::int64_t* y, VectorView<const T> alpha,
                     const double* beta, const Destination<T, 2>& gz);
};
} // namespace kernel

template <class Z, class Y, class... Rest>
double SoftDiceLoss::operator()(const Z& z, const Y& targets, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    border.require(smooth > 0, "smooth", smooth, "positive");
    const auto zs = border.sample_tensor("logits", z);
    if (zs.rank < 2)
        fail<ShapeError>(name, "logits", joined({"has shape ", shape_text(zs)}),
                         "[n, k] or [n, k, ...]");
    const auto* y = pixel_labels(border, "labels", targets, zs);
    const auto gz = border.sample_gradient("logits", zs, positional<0>(rest...));
    return border.finish(kernel::SoftDiceLoss<T>::run(smooth, zs, y, gz));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/columns.hpp>
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::SoftDiceLoss<T>::run(double smooth, const AnyView<const T>& z, const std::int64_t* y,
                                    const AnyDestination<T>& gz)
{
    const Index n = pixel_count(z);
    const Index k = z.extent(1);
    if (n == 0 || k == 0)
        return 0;
    Workspace::Frame frame;
    const MatrixView<T> p = frame.matrix<T>(n, k);
    pixel_blocks(
        [&](Index row, MatrixView<const T> logits) {
            simd::softmax_rows<T>(logits, {p.block(row, 0, logits.rows(), k), 1, Mode::overwrite});
        },
        z);
    auto* squares = frame.take<double>(k);
    auto* overlap = frame.take_zeros<double>(k);
    auto* count = frame.take_zeros<double>(k);
    simd::column_dots<T>(p, p, squares);
    for (Index i = 0; i < n; ++i) {
        overlap[y[i]] += static_cast<double>(p(i, static_cast<Index>(y[i])));
        count[y[i]] += 1;
    }
    auto* alpha = frame.take<T>(k);
    double value = 0;
    const double share = 2 / static_cast<double>(k);
    for (Index c = 0; c < k; ++c) {
        const double a = 2 * overlap[c] + smooth;
        const double b = squares[c] + count[c] + smooth;
        value += (1 - a / b) / static_cast<double>(k);
        alpha[c] = static_cast<T>(share * a / (b * b));
        overlap[c] = share / b; // beta from here on
    }
    if (gz)
        pixel_blocks(
            [&](Index row, MatrixView<const T> logits, MatrixView<T> g) {
                pull(p.block(row, 0, logits.rows(), k), y + row, {alpha, {k}, {1}}, overlap,
                     {g, gz.scale, gz.mode});
            },
            z, gz.view);
    return value;
}

template <class T>
void kernel::SoftDiceLoss<T>::pull(MatrixView<const T> p, const std::int64_t* y,
                                   VectorView<const T> alpha, const double* beta,
                                   const Destination<T, 2>& gz)
{
    (void)simd::sum_tiles<T>(simd::operands(p, gz), 1, [&](const auto& tile) {
        const auto along = tile.sum([=](auto at) { return at(alpha) * at(p) * at(p); });
        auto mean = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const auto label = static_cast<Index>(y[tile.row(i)]);
            mean[i] =
                static_cast<T>(along[i] - beta[label] * static_cast<double>(p(tile.row(i), label)));
        }
        const auto g = tile.scratch(0);
        tile.each([=](auto at) { at.put(g, at(p) * (at(alpha) * at(p) - at(mean))); });
        for (Index i = 0; i < tile.rows(); ++i) {
            const auto label = static_cast<Index>(y[tile.row(i)]);
            tile.entry(g, i, label) -= static_cast<T>(beta[label]) * p(tile.row(i), label);
        }
        tile.each([=](auto at) { at.put(gz, at(g)); });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::SoftDiceLoss);

} // namespace temper::inline TEMPER_ABI
#endif
