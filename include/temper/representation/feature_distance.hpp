// SPDX-License-Identifier: BSL-1.0
#pragma once

// A distance between a student's tensor and a teacher's, taken over all entries at once.
//
//   d = x - t
//   norm_l2     sqrt(sum d^2)                  the length itself: neither squared nor averaged
//   norm_l1     sum |d|
//   l2          mean d^2
//   smooth_l1   mean of d^2 / (2 beta) where |d| < beta, else |d| - beta / 2
//
// x, t of one shape, any; t is held fixed. In the first two the loss grows with the batch, as the square root
// of its size and as its size. At d = 0 the gradient is 0. Nothing: 0.
// Throws ShapeError; RangeError for beta <= 0.
// Fang et al., One is All: Bridging the Gap Between Neural Radiance Fields Architectures with Progressive
// Volume Distillation (2023), whose code these four are from.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct FeatureDistance {
    static constexpr std::string_view name = "FeatureDistance";
    enum class Kind { norm_l2, norm_l1, l2, smooth_l1 };
    Kind kind = Kind::norm_l2;
    double beta = 0.05;

    /// (x, t [, into(gx)])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const;

    friend bool operator==(const FeatureDistance&, const FeatureDistance&) = default;
};

namespace kernel {
template <class T>
struct FeatureDistance {
    /// Numbers outside [low, high] count as its ends, and get no gradient.
    struct Pair {
        AnyView<const T> x, t;
        AnyDestination<T> gx;
        double low = -std::numeric_limits<double>::infinity();
        double high = std::numeric_limits<double>::infinity();
    };
    /// factor times the distance of the pairs' entries taken together.
    static double run(const temper::FeatureDistance& how, double factor,
                      std::span<const Pair> pairs);
    /// Writes zeros, or adds them.
    static void nothing(const AnyView<const T>& like, const AnyDestination<T>& g);
};
} // namespace kernel

template <class X, class Y, class... Rest>
double FeatureDistance::operator()(const X& x, const Y& t, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    border.require(beta > 0, "beta", beta, "positive");
    typename kernel::FeatureDistance<T>::Pair pair;
    pair.x = border.sample_tensor("x", x);
    pair.t = border.sample_tensor("t", t);
    border.same_shape("t", pair.t, "x", pair.x);
    pair.gx = border.sample_gradient("x", pair.x, positional<0>(rest...));
    return border.finish(kernel::FeatureDistance<T>::run(*this, 1, {&pair, 1}));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {
/// The ends of a range for what is outside; NaN stays.
template <class V>
[[nodiscard]] V clamped(V x, V low, V high)
{
    using math::select;
    return select(x < low, low, select(x > high, high, x));
}
} // namespace detail

template <class T>
double kernel::FeatureDistance<T>::run(const temper::FeatureDistance& how, double factor,
                                       std::span<const Pair> pairs)
{
    using Kind = temper::FeatureDistance::Kind;
    Index entries = 0;
    for (const Pair& pair : pairs)
        entries += pair.x.size();
    if (entries == 0)
        return 0;
    const double mean =
        how.kind == Kind::l2 || how.kind == Kind::smooth_l1 ? 1 / static_cast<double>(entries) : 1;
    const T beta = static_cast<T>(how.beta);
    // What is summed, and its slope times `scale`.
    const auto sweep = [&](const Pair& pair, const AnyDestination<T>& to, double scale,
                           const auto& summand) {
        return simd::map_sum(simd::in(pair.x, pair.t), simd::out(to),
                             [=, low = static_cast<T>(pair.low), high = static_cast<T>(pair.high),
                              rate = static_cast<T>(scale)](auto x, auto t, auto& g) {
                                 using V = decltype(x);
                                 const V d = detail::clamped(x, V(low), V(high)) -
                                             detail::clamped(t, V(low), V(high));
                                 V slope{};
                                 const V value = summand(d, slope);
                                 const V outside = select(x < V(low), V(0), V(rate) * slope);
                                 g = select(x > V(high), V(0), outside);
                                 return value;
                             });
    };
    const auto square = [](auto d, auto& slope) {
        slope = d;
        return d * d;
    };
    double sum = 0;
    if (how.kind == Kind::norm_l2) {
        for (const Pair& pair : pairs)
            sum += sweep(pair, {}, 1, square);
        const double length = std::sqrt(sum);
        for (const Pair& pair : pairs)
            if (pair.gx)
                (void)sweep(pair, pair.gx, length == 0 ? 0 : factor / length, square);
        return factor * length;
    }
    for (const Pair& pair : pairs)
        if (how.kind == Kind::l2)
            sum += sweep(pair, pair.gx, 2 * factor * mean, square);
        else if (how.kind == Kind::norm_l1)
            sum += sweep(pair, pair.gx, factor, [](auto d, auto& slope) {
                slope = sign(d);
                return abs(d);
            });
        else
            sum += sweep(pair, pair.gx, factor * mean, [beta](auto d, auto& slope) {
                using V = decltype(d);
                const V far = abs(d);
                const V near = d / V(beta);
                slope = select(far < V(beta), near, sign(d));
                return select(far < V(beta), V(0.5) * d * near, far - V(beta / 2));
            });
    return factor * mean * sum;
}

template <class T>
void kernel::FeatureDistance<T>::nothing(const AnyView<const T>& like, const AnyDestination<T>& g)
{
    if (g && !g.adds())
        simd::map(simd::in(like), simd::out(g), [](auto x, auto& y) { y = decltype(x)(0); });
}

TEMPER_INSTANTIATE(kernel::FeatureDistance);

} // namespace temper::inline TEMPER_ABI
#endif
