// SPDX-License-Identifier: BSL-1.0
#pragma once

// Group lasso: a sum of norms, which drives whole groups of weights to zero (units, features, filters,
// heads), and with l1 single entries of the remaining ones as well (the sparse group lasso).
//
//   value       f(w) = sum_g d_g |w_g| + l1 sum |w_i|           (a sum: scale it by the size you mean)
//   gradient    d_g w_g / |w_g| + l1 sign(w_i), 0 in a zero group and at w_i = 0
//   prox        u = sign(w_i) max(|w_i| - step l1, 0), then u_g max(1 - step d_g / |u_g|, 0): exact zeros
//   project     the nearest point with f <= radius: the prox with the step that reaches it   (l1 = 0)
//   dual norm   max_g |w_g| / d_g                                                            (l1 = 0)
//
// w a matrix (or a vector, one column). Which of its entries are a group is said by `groups`, or with the
// call by group_ids: the table of what rows and columns of W are in W x, X W and libtorch's Linear is in
// core/groups.hpp. d_g is the root of the group's size unless group_weights are given, so that groups of
// different sizes vanish alike. Call prox after the optimiser's step, with step = learning rate (and
// under Adam too, as for L1); as a term of the loss no group becomes exactly zero. prox and project may
// write onto their input. Groups too small for their norm to be inverted have gradient 0.
// An empty matrix has value 0. Throws ShapeError; RangeError for ids outside [0, G), a negative weight,
// l1, step or radius, and for l1 > 0 where it must be 0.
// Yuan and Lin, Model Selection and Estimation in Regression with Grouped Variables (2006); Simon et al.,
// A Sparse-Group Lasso (2013).

#include <temper/core/component.hpp>
#include <temper/core/groups.hpp>

namespace temper::inline TEMPER_ABI {

struct GroupLasso {
    static constexpr std::string_view name = "GroupLasso";
    Groups groups = Rows{};
    double l1 = 0;

    /// (w [, into(gw)] [, group_ids(g), group_weights(d)])
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;
    /// argmin_v |v - w|^2 / 2 + step f(v): (w, step, into(out) [, group_ids(g), group_weights(d)])
    template <class W, class... Rest>
    void prox(const W& w, double step, const Rest&... rest) const;
    /// argmin_v |v - w|^2 such that f(v) <= radius
    template <class W, class... Rest>
    void project(const W& w, double radius, const Rest&... rest) const;
    /// max <w, v> such that f(v) <= 1
    template <class W, class... Rest>
    double dual_norm(const W& w, const Rest&... rest) const;

    friend bool operator==(const GroupLasso&, const GroupLasso&) = default;

