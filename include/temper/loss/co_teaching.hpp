// SPDX-License-Identifier: BSL-1.0
#pragma once

// Co-teaching: two networks, each of which trains on the samples that the other one finds easy, since the
// errors that a network has made its own are those that it would not find.
//
//   l_i = -log softmax(z_i)_y                     of the network that selects
//   I = the trunc((1 - forget_rate) n) rows of smallest l_i, in ascending order
//   L = mean over I of -log softmax(z'_i)_y       of the other network
//
// z logits [n, k], labels(y) [n]. Rows that are not in I have no gradient. Of equal losses the lower row
// comes first, NaN last. Nothing selected: value 0; forget_rate 0: cross-entropy.
//
//   teach.select(z1, labels(y), plan1);  teach.select(z2, labels(y), plan2);
//   v1 = teach(plan2, z1, labels(y), into(g1));  v2 = teach(plan1, z2, labels(y), into(g2));
//
// The two networks may see batches of their own: each selects from its batch, on which the other is trained.
// Published: the forget rate rises as Linear{.from = 0, .to = F, .steps = G - 1} over the epochs, with F the
// rate of the noise (or 0.2), G = 5 in the code of the second paper and 10 in the first.
// Throws ShapeError, RangeError for labels outside [0, k), forget_rate outside [0, 1], a plan with rows
// outside the batch.
// Han et al., Co-teaching: Robust Training of Deep Neural Networks with Extremely Noisy Labels (2018); with
// nested dropout Chen et al., Compressing Features for Learning with Noisy Labels (2022).

#include <temper/loss/softmax_cross_entropy.hpp>

#include <algorithm>
#include <vector>

namespace temper::inline TEMPER_ABI {

/// Rows of a batch, those of smallest loss first.
struct SmallLossPlan {
    std::vector<Index> rows;
    friend bool operator==(const SmallLossPlan&, const SmallLossPlan&) = default;
};

struct CoTeaching {
    static constexpr std::string_view name = "CoTeaching";
    double forget_rate = 0.2;

    /// The rows that a network finds easy, into a plan of former use.
    template <class Z, class Y>
    void select(const Z& z, const Y& targets, SmallLossPlan& plan) const
    {
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(forget_rate >= 0 && forget_rate <= 1, "forget_rate", forget_rate,
                       "from 0 to 1");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        VectorView<T> loss{border.scratch().template take<T>(n), {n}, {1}};
        SoftmaxCrossEntropy{}(zs, targets, per_sample(into(loss)));
        plan.rows.resize(static_cast<std::size_t>(n));
        for (Index i = 0; i < n; ++i)
            plan.rows[static_cast<std::size_t>(i)] = i;
        const auto key = [&](Index i) { return std::isnan(loss(i)) ? 1 : 0; };
        std::sort(plan.rows.begin(), plan.rows.end(), [&](Index a, Index b) {
            if (key(a) != key(b))
                return key(a) < key(b);
            return loss(a) < loss(b) || (!(loss(b) < loss(a)) && a < b);
        });
        plan.rows.resize(static_cast<std::size_t>((1 - forget_rate) * static_cast<double>(n)));
    }
    template <class Z, class Y>
    [[nodiscard]] SmallLossPlan select(const Z& z, const Y& targets) const
    {
        SmallLossPlan plan;
        select(z, targets, plan);
        return plan;
    }
    /// (plan of the other network, z, labels(y) [, into(gz)] [, per_sample(into(v)),
    ///  curvature(into(h))]); per sample 0 where a row was not selected.
    template <class Z, class Y, class... Rest>
    double operator()(const SmallLossPlan& plan, const Z& z, const Y& targets,
                      const Rest&... rest) const
    {
        static_assert(is_labels<Y>, "temper: targets come after the predictions, as labels(y)");
        accept<1, PerSample, Curvature>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const auto* y = border.labels("labels", targets, n, zs.cols());
        auto* chosen = border.scratch().template take<std::int64_t>(n);
        std::fill(chosen, chosen + n, std::int64_t{-1});
        for (const Index i : plan.rows) {
            border.require(i >= 0 && i < n, "plan.rows", static_cast<double>(i),
                           "a row of the batch");
            chosen[i] = y[i];
        }
        const VectorView<const std::int64_t> selected{chosen, {n}, {1}};
        return SoftmaxCrossEntropy{.ignore_index = -1}(zs, labels(selected), rest...);
    }

    friend bool operator==(const CoTeaching&, const CoTeaching&) = default;
};

} // namespace temper::inline TEMPER_ABI
