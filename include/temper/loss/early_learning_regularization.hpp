// SPDX-License-Identifier: BSL-1.0
#pragma once

// Early-learning regularization (ELR): cross-entropy, and a term that keeps a sample's prediction near
// what was predicted of it before, so that the gradient of a wrong label dies out instead of being
// memorised.
//
//   observe   t_i <- beta t_i + (1 - beta) c_i / sum_j c_ij             (target_bank.hpp)
//   l_i = -log p_iy + lambda log(1 - <t_i, c_i>)      p_i = softmax(z_i), c = clamp(p, eps, 1 - eps)
//   mean:  L = sum_i w_i l_i / sum_i w_i              sum:  L = sum_i w_i l_i
//   dl_i/dz_ij = p_ij - [j = y] + lambda p_ij (sum_k t_ik p_ik m_ik - t_ij m_ij) / (1 - <t_i, c_i>)
//
// m_ij is 1 where p_ij was not clamped, else 0; eps is `clamp`. The logarithm is of a number below 1, and is
// added: its least value is where c agrees with t. t has no gradient. z logits [n, k], labels(y) [n], w
// sample weights [n], 1 where not given. Per sample: l_i. n = 0: value 0; a row that is clamped everywhere
// has the gradient of cross-entropy; 1 - <t, c> is at least eps.
//
// observe(state, ids, z) once for each batch, BEFORE the state is used: what is compared with is the average
// with this prediction in it. The targets start at 0 and are not debiased, as in the published code, which
// renormalises c in the average but not in the inner product. Published: beta 0.7, lambda 3 (CIFAR-10,
// symmetric noise), 0.9 and 1 (asymmetric), 0.9 and 7 (CIFAR-100); the learning rate stays high until late.
// Throws ShapeError, RangeError for labels outside [0, k), ids outside the state, a state of other classes,
// beta outside [0, 1], a clamp outside (0, 1/2), a lambda that is not finite.
// Liu et al., Early-Learning Regularization Prevents Memorization of Noisy
// Labels (2020).

#include <temper/loss/target_bank.hpp>

namespace temper::inline TEMPER_ABI {

struct EarlyLearningRegularization {
    static constexpr std::string_view name = "EarlyLearningRegularization";
    template <class T>
    using State = TargetBank<T>;

    double beta = 0.7;
    double lambda = 3;
    double clamp = 1e-4;
    Reduction reduction = Reduction::mean;

    template <class T = float>
    [[nodiscard]] State<T> init(Index samples, Index classes) const
    {
        return {samples, classes};
    }
    template <class T, class Ids, class Z>
    void observe(State<T>& state, const Ids& ids, const Z& z) const
    {
        detail::observe_targets(name, state, ids, z, beta, clamp);
    }
    /// (state, ids, z, labels(y) [, into(gz)] [, sample_weights(w), per_sample(into(v))])
    template <class S, class Ids, class Z, class Y, class... Rest>
    double operator()(const TargetBank<S>& state, const Ids& ids, const Z& z, const Y& targets,
                      const Rest&... rest) const;