  private:
    template <class T, class W, class... Rest>
    [[nodiscard]] GroupedWeights<T> grouped(Border<T>& border, const W& w, InPlace in_place,
                                            const Rest&... rest) const
    {
        border.require(l1 >= 0, "l1", l1, "non-negative");
        return grouped_weights(border, w, groups, GroupWeight::root_of_size, in_place, rest...);
    }
};

namespace kernel {
template <class T>
struct GroupLasso {
    static double value(const GroupLayout& groups, double l1, MatrixView<const T> w,
                        const Destination<T, 2>& gw);
    static void prox(const GroupLayout& groups, double l1, MatrixView<const T> w, double step,
                     const Destination<T, 2>& out);
    static void project(const GroupLayout& groups, MatrixView<const T> w, double radius,
                        const Destination<T, 2>& out);
    static double dual_norm(const GroupLayout& groups, MatrixView<const T> w);
};
} // namespace kernel

template <class W, class... Rest>
double GroupLasso::operator()(const W& w, const Rest&... rest) const
{
    accept<1, GroupIds, GroupWeights>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto g = grouped(border, w, InPlace::refused, rest...);
    return border.finish(kernel::GroupLasso<T>::value(g.groups, l1, g.w, g.out));
}

template <class W, class... Rest>
void GroupLasso::prox(const W& w, double step, const Rest&... rest) const
{
    accept<1, GroupIds, GroupWeights>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(step >= 0, "step", step, "non-negative");
    const auto g = grouped(border, w, InPlace::allowed, rest...);
    kernel::GroupLasso<T>::prox(g.groups, l1, g.w, step, g.out);
    border.finish();
}

template <class W, class... Rest>
void GroupLasso::project(const W& w, double radius, const Rest&... rest) const
{
    accept<1, GroupIds, GroupWeights>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(radius >= 0, "radius", radius, "non-negative");
    border.require(l1 == 0, "l1", l1, "0 for a projection");
    const auto g = grouped(border, w, InPlace::allowed, rest...);
    kernel::GroupLasso<T>::project(g.groups, g.w, radius, g.out);
    border.finish();
}

template <class W, class... Rest>
double GroupLasso::dual_norm(const W& w, const Rest&... rest) const
{
    accept<0, GroupIds, GroupWeights>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(l1 == 0, "l1", l1, "0 for a dual norm");
    const auto g = grouped(border, w, InPlace::refused, rest...);
    return kernel::GroupLasso<T>::dual_norm(g.groups, g.w);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/threshold.hpp>
#include <temper/simd/groups.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::GroupLasso<T>::value(const GroupLayout& groups, double l1, MatrixView<const T> w,
                                    const Destination<T, 2>& gw)
{
    const auto term = [&](Index g, double norm) {
        return simd::GroupTerm{groups.weights[g] * norm, groups.weights[g]};
    };
    if (l1 == 0)
        return simd::each_group(w, groups, gw, simd::Plain{}, term, simd::Directed{});
    const auto gradient = [l1](auto x, auto inverse, auto d) {
        using V = decltype(x);
        return x * inverse * d + V(l1) * sign(x);
    };
    return simd::each_group(w, groups, gw, simd::Plain{}, term, gradient) +
           l1 * simd::map_sum(simd::in(w), simd::none<T>(), [](auto x) { return abs(x); });
}

template <class T>
void kernel::GroupLasso<T>::prox(const GroupLayout& groups, double l1, MatrixView<const T> w,
                                 double step, const Destination<T, 2>& out)
{
    const auto share = [&](Index g, double norm) {
        const double left = 1 - step * groups.weights[g] / norm;
        return simd::GroupTerm{0, norm > 0 ? (std::max)(left, 0.0) : norm};
    };
    if (l1 == 0) {
        (void)simd::each_group(w, groups, out, simd::Plain{}, share, simd::Scaled{});
        return;
    }
    const auto soft = [threshold = step * l1](auto x) {
        using namespace math;
        using V = decltype(x);
        return sign(x) * max(abs(x) - V(threshold), V(0));
    };
    (void)simd::each_group(w, groups, out, soft, share,
                           [soft](auto x, auto, auto factor) { return soft(x) * factor; });
}

template <class T>
void kernel::GroupLasso<T>::project(const GroupLayout& groups, MatrixView<const T> w, double radius,
                                    const Destination<T, 2>& out)
{
    Workspace::Frame frame;
    const auto n = static_cast<std::size_t>(groups.count);
    double* norms = frame.take<double>(groups.count);
    double* weights = frame.take<double>(groups.count);
    simd::group_norms(w, groups, norms);
    std::copy_n(groups.weights, n, weights);
    const double step = shrinkage_for_radius<double>({norms, n}, {weights, n}, radius);
    prox(groups, 0, w, radius > 0 ? step : std::numeric_limits<double>::max(), out);
}

template <class T>
double kernel::GroupLasso<T>::dual_norm(const GroupLayout& groups, MatrixView<const T> w)
{
    Workspace::Frame frame;
    double* norms = frame.take<double>(groups.count);
    simd::group_norms(w, groups, norms);
    double largest = 0;
    for (Index g = 0; g < groups.count; ++g) {
        const double ratio = norms[g] == 0 ? 0 : norms[g] / groups.weights[g];
        largest = ratio <= largest ? largest : ratio; // NaN stays
    }
    return largest;
}

TEMPER_INSTANTIATE(kernel::GroupLasso);

} // namespace temper::inline TEMPER_ABI
#endif
