// SPDX-License-Identifier: BSL-1.0
#pragma once

// Features seen in the plane of three classes' classifier rows, for a picture of how they collapse.
//
//   u_1 = (w_0 - w_1) / |w_0 - w_1|
//   t = w_2 - (w_0 + w_1) / 2, less its part along u_1,   u_2 = t / |t|
//   y_i = (<h_i, u_1>, <h_i, u_2>)
//
// h features [n, d], w three rows [3, d], y [n, 2]. Where two rows are equal or all three lie on a line the
// coordinate that has no direction is 0. No gradients. The paper shows such pictures; the basis is ours.
// Throws ShapeError.
// Fisher, Meng and Papyan, Pushing Boundaries: Mixup's Influence on Neural Collapse (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct SimplexPlaneProjection {
    static constexpr std::string_view name = "SimplexPlaneProjection";

    /// (h, w, into(y))
    template <class H, class W, class D>
    void operator()(const H& features, const W& classifier_rows, const D& out) const;

    friend bool operator==(const SimplexPlaneProjection&, const SimplexPlaneProjection&) = default;
};

namespace kernel {
template <class T>
struct SimplexPlaneProjection {
    static void run(MatrixView<const T> h, MatrixView<const T> w, const Destination<T, 2>& y);
};
} // namespace kernel

template <class H, class W, class D>
void SimplexPlaneProjection::operator()(const H& features, const W& classifier_rows,
                                        const D& out) const
{
    using T = KernelScalarOf<H, W>;
    Border<T> border(name);
    const auto h = border.samples("features", features);
    const auto w = border.matrix("classifier_rows", classifier_rows);
    border.expect_shape("classifier_rows", w, {3, h.cols()}, "a row for each of three classes");
    const auto y = border.template output<2>("output", out, {h.rows(), 2});
    if (y)
        kernel::SimplexPlaneProjection<T>::run(h, w, y);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::SimplexPlaneProjection<T>::run(MatrixView<const T> h, MatrixView<const T> w,
                                            const Destination<T, 2>& y)
{
    Workspace::Frame frame;
    const Index d = h.cols();
    const MatrixView<double> u = frame.matrix<double>(2, d);
    const Index first = 0;
    const Index second = 1;
    const auto number = [&](Index row, Index j) { return static_cast<double>(w(row, j)); };
    const auto dot = [&](Index a, Index b) {
        double sum = 0;
        for (Index j = 0; j < d; ++j)
            sum += u(a, j) * u(b, j);
        return sum;
    };
    // What rounding leaves of a vector of this length is no direction.
    const auto normalise = [&](Index row, double before) {
        const double length = std::sqrt(dot(row, row));
        const double factor = length <= 1e-12 * before ? 0 : 1 / length;
        for (Index j = 0; j < d; ++j)
            u(row, j) *= factor;
    };
    for (Index j = 0; j < d; ++j) {
        u(first, j) = number(0, j) - number(1, j);
        u(second, j) = number(2, j) - (number(0, j) + number(1, j)) / 2;
    }
    normalise(first, 0);
    const double before = std::sqrt(dot(second, second));
    const double along = dot(first, second);
    for (Index j = 0; j < d; ++j)
        u(second, j) -= along * u(first, j);
    normalise(second, before);
    for (Index i = 0; i < h.rows(); ++i)
        for (Index axis = 0; axis < 2; ++axis) {
            double sum = 0;
            for (Index j = 0; j < d; ++j)
                sum += static_cast<double>(h(i, j)) * u(axis, j);
            y.put(y.view(i, axis), static_cast<T>(sum));
        }
}

TEMPER_INSTANTIATE(kernel::SimplexPlaneProjection);

} // namespace temper::inline TEMPER_ABI
#endif
