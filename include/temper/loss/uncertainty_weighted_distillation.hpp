// SPDX-License-Identifier: BSL-1.0
#pragma once

// Distillation from a teacher that is asked m times, with its noise on (dropout, augmentation): the student
// follows the mean answer, and the less so the more the answers differ.
//
//   P_i = (1/m) sum_r softmax(t_ri / T)        q_i = softmax(s_i / T)
//   u_i = sqrt( sum_j var_r softmax(t_ri / T)_j )      over the m answers, divided by m
//   w_i = exp(-u_i)
//   l_i = T^2 KL(P_i || q_i)
//   mean:  L = (1/n) sum_i w_i l_i       (not over sum w: a batch of doubtful samples counts for less)
//   sum:   L = sum_i w_i l_i
//   dL/ds_i = T w_i (q_i - P_i) / n
//
// s logits of the student [n, k], teacher_logits(t) [m, n, k] or, for m = 1, [n, k]: then u = 0, and this is
// DistillationKl. The teacher is held fixed. Named outputs: per_sample l_i [n], used_weights w_i [n],
// teacher_mean P [n, k]. The use it was made for: a small network is made robust by augmentation, and
// teaches the last layers of a large one on clean and corrupted data. The weight is our reading of the paper,
// which publishes no code. n = 0 or m = 0: 0.
// Throws ShapeError; RangeError for a temperature that is not positive.
// Jain et al., Efficiently Robustify Pre-trained Models (2023).

#include <temper/core/used_weights.hpp>
#include <temper/loss/consistency.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct TeacherMean {
    D destination;
};
/// The mean prediction of the teacher, [n, k].
template <class D>
[[nodiscard]] TeacherMean<D> teacher_mean(const D& destination)
{
    return {destination};
}

struct UncertaintyWeightedDistillation {
    static constexpr std::string_view name = "UncertaintyWeightedDistillation";
    double temperature = 1;
    Reduction reduction = Reduction::mean;

    /// (s, teacher_logits(t) [, into(gs)] [, per_sample(into(v)), used_weights(into(w)),
    ///  teacher_mean(into(p))])
    template <class S, class Y, class... Rest>
    double operator()(const S& s, const Y& teacher, const Rest&... rest) const;

    friend bool operator==(const UncertaintyWeightedDistillation&,
                           const UncertaintyWeightedDistillation&) = default;
};

namespace kernel {
template <class T>
struct UncertaintyWeightedDistillation {
    struct Outputs {
        Destination<T, 2> gs;
        Destination<T, 1> per_sample, weights;
        Destination<T, 2> mean;
    };
    static double run(const temper::UncertaintyWeightedDistillation& how, MatrixView<const T> s,
                      const View<const T, 3>& t, const Outputs& out);
};
} // namespace kernel

