// SPDX-License-Identifier: BSL-1.0
#pragma once

// Features pulled to their targets by the squared distance, as they are or by direction only.
//
//   L = f sum_i w_i |x_i - t_i|^2                         dL/dx_i = 2 f w_i (x_i - t_i)
//   L = f sum_i w_i |a_i - b_i|^2  (directions)           dL/dx_i = 2 f w_i (<a_i, b_i> a_i - b_i) / |x_i|
//   a_i = x_i / max(|x_i|, epsilon),  b_i likewise of t_i
//
//   f = 1 / (d sum_i w_i)   mean over entries (the default)
//       1 / sum_i w_i       mean over samples
//       1                   sum
//
// x features [n, d], t targets [n, d], w sample weights [n], 1 where not given. The gradient by t is there
// for whoever trains both; a target that is held fixed simply gets no destination. Per sample: the squared
// distance, without weights, divided by d for the mean over entries.
// Directions: between unit vectors the squared distance is 2 - 2 cos. A row with |x_i| <= epsilon gets no
// gradient, by convention; where a_i = b_i the gradient is 0. n = 0 or d = 0: value 0.
// Throws ShapeError; RangeError for a negative epsilon.
// Romero et al., FitNets: hints for thin deep nets (2015); by direction: Grill et al., Bootstrap your own
// latent (2020).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct L2Alignment {
    static constexpr std::string_view name = "L2Alignment";
    MeanOver mean_over = MeanOver::entries;
    bool directions = false;
    double epsilon = 1e-12;

    /// (x, t [, sample_weights(w)] [, into(gx), into(gt)] [, per_sample(into(v))])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const;

    friend bool operator==(const L2Alignment&, const L2Alignment&) = default;
};

namespace kernel {
template <class T>
struct L2Alignment {
    static double plain(MatrixView<const T> x, MatrixView<const T> t, double per_entry,
                        RowScale<T> scale, const Destination<T, 2>& gx, const Destination<T, 2>& gt,
                        const Destination<T, 1>& per_sample);
    static double directions(MatrixView<const T> x, MatrixView<const T> t, double epsilon,
                             double per_entry, RowScale<T> scale, const Destination<T, 2>& gx,
                             const Destination<T, 2>& gt, const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class X, class Y, class... Rest>
double L2Alignment::operator()(const X& x, const Y& t, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto ts = border.samples("t", t);
    border.same_shape("t", ts, "x", xs);
    const Index n = xs.rows();
    const auto weights =
        border.optional_vector("sample_weights", named<SampleWeights>(rest...), n, "as x has rows");
    const auto gx = border.gradient("x", xs, positional<0>(rest...));
    const auto gt = border.gradient("t", ts, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto scale = row_scale(reduction_of(mean_over), n, weights);
    const double per_entry = entry_scale(mean_over, xs.cols());
    using Kernel = kernel::L2Alignment<T>;
    return border.finish(directions
                             ? Kernel::directions(xs, ts, epsilon, per_entry, scale, gx, gt, each)
                             : Kernel::plain(xs, ts, per_entry, scale, gx, gt, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::L2Alignment<T>::plain(MatrixView<const T> x, MatrixView<const T> t, double per_entry,
                                     RowScale<T> scale, const Destination<T, 2>& gx,
                                     const Destination<T, 2>& gt,
                                     const Destination<T, 1>& per_sample)
{
    return simd::sum_tiles<T>(simd::operands(x, t, gx, gt), 0, [&](const auto& tile) {
        double total = 0;
        auto factor = tile.numbers();
        const auto square = tile.sum([=](auto at) {
            const auto e = at(x) - at(t);
            return e * e;
        });
        for (Index i = 0; i < tile.rows(); ++i) {
            const double w = scale(tile.row(i));
            factor[i] = static_cast<T>(2 * per_entry * w);
            total += per_entry * w * square[i];
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)), static_cast<T>(per_entry * square[i]));
        }
        if (gx || gt)
            tile.each([=](auto at) {
                const auto g = at(factor) * (at(x) - at(t));
                at.put(gx, g);
                at.put(gt, -g);
            });
        return total;
    });
}

template <class T>
double kernel::L2Alignment<T>::directions(MatrixView<const T> x, MatrixView<const T> t,
                                          double epsilon, double per_entry, RowScale<T> scale,
                                          const Destination<T, 2>& gx, const Destination<T, 2>& gt,
                                          const Destination<T, 1>& per_sample)
{
    return simd::sum_tiles<T>(simd::operands(x, t, gx, gt), 0, [&](const auto& tile) {
        double total = 0;
        auto factor = tile.numbers();
        const auto pairs = simd::unit_pairs(tile, x, t, epsilon);
        for (Index i = 0; i < tile.rows(); ++i) {
            const double w = scale(tile.row(i));
            factor[i] = static_cast<T>(2 * per_entry * w);
            total += per_entry * w * pairs.distance2[i];
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)),
                               static_cast<T>(per_entry * pairs.distance2[i]));
        }
        simd::pull_unit_pairs(tile, x, t, pairs, factor, gx, gt);
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::L2Alignment);

} // namespace temper::inline TEMPER_ABI
#endif
