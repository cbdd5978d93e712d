// SPDX-License-Identifier: BSL-1.0
#pragma once

// Simplex mix (d-Mixup): convex combinations of m samples and of their labels.
//
//   m_i = sum_j w_ij x_index(i,j)       t_i = sum_j w_ij y_index(i,j)
//   pullback  g_r = sum over (i, j) with index(i, j) = r of w_ij c_i
//
// x [n, ...] of any rank, c the gradient of m, t [n, k]. The plan holds index and w, [n, m] each: the first
// column is the row itself, the others are random permutations, and w ~ Dirichlet(alpha, ..., alpha), the
// paper's uniform mixing at alpha = 1. Where classes overlap on a set of dimension d, m = d + 1 samples
// are what the paper's theory asks for; m = 2 is mixup with a uniform lambda for each sample, m = 1 the
// samples themselves. Indices may repeat, and then add up; weights are used as they are.
// Throws ShapeError; RangeError for order < 1, alpha <= 0, a plan of other size, indices outside the batch.
// Chidambaram and Ge, On the Limitations of Temperature Scaling for Distributions with Overlaps (2024).

#include <temper/augment/mixup.hpp>

#include <numeric>

namespace temper::inline TEMPER_ABI {

/// Row i is the sum of weight[i m + j] times row index[i m + j], j < m.
struct SimplexPlan {
    Index order = 0;
    std::vector<Index> index{};
    std::vector<double> weight{};

    [[nodiscard]] Index size() const
    {
        return order == 0 ? 0 : static_cast<Index>(index.size()) / order;
    }
    friend bool operator==(const SimplexPlan&, const SimplexPlan&) = default;
};

struct SimplexMix {
    static constexpr std::string_view name = "SimplexMix";
    Index order = 2;
    double alpha = 1;

    template <class G>
    [[nodiscard]] SimplexPlan draw(G& rng, Index n) const
    {
        SimplexPlan plan;
        draw(rng, n, plan);
        return plan;
    }
    /// The same into a plan of former use.
    template <class G>
    void draw(G& rng, Index n, SimplexPlan& plan) const;
    /// (plan, x, into(m))
    template <class X, class D>
    void apply(const SimplexPlan& plan, const X& x, const D& out) const;
    /// (plan, gm, into(gx))
    template <class Gm, class D>
    void pullback(const SimplexPlan& plan, const Gm& gm, const D& gx) const;
    /// (plan, labels(y) or probabilities(p), k, into(t))
    template <class Y, class D>
    void mix_labels(const SimplexPlan& plan, const Y& y, Index k, const D& out) const;

    friend bool operator==(const SimplexMix&, const SimplexMix&) = default;

