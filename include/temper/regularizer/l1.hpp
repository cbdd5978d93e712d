// SPDX-License-Identifier: BSL-1.0
#pragma once

// L1 penalty, the sum of magnitudes; drives single entries to zero.
//
//   value       f(w) = sum |w_i|                                (a sum: scale it by the size you mean)
//   gradient    sign(w_i), 0 at w_i = 0
//   prox        sign(w_i) max(|w_i| - step, 0)                  exact zeros
//   project     the nearest point with f <= radius: the prox with the step that reaches it
//   dual norm   max |w_i|
//
// w of any shape. As a term of the loss the gradient never reaches zero exactly; call prox after the
// optimiser's step instead, with step = learning rate (and under Adam the learning rate as well: the
// rescaled metric is ignored, as is usual). prox and project may write onto their input.
// An empty tensor has value 0. Throws ShapeError, RangeError for a negative step or radius.
// Tibshirani, Regression shrinkage and selection via the lasso (1996).

#include <temper/core/component.hpp>
#include <temper/core/math.hpp>

namespace temper::inline TEMPER_ABI {

struct L1 {
    static constexpr std::string_view name = "L1";

    /// (w [, into(gw)])
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;
    /// argmin_v |v - w|^2 / 2 + step f(v)
    template <class W, class D>
    void prox(const W& w, double step, const D& out) const;
    /// argmin_v |v - w|^2 such that f(v) <= radius
    template <class W, class D>
    void project(const W& w, double radius, const D& out) const;
    /// max <w, v> such that f(v) <= 1
    template <class W>
    double dual_norm(const W& w) const;
    /// The prox of one entry, or of a pack of them.
    template <class V>
    [[nodiscard]] static V prox_entry(V x, double step)
    {
        using namespace math;
        return x - min(max(x, V(-step)), V(step));
    }

    friend bool operator==(const L1&, const L1&) = default;
};

namespace kernel {
template <class T>
struct L1 {
    static double value(const AnyView<const T>& w, const AnyDestination<T>& gw);
    static void prox(const AnyView<const T>& w, double step, const AnyDestination<T>& out);
    static void project(const AnyView<const T>& w, double radius, const AnyDestination<T>& out);
    static double dual_norm(const AnyView<const T>& w);
};
} // namespace kernel

template <class W, class... Rest>
double L1::operator()(const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto v = border.tensor("w", w);
    const auto gw = border.gradient("w", v, positional<0>(rest...));
    return border.finish(kernel::L1<T>::value(v, gw));
}

template <class W, class D>
void L1::prox(const W& w, double step, const D& out) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(step >= 0, "step", step, "non-negative");
    const auto v = border.tensor("w", w);
    const auto to = border.gradient("w", v, out, InPlace::allowed);
    kernel::L1<T>::prox(v, step, to);
    border.finish();
}

template <class W, class D>
void L1::project(const W& w, double radius, const D& out) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(radius >= 0, "radius", radius, "non-negative");
    const auto v = border.tensor("w", w);
    const auto to = border.gradient("w", v, out, InPlace::allowed);
    kernel::L1<T>::project(v, radius, to);
    border.finish();
}

template <class W>
double L1::dual_norm(const W& w) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    return kernel::L1<T>::dual_norm(border.tensor("w", w));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/threshold.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::L1<T>::value(const AnyView<const T>& w, const AnyDestination<T>& gw)
{
    return simd::map_sum(simd::in(w), simd::out(gw), [](auto x, auto& g) {
        g = sign(x);
        return abs(x);
    });
}

template <class T>
void kernel::L1<T>::prox(const AnyView<const T>& w, double step, const AnyDestination<T>& out)
{
    simd::map(simd::in(w), simd::out(out),
              [step](auto x, auto& y) { y = temper::L1::prox_entry(x, step); });
}

template <class T>
void kernel::L1<T>::project(const AnyView<const T>& w, double radius, const AnyDestination<T>& out)
{
    Workspace::Frame frame;
    const Index n = w.size();
    const auto magnitudes = simd::dense_like(frame.take<T>(n), w);
    simd::map(simd::in(w), simd::out(magnitudes), [](auto x, auto& a) { a = abs(x); });
    prox(w,
         shrinkage_for_radius<T>({magnitudes.view.data, static_cast<std::size_t>(n)}, {}, radius),
         out);
}

template <class T>
double kernel::L1<T>::dual_norm(const AnyView<const T>& w)
{
    return w.size() == 0 ? 0 : simd::map_max(simd::in(w), [](auto x) { return abs(x); });
}

TEMPER_INSTANTIATE(kernel::L1);

} // namespace temper::inline TEMPER_ABI
#endif
