// SPDX-License-Identifier: BSL-1.0
#pragma once

// BD-KD: distillation between two networks that learn at the same time, by the divergence that each sample
// needs. The forward divergence covers what the teacher holds possible and takes confidence away; the
// reverse one seeks the teacher's mode and gives it. Which of the two weighs more is decided by who is the
// surer.
//
//   p_i = softmax(t_i / T), q_i = softmax(s_i / T), H the entropy in nats
//   F_i = KL(p_i || q_i)   R_i = KL(q_i || p_i)
//   (a_i, b_i) = (low, high) where H(q_i) > H(p_i), else (high, low)        swapped if `invert`
//   l_i = T^2 (a_i F_i + b_i R_i)
//   mean:  L = sum_i w_i l_i / sum_i w_i        sum:  L = sum_i w_i l_i
//   dL/ds_i = W_i T (a_i (q_i - p_i) + b_i q_i (log(q_i / p_i) - R_i))       a, b held still
//
// s logits of the student [n, k], teacher_logits(t) [n, k], held fixed here. Add the cross-entropies of both
// with their labels. The teacher's own term is T^2 KL(p || q) with the gradient to the teacher alone, the
// reverse divergence as it sees it:
//
//   bd.teacher()(s, teacher_logits(t), discard, into(gt))                    a DistillationKl
//
// Named outputs [n]: per_sample l_i; forward_divergence F_i; reverse_divergence R_i; and with
// used_weights(into(w)), [n, 2], a_i and b_i. Equal rows: 0. Logits of any size are fine; a class that the
// teacher excludes (a logit of minus infinity) and the student does not costs plus infinity. n = 0: 0.
// The paper gives no numbers for high and low that could be checked; 2 and 1 are ours, and so is the reading
// of which side is the high one, hence `invert`.
// Throws ShapeError; RangeError for a temperature that is not positive or a negative weight.
// Amara et al., BD-KD: Balancing the Divergences for Online Knowledge Distillation (2022).

#include <temper/core/used_weights.hpp>
#include <temper/loss/distillation_kl.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct ForwardDivergence {
    D destination;
};
template <class D>
struct ReverseDivergence {
    D destination;
};
/// KL(teacher || student) of each sample, [n].
template <class D>
[[nodiscard]] ForwardDivergence<D> forward_divergence(const D& destination)
{
    return {destination};
}
/// KL(student || teacher) of each sample, [n].
template <class D>
[[nodiscard]] ReverseDivergence<D> reverse_divergence(const D& destination)
{
    return {destination};
}

struct BalancedDistillation {
    static constexpr std::string_view name = "BalancedDistillation";
    double temperature = 4;
    double high = 2;
    double low = 1;
    bool invert = false;
    Reduction reduction = Reduction::mean;

    /// (s, teacher_logits(t) [, into(gs)], named...), named: sample_weights(w), per_sample(into(v)),
    /// forward_divergence(into(f)), reverse_divergence(into(r)), used_weights(into(w))
    template <class S, class Y, class... Rest>
    double operator()(const S& s, const Y& teacher, const Rest&... rest) const;
    /// What the teacher learns from the student.
    [[nodiscard]] DistillationKl teacher() const { return {temperature, reduction}; }

    friend bool operator==(const BalancedDistillation&, const BalancedDistillation&) = default;
};

using BdKd = BalancedDistillation;

namespace kernel {
template <class T>
struct BalancedDistillation {
    struct Outputs {
        Destination<T, 2> gs;
        Destination<T, 1> per_sample, forward, reverse;
        Destination<T, 2> weights;
    };
    static double run(const temper::BalancedDistillation& how, MatrixView<const T> s,
                      MatrixView<const T> t, RowScale<T> scale, const Outputs& out);
};
} // namespace kernel

