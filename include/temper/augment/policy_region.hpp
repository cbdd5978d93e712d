// SPDX-License-Identifier: BSL-1.0
#pragma once

// AdaMixUp's learned coefficient: for each pair of samples a small network says in which region lambda
// may lie, so that mixtures do not land on samples of a third class.
//
//   s = softmax(g)      a = s_0, w = s_1 (s_2 is the slack: a + w <= 1)      lambda = a + u w
//   m = lambda x_1 + (1 - lambda) x_2             t = lambda y_1 + (1 - lambda) y_2
//   dlambda_i = <c_i, x_1i - x_2i> + <c'_i, y_1i - y_2i>
//   dg = s (d - <s, d>),  d = dlambda (1, u, 0)
//   dx_1 = lambda c, dx_2 = (1 - lambda) c        c, c' the gradients of m and of t
//
// g [n, 3] the network's output for the pairs, u uniform [n], x_1, x_2 [n, ...] of one shape, y_1, y_2 [n, k]
// distributions. Gradients reach the network through the mixed sample and through the mixed label. The
// plan is one of Mixup's with u, a and w beside; a saturated g pins lambda to 1, to u, or to 0.
//
//   PolicyPlan plan = policy.draw(rng, n);                      u
//   policy.decide(g, plan);                                     a, w, lambda
//   policy.apply(plan, x1, x2, into(m));
//   policy.mix_labels(plan, probabilities(y1), probabilities(y2), into(t));
//   policy.pullback(plan, x1, x2, probabilities(y1), probabilities(y2), c, c', into(dg), into(dx1), into(dx2));
//
// Paper: the network sees a noisy mean of the pair, (n_1 x_1 + n_2 x_2) / 2 with truncated normals n_1, n_2,
// through 100 hidden units, and starts with weights of deviation 1e-3, so that lambda begins in (1/3, 2/3).
// Throws ShapeError; RangeError for a plan of another size.
// Guo, Mao and Zhang, MixUp as Locally Linear Out-Of-Manifold Regularization (2019).

#include <temper/augment/mixup.hpp>

#include <numeric>

namespace temper::inline TEMPER_ABI {

struct PolicyPlan : MixPlan {
    std::vector<double> uniform{};
    std::vector<double> start{}; ///< a
    std::vector<double> width{}; ///< w
    std::vector<double> slack{}; ///< s_2

    friend bool operator==(const PolicyPlan&, const PolicyPlan&) = default;
};

struct PolicyRegion {
    static constexpr std::string_view name = "PolicyRegion";

    template <class G>
    [[nodiscard]] PolicyPlan draw(G& rng, Index n) const
    {
        PolicyPlan plan;
        draw(rng, n, plan);
        return plan;
    }
    /// The same into a plan of former use.
    template <class G>
    void draw(G& rng, Index n, PolicyPlan& plan) const
    {
        require(n >= 0, name, "n", static_cast<double>(n), "non-negative");
        plan.uniform.resize(static_cast<std::size_t>(n));
        for (double& u : plan.uniform)
            u = temper::uniform(rng);
    }
    /// Regions and coefficients of a plan that has its uniform numbers.
    template <class Gate>
    void decide(const Gate& gate, PolicyPlan& plan) const;
    template <class A, class B, class D>
    void apply(const PolicyPlan& plan, const A& x1, const B& x2, const D& out) const
    {
        mixing::apply(name, plan, x1, x2, out);
    }
    template <class A, class B, class D>
    void mix_labels(const PolicyPlan& plan, const A& y1, const B& y2, const D& out) const
    {
        static_assert(is_probabilities<A> && is_probabilities<B>,
                      "temper: labels with a learned coefficient are said as probabilities(p)");
        mixing::apply(name, plan, argument(y1), argument(y2), out);
    }
    template <class A, class B, class P, class Q, class C, class E, class... Rest>
    void pullback(const PolicyPlan& plan, const A& x1, const B& x2, const P& y1, const Q& y2,
                  const C& gm, const E& gt, const Rest&... rest) const;

    friend bool operator==(const PolicyRegion&, const PolicyRegion&) = default;

