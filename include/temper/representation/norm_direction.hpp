// SPDX-License-Identifier: BSL-1.0
#pragma once

// ND loss: the student's features shall point to their class's mean among the teacher's features, and be at
// least as long as the teacher's.
//
//   e_i = c_{y_i} / |c_{y_i}|         m_i = max(|s_i|, |t_i|)
//   l_i = 1 - <s_i, e_i> / m_i
//   mean:  L = sum_i w_i l_i / sum_i w_i        sum:  L = sum_i w_i l_i
//   dL/ds_i = -W_i e_i / |t_i|                                 where |s_i| <= |t_i|: longer along e
//             -W_i (e_i - <a_i, e_i> a_i) / |s_i|, a_i = s_i / |s_i|      else: turned, no longer pulled
//
// s [n, d] the student's features before its head, projected to the teacher's width if need be; t [n, d];
// labels(y); centers c [classes, d], the means of the teacher's features over the training set (ClassMeans),
// computed once. t and c are held fixed. The published factor, 1 to 4 by pair of networks, is a number before
// the component: `2 * NdLoss{}`, beside cross-entropy and DistillationKl. Direction alone: CosineAlignment
// with form distance. per_sample: l_i. A center no longer than epsilon has no direction, and two features
// of length 0 have no measure: value 1, no gradient (the published code gives NaN). n = 0: 0.
// Throws ShapeError, RangeError for labels outside the centers.
// Wang et al., Improving Knowledge Distillation via Regularizing Feature Norm and Direction (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct NormDirection {
    static constexpr std::string_view name = "NormDirection";
    double epsilon = 1e-12;
    Reduction reduction = Reduction::mean;

    /// (s, labels(y), t, centers [, into(gs)] [, sample_weights(w), per_sample(into(v))])
    template <class S, class Y, class L, class C, class... Rest>
    double operator()(const S& student, const Y& targets, const L& teacher, const C& centers,
                      const Rest&... rest) const;

    friend bool operator==(const NormDirection&, const NormDirection&) = default;
};

using NdLoss = NormDirection;

namespace kernel {
template <class T>
struct NormDirection {
    static double run(double epsilon, MatrixView<const T> s, const std::int64_t* y,
                      MatrixView<const T> t, MatrixView<const T> centers, RowScale<T> scale,
                      const Destination<T, 2>& gs, const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class S, class Y, class L, class C, class... Rest>
double NormDirection::operator()(const S& student, const Y& targets, const L& teacher,
                                 const C& centers, const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
    else {
        accept<1, SampleWeights, PerSample>(rest...);
        using T = KernelScalarOf<S, L, C>;
        Border<T> border(name);
        border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
        const auto s = border.samples("student", student);
        const Index n = s.rows();
        const auto t = border.samples("teacher", teacher);
        border.same_shape("teacher", t, "student", s);
        const auto c = border.samples("centers", centers);
        border.expect_shape("centers", c, {c.rows(), s.cols()}, "with the columns of student");
        const auto* y = border.labels("labels", targets, n, c.rows());
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as student has rows");
        const auto gs = border.gradient("student", s, positional<0>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        return border.finish(kernel::NormDirection<T>::run(
            epsilon, s, y, t, c, row_scale(reduction, n, weights), gs, each));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

#include <algorithm>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::NormDirection<T>::run(double epsilon, MatrixView<const T> s, const std::int64_t* y,
                                     MatrixView<const T> t, MatrixView<const T> centers,
                                     RowScale<T> scale, const Destination<T, 2>& gs,
                                     const Destination<T, 1>& per_sample)
{
    using V = simd::Pack<T>;
    const Index n = s.rows();
    Workspace::Frame frame;
    const simd::UnitRows<T> units(frame, centers, epsilon);
    for (Index c = 0; c < centers.rows(); ++c)
        if (units.backward[c] == T(0)) // too short to have a direction
            for (Index j = 0; j < centers.cols(); ++j)
                units.u(c, j) = units.u(c, j) == units.u(c, j) ? T(0) : units.u(c, j);
    // The directions that the samples are to take.
    const MatrixView<T> towards = frame.matrix_like(s);
    const bool by_rows = s.cols() > 0 && towards.strides[1] == 1 && units.u.strides[1] == 1;
    for (Index i = 0; i < n; ++i)
        if (by_rows)
            std::copy_n(&units.u(y[i], Index{0}), s.cols(), &towards(i, Index{0}));
        else
            for (Index j = 0; j < s.cols(); ++j)
                towards(i, j) = units.u(y[i], j);
    const MatrixView<const T> e = towards;

    return simd::sum_tiles<T>(simd::operands(s, t, e, gs), 0, [&](const auto& tile) {
        const auto of_s = simd::norms(tile, s);
        const auto of_t = simd::norms(tile, t);
        const auto along = tile.sum([=](auto at) { return at(s) * at(e); });
        auto of_e = tile.numbers();
        auto of_own = tile.numbers();
        double total = 0;
        constexpr double least = std::numeric_limits<T>::min();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const double w = scale(row);
            const double longest = of_s[i] > of_t[i] ? of_s[i] : of_t[i];
            const bool is_point = longest <= least; // a NaN is none
            const double cosine = is_point ? 0 : along[i] / longest;
            total += w * (1 - cosine);
            of_e[i] = static_cast<T>(is_point ? 0 : -w / longest);
            // <a, e> / |s|, of s itself
            of_own[i] =
                static_cast<T>(of_s[i] > of_t[i] && !is_point ? w * cosine / longest / longest : 0);
            if (per_sample)
                per_sample.put(per_sample.view(row), static_cast<T>(1 - cosine));
        }
        if (gs)
            tile.each([=](auto at) {
                const V own = at(of_own);
                at.put(gs, at(of_e) * at(e) + select(own == V(0), own, own * at(s)));
            });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::NormDirection);

} // namespace temper::inline TEMPER_ABI
#endif
