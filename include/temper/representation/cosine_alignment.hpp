// SPDX-License-Identifier: BSL-1.0
#pragma once

// Features turned to the direction of their targets.
//
//   cos_i = <x_i, t_i> / (max(|x_i|, epsilon) max(|t_i|, epsilon))
//   L = reduce_i w_i l_i       l_i = -cos_i          negative (SimSiam, REPA)
//                                    1 - cos_i       distance
//                                    2 - 2 cos_i     squared_distance (BYOL): |unit(x_i) - unit(t_i)|^2
//   dL/dx_i = -k w_i (b_i - cos_i a_i) / |x_i|       k = 1, 1, 2; a, b the unit vectors; w_i as reduced
//
// x features [n, d], t targets [n, d], w sample weights [n], 1 where not given; the mean is over their
// sum. The gradient by t is there for whoever trains both; a target that is held fixed simply gets no
// destination. Per sample: l_i, without weights. Next to cos = 1, 1 - cos_i is taken from the distance of
// the unit vectors and keeps its digits.
// A row with |x_i| <= epsilon gets no gradient, by convention, and a zero row, of x or t, has cos_i = 0.
// n = 0: value 0. Throws ShapeError; RangeError for a negative epsilon.
// Chen and He, Exploring simple Siamese representation learning (2021); Yu et al., Representation
// alignment for generation (2025).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

enum class CosineForm { negative, distance, squared_distance };

struct CosineAlignment {
    static constexpr std::string_view name = "CosineAlignment";
    CosineForm form = CosineForm::negative;
    Reduction reduction = Reduction::mean;
    double epsilon = 1e-12;

    /// (x, t [, sample_weights(w)] [, into(gx), into(gt)] [, per_sample(into(v))])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const;

    friend bool operator==(const CosineAlignment&, const CosineAlignment&) = default;
};

namespace kernel {
template <class T>
struct CosineAlignment {
    static double run(CosineForm form, double epsilon, MatrixView<const T> x, MatrixView<const T> t,
                      RowScale<T> scale, const Destination<T, 2>& gx, const Destination<T, 2>& gt,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class X, class Y, class... Rest>
double CosineAlignment::operator()(const X& x, const Y& t, const Rest&... rest) const
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
    return border.finish(kernel::CosineAlignment<T>::run(
        form, epsilon, xs, ts, row_scale(reduction, n, weights), gx, gt, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::CosineAlignment<T>::run(CosineForm form, double epsilon, MatrixView<const T> x,
                                       MatrixView<const T> t, RowScale<T> scale,
                                       const Destination<T, 2>& gx, const Destination<T, 2>& gt,
                                       const Destination<T, 1>& per_sample)
{
    const double slope = form == CosineForm::squared_distance ? 2 : 1;
    return simd::sum_tiles<T>(simd::operands(x, t, gx, gt), 0, [&](const auto& tile) {
        double total = 0;
        auto factor = tile.numbers();
        const auto pairs = simd::unit_pairs(tile, x, t, epsilon);
        for (Index i = 0; i < tile.rows(); ++i) {
            const double w = scale(tile.row(i));
            const double value =
                form == CosineForm::negative ? -pairs.cosine[i] : slope * pairs.opening[i];
            factor[i] = static_cast<T>(slope * w);
            total += w * value;
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)), static_cast<T>(value));
        }
        simd::pull_unit_pairs(tile, x, t, pairs, factor, gx, gt);
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::CosineAlignment);

} // namespace temper::inline TEMPER_ABI
#endif
