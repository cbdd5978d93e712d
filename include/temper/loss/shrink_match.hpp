// SPDX-License-Identifier: BSL-1.0
#pragma once

// ShrinkMatch: an unsure pseudo-label becomes sure when the classes that it is confused with are left out,
// and can then be learned from among the others.
//
// For each row whose largest probability is below the threshold, with its probabilities in descending
// order p_(0), p_(1), ... (of equal ones the first class first):
//
//   c = the least of 2, ..., k-1 with p_(0) / (p_(0) + sum_{r >= c} p_(r)) >= threshold
//   l_i = -w p log softmax of z_i over the classes of ranks 0, c, c+1, ..., at the class of rank 0
//   L = r / n sum_i l_i            p = p_(0), n all rows, sure or not; r the state's share of sure rows
//
// Where no c reaches the threshold, c = k - 1 and l_i = 0. The classes left out get no gradient. k < 3: no
// c, nothing to learn. z logits [n, k] of the strong view, from a head of its own in the paper;
// probabilities(p) [n, k] of the weak view (no gradient), aligned if you align them. The other half of
// the method is Consistency<TargetCrossEntropy>{.threshold = 0.95} on the main head with the same p.
//
// observe(state, probabilities(p)) BEFORE the call: r <- decay r + (1 - decay) fraction sure, the first
// time the fraction itself (0 before). (The published code forgets r at every epoch.)
// per_sample: l_i. kept: 1 for sure rows. removed(into(c)): c, std::int64_t, 0 for sure rows; k < 3: 1.
// mean and sum as in the equation, with sample weights w_i and their sum for n if they are given. n = 0: 0.
// Throws ShapeError; RangeError for a threshold outside (0, inf) and decay outside [0, 1].
// Yang et al., Shrinking Class Space for Enhanced Certainty in Semi-Supervised Learning (2023).

#include <temper/core/component.hpp>
#include <temper/core/selection.hpp>

namespace temper::inline TEMPER_ABI {

/// The output said by removed(into(c)).
template <class D>
struct Removed {
    D destination;
};
template <class D>
[[nodiscard]] Removed<D> removed(const D& destination)
{
    return {destination};
}

struct ShrinkMatch {
    static constexpr std::string_view name = "ShrinkMatch";
    double threshold = 0.95;
    double decay = 0.999;
    Reduction reduction = Reduction::mean;

    struct State {
        double sure = 0; ///< r
        Index batches = 0;
        template <class Archive>
        void fields(Archive& a)
        {
            a("sure", sure)("batches", batches);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] static State init() { return {}; }
    /// (state, probabilities(p)); returns the fraction of sure rows
    template <class P>
    double observe(State& state, const P& p) const;
    /// (state, z, probabilities(p) [, into(gz)] [, sample_weights(w), per_sample(into(v)),
    ///  kept(into(m)), removed(into(c))])
    template <class Z, class P, class... Rest>
    double operator()(const State& state, const Z& z, const P& p, const Rest&... rest) const;

    friend bool operator==(const ShrinkMatch&, const ShrinkMatch&) = default;