    friend bool operator==(const EarlyLearningRegularization&,
                           const EarlyLearningRegularization&) = default;
};

/// The paper's name.
using Elr = EarlyLearningRegularization;

namespace kernel {
template <class T>
struct EarlyLearningRegularization {
    /// Either labels, or distributions y. `t` is what predictions are kept near.
    static double run(MatrixView<const T> z, const std::int64_t* labels, MatrixView<const T> y,
                      MatrixView<const T> t, double lambda, double clamp, RowScale<T> scale,
                      const Destination<T, 2>& gz, const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class S, class Ids, class Z, class Y, class... Rest>
double EarlyLearningRegularization::operator()(const TargetBank<S>& state, const Ids& ids,
                                               const Z& z, const Y& targets,
                                               const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come after the predictions, as labels(y)");
    else {
        accept<1, SampleWeights, PerSample>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(std::isfinite(lambda), "lambda", lambda, "finite");
        border.require(clamp > 0 && clamp < 0.5, "clamp", clamp, "between 0 and 1/2");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const auto* id = detail::bank_ids(border, state, ids, n, zs.cols());
        const auto* y = border.labels("labels", targets, n, zs.cols());
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const auto gz = border.gradient("logits", zs, positional<0>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto t = detail::bank_rows(border, state, id, n);
        return border.finish(kernel::EarlyLearningRegularization<T>::run(
            zs, y, {}, t, lambda, clamp, row_scale(reduction, n, weights), gz, each));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::EarlyLearningRegularization<T>::run(MatrixView<const T> z,
                                                   const std::int64_t* labels,
                                                   MatrixView<const T> y, MatrixView<const T> t,
                                                   double lambda, double clamp, RowScale<T> scale,
                                                   const Destination<T, 2>& gz,
                                                   const Destination<T, 1>& per_sample)
{
    using V = simd::Pack<T>;
    const bool soft = labels == nullptr;
    if (!soft)
        y = z; // is not read
    const auto inside = [=](V p) {
        return select(p > V(clamp), select(p < V(1 - clamp), V(1), V(0)), V(0));
    };
    return simd::sum_tiles<T>(simd::operands(z, y, t, gz), 1, [&](const auto& tile) {
        const auto s = simd::softmax(tile, z, tile.scratch(0));
        auto inverse = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            inverse[i] = 1 / s.sum[i];
        const auto agreement = tile.sum([=](auto at) {
            const V p = at(s.e) * at(inverse);
            at.put(s.e, p);
            const V c = select(p < V(clamp), V(clamp), select(p > V(1 - clamp), V(1 - clamp), p));
            return at(t) * c;
        });
        const auto pull = tile.sum([=](auto at) { return at(t) * at(s.e) * inside(at(s.e)); });
        auto mass = tile.totals();
        auto below = tile.totals();
        if (soft) {
            mass = tile.sum([=](auto at) { return at(y); });
            below = tile.sum([=](auto at) {
                const V share = at(y);
                return select(share == V(0), share, share * (at(s.shift) - at(z)));
            });
        }
        double total = 0;
        auto of_p = tile.numbers(); // the gradient is p (of_p - of_t t m) - of_y y
        auto of_t = tile.numbers();
        auto of_y = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const double w = scale(row);
            if (!soft) {
                mass[i] = 1;
                below[i] = static_cast<double>(s.shift[i]) -
                           static_cast<double>(z(row, static_cast<Index>(labels[row])));
            }
            const double apart = (std::max)(1 - agreement[i], clamp); // but for rounding
            const double loss = mass[i] * std::log(static_cast<double>(s.sum[i])) + below[i] +
                                (lambda == 0 ? 0 : lambda * std::log(apart));
            const double strength = lambda == 0 ? 0 : lambda / apart;
            of_p[i] = static_cast<T>(w * (mass[i] + strength * pull[i]));
            of_t[i] = static_cast<T>(w * strength);
            of_y[i] = static_cast<T>(w);
            total += w * loss;
            if (per_sample)
                per_sample.put(per_sample.view(row), static_cast<T>(loss));
        }
        if (!gz)
            return total;
        if (soft) {
            tile.each([=](auto at) {
                const V p = at(s.e);
                at.put(gz, p * (at(of_p) - at(of_t) * at(t) * inside(p)) - at(of_y) * at(y));
            });
            return total;
        }
        tile.each([=](auto at) {
            const V p = at(s.e);
            at.put(s.e, p * (at(of_p) - at(of_t) * at(t) * inside(p)));
        });
        for (Index i = 0; i < tile.rows(); ++i)
            tile.entry(s.e, i, static_cast<Index>(labels[tile.row(i)])) -= of_y[i];
        tile.each([=](auto at) { at.put(gz, at(s.e)); });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::EarlyLearningRegularization);

} // namespace temper::inline TEMPER_ABI
#endif
