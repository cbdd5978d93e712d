// SPDX-License-Identifier: BSL-1.0
#pragma once

// Consistency: the prediction of one view shall agree with a target from another (a weaker augmentation, a
// teacher). The core that UDA, FixMatch, ShrinkMatch, mean teachers and distillation share.
//
//   p_i = softmax(t_i / S)         q_i = softmax(z_i / T)         S target_temperature, T temperature
//   m_i = 1 where max_j softmax(t_i)_j >= threshold, else 0       (> if strict)
//   l_i = m_i D(p_i, q_i)
//   mean:  L = sum_i w_i l_i / sum_i w_i      over ALL samples, kept or not
//   sum:   L = sum_i w_i l_i
//   dL/dz_ij = W_i m_i (b_j - q_j sum b) / T      b_j = q_j dD/dq_j
//   dL/dt_ij = W_i m_i (a_j - p_j sum a) / S      a_j = p_j dD/dp_j, m_i held still
//
// z logits [n, k]. The target comes second: target_logits(t) [n, k], or probabilities(p) [n, k] (rows are
// normalised, p^(1/S); no gradient). D is a policy of divergences.hpp. S below 1 sharpens; S = 0 takes
// the class of the largest for certain, of equal ones the first, if D can (else RangeError) and then
// nothing comes back to t. The threshold is of the target before sharpening; 0 keeps all. scale_t2
// multiplies all by T^2, as in distillation. A teacher that stands still is said by leaving its
// destination out. For a mean over the kept samples alone, give ConfidenceMask's mask as sample_weights.
//
// per_sample: l_i. kept: m_i. Samples of m_i w_i = 0 count for nothing, whatever is in z. n = 0 or nothing
// kept: 0. Logits of any size are fine; minus infinity is a probability of 0. Equal rows, or rows that
// differ by a constant, have value and gradients 0 up to rounding (but for the cross-entropies).
// Throws ShapeError; RangeError for T <= 0, S < 0 and a threshold that is NaN.
// Xie et al., Unsupervised Data Augmentation for Consistency Training (2020); Sohn et al., FixMatch (2020);
// Tarvainen and Valpola, Mean teachers are better role models (2017).

#include <temper/core/component.hpp>
#include <temper/core/selection.hpp>
#include <temper/core/target_logits.hpp>
#include <temper/loss/divergences.hpp>
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class D = KullbackLeibler>
struct Consistency {
    static_assert(DivergenceOf<D>,
                  "temper: a divergence has `static constexpr bool hard_targets` and "
                  "`template <class V> temper::Divergence<V> operator()(V p, V "
                  "log_p, V q, V log_q) const`");
    static constexpr std::string_view name = "Consistency";
    D divergence{};
    double target_temperature = 1;
    double temperature = 1;
    double threshold = 0;
    bool strict = false;
    bool scale_t2 = false;
    Reduction reduction = Reduction::mean;

    /// (z, target_logits(t) or probabilities(p) [, into(gz), into(gt)] [, sample_weights(w),
    ///  per_sample(into(v)), kept(into(m))])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& target, const Rest&... rest) const;

    friend bool operator==(const Consistency&, const Consistency&) = default;
};

/// FixMatch: the likeliest class of the weak view is the label of the strong one, where it is sure.
/// Say Consistency<TargetCrossEntropy>{...} with these numbers for others.
inline constexpr Consistency<TargetCrossEntropy> fixmatch{.target_temperature = 0,
                                                          .threshold = 0.95};

namespace kernel {
template <class T, class D>
struct Consistency {
    using V = simd::Pack<T>;
    struct Outputs {
        Destination<T, 2> gz, gt;
        Destination<T, 1> per_sample, kept;
    };

    /// Of the rows of a tile: p = e inverse, log p = below - log_sum. Everything after the first pass is
    /// read from the tile's own memory, where it is dense whatever x is.
    template <class Tile>
    struct Softmax {
        simd::TileMatrix<T> e, below;
        typename Tile::Numbers inverse, log_sum;