  private:
    template <class P>
    static auto argument(const P& y)
    {
        auto v = y.view;
        if (y.turned)
            v = v.transposed();
        return v;
    }
};

namespace kernel {
template <class T>
struct PolicyRegion {
    static void decide(MatrixView<const T> gate, PolicyPlan& plan);
    /// Adds <c_i, a_i - b_i> to dlambda_i.
    static void project(const AnyView<const T>& a, const AnyView<const T>& b,
                        const AnyView<const T>& c, double* dlambda);
};
} // namespace kernel

template <class Gate>
void PolicyRegion::decide(const Gate& gate, PolicyPlan& plan) const
{
    using T = KernelScalarOf<Gate>;
    Border<T> border(name);
    const auto g = border.samples("gate", gate);
    const auto n = static_cast<Index>(plan.uniform.size());
    border.expect_shape("gate", g, {n, 3}, "three logits for each of the plan's pairs");
    kernel::PolicyRegion<T>::decide(g, plan);
}

template <class A, class B, class P, class Q, class C, class E, class... Rest>
void PolicyRegion::pullback(const PolicyPlan& plan, const A& x1, const B& x2, const P& y1,
                            const Q& y2, const C& gm, const E& gt, const Rest&... rest) const
{
    static_assert(is_probabilities<P> && is_probabilities<Q>,
                  "temper: labels with a learned coefficient are said as probabilities(p)");
    accept<3>(rest...);
    using T = KernelScalarOf<A, B, C, E>;
    Border<T> border(name);
    const auto a = border.sample_tensor("x1", x1);
    const auto b = border.sample_tensor("x2", x2);
    const auto p = border.probabilities("y1", y1);
    const auto q = border.probabilities("y2", y2);
    const auto c = border.sample_tensor("the gradient of the mixture", gm);
    const auto e = border.samples("the gradient of the mixed labels", gt);
    border.same_shape("x2", b, "x1", a);
    border.same_shape("the gradient of the mixture", c, "x1", a);
    border.same_shape("y2", q, "y1", p);
    border.same_shape("the gradient of the mixed labels", e, "y1", p);
    mixing::check(border, plan, a);
    const Index n = plan.size();
    border.expect_shape("y1", p, {n, p.cols()}, "a distribution for each sample");
    const auto decided = static_cast<Index>(plan.start.size());
    border.require(decided == n && plan.width.size() == plan.start.size() &&
                       plan.slack.size() == plan.start.size() &&
                       plan.uniform.size() == plan.start.size(),
                   "plan.start.size()", static_cast<double>(decided), "decided for each sample");
    const auto dg = border.template output<2>("gate", positional<0>(rest...), {n, 3});
    const auto da = border.sample_gradient("x1", a, positional<1>(rest...));
    const auto db = border.sample_gradient("x2", b, positional<2>(rest...));
    kernel::Mixing<T>::pullback_first(plan, c, da);
    kernel::Mixing<T>::pullback_second(plan, c, db);
    if (dg) {
        double* const slope = border.scratch().template take_zeros<double>(n);
        kernel::PolicyRegion<T>::project(a, b, c, slope);
        kernel::PolicyRegion<T>::project(p, q, e, slope);
        for (Index i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(i);
            const double s[3] = {plan.start[at], plan.width[at], plan.slack[at]};
            const double u = plan.uniform[at];
            // d - <s, d> without differences: sums over the other two gates.
            const double by[3] = {s[1] * (1 - u) + s[2], u * s[2] - (1 - u) * s[0],
                                  -(s[0] + u * s[1])};
            for (Index j = 0; j < 3; ++j)
                dg.put(dg.view(i, j), static_cast<T>(slope[i] * s[j] * by[j]));
        }
    }
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::PolicyRegion<T>::decide(MatrixView<const T> gate, PolicyPlan& plan)
{
    const auto n = static_cast<std::size_t>(gate.rows());
    plan.partner.resize(n);
    std::iota(plan.partner.begin(), plan.partner.end(), Index{0});
    plan.boxes.clear();
    plan.sources.clear();
    for (auto* numbers : {&plan.start, &plan.width, &plan.slack, &plan.lambda})
        numbers->resize(n);
    for (std::size_t i = 0; i < n; ++i) {
        double s[3];
        double largest = -std::numeric_limits<double>::infinity();
        for (Index j = 0; j < 3; ++j) {
            s[j] = static_cast<double>(gate(static_cast<Index>(i), j));
            largest = s[j] > largest ? s[j] : largest;
        }
        double sum = 0;
        for (double& x : s)
            sum += x = std::exp(x - largest);
        plan.start[i] = s[0] / sum;
        plan.width[i] = s[1] / sum;
        plan.slack[i] = s[2] / sum;
        plan.lambda[i] = plan.start[i] + plan.uniform[i] * plan.width[i];
    }
    plan.label_lambda = plan.lambda;
}

template <class T>
void kernel::PolicyRegion<T>::project(const AnyView<const T>& a, const AnyView<const T>& b,
                                      const AnyView<const T>& c, double* dlambda)
{
    using namespace mixing;
    if (a.size() == 0)
        return;
    each_sample(a, [&](Index i) {
        dlambda[i] +=
            simd::map_sum(simd::in(sample(a, i), sample(b, i), sample(c, i)), simd::none<T>(),
                          [](auto x, auto y, auto g) { return g * (x - y); });
    });
}

TEMPER_INSTANTIATE(kernel::PolicyRegion);

} // namespace temper::inline TEMPER_ABI
#endif