  private:
    template <class T>
    void check(const Border<T>& border) const
    {
        border.require(threshold > 0, "threshold", threshold, "positive");
        border.require(decay >= 0 && decay <= 1, "decay", decay, "in [0, 1]");
    }
};

namespace kernel {
template <class T>
struct ShrinkMatch {
    struct Outputs {
        Destination<T, 2> gz;
        Destination<T, 1> per_sample, kept;
        AnyView<std::int64_t> removed;
    };
    static Index sure(double threshold, MatrixView<const T> p);
    static double run(double threshold, double factor, MatrixView<const T> z, MatrixView<const T> p,
                      RowScale<T> scale, const Outputs& out);
};
} // namespace kernel

template <class P>
double ShrinkMatch::observe(State& state, const P& p) const
{
    using T = KernelScalarOf<decltype(p.view)>;
    Border<T> border(name);
    check(border);
    const auto ps = border.probabilities("probabilities", p);
    if (ps.rows() == 0)
        return 0;
    const double fraction = static_cast<double>(kernel::ShrinkMatch<T>::sure(threshold, ps)) /
                            static_cast<double>(ps.rows());
    state.sure = state.batches == 0 ? fraction : decay * state.sure + (1 - decay) * fraction;
    ++state.batches;
    return fraction;
}

template <class Z, class P, class... Rest>
double ShrinkMatch::operator()(const State& state, const Z& z, const P& p,
                               const Rest&... rest) const
{
    if constexpr (!is_probabilities<P>)
        static_assert(is_probabilities<P>, "temper: targets come second, as probabilities(p)");
    else {
        accept<1, SampleWeights, PerSample, Kept, Removed>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        check(border);
        const auto zs = border.samples("logits", z);
        const auto ps = border.probabilities("probabilities", p);
        border.same_shape("probabilities", ps, "logits", zs);
        const Index n = zs.rows();
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        typename kernel::ShrinkMatch<T>::Outputs out{};
        out.gz = border.gradient("logits", zs, positional<0>(rest...));
        out.per_sample =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        out.kept = border.template named_into<1>("kept", named<Kept>(rest...), {n});
        if constexpr (!std::is_same_v<decltype(named<Removed>(rest...)), detail::Absent>)
            out.removed = border.integers("removed", named<Removed>(rest...).destination, {n});
        return border.finish(kernel::ShrinkMatch<T>::run(threshold, state.sure, zs, ps,
                                                         row_scale(reduction, n, weights), out));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

#include <numeric>

namespace temper::inline TEMPER_ABI {

template <class T>
Index kernel::ShrinkMatch<T>::sure(double threshold, MatrixView<const T> p)
{
    Index count = 0;
    for (Index i = 0; i < p.rows(); ++i)
        count +=
            simd::row_max(p.cols(), simd::source(p.row(i))) >= static_cast<T>(threshold) ? 1 : 0;
    return count;
}

template <class T>
double kernel::ShrinkMatch<T>::run(double threshold, double factor, MatrixView<const T> z,
                                   MatrixView<const T> p, RowScale<T> scale, const Outputs& out)
{
    const Index k = z.cols();
    Workspace::Frame frame;
    const simd::Slices<Index> orders(frame, z.size(), k);
    const auto row = [&](Index i) {
        const auto zi = z.row(i);
        const auto pi = p.row(i);
        const T largest = simd::row_max(k, simd::source(pi));
        const bool certain = largest >= static_cast<T>(threshold);
        Index c = certain ? 0 : 1;
        double weight = 0; // w of the equation times p_(0)
        Index* order = orders.mine();
        if (!certain && k > 2) {
            std::iota(order, order + k, Index{0});
            if (!(largest == largest)) // NaN has no order
                weight = static_cast<double>(largest);
            else
                std::sort(order, order + k, [&](Index a, Index b) {
                    return pi(a) > pi(b) || (pi(a) == pi(b) && a < b);
                });
            // From the smallest class up: the share of p_(0) falls while the tail grows.
            const auto top = static_cast<double>(pi(order[0]));
            double tail = static_cast<double>(pi(order[k - 1]));
            c = k - 1;
            if (weight == 0 && top / (top + tail) >= threshold) {
                weight = top;
                while (c > 2) {
                    tail += static_cast<double>(pi(order[c - 1]));
                    if (top / (top + tail) < threshold)
                        break;
                    --c;
                }
            }
        }
        double loss = 0;
        if (out.gz)
            for (Index j = 0; j < k && (weight == 0 || !out.gz.adds()); ++j)
                out.gz.put(out.gz.view(i, j), T(0));
        if (weight != 0) {
            const auto each_kept = [&](const auto& f) {
                f(order[0]);
                for (Index r = c; r < k; ++r)
                    f(order[r]);
            };
            T most = zi(order[0]);
            each_kept([&](Index j) { most = zi(j) > most || !(zi(j) == zi(j)) ? zi(j) : most; });
            double sum = 0;
            each_kept([&](Index j) { sum += std::exp(static_cast<double>(zi(j) - most)); });
            loss = weight * (std::log(sum) - static_cast<double>(zi(order[0]) - most));
            const double w = factor * scale(i) * weight;
            if (out.gz)
                each_kept([&](Index j) {
                    const double q = std::exp(static_cast<double>(zi(j) - most)) / sum;
                    const Destination<T, 2> to{out.gz.view, out.gz.scale, Mode::add};
                    to.put(to.view(i, j), static_cast<T>(w * (q - (j == order[0] ? 1 : 0))));
                });
        }
        if (out.per_sample)
            out.per_sample.put(out.per_sample.view(i), static_cast<T>(loss));
        if (out.kept)
            out.kept.put(out.kept.view(i), certain ? T(1) : T(0));
        if (out.removed.data != nullptr)
            out.removed.data[i * out.removed.strides[0]] = c;
        return factor * scale(i) * loss;
    };
    return parallel_sum(simd::row_blocks(z.rows(), k), z.size(), [&](Index begin, Index end) {
        double total = 0;
        for (Index i = begin; i < end; ++i)
            total += row(i);
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::ShrinkMatch);

} // namespace temper::inline TEMPER_ABI
#endif