        Softmax(const Tile& tile, MatrixView<const T> x, double temperature, Index memory)
            : e(tile.scratch(memory)), below(tile.scratch(memory + 1))
        {
            const auto largest = tile.max([=, to = below](auto at) {
                const V u = at(x);
                at.put(to, u);
                return u;
            });
            const auto sum = tile.sum([=, to = e, from = below](auto at) {
                const V u = (at(from) - at(largest)) * V(1 / temperature);
                const V power = exp(u);
                at.put(from, u);
                at.put(to, power);
                return power;
            });
            for (Index i = 0; i < tile.rows(); ++i) {
                inverse[i] = static_cast<T>(1 / sum[i]);
                log_sum[i] = static_cast<T>(std::log(sum[i]));
            }
        }
        /// The first of the largest gets all; NaN stays.
        void make_hard(const Tile& tile)
        {
            for (Index i = 0; i < tile.rows(); ++i) {
                bool found = false;
                for (Index j = 0; j < tile.columns(); ++j) {
                    T& entry = tile.entry(e, i, j);
                    const bool hit = !found && entry == T(1);
                    entry = hit ? T(1) : entry * T(0);
                    found = found || hit;
                }
                inverse[i] = 1;
                log_sum[i] = 0;
            }
        }
    };

    /// `given` are the probabilities whose logarithms t are; no data if t are logits.
    static double run(const temper::Consistency<D>& loss, MatrixView<const T> z,
                      MatrixView<const T> t, MatrixView<const T> given, RowScale<T> scale,
                      const Outputs& out)
    {
        auto all = simd::operands(z, t, out.gz, out.gt);
        if (given.data != nullptr)
            all.add(given);
        return simd::sum_tiles<T>(
            all, 6, [&](const auto& tile) { return rows(loss, tile, z, t, given, scale, out); });
    }

    template <class Tile>
    static double rows(const temper::Consistency<D>& loss, const Tile& tile, MatrixView<const T> z,
                       MatrixView<const T> t, MatrixView<const T> given, RowScale<T> scale,
                       const Outputs& out)
    {
        constexpr bool sum_known = requires { D::prediction_sum; };
        constexpr bool over_classes = requires { D::mean_over_classes; };
        const bool hard = loss.target_temperature == 0;
        const double soft = hard ? 1 : loss.target_temperature;
        Softmax<Tile> p(tile, t, soft, 0);

        auto factor = tile.numbers(); // m_i W_i
        auto mask = tile.numbers();
        bool any = false;
        const auto confidence = confidences(loss, tile, given, p, soft);
        for (Index i = 0; i < tile.rows(); ++i) {
            const auto limit = static_cast<T>(loss.threshold);
            const bool keeps = loss.threshold <= 0 ||
                               !(loss.strict ? confidence[i] <= limit : confidence[i] < limit);
            mask[i] = keeps ? T(1) : T(0);
            any = any || keeps;
            if (out.kept)
                out.kept.put(out.kept.view(tile.row(i)), mask[i]);
        }
        if (!any) {
            tile.each([gz = out.gz, gt = out.gt](auto at) {
                at.put(gz, V(0));
                at.put(gt, V(0));
            });
            for (Index i = 0; out.per_sample && i < tile.rows(); ++i)
                out.per_sample.put(out.per_sample.view(tile.row(i)), T(0));
            return 0;
        }

        if (hard)
            p.make_hard(tile);
        const Softmax<Tile> q(tile, z, loss.temperature, 2);
        const auto term = [=, d = loss.divergence](auto at) {
            return d(at(p.e) * at(p.inverse), at(p.below) - at(p.log_sum), at(q.e) * at(q.inverse),
                     at(q.below) - at(q.log_sum));
        };
        // What other policies would compute twice is kept, wanted or not: the value has the same bits.
        const auto a = tile.scratch(4);
        const auto b = tile.scratch(5);
        const auto value = tile.sum([=](auto at) {
            const auto d = term(at);
            if constexpr (!sum_known) {
                at.put(a, d.of_target);
                at.put(b, d.of_prediction);
            }
            return d.value;
        });

        const double t2 = loss.scale_t2 ? loss.temperature * loss.temperature : 1;
        const double share =
            (over_classes && z.cols() > 0 ? 1 / static_cast<double>(z.cols()) : 1) * t2;
        double total = 0;
        for (Index i = 0; i < tile.rows(); ++i) {
            const double w = mask[i] == 0 ? 0 : scale(tile.row(i));
            const double l = mask[i] == 0 ? 0 : share * value[i];
            total += w == 0 ? 0 : w * l;
            factor[i] = static_cast<T>(w * share);
            if (out.per_sample)
                out.per_sample.put(out.per_sample.view(tile.row(i)), static_cast<T>(l));
        }
        if (out.gz) {
            const auto to = out.gz;
            const V rate(1 / loss.temperature);
            if constexpr (sum_known)
                tile.each([=](auto at) {
                    const V g =
                        term(at).of_prediction - V(D::prediction_sum) * (at(q.e) * at(q.inverse));
                    at.put(to, select(at(factor) == V(0), V(0), at(factor) * g * rate));
                });
            else
                softmax_pullback(tile, b, q, factor, rate, to);
        }
        if (out.gt && hard)
            tile.each([to = out.gt](auto at) { at.put(to, V(0)); });
        else if (out.gt) {
            if constexpr (sum_known)
                tile.each([=](auto at) { at.put(a, term(at).of_target); });
            softmax_pullback(tile, a, p, factor, V(1 / soft), out.gt);
        }
        return total;
    }

