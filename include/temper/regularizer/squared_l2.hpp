// SPDX-License-Identifier: BSL-1.0
#pragma once

// Squared L2 penalty, half the sum of squares: weight decay, ridge regression.
//
//   value       f(w) = sum w_i^2 / 2                            (a sum: scale it by the size you mean)
//   gradient    w_i
//   prox        w_i / (1 + step)                                no zeros
//   project     the nearest point with f <= radius: onto the Euclidean ball of sqrt(2 radius)
//
// w of any shape. A square is no norm, so there is no dual norm. As a term of the loss under SGD this is
// weight decay by the learning rate; under Adam it is not (the gradient is rescaled): use AdamW, or prox
// after the step with step = learning rate, which is decoupled decay done implicitly. prox and project
// may write onto their input. An empty tensor has value 0. Throws ShapeError, RangeError for a negative
// step or radius.
// Hoerl and Kennard, Ridge Regression: Biased Estimation for Nonorthogonal Problems (1970).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct SquaredL2 {
    static constexpr std::string_view name = "SquaredL2";

    /// (w [, into(gw)])
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;
    /// argmin_v |v - w|^2 / 2 + step f(v)
    template <class W, class D>
    void prox(const W& w, double step, const D& out) const;
    /// argmin_v |v - w|^2 such that f(v) <= radius
    template <class W, class D>
    void project(const W& w, double radius, const D& out) const;
    /// The prox of one entry, or of a pack of them.
    template <class V>
    [[nodiscard]] static V prox_entry(V x, double step)
    {
        return x * V(1 / (1 + step));
    }

    friend bool operator==(const SquaredL2&, const SquaredL2&) = default;
};

namespace kernel {
template <class T>
struct SquaredL2 {
    static double value(const AnyView<const T>& w, const AnyDestination<T>& gw);
    static void scale(const AnyView<const T>& w, double factor, const AnyDestination<T>& out);
    static void project(const AnyView<const T>& w, double radius, const AnyDestination<T>& out);
};
} // namespace kernel

template <class W, class... Rest>
double SquaredL2::operator()(const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto v = border.tensor("w", w);
    const auto gw = border.gradient("w", v, positional<0>(rest...));
    return border.finish(kernel::SquaredL2<T>::value(v, gw));
}

template <class W, class D>
void SquaredL2::prox(const W& w, double step, const D& out) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(step >= 0, "step", step, "non-negative");
    const auto v = border.tensor("w", w);
    const auto to = border.gradient("w", v, out, InPlace::allowed);
    kernel::SquaredL2<T>::scale(v, 1 / (1 + step), to);
    border.finish();
}

template <class W, class D>
void SquaredL2::project(const W& w, double radius, const D& out) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(radius >= 0, "radius", radius, "non-negative");
    const auto v = border.tensor("w", w);
    const auto to = border.gradient("w", v, out, InPlace::allowed);
    kernel::SquaredL2<T>::project(v, radius, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::SquaredL2<T>::value(const AnyView<const T>& w, const AnyDestination<T>& gw)
{
    return simd::map_sum(simd::in(w), simd::out(gw),
                         [](auto x, auto& g) {
                             g = x;
                             return x * x;
                         }) /
           2;
}

template <class T>
void kernel::SquaredL2<T>::scale(const AnyView<const T>& w, double factor,
                                 const AnyDestination<T>& out)
{
    simd::map(simd::in(w), simd::out(out), [factor](auto x, auto& y) {
        using V = decltype(x);
        y = x * V(factor);
    });
}

template <class T>
void kernel::SquaredL2<T>::project(const AnyView<const T>& w, double radius,
                                   const AnyDestination<T>& out)
{
    // The length relative to the largest entry, so that no square overflows or vanishes.
    const T largest = simd::map_max(simd::in(w), [](auto x) { return abs(x); });
    if (!(largest > 0) || radius == 0)
        return scale(w, largest > 0 ? 0 : 1, out);
    const double squares = simd::map_sum(simd::in(w), simd::none<T>(), [largest](auto x) {
        using V = decltype(x);
        const V u = x / V(largest);
        return u * u;
    });
    const double length = static_cast<double>(largest) * std::sqrt(squares);
    const double limit = std::sqrt(2 * radius);
    scale(w, length > limit ? limit / length : 1, out);
}

TEMPER_INSTANTIATE(kernel::SquaredL2);

} // namespace temper::inline TEMPER_ABI
#endif
