// SPDX-License-Identifier: BSL-1.0
#pragma once

// Elastic net: L1 for sparsity plus squared L2, which keeps groups of correlated weights together.
//
//   value       f(w) = l1 sum |w_i| + l2 sum w_i^2 / 2          (a sum: scale it by the size you mean)
//   gradient    l1 sign(w_i) + l2 w_i, 0 at w_i = 0
//   prox        sign(w_i) max(|w_i| - step l1, 0) / (1 + step l2)   exact zeros
//   project     the nearest point with f <= radius: the prox with the step that reaches it
//
// w of any shape. With a square in it f is no norm and has no dual norm; l2 = 0 is L1 times l1. Used like
// L1: prox after the optimiser's step with step = learning rate. prox and project may write onto their
// input. An empty tensor has value 0. Throws ShapeError, RangeError for a negative l1, l2, step, radius.
// Zou and Hastie, Regularization and Variable Selection via the Elastic Net (2005); f is what they call
// the naive one: their estimator is the prox times 1 + step l2.

#include <temper/core/component.hpp>
#include <temper/core/math.hpp>

namespace temper::inline TEMPER_ABI {

struct ElasticNet {
    static constexpr std::string_view name = "ElasticNet";
    double l1 = 1;
    double l2 = 0;

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
    [[nodiscard]] V prox_entry(V x, double step) const
    {
        using namespace math;
        return (x - min(max(x, V(-step * l1)), V(step * l1))) * V(1 / (1 + step * l2));
    }

    friend bool operator==(const ElasticNet&, const ElasticNet&) = default;

  private:
    template <class T>
    void check(const Border<T>& border) const
    {
        border.require(l1 >= 0, "l1", l1, "non-negative");
        border.require(l2 >= 0, "l2", l2, "non-negative");
    }
};

namespace kernel {
template <class T>
struct ElasticNet {
    static double value(double l1, double l2, const AnyView<const T>& w,
                        const AnyDestination<T>& gw);
    static void prox(double l1, double l2, const AnyView<const T>& w, double step,
                     const AnyDestination<T>& out);
    static void project(double l1, double l2, const AnyView<const T>& w, double radius,
                        const AnyDestination<T>& out);
};
} // namespace kernel

template <class W, class... Rest>
double ElasticNet::operator()(const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    check(border);
    const auto v = border.tensor("w", w);
    const auto gw = border.gradient("w", v, positional<0>(rest...));
    return border.finish(kernel::ElasticNet<T>::value(l1, l2, v, gw));
}

template <class W, class D>
void ElasticNet::prox(const W& w, double step, const D& out) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    check(border);
    border.require(step >= 0, "step", step, "non-negative");
    const auto v = border.tensor("w", w);
    const auto to = border.gradient("w", v, out, InPlace::allowed);
    kernel::ElasticNet<T>::prox(l1, l2, v, step, to);
    border.finish();
}

template <class W, class D>
void ElasticNet::project(const W& w, double radius, const D& out) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    check(border);
    border.require(radius >= 0, "radius", radius, "non-negative");
    const auto v = border.tensor("w", w);
    const auto to = border.gradient("w", v, out, InPlace::allowed);
    kernel::ElasticNet<T>::project(l1, l2, v, radius, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::ElasticNet<T>::value(double l1, double l2, const AnyView<const T>& w,
                                    const AnyDestination<T>& gw)
{
    return simd::map_sum(simd::in(w), simd::out(gw), [l1, l2](auto x, auto& g) {
        using V = decltype(x);
        g = fma(V(l2), x, V(l1) * sign(x));
        return fma(V(l2 / 2) * x, x, V(l1) * abs(x));
    });
}

template <class T>
void kernel::ElasticNet<T>::prox(double l1, double l2, const AnyView<const T>& w, double step,
                                 const AnyDestination<T>& out)
{
    simd::map(
        simd::in(w), simd::out(out),
        [net = temper::ElasticNet{l1, l2}, step](auto x, auto& y) { y = net.prox_entry(x, step); });
}

template <class T>
void kernel::ElasticNet<T>::project(double l1, double l2, const AnyView<const T>& w, double radius,
                                    const AnyDestination<T>& out)
{
    Workspace::Frame frame;
    Index active = w.size();
    T* a = frame.take<T>(active);
    simd::map(simd::in(w), simd::out(simd::dense_like(a, w)), [](auto x, auto& y) { y = abs(x); });

    // While the same entries are active, f(prox(w, t)) = radius is a quadratic equation in t. Its root
    // is never too large, so that entries found at zero stay there.
    double t = 0;
    while (active > 0) {
        double sum = 0;
        double squares = 0;
        for (Index i = 0; i < active; ++i) {
            const auto x = static_cast<double>(a[i]);
            sum += x;
            squares += x * x;
        }
        const double excess = l1 * sum + l2 * squares / 2 - radius;
        if (excess <= 0)
            break;
        const double slope = l1 * l1 * static_cast<double>(active) + 2 * l2 * radius;
        t = 2 * excess / (slope + std::sqrt(slope * (slope + 2 * l2 * excess)));
        t = (std::min)(t, std::numeric_limits<double>::max()); // radius 0: times 0 it must be 0
        Index kept = 0;
        for (Index i = 0; i < active; ++i)
            if (static_cast<double>(a[i]) > t * l1)
                a[kept++] = a[i];
        if (kept == active)
            break;
        active = kept;
    }
    prox(l1, l2, w, t, out);
}

TEMPER_INSTANTIATE(kernel::ElasticNet);

} // namespace temper::inline TEMPER_ABI
#endif
