// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mean squared error.
//
//   mean:  L = sum_i w_i |x_i - y_i|^2 / (d sum_i w_i)      dL/dx_i = 2 w_i (x_i - y_i) / (d sum w)
//   sum:   L = sum_i w_i |x_i - y_i|^2                      dL/dx_i = 2 w_i (x_i - y_i)
//
// x predictions [n, d], y targets [n, d] (dL/dy = -dL/dx), w sample weights [n], 1 where not given.
// There is no factor 1/2. Curvature (exact): 2 w_i / (d sum w), or 2 w_i. Per sample: the mean (sum) of
// the d squares. n = 0 or d = 0: value 0. Throws ShapeError.
// Gauss, Theoria motus (1809).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct MeanSquaredError {
    static constexpr std::string_view name = "MeanSquaredError";
    Reduction reduction = Reduction::mean;

    /// (x, y [, sample_weights(w)] [, into(gx), into(gy)] [, per_sample(into(v)), curvature(into(h))])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& y, const Rest&... rest) const;

    friend bool operator==(const MeanSquaredError&, const MeanSquaredError&) = default;
};

namespace kernel {
template <class T>
struct MeanSquaredError {
    static double run(MatrixView<const T> x, MatrixView<const T> y, RowScale<T> scale,
                      double per_sample_scale, const Destination<T, 2>& gx,
                      const Destination<T, 2>& gy, const Destination<T, 1>& per_sample,
                      const Destination<T, 2>& curvature);
};
} // namespace kernel

template <class X, class Y, class... Rest>
double MeanSquaredError::operator()(const X& x, const Y& y, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample, Curvature>(rest...);
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    const auto xs = border.samples("x", x);
    const auto ys = border.samples("y", y);
    border.same_shape("y", ys, "x", xs);
    const Index n = xs.rows();
    const Index d = xs.cols();
    const auto weights =
        border.optional_vector("sample_weights", named<SampleWeights>(rest...), n, "as x has rows");
    const auto gx = border.gradient("x", xs, positional<0>(rest...));
    const auto gy = border.gradient("y", ys, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto h = border.template named_into<2>("curvature", named<Curvature>(rest...), {n, d});
    return border.finish(kernel::MeanSquaredError<T>::run(
        xs, ys, row_scale(reduction, n, weights, d),
        reduction == Reduction::mean && d > 0 ? 1 / static_cast<double>(d) : 1, gx, gy, each, h));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::MeanSquaredError<T>::run(MatrixView<const T> x, MatrixView<const T> y,
                                        RowScale<T> scale, double per_sample_scale,
                                        const Destination<T, 2>& gx, const Destination<T, 2>& gy,
                                        const Destination<T, 1>& per_sample,
                                        const Destination<T, 2>& curvature)
{
    if (scale.weights.data == nullptr && !per_sample) { // rows are of no interest
        const double total = simd::map_sum(
            simd::in(x, y), simd::out(gx, gy, curvature),
            [bend = 2 * scale.factor](auto u, auto v, auto& g, auto& minus_g, auto& h) {
                using V = decltype(u);
                const V r = u - v;
                h = V(bend);
                g = h * r;
                minus_g = -g;
                return r * r;
            });
        return scale.factor * total;
    }
    return simd::sum_tiles<T>(simd::operands(x, y, gx, gy, curvature), 0, [&](const auto& tile) {
        auto bend = tile.numbers(); // d^2L / dx^2 of the rows
        for (Index i = 0; i < tile.rows(); ++i)
            bend[i] = static_cast<T>(2 * scale(tile.row(i)));
        const auto sums = tile.sum([=](auto at) {
            const auto r = at(x) - at(y);
            const auto g = at(bend) * r;
            at.put(gx, g);
            at.put(gy, -g);
            at.put(curvature, at(bend));
            return r * r;
        });
        double total = 0;
        for (Index i = 0; i < tile.rows(); ++i) {
            total += scale(tile.row(i)) * sums[i];
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)),
                               static_cast<T>(per_sample_scale * sums[i]));
        }
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::MeanSquaredError);

} // namespace temper::inline TEMPER_ABI
#endif