  private:
    static void check(const SimplexPlan& plan, Index n);
};

namespace kernel {
template <class T>
struct SimplexMix {
    static void apply(const SimplexPlan& plan, const AnyView<const T>& x,
                      const AnyDestination<T>& out);
    static void pullback(const SimplexPlan& plan, const AnyView<const T>& gm,
                         const AnyDestination<T>& gx);
};
} // namespace kernel

inline void SimplexMix::check(const SimplexPlan& plan, Index n)
{
    require(plan.size() == n && static_cast<Index>(plan.index.size()) == n * plan.order, name,
            "plan", static_cast<double>(plan.size()), "of the batch's size");
    require(plan.weight.size() == plan.index.size(), name, "plan.weight.size()",
            static_cast<double>(plan.weight.size()), "one for each index");
    for (const Index row : plan.index)
        require(row >= 0 && row < n, name, "plan.index", static_cast<double>(row),
                "a row of the batch");
}

template <class G>
void SimplexMix::draw(G& rng, Index n, SimplexPlan& plan) const
{
    require(n >= 0, name, "n", static_cast<double>(n), "non-negative");
    require(order >= 1, name, "order", static_cast<double>(order), "at least 1");
    const auto m = static_cast<std::size_t>(order);
    const auto rows = static_cast<std::size_t>(n);
    plan.order = order;
    plan.index.resize(rows * m);
    plan.weight.resize(rows * m);
    Workspace::Frame frame;
    const std::span<Index> column(frame.take<Index>(n), rows);
    for (std::size_t j = 0; j < m; ++j) {
        if (j == 0)
            std::iota(column.begin(), column.end(), Index{0});
        else
            permutation(rng, column);
        for (std::size_t i = 0; i < rows; ++i)
            plan.index[i * m + j] = column[i];
    }
    const std::span<double> alphas(frame.take<double>(order), m);
    std::fill(alphas.begin(), alphas.end(), alpha);
    for (std::size_t i = 0; i < rows; ++i)
        dirichlet(rng, std::span<const double>(alphas),
                  std::span<double>(plan.weight).subspan(i * m, m));
}

template <class X, class D>
void SimplexMix::apply(const SimplexPlan& plan, const X& x, const D& out) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("x", x);
    check(plan, xs.rank == 0 ? 0 : xs.extents[0]);
    const auto to = border.sample_gradient("x", xs, out);
    kernel::SimplexMix<T>::apply(plan, xs, to);
    border.finish();
}

template <class Gm, class D>
void SimplexMix::pullback(const SimplexPlan& plan, const Gm& gm, const D& gx) const
{
    using T = KernelScalarOf<Gm>;
    Border<T> border(name);
    const auto c = border.sample_tensor("the gradient of the mixture", gm);
    check(plan, c.rank == 0 ? 0 : c.extents[0]);
    const auto to = border.sample_gradient("x", c, gx);
    kernel::SimplexMix<T>::pullback(plan, c, to);
    border.finish();
}

template <class Y, class D>
void SimplexMix::mix_labels(const SimplexPlan& plan, const Y& y, Index k, const D& out) const
{
    const Index n = plan.size();
    check(plan, n);
    mixing::blend_labels(name, y, n, k, out, [&](Index i, const auto& of) {
        double sum = 0;
        for (Index e = i * plan.order; e < (i + 1) * plan.order; ++e)
            sum += plan.weight[static_cast<std::size_t>(e)] *
                   of(plan.index[static_cast<std::size_t>(e)]);
        return sum;
    });
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::SimplexMix<T>::apply(const SimplexPlan& plan, const AnyView<const T>& x,
                                  const AnyDestination<T>& out)
{
    using namespace mixing;
    if (!out || x.size() == 0)
        return;
    each_sample(x, [&](Index i) {
        auto to = at(sample(out.view, i), out);
        for (Index e = i * plan.order; e < (i + 1) * plan.order; ++e) {
            const auto row = static_cast<std::size_t>(e);
            to.scale = out.scale * plan.weight[row];
            copy(sample(x, plan.index[row]), to);
            to = adding(to);
        }
    });
}

template <class T>
void kernel::SimplexMix<T>::pullback(const SimplexPlan& plan, const AnyView<const T>& gm,
                                     const AnyDestination<T>& gx)
{
    using namespace mixing;
    if (!gx || gm.size() == 0)
        return;
    Workspace::Frame frame;
    const Uses uses(frame, plan.index, gm.extents[0]);
    each_sample(gm, [&](Index r) {
        auto to = at(sample(gx.view, r), gx);
        if (!gx.adds() && uses.of(r).empty())
            simd::map(simd::in(sample(gm, r)), simd::out(to),
                      [](auto x, auto& y) { y = decltype(x)(0); });
        for (const Index e : uses.of(r)) {
            to.scale = gx.scale * plan.weight[static_cast<std::size_t>(e)];
            copy(sample(gm, e / plan.order), to);
            to = adding(to);
        }
    });
}

TEMPER_INSTANTIATE(kernel::SimplexMix);

} // namespace temper::inline TEMPER_ABI
#endif
