// SPDX-License-Identifier: BSL-1.0
#pragma once

// Nested dropout: only the first K features of all samples live, with a K drawn for the batch, so that the
// features are ordered by what they are worth and a prefix of them is a compressed representation.
//
//   P(K = k) = exp(-((k - mu) / deviation)^2) / sum over 1..d       k = 1..d
//   y_ij = x_ij [j < K]        pullback: gx_ij = gy_ij [j < K]
//
// x, y [n, d], usually the features before the last linear layer. Nothing is rescaled by the share that
// lives, and the exponent has no factor 1/2. mu = 0, as published, makes small K the most likely; the
// deviation has to be tuned, tens to hundreds for 512 features. K = d changes nothing; a deviation near 0
// with mu <= 1 means K = 1. To predict, keep the K of the best validation accuracy: `best` takes the
// accuracies of K = 1..d less 1e-5 for each feature, so that of (nearly) equal ones the smallest wins.
// In-place use is allowed. Throws ShapeError, RangeError for deviation <= 0, d < 1, a plan with more
// features than there are.
// Chen et al., Compressing Features for Learning with Noisy Labels (2022); Rippel, Gelbart,
// Adams, Learning Ordered Representations with Nested Dropout (2014).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>
#include <temper/core/required.hpp>

namespace temper::inline TEMPER_ABI {

/// The features that live: the first `keep`.
struct PrefixPlan {
    Index keep = 0;
    friend bool operator==(const PrefixPlan&, const PrefixPlan&) = default;
};

namespace kernel {
template <class T>
struct NestedDropout {
    static void forward(MatrixView<const T> x, Index keep, const Destination<T, 2>& y);
};
} // namespace kernel

struct NestedDropout {
    static constexpr std::string_view name = "NestedDropout";
    Required deviation;
    double mu = 0;

    /// P(K = k) into p [d], at k - 1.
    template <class D>
    void distribution(const D& p) const
    {
        using T = typename detail::KernelScalar<std::remove_pointer_t<decltype(p.view.data)>>::type;
        Border<T> border(name);
        const Index d = p.view.size();
        check(d);
        const auto to = border.template output<1>("distribution", p, {d});
        const double total = sum(d);
        for (Index k = 1; to && k <= d; ++k)
            to.put(to.view(k - 1), static_cast<T>(weight(k, d) / total));
        border.finish();
    }
    /// A K for d features.
    template <class G>
    [[nodiscard]] PrefixPlan draw(G& rng, Index d) const
    {
        check(d);
        double rest = uniform(rng) * sum(d);
        for (Index k = 1; k < d; ++k) {
            rest -= weight(k, d);
            if (rest < 0)
                return {k};
        }
        return {d};
    }
    /// The K of the best of these accuracies, which are those of K = 1, 2, ...
    template <class A>
    [[nodiscard]] PrefixPlan best(const A& accuracies) const
    {
        using T = KernelScalarOf<A>;
        Border<T> border(name);
        const auto each = border.vector("accuracies", accuracies);
        border.require(each.size() >= 1, "accuracies", static_cast<double>(each.size()),
                       "at least one");
        Index first = 0;
        for (Index k = 1; k < each.size(); ++k)
            if (static_cast<double>(each(k)) - 1e-5 * static_cast<double>(k) >
                static_cast<double>(each(first)) - 1e-5 * static_cast<double>(first))
                first = k;
        return {first + 1};
    }
    /// (plan, x, into(y))
    template <class X, class D>
    void forward(const PrefixPlan& plan, const X& x, const D& y) const
    {
        using T = KernelScalarOf<X>;
        Border<T> border(name);
        const auto from = border.samples("x", x);
        border.require(plan.keep >= 0 && plan.keep <= from.cols(), "plan.keep",
                       static_cast<double>(plan.keep), "from 0 to the number of features");
        const auto to = border.gradient("x", from, y, InPlace::allowed);
        kernel::NestedDropout<T>::forward(from, plan.keep, to);
        border.finish();
    }
    /// (plan, gy, into(gx)): the same map.
    template <class G, class D>
    void pullback(const PrefixPlan& plan, const G& gy, const D& gx) const
    {
        forward(plan, gy, gx);
    }

    friend bool operator==(const NestedDropout& a, const NestedDropout& b)
    {
        return a.deviation.value == b.deviation.value && a.mu == b.mu;
    }

  private:
    void check(Index d) const
    {
        require(deviation > 0, name, "deviation", deviation, "positive");
        require(d >= 1, name, "the number of features", static_cast<double>(d), "at least 1");
    }
    /// Relative to the most likely k, which is the one nearest to mu: some weight is always 1.
    [[nodiscard]] double weight(Index k, Index d) const
    {
        const double last = static_cast<double>(d);
        const double likely = std::round(mu < 1 ? 1 : mu > last ? last : mu);
        const double best = (likely - mu) / deviation;
        const double x = (static_cast<double>(k) - mu) / deviation;
        return std::exp(best * best - x * x);
    }
    [[nodiscard]] double sum(Index d) const
    {
        double total = 0;
        for (Index k = 1; k <= d; ++k)
            total += weight(k, d);
        return total;
    }
};

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::NestedDropout<T>::forward(MatrixView<const T> x, Index keep,
                                       const Destination<T, 2>& y)
{
    if (!y)
        return;
    parallel_for(x.rows(), x.size(), [&](Index i) {
        for (Index j = 0; j < x.cols(); ++j)
            y.put(y.view(i, j), j < keep ? x(i, j) : T(0));
    });
}

TEMPER_INSTANTIATE(kernel::NestedDropout);

} // namespace temper::inline TEMPER_ABI
#endif
