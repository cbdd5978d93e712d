// SPDX-License-Identifier: BSL-1.0
#pragma once

// Are picture and sound in sync? The cosine of their embeddings, taken as a probability.
//
//   s_i = <v_i, a_i> / (max(|v_i|, epsilon) max(|a_i|, epsilon))
//   l_i = - y_i max(log p_i, floor) - (1 - y_i) max(log(1 - p_i), floor)
//   p_i = s_i clamped to [0, 1]  (clamp, the default)   (1 + s_i) / 2  (affine)   s_i or an error  (refuse)
//   L = reduce_i w_i l_i
//   dl_i/dp_i = (p_i - y_i) / max(p_i (1 - p_i), 1e-12)      ds/dv = (b - s a) / |v|, a, b the unit vectors
//
// v visual, a audio [n, d], y [n] in [0, 1]: 1 in sync; w sample weights [n], 1 where not given, the mean is
// over their sum. Per sample: l_i, without weights. To supervise a generator, all y are 1: L is -log cos.
// Encoders that end in ReLU have s >= 0, which the authors' code takes for granted (torch raises outside
// [0, 1]); clamp has no gradient below 0, affine is there for encoders of any sign. What rounding leaves
// above 1 is 1 under all three. At p_i = 0 with y_i = 1 the value is -floor and the slope 1e12: clip
// gradients. 1 - p_i comes from the distance of the unit vectors and keeps its digits next to s_i = 1.
// A row no longer than epsilon gets no gradient, by convention, and has s_i = 0. n = 0: 0.
// Throws ShapeError; RangeError for y outside [0, 1], a negative epsilon, and s_i < 0 where refused.
// Li et al., LatentSync: audio conditioned latent diffusion models for lip sync (2024); Prajwal et al., A lip
// sync expert is all you need for speech to lip generation in the wild (2020).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

/// How a cosine becomes a probability.
enum class CosineRange { clamp, affine, refuse };

struct SyncCosineBce {
    static constexpr std::string_view name = "SyncCosineBce";
    CosineRange range = CosineRange::clamp;
    double floor = -100;
    double epsilon = 1e-8;
    Reduction reduction = Reduction::mean;

    /// (visual, audio, y [, sample_weights(w)] [, into(gv), into(ga)] [, per_sample(into(l))])
    template <class V, class A, class Y, class... Rest>
    double operator()(const V& visual, const A& audio, const Y& y, const Rest&... rest) const;

    friend bool operator==(const SyncCosineBce&, const SyncCosineBce&) = default;
};

namespace kernel {
template <class T>
struct SyncCosineBce {
    /// The first row whose cosine is below 0, n if there is none.
    static Index first_negative(MatrixView<const T> v, MatrixView<const T> a, double epsilon);
    static double run(const temper::SyncCosineBce& how, MatrixView<const T> v,
                      MatrixView<const T> a, VectorView<const T> y, RowScale<T> scale,
                      const Destination<T, 2>& gv, const Destination<T, 2>& ga,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class V, class A, class Y, class... Rest>
double SyncCosineBce::operator()(const V& visual, const A& audio, const Y& y,
                                 const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<V, A, Y>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto v = border.samples("visual", visual);
    const auto a = border.samples("audio", audio);
    border.same_shape("audio", a, "visual", v);
    const Index n = v.rows();
    const auto ys = border.vector("y", y);
    border.expect_shape("y", ys, {n}, "as visual has rows");
    for (Index i = 0; i < n; ++i)
        border.require(!(ys(i) < 0) && !(ys(i) > 1), "y", static_cast<double>(ys(i)), "in [0, 1]");
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as visual has rows");
    const auto gv = border.gradient("visual", v, positional<0>(rest...));
    const auto ga = border.gradient("audio", a, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    using Kernel = kernel::SyncCosineBce<T>;
    if (range == CosineRange::refuse) {
        const Index row = Kernel::first_negative(v, a, epsilon);
        if (row < n)
            fail<RangeError>(name, "visual", joined({"has a negative cosine in row ", text(row)}),
                             "at a right angle to audio or closer (or choose clamp or affine)");
    }
    return border.finish(
        Kernel::run(*this, v, a, ys, row_scale(reduction, n, weights), gv, ga, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
Index kernel::SyncCosineBce<T>::first_negative(MatrixView<const T> v, MatrixView<const T> a,
                                               double epsilon)
{
    Index first = v.rows();
    for (Index i = 0; i < v.rows() && first == v.rows(); ++i)
        (void)simd::sum_tiles<T>(
            simd::operands(v.block(i, 0, 1, v.cols()), a.block(i, 0, 1, a.cols())), 0,
            [&](const auto& tile) {
                const auto pairs = simd::unit_pairs(tile, v.block(i, 0, 1, v.cols()),
                                                    a.block(i, 0, 1, a.cols()), epsilon);
                if (pairs.cosine[0] < 0)
                    first = i;
                return 0.0;
            });
    return first;
}

template <class T>
double kernel::SyncCosineBce<T>::run(const temper::SyncCosineBce& how, MatrixView<const T> v,
                                     MatrixView<const T> a, VectorView<const T> y,
                                     RowScale<T> scale, const Destination<T, 2>& gv,
                                     const Destination<T, 2>& ga,
                                     const Destination<T, 1>& per_sample)
{
    const double half = how.range == CosineRange::affine ? 0.5 : 1;
    return simd::sum_tiles<T>(simd::operands(v, a, gv, ga), 0, [&](const auto& tile) {
        double total = 0;
        auto factor = tile.numbers();
        const auto pairs = simd::unit_pairs(tile, v, a, how.epsilon);
        for (Index i = 0; i < tile.rows(); ++i) {
            const double s =
                how.range == CosineRange::affine ? 1 - pairs.opening[i] / 2 : pairs.cosine[i];
            const double rest = half * pairs.opening[i];
            const bool outside = s < 0 || rest < 0;
            const double p = s < 0 ? 0 : s > 1 ? 1 : s;
            const double q = s < 0 ? 1 : rest < 0 ? 0 : rest;
            const auto target = static_cast<double>(y(tile.row(i)));
            const auto floored = [&](double u) {
                const double l = std::log(u);
                return l < how.floor ? how.floor : l;
            };
            // A label of exactly 0 or 1 does not ask for the other logarithm.
            const double value = -(target == 0 ? 0 : target * floored(p)) -
                                 (target == 1 ? 0 : (1 - target) * floored(q));
            const double slope = half * (p - target) / (std::max)(p * q, 1e-12);
            const double w = scale(tile.row(i));
            factor[i] = outside ? T(0) : static_cast<T>(-w * slope);
            total += w * value;
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)), static_cast<T>(value));
        }
        simd::pull_unit_pairs(tile, v, a, pairs, factor, gv, ga);
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::SyncCosineBce);

} // namespace temper::inline TEMPER_ABI
#endif
