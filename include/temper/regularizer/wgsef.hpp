// SPDX-License-Identifier: BSL-1.0
#pragma once

// Weighted group sparse envelope: the largest convex function below sum_g d_g |w_g|^2 / 2 on weights with
// at most k groups that are not zero; half the squared (weighted, group) k-support norm. Where group lasso
// takes a strength and finds some number of groups, this takes the number.
//
//   value       f(w) = min over u in [0, 1]^G with sum u <= k of sum_g d_g |w_g|^2 / (2 u_g),   0 / 0 = 0
//   u           m_g / max(m_g, t) with m_g = sqrt(d_g) |w_g| and t such that sum u = k; where at most k
//               groups are not zero t = 0: u is 1 on them
//   gradient    d_g w_g / u_g = sqrt(d_g) max(m_g, t) w_g / |w_g|, 0 in a zero group
//   prox        w_g u_g / (u_g + step d_g), now with u_g = min(max(eta m_g - step d_g, 0), 1) and eta such
//               that sum u = k: groups with u_g = 0 are exact zeros, more of them as the step grows
//   hard_projection   the k groups of largest m_g as they are, the others zero; on a tie the first
//
// k = 1 is half the squared group lasso, k = G weighted ridge; at points with at most k groups f is ridge,
// without bias towards zero. w a matrix or a vector; groups as for GroupLasso (core/groups.hpp), d_g = 1
// unless group_weights are given, and positive. u comes out as selection(into(u)), [G]. Train with prox
// after each step, step = learning rate times strength, and end with hard_projection, since prox leaves
// about, not exactly, k groups. prox and hard_projection may write onto their input. Linear time.
// Throws ShapeError; RangeError for k < 1 (it has no default that could be right; k > G is G), ids outside
// [0, G), a weight that is not positive, a negative step.
// Refael, Arbel and Huleihel, Learning k-Level Structured Sparse Neural Networks Using Group Envelope Regularization
// (2022).

#include <temper/core/component.hpp>
#include <temper/core/groups.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Selection {
    D destination;
};
/// How much of each group is selected, u in [0, 1]^G.
template <class D>
[[nodiscard]] Selection<D> selection(const D& destination)
{
    return {destination};
}

struct Wgsef {
    static constexpr std::string_view name = "Wgsef";
    Index k = 0;
    Groups groups = Rows{};

    /// (w [, into(gw)] [, group_ids(g), group_weights(d), selection(into(u))])
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;
    /// argmin_v |v - w|^2 / 2 + step f(v): (w, step, into(out) [, ...])
    template <class W, class... Rest>
    void prox(const W& w, double step, const Rest&... rest) const;
    /// argmin_v sum_g d_g |v_g - w_g|^2 with at most k groups that are not zero: (w, into(out) [, ...])
    template <class W, class... Rest>
    void hard_projection(const W& w, const Rest&... rest) const;

    friend bool operator==(const Wgsef&, const Wgsef&) = default;

  private:
    template <class T, class W, class... Rest>
    [[nodiscard]] GroupedWeights<T> grouped(Border<T>& border, const W& w, InPlace in_place,
                                            const Rest&... rest) const;
};

namespace kernel {
template <class T>
struct Wgsef {
    static double value(const GroupLayout& groups, Index k, MatrixView<const T> w,
                        const Destination<T, 2>& gw, const Destination<T, 1>& u);
    static void prox(const GroupLayout& groups, Index k, MatrixView<const T> w, double step,
                     const Destination<T, 2>& out, const Destination<T, 1>& u);
    static void hard_projection(const GroupLayout& groups, Index k, MatrixView<const T> w,
                                const Destination<T, 2>& out);
};
} // namespace kernel

template <class T, class W, class... Rest>
GroupedWeights<T> Wgsef::grouped(Border<T>& border, const W& w, InPlace in_place,
                                 const Rest&... rest) const
{
    border.require(k >= 1, "k", static_cast<double>(k), "at least 1");
    const auto all = grouped_weights(border, w, groups, GroupWeight::one, in_place, rest...);
    for (Index g = 0; g < all.groups.count; ++g)
        border.require(all.groups.weights[g] > 0, "group_weights", all.groups.weights[g],
                       "positive");
    return all;
}

template <class W, class... Rest>
double Wgsef::operator()(const W& w, const Rest&... rest) const
{
    accept<1, GroupIds, GroupWeights, Selection>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto g = grouped(border, w, InPlace::refused, rest...);
    const auto u =
        border.template named_into<1>("selection", named<Selection>(rest...), {g.groups.count});
    return border.finish(kernel::Wgsef<T>::value(g.groups, k, g.w, g.out, u));
}

template <class W, class... Rest>
void Wgsef::prox(const W& w, double step, const Rest&... rest) const
{
    accept<1, GroupIds, GroupWeights, Selection>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(step >= 0, "step", step, "non-negative");
    const auto g = grouped(border, w, InPlace::allowed, rest...);
    const auto u =
        border.template named_into<1>("selection", named<Selection>(rest...), {g.groups.count});
    kernel::Wgsef<T>::prox(g.groups, k, g.w, step, g.out, u);
    border.finish();
}