template <class S, class Y, class... Rest>
double UncertaintyWeightedDistillation::operator()(const S& s, const Y& teacher,
                                                   const Rest&... rest) const
{
    if constexpr (!is_teacher_logits<Y>)
        static_assert(is_teacher_logits<Y>,
                      "temper: the teacher comes second, as teacher_logits(t)");
    else {
        accept<1, PerSample, UsedWeights, TeacherMean>(rest...);
        using T = KernelScalarOf<S>;
        Border<T> border(name);
        border.require(temperature > 0, "temperature", temperature, "positive");
        const auto ss = border.samples("student", s);
        const Index n = ss.rows();
        const Index k = ss.cols();
        const AnyView<const T> given = border.tensor("teacher", teacher.view);
        View<const T, 3> ts;
        if (given.rank == 3)
            ts = given.template as<3>();
        else if (given.rank == 2) {
            const auto one = given.template as<2>();
            const auto rows = teacher.turned ? one.transposed() : one;
            ts = {rows.data, {1, rows.rows(), rows.cols()}, {0, rows.strides[0], rows.strides[1]}};
        }
        if (ts.extents[1] != n || ts.extents[2] != k || given.rank < 2)
            fail<ShapeError>(
                name, "teacher", joined({"has shape ", shape_text(given)}),
                joined({"[passes, ", text(n), ", ", text(k), "], the student's shape each time"}));
        typename kernel::UncertaintyWeightedDistillation<T>::Outputs out;
        out.gs = border.gradient("student", ss, positional<0>(rest...));
        out.per_sample =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        out.weights =
            border.template named_into<1>("used_weights", named<UsedWeights>(rest...), {n});
        out.mean =
            border.template named_into<2>("teacher_mean", named<TeacherMean>(rest...), {n, k});
        return border.finish(kernel::UncertaintyWeightedDistillation<T>::run(*this, ss, ts, out));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double
kernel::UncertaintyWeightedDistillation<T>::run(const temper::UncertaintyWeightedDistillation& how,
                                                MatrixView<const T> s, const View<const T, 3>& t,
                                                const Outputs& out)
{
    using V = simd::Pack<T>;
    const Index n = s.rows();
    const Index passes = t.extents[0];
    Workspace::Frame frame;
    const MatrixView<T> mean = frame.zeros_like(s);
    const MatrixView<T> squares = frame.zeros_like(s); // of the distances from the mean
    T* const weight = frame.take<T>(n);
    std::fill_n(weight, n, T(1));
    const MatrixView<const T> mean_before = mean;
    const MatrixView<const T> squares_before = squares;
    const Destination<T, 2> to_mean{mean, 1, Mode::overwrite};
    const Destination<T, 2> to_squares{squares, 1, Mode::overwrite};
    for (Index r = 0; r < passes; ++r) {
        const MatrixView<const T> z{
            t.data + r * t.strides[0], {n, s.cols()}, {t.strides[1], t.strides[2]}};
        const auto share = static_cast<T>(1 / static_cast<double>(r + 1));
        const bool last = r + 1 == passes;
        (void)simd::sum_tiles<T>(
            simd::operands(z, mean_before, squares_before), 1, [&](const auto& tile) {
                const auto sharpness = static_cast<T>(1 / how.temperature);
                const auto p = simd::softmax(
                    tile, [=](auto at) { return at(z) * V(sharpness); }, tile.scratch(0));
                const auto spread = tile.sum([=](auto at) {
                    const V x = at(p.e) / at(p.sum);
                    const V before = at(mean_before);
                    const V after = fma(x - before, V(share), before);
                    const V sum = fma(x - before, x - after, at(squares_before));
                    at.put(to_mean, after);
                    at.put(to_squares, sum);
                    return sum;
                });
                for (Index i = 0; last && i < tile.rows(); ++i)
                    weight[tile.row(i)] = static_cast<T>(
                        std::exp(-std::sqrt(spread[i] / static_cast<double>(passes))));
                return 0.0;
            });
    }
    if (out.mean)
        simd::map(simd::in(mean_before), simd::out(out.mean), [](auto x, auto& y) { y = x; });
    for (Index i = 0; out.weights && i < n; ++i)
        out.weights.put(out.weights.view(i), weight[i]);

    const temper::Consistency<KullbackLeibler> loss{.temperature = how.temperature,
                                                    .scale_t2 = true};
    const MatrixView<T> logarithms = squares;
    simd::map(simd::in(mean_before), simd::out(Destination<T, 2>{logarithms, 1, Mode::overwrite}),
              [](auto x, auto& y) { y = log(x); });
    const bool none = n == 0 || passes == 0;
    const double factor = none                              ? 0
                          : how.reduction == Reduction::sum ? 1
                                                            : 1 / static_cast<double>(n);
    const VectorView<const T> weights{weight, {n}, {1}};
    return Consistency<T, KullbackLeibler>::run(loss, s, logarithms, mean_before, {weights, factor},
                                                {out.gs, {}, out.per_sample, {}});
}

TEMPER_INSTANTIATE(kernel::UncertaintyWeightedDistillation);

} // namespace temper::inline TEMPER_ABI
#endif
