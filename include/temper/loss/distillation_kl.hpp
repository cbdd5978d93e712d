// SPDX-License-Identifier: BSL-1.0
#pragma once

// Distillation: the student's softened predictions shall be those of the teacher.
//
//   p_i = softmax(t_i / T), q_i = softmax(s_i / T)
//   l_i = T^2 sum_j p_ij log(p_ij / q_ij)
//   sum:   L = sum_i w_i l_i
//   mean:  L = sum_i w_i l_i / sum_i w_i          a sum over classes, a mean over samples ("batchmean")
//   dL/ds_ij = W_i T (q_ij - p_ij)                W_i = w_i, divided by the mean's sum
//   dL/dt_ij = W_i T p_ij (log(p_ij / q_ij) - l_i / T^2)
//
// s logits of the student [n, k], second the teacher's, teacher_logits(t) [n, k]; T = temperature, whose
// square keeps the gradient's size when T changes. A teacher that is held fixed gets no destination. w
// sample weights [n], 1 where not given. Curvature by s (exact, Gauss-Newton alike): W_i q_ij (1 - q_ij).
// Per sample: l_i. Logits of any size are fine, and numbers added to all logits of a sample change
// nothing. A logit of the teacher of minus infinity is a class that costs nothing; one of the student
// costs plus infinity where the teacher's is finite. n = 0: 0.
// Throws ShapeError; RangeError for a temperature that is not positive.
// Hinton, Vinyals and Dean, Distilling the knowledge in a neural network (2015).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct DistillationKl {
    static constexpr std::string_view name = "DistillationKl";
    double temperature = 4;
    Reduction reduction = Reduction::mean;

    /// (s, teacher_logits(t) [, into(gs), into(gt)], named...), named: sample_weights(w),
    /// per_sample(into(v)), curvature(into(h))
    template <class S, class Y, class... Rest>
    double operator()(const S& s, const Y& teacher, const Rest&... rest) const;

    friend bool operator==(const DistillationKl&, const DistillationKl&) = default;
};

namespace kernel {
template <class T>
struct DistillationKl {
    struct Outputs {
        Destination<T, 2> gs, gt;
        Destination<T, 1> per_sample;
        Destination<T, 2> curvature;
    };
    static double run(double temperature, MatrixView<const T> s, MatrixView<const T> t,
                      RowScale<T> scale, const Outputs& out);
};
} // namespace kernel

template <class S, class Y, class... Rest>
double DistillationKl::operator()(const S& s, const Y& teacher, const Rest&... rest) const
{
    if constexpr (!is_teacher_logits<Y>)
        static_assert(is_teacher_logits<Y>,
                      "temper: the teacher comes second, as teacher_logits(t)");
    else {
        accept<2, SampleWeights, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<S>;
        Border<T> border(name);
        border.require(temperature > 0, "temperature", temperature, "positive");
        const auto ss = border.samples("student", s);
        const auto ts = border.teacher_logits("teacher", teacher);
        border.same_shape("teacher", ts, "student", ss);
        const Index n = ss.rows();
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as student has rows");
        typename kernel::DistillationKl<T>::Outputs out;
        out.gs = border.gradient("student", ss, positional<0>(rest...));
        out.gt = border.gradient("teacher", ts, positional<1>(rest...));
        out.per_sample =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        out.curvature =
            border.template named_into<2>("curvature", named<Curvature>(rest...), {n, ss.cols()});
        return border.finish(kernel::DistillationKl<T>::run(temperature, ss, ts,
                                                            row_scale(reduction, n, weights), out));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/loss/divergences.hpp>
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::DistillationKl<T>::run(double temperature, MatrixView<const T> s,
                                      MatrixView<const T> t, RowScale<T> scale, const Outputs& out)
{
    using V = simd::Pack<T>;
    return simd::sum_tiles<T>(
        simd::operands(s, t, out.gs, out.gt, out.curvature), 2, [&](const auto& tile) {
            const auto pair = simd::softmax_pair(tile, temperature, t, tile.scratch(0), s,
                                                 tile.scratch(1, out.gs));
            double total = 0;
            auto of_p = tile.numbers();
            auto sum_ratio = tile.numbers(); // sum_p / sum_q
            auto log_ratio = tile.numbers(); // minus its logarithm
            auto of_h = tile.numbers();
            auto divergence = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                const double w = scale(tile.row(i));
                const auto sum_p = static_cast<double>(pair.p.sum[i]);
                const auto sum_q = static_cast<double>(pair.q.sum[i]);
                of_p[i] = static_cast<T>(w * temperature / sum_p);
                of_h[i] = static_cast<T>(w / (sum_q * sum_q));
                sum_ratio[i] = static_cast<T>(sum_p / sum_q);
                log_ratio[i] = static_cast<T>(std::log(sum_q / sum_p));
            }
            if (out.curvature)
                tile.each([=](auto at) {
                    const V e = at(pair.q.e);
                    at.put(out.curvature, at(of_h) * e * max(at(pair.q.sum) - e, V(0)));
                });
            // sum_j p_j log(p_j / q_j) - p_j + q_j: no term is negative, and no digit cancels.
            const auto sums = tile.sum([=](auto at) {
                const V p = at(pair.p.e);
                const V q = at(pair.q.e) * at(sum_ratio);
                const V d = pair.log_of(at, t, s) + at(log_ratio);
                at.put(out.gs, at(of_p) * (q - p));
                return detail::excess(p, q, d);
            });
            for (Index i = 0; i < tile.rows(); ++i) {
                const Index row = tile.row(i);
                const double kl = s.cols() == 0 ? 0 : sums[i] / static_cast<double>(pair.p.sum[i]);
                const double loss = temperature * temperature * kl;
                divergence[i] = static_cast<T>(kl);
                total += scale(row) * loss;
                if (out.per_sample)
                    out.per_sample.put(out.per_sample.view(row), static_cast<T>(loss));
            }
            if (out.gt)
                tile.each([=](auto at) {
                    const V e = at(pair.p.e);
                    const V log_of = pair.log_of(at, t, s) + at(log_ratio) - at(divergence);
                    at.put(out.gt, at(of_p) * select(e == V(0), e, e * log_of));
                });
            return total;
        });
}

TEMPER_INSTANTIATE(kernel::DistillationKl);

} // namespace temper::inline TEMPER_ABI
#endif
