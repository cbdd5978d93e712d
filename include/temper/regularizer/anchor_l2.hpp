// SPDX-License-Identifier: BSL-1.0
#pragma once

// Parameters held near where they started, or near another set of them.
//
//   value      f(w) = sum_j c_j (w_j - a_j)^2                    (not half of it)
//   gradient   2 c_j (w_j - a_j)
//   prox       (w_j + 2 step c_j a_j) / (1 + 2 step c_j)
//
// w, anchor a of one shape, any; c = entry_weights(c) of that shape, non-negative, 1 where not given. Use prox
// after the optimiser's step with step = learning rate to pull without passing through Adam's scaling. It may
// write onto w. Nothing: 0. Throws ShapeError; RangeError for a negative step.
// Wang et al., HiFi Tuner: High-Fidelity Subject-Driven Fine-Tuning for Diffusion Models (2023), for an
// embedding while it is tuned.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class V>
struct EntryWeights {
    V view;
};
/// A weight for each entry of a tensor.
template <class O>
[[nodiscard]] auto entry_weights(const O& owner)
{
    return EntryWeights<detail::ConstViewOf<O>>{view(owner)};
}

struct AnchorL2 {
    static constexpr std::string_view name = "AnchorL2";

    /// (w, anchor [, into(gw)] [, entry_weights(c)])
    template <class W, class A, class... Rest>
    double operator()(const W& w, const A& anchor, const Rest&... rest) const;
    /// argmin_v |v - w|^2 / 2 + step f(v): (w, anchor, step, into(v) [, entry_weights(c)])
    template <class W, class A, class D, class... Rest>
    void prox(const W& w, const A& anchor, double step, const D& out, const Rest&... rest) const;

    friend bool operator==(const AnchorL2&, const AnchorL2&) = default;

  private:
    template <class T, class... Rest>
    static AnyView<const T> weights(Border<T>& border, const AnyView<const T>& like,
                                    const Rest&... rest)
    {
        using Said = decltype(named<EntryWeights>(rest...));
        if constexpr (std::is_same_v<Said, detail::Absent>)
            return {};
        else {
            const auto c = border.tensor("entry_weights", named<EntryWeights>(rest...).view);
            border.same_shape("entry_weights", c, "w", like);
            return c;
        }
    }
};

namespace kernel {
/// Weights without data are 1.
template <class T>
struct AnchorL2 {
    static double value(const AnyView<const T>& w, const AnyView<const T>& anchor,
                        const AnyView<const T>& weights, const AnyDestination<T>& gw);
    static void prox(const AnyView<const T>& w, const AnyView<const T>& anchor,
                     const AnyView<const T>& weights, double step, const AnyDestination<T>& out);
};
} // namespace kernel

template <class W, class A, class... Rest>
double AnchorL2::operator()(const W& w, const A& anchor, const Rest&... rest) const
{
    accept<1, EntryWeights>(rest...);
    using T = KernelScalarOf<W, A>;
    Border<T> border(name);
    const auto x = border.tensor("w", w);
    const auto a = border.tensor("anchor", anchor);
    border.same_shape("anchor", a, "w", x);
    const auto c = weights(border, x, rest...);
    const auto gw = border.gradient("w", x, positional<0>(rest...));
    return border.finish(kernel::AnchorL2<T>::value(x, a, c, gw));
}

template <class W, class A, class D, class... Rest>
void AnchorL2::prox(const W& w, const A& anchor, double step, const D& out,
                    const Rest&... rest) const
{
    accept<0, EntryWeights>(rest...);
    using T = KernelScalarOf<W, A>;
    Border<T> border(name);
    border.require(step >= 0, "step", step, "non-negative");
    const auto x = border.tensor("w", w);
    const auto a = border.tensor("anchor", anchor);
    border.same_shape("anchor", a, "w", x);
    const auto c = weights(border, x, rest...);
    const auto to = border.gradient("w", x, out, InPlace::allowed);
    kernel::AnchorL2<T>::prox(x, a, c, step, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::AnchorL2<T>::value(const AnyView<const T>& w, const AnyView<const T>& anchor,
                                  const AnyView<const T>& weights, const AnyDestination<T>& gw)
{
    if (weights.data == nullptr)
        return simd::map_sum(simd::in(w, anchor), simd::out(gw), [](auto x, auto a, auto& g) {
            const auto d = x - a;
            g = d + d;
            return d * d;
        });
    return simd::map_sum(simd::in(w, anchor, weights), simd::out(gw),
                         [](auto x, auto a, auto c, auto& g) {
                             const auto d = x - a;
                             const auto pull = c * d;
                             g = pull + pull;
                             return pull * d;
                         });
}

template <class T>
void kernel::AnchorL2<T>::prox(const AnyView<const T>& w, const AnyView<const T>& anchor,
                               const AnyView<const T>& weights, double step,
                               const AnyDestination<T>& out)
{
    const auto move = [](auto x, auto a, auto rate, auto& y) {
        using V = decltype(x);
        y = a + (x - a) / (V(1) + rate);
    };
    if (weights.data == nullptr)
        simd::map(simd::in(w, anchor), simd::out(out),
                  [=](auto x, auto a, auto& y) { move(x, a, decltype(x)(2 * step), y); });
    else
        simd::map(
            simd::in(w, anchor, weights), simd::out(out),
            [=](auto x, auto a, auto c, auto& y) { move(x, a, decltype(x)(2 * step) * c, y); });
}

TEMPER_INSTANTIATE(kernel::AnchorL2);

} // namespace temper::inline TEMPER_ABI
#endif