    template <class Tile>
    static auto confidences(const temper::Consistency<D>& loss, const Tile& tile,
                            MatrixView<const T> given, const Softmax<Tile>& p, double soft)
    {
        if (loss.threshold <= 0)
            return tile.numbers();
        if (given.data != nullptr)
            return tile.max([=](auto at) { return at(given); });
        if (soft == 1)
            return p.inverse;
        auto out = tile.numbers();
        const auto sum =
            tile.sum([=, below = p.below](auto at) { return exp(at(below) * V(soft)); });
        for (Index i = 0; i < tile.rows(); ++i)
            out[i] = static_cast<T>(1 / sum[i]);
        return out;
    }

    /// factor rate (x_j - p_j sum x), of x that are p_j dl/dp_j already.
    template <class Tile>
    static void softmax_pullback(const Tile& tile, const simd::TileMatrix<T>& x,
                                 const Softmax<Tile>& p, const typename Tile::Numbers& factor,
                                 V rate, const Destination<T, 2>& to)
    {
        const auto sum = tile.sum([=](auto at) { return at(x); }).narrow();
        tile.each([=](auto at) {
            const V g = at(x) - at(p.e) * at(p.inverse) * at(sum);
            at.put(to, select(at(factor) == V(0), V(0), at(factor) * g * rate));
        });
    }
};
} // namespace kernel

template <class D>
template <class Z, class Y, class... Rest>
double Consistency<D>::operator()(const Z& z, const Y& target, const Rest&... rest) const
{
    if constexpr (!is_target_logits<Y> && !is_probabilities<Y>)
        static_assert(is_target_logits<Y>,
                      "temper: targets come second, as target_logits(t) or probabilities(p)");
    else {
        accept<is_target_logits<Y> ? 2 : 1, SampleWeights, PerSample, Kept>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(temperature > 0, "temperature", temperature, "positive");
        border.require(target_temperature > 0 || (target_temperature == 0 && D::hard_targets),
                       "target_temperature", target_temperature,
                       D::hard_targets ? "non-negative" : "positive for this divergence");
        border.require(threshold == threshold, "threshold", threshold, "a number");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const auto given = border.samples("target", target.view);
        MatrixView<const T> t = target.turned ? given.transposed() : given;
        border.same_shape("target", t, "logits", zs);
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        typename kernel::Consistency<T, D>::Outputs out;
        out.gz = border.gradient("logits", zs, positional<0>(rest...));
        if constexpr (is_target_logits<Y>)
            out.gt = border.gradient("target", t, positional<1>(rest...));
        out.per_sample =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        out.kept = border.template named_into<1>("kept", named<Kept>(rest...), {n});
        MatrixView<const T> p{};
        if constexpr (is_probabilities<Y>) {
            p = t;
            const MatrixView<T> logarithms = border.scratch().matrix_like(p);
            simd::map(simd::in(p), simd::out(Destination<T, 2>{logarithms, 1, Mode::overwrite}),
                      [](auto x, auto& y) { y = log(x); });
            t = logarithms;
        }
        return border.finish(
            kernel::Consistency<T, D>::run(*this, zs, t, p, row_scale(reduction, n, weights), out));
    }
}

} // namespace temper::inline TEMPER_ABI