template <class W, class... Rest>
void Wgsef::hard_projection(const W& w, const Rest&... rest) const
{
    accept<1, GroupIds, GroupWeights>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto g = grouped(border, w, InPlace::allowed, rest...);
    kernel::Wgsef<T>::hard_projection(g.groups, k, g.w, g.out);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/budget.hpp>
#include <temper/simd/groups.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// m_g = sqrt(d_g) |w_g| of all groups.
template <class T>
[[nodiscard]] std::span<double> group_masses(Workspace::Frame& frame, MatrixView<const T> w,
                                             const GroupLayout& groups)
{
    const std::span m(frame.take<double>(groups.count), static_cast<std::size_t>(groups.count));
    simd::group_norms(w, groups, m.data());
    for (std::size_t g = 0; g < m.size(); ++g)
        m[g] *= std::sqrt(groups.weights[g]);
    return m;
}

} // namespace detail

template <class T>
double kernel::Wgsef<T>::value(const GroupLayout& groups, Index k, MatrixView<const T> w,
                               const Destination<T, 2>& gw, const Destination<T, 1>& u)
{
    Workspace::Frame frame;
    const auto m = detail::group_masses(frame, w, groups);
    const double t = count_nonzero(m) > k ? cap_for_sum(m, k) : 0;
    double total = 0;
    for (Index g = 0; g < groups.count; ++g) {
        const double mass = m[static_cast<std::size_t>(g)];
        const double cap = mass > t ? mass : t;
        total += mass * cap;
        if (u)
            u.put(u.view(g), static_cast<T>(mass == 0 ? 0 : mass / cap));
    }
    if (gw)
        (void)simd::each_group(
            w, groups, gw, simd::Plain{},
            [&](Index g, double) {
                const double mass = m[static_cast<std::size_t>(g)];
                return simd::GroupTerm{0, std::sqrt(groups.weights[g]) * (mass > t ? mass : t)};
            },
            simd::Directed{});
    return total / 2;
}

template <class T>
void kernel::Wgsef<T>::prox(const GroupLayout& groups, Index k, MatrixView<const T> w, double step,
                            const Destination<T, 2>& out, const Destination<T, 1>& u)
{
    Workspace::Frame frame;
    const auto m = detail::group_masses(frame, w, groups);
    const bool all = count_nonzero(m) <= k;
    double eta = 0;
    if (!all) {
        const std::span ramps(frame.take<Ramp>(groups.count), m.size());
        Index live = 0;
        for (Index g = 0; g < groups.count; ++g)
            if (const double mass = m[static_cast<std::size_t>(g)]; mass > 0)
                ramps[static_cast<std::size_t>(live++)] = {mass, step * groups.weights[g]};
        eta = eta_for_sum(ramps.first(static_cast<std::size_t>(live)), k);
    }
    const auto share = [&](Index g) {
        const double mass = m[static_cast<std::size_t>(g)];
        return mass == 0 ? 0 : all ? 1 : Ramp{mass, step * groups.weights[g]}(eta);
    };
    if (u)
        for (Index g = 0; g < groups.count; ++g)
            u.put(u.view(g), static_cast<T>(share(g)));
    (void)simd::each_group(
        w, groups, out, simd::Plain{},
        [&](Index g, double) {
            const double s = share(g);
            return simd::GroupTerm{0, s > 0 ? s / (s + step * groups.weights[g]) : s};
        },
        simd::Scaled{});
}

template <class T>
void kernel::Wgsef<T>::hard_projection(const GroupLayout& groups, Index k, MatrixView<const T> w,
                                       const Destination<T, 2>& out)
{
    Workspace::Frame frame;
    const auto m = detail::group_masses(frame, w, groups);
    for (double& mass : m) // a group of NaN is kept, for everybody to see
        mass = std::isnan(mass) ? std::numeric_limits<double>::infinity() : mass;
    if (k < groups.count) {
        auto* order = frame.take<double>(groups.count);
        std::copy(m.begin(), m.end(), order);
        std::nth_element(order, order + k - 1, order + groups.count, std::greater<>());
        const double least = order[k - 1];
        Index ties = k - std::count_if(m.begin(), m.end(), [&](double x) { return x > least; });
        for (double& mass : m)
            mass = mass > least || (mass == least && ties-- > 0) ? 1 : 0;
    }
    else
        std::fill(m.begin(), m.end(), 1.0);
    (void)simd::each_group(
        w, groups, out, simd::Plain{},
        [&](Index g, double) { return simd::GroupTerm{0, m[static_cast<std::size_t>(g)]}; },
        simd::Scaled{});
}

TEMPER_INSTANTIATE(kernel::Wgsef);

} // namespace temper::inline TEMPER_ABI
#endif