template <class S, class Y, class... Rest>
double BalancedDistillation::operator()(const S& s, const Y& teacher, const Rest&... rest) const
{
    if constexpr (!is_teacher_logits<Y>)
        static_assert(is_teacher_logits<Y>,
                      "temper: the teacher comes second, as teacher_logits(t)");
    else {
        accept<1, SampleWeights, PerSample, ForwardDivergence, ReverseDivergence, UsedWeights>(
            rest...);
        using T = KernelScalarOf<S>;
        Border<T> border(name);
        border.require(temperature > 0, "temperature", temperature, "positive");
        border.require(high >= 0, "high", high, "non-negative");
        border.require(low >= 0, "low", low, "non-negative");
        const auto ss = border.samples("student", s);
        const auto ts = border.teacher_logits("teacher", teacher);
        border.same_shape("teacher", ts, "student", ss);
        const Index n = ss.rows();
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as student has rows");
        typename kernel::BalancedDistillation<T>::Outputs out;
        out.gs = border.gradient("student", ss, positional<0>(rest...));
        out.per_sample =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        out.forward = border.template named_into<1>("forward_divergence",
                                                    named<ForwardDivergence>(rest...), {n});
        out.reverse = border.template named_into<1>("reverse_divergence",
                                                    named<ReverseDivergence>(rest...), {n});
        out.weights =
            border.template named_into<2>("used_weights", named<UsedWeights>(rest...), {n, 2});
        return border.finish(kernel::BalancedDistillation<T>::run(
            *this, ss, ts, row_scale(reduction, n, weights), out));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::BalancedDistillation<T>::run(const temper::BalancedDistillation& how,
                                            MatrixView<const T> s, MatrixView<const T> t,
                                            RowScale<T> scale, const Outputs& out)
{
    using V = simd::Pack<T>;
    const double temperature = how.temperature;
    return simd::sum_tiles<T>(simd::operands(s, t, out.gs), 2, [&](const auto& tile) {
        const auto pair =
            simd::softmax_pair(tile, temperature, t, tile.scratch(0), s, tile.scratch(1));
        auto sum_ratio = tile.numbers(); // sum_p / sum_q
        auto log_ratio = tile.numbers(); // minus its logarithm
        for (Index i = 0; i < tile.rows(); ++i) {
            const auto sum_p = static_cast<double>(pair.p.sum[i]);
            const auto sum_q = static_cast<double>(pair.q.sum[i]);
            sum_ratio[i] = static_cast<T>(sum_p / sum_q);
            log_ratio[i] = static_cast<T>(std::log(sum_q / sum_p));
        }
        // Both divergences as sums of terms that are not negative, so that no digit cancels; and both
        // entropies but for the logarithms of the sums.
        const auto sums = tile.template sums<4>([=](auto at) {
            const V p = at(pair.p.e);
            const V q = at(pair.q.e) * at(sum_ratio);
            const V d = pair.log_of(at, t, s) + at(log_ratio); // log(p / q)
            const auto near = abs(d) < V(0.125);
            const V forward = select(p == V(0), q, fma(p, d, q - p));
            const V reverse = select(q == V(0), p, fma(q, -d, p - q));
            const V below_p = (at(t) - at(pair.p.shift)) * V(pair.sharpness);
            const V below_q = (at(s) - at(pair.q.shift)) * V(pair.sharpness);
            return std::array{select(near, p * detail::small_excess(d), forward),
                              select(near, q * detail::small_excess(-d), reverse),
                              select(p == V(0), p, p * below_p), select(q == V(0), q, q * below_q)};
        });
        double total = 0;
        auto of_forward = tile.numbers();
        auto of_reverse = tile.numbers();
        auto divergence = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const auto sum_p = static_cast<double>(pair.p.sum[i]);
            const auto sum_q = static_cast<double>(pair.q.sum[i]);
            const bool empty = s.cols() == 0;
            const double forward = empty ? 0 : sums[0][i] / sum_p;
            const double reverse = empty ? 0 : sums[1][i] / sum_p;
            const double entropy_p = std::log(sum_p) - sums[2][i] / sum_p;
            const double entropy_q = std::log(sum_q) - sums[3][i] / sum_p;
            const bool unsure = (entropy_q > entropy_p) != how.invert;
            const double a = unsure ? how.low : how.high;
            const double b = unsure ? how.high : how.low;
            const double loss = temperature * temperature *
                                ((a == 0 ? 0 : a * forward) + (b == 0 ? 0 : b * reverse));
            const double w = scale(row) * temperature / sum_p;
            total += scale(row) * loss;
            of_forward[i] = static_cast<T>(w * a);
            of_reverse[i] = static_cast<T>(w * b);
            divergence[i] = static_cast<T>(reverse);
            const auto put = [&](const Destination<T, 1>& to, double x) {
                if (to)
                    to.put(to.view(row), static_cast<T>(x));
            };
            put(out.per_sample, loss);
            put(out.forward, forward);
            put(out.reverse, reverse);
            if (out.weights) {
                out.weights.put(out.weights.view(row, Index{0}), static_cast<T>(a));
                out.weights.put(out.weights.view(row, Index{1}), static_cast<T>(b));
            }
        }
        if (out.gs)
            tile.each([=, gs = out.gs](auto at) {
                const V p = at(pair.p.e);
                const V q = at(pair.q.e) * at(sum_ratio);
                const V d = pair.log_of(at, t, s) + at(log_ratio);
                const V reverse = select(q == V(0), q, q * (-d - at(divergence)));
                at.put(gs, fma(at(of_forward), q - p, at(of_reverse) * reverse));
            });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::BalancedDistillation);

} // namespace temper::inline TEMPER_ABI
#endif
