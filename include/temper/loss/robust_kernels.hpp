// SPDX-License-Identifier: BSL-1.0
#pragma once

// Robust kernels: rho(s) of the squared residual s, and its first two derivatives, as RobustLoss and
// non-linear least-squares solvers want them. c is where a residual begins to count as an outlier, in
// the units of the residual; it has no default.
//
//   L2Residual          s
//   HalfL2Residual      s / 2
//   L1Residual          r                              r = sqrt(s)
//   PseudoHuber         sqrt(s + c^2) - c              slope r / sqrt(s + c^2), at most 1
//   PseudoHuberScaled   c (sqrt(s + c^2) - c)          s / 2 for small s
//   Charbonnier         sqrt(s + c^2)                  c at s = 0
//   Cauchy              log(1 + s / (2 c^2))
//   Huber               s / 2, or c (r - c / 2) from r = c on
//   SmoothL1            Huber / c
//   Welsch              1 - exp(-s / (2 c^2))
//   GemanMcClure        s / (s + 4 c^2)
//   Barron              b / alpha ((1 + s / (b c^2))^(alpha / 2) - 1),  b = |alpha - 2|: one family with
//                       alpha 2 (L2 / (2 c^2)), 1 (Charbonnier / c - 1), 0 (Cauchy), -2 (GemanMcClure
//                       times 2), minus infinity (Welsch)
//
// Finite for every finite s but the derivatives of L1Residual at 0. c^2 must be a normal number of the
// scalar type. Throws RangeError for a c that is not positive, and for alpha not below infinity.
// Huber (1964); Geman and McClure (1985); Dennis and Welsch (1978); Black and Anandan (1996), for Cauchy's;
// Charbonnier et al. (1994); Barron, A General and Adaptive Robust Loss Function (2019); Song and
// Dhariwal, Improved Techniques for Training Consistency Models (2023), for PseudoHuber::for_entries.
//
// A kernel of your own is an aggregate with one member function, written with the functions of
// temper::math so that packs of numbers can be put in; one that takes a double alone works as well:
//
//   struct Tukey {
//       temper::Required c;
//       template <class V> temper::Rho<V> operator()(V s) const {
//           using namespace temper::math;
//           const V t = max(V(1) - s / V(c * c), V(0));
//           return {V(1) - t * t * t, V(3 / (c * c)) * t * t, V(-6 / (c * c * c * c)) * t};
//       }
//   };
//
// A member `void check(std::string_view component) const` may throw before anything is computed.

#include <temper/core/error.hpp>
#include <temper/core/math.hpp>
#include <temper/core/required.hpp>

#include <limits>

namespace temper::inline TEMPER_ABI {

/// rho(s), rho'(s), rho''(s).
template <class V>
struct Rho {
    V value;
    V first;
    V second;
};

template <class K>
concept RobustKernel = requires(const K& kernel, double s) {
    { kernel(s) } -> std::same_as<Rho<double>>;
};

/// Any robust kernel, for what asks it once a sample and is compiled once. rho' of infinity (L1 at 0) is
/// given as 0.
struct RhoReference {
    const void* kernel;
    Rho<double> (*call)(const void*, double);

    template <RobustKernel K>
    [[nodiscard]] static RhoReference to(const K& kernel, std::string_view component)
    {
        if constexpr (requires { kernel.check(component); })
            kernel.check(component);
        return {&kernel, [](const void* k, double s) { return (*static_cast<const K*>(k))(s); }};
    }
    Rho<double> operator()(double s) const
    {
        Rho<double> rho = call(kernel, s);
        if (rho.first == std::numeric_limits<double>::infinity())
            rho.first = 0;
        return rho;
    }
};

struct L2Residual {
    template <class V>
    Rho<V> operator()(V s) const
    {
        return {s, V(1), V(0)};
    }
    friend bool operator==(const L2Residual&, const L2Residual&) = default;
};

struct HalfL2Residual {
    template <class V>
    Rho<V> operator()(V s) const
    {
        return {V(0.5) * s, V(0.5), V(0)};
    }
    friend bool operator==(const HalfL2Residual&, const HalfL2Residual&) = default;
};

struct L1Residual {
    template <class V>
    Rho<V> operator()(V s) const
    {
        using math::sqrt;
        const V r = sqrt(s);
        return {r, V(0.5) / r, V(-0.25) / (s * r)};
    }
    friend bool operator==(const L1Residual&, const L1Residual&) = default;
};

/// What kernels with a scale share.
struct ScaledKernel {
    static void check(std::string_view component, double c)
    {
        require(c > 0 && c < std::numeric_limits<double>::infinity(), component, "c", c,
                "positive and finite");
    }
};

struct Charbonnier {
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        using math::sqrt;
        const V root = sqrt(s + V(c * c));
        const V first = V(0.5) / root;
        return {root, first, V(-0.5) * first / (root * root)};
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const Charbonnier&, const Charbonnier&) = default;
};

struct PseudoHuber {
    Required c;

    /// c = 0.00054 sqrt(d), for samples of d entries and whole-sample residuals.
    static PseudoHuber for_entries(Index d)
    {
        return {.c = 0.00054 * std::sqrt(static_cast<double>(d))};
    }
    template <class V>
    Rho<V> operator()(V s) const
    {
        using math::select;
        const auto [root, first, second] = Charbonnier{c}(s);
        // root - c loses all digits of a small s; the other form is no number where s overflows.
        const V value = select(s > V(c * c), root - V(c), s / (root + V(c)));
        return {value, first, second};
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const PseudoHuber&, const PseudoHuber&) = default;
};

struct PseudoHuberScaled {
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        const auto [value, first, second] = PseudoHuber{c}(s);
        return {V(c) * value, V(c) * first, V(c) * second};
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const PseudoHuberScaled&, const PseudoHuberScaled&) = default;
};

struct Cauchy {
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        using math::log1p;
        const V first = V(1) / (V(2 * c * c) + s);
        return {log1p(s / V(2 * c * c)), first, -first * first};
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const Cauchy&, const Cauchy&) = default;
};

struct Huber {
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        using math::select;
        using math::sqrt;
        const V r = sqrt(s);
        const auto inlier = s <= V(c * c);
        return {select(inlier, V(0.5) * s, V(c) * (r - V(0.5 * c))),
                select(inlier, V(0.5), V(0.5 * c) / r),
                select(inlier, V(0), V(-0.25 * c) / (s * r))};
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const Huber&, const Huber&) = default;
};

struct SmoothL1 {
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        const auto [value, first, second] = Huber{c}(s);
        return {value / V(c), first / V(c), second / V(c)};
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const SmoothL1&, const SmoothL1&) = default;
};

struct Welsch {
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        using math::exp;
        using math::expm1;
        const V power = V(-0.5 / (c * c)) * s;
        const V first = V(0.5 / (c * c)) * exp(power);
        return {-expm1(power), first, V(-0.5 / (c * c)) * first};
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const Welsch&, const Welsch&) = default;
};

struct GemanMcClure {
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        const V b = V(4 * c * c);
        const V inverse = V(1) / (s + b);
        const V first = b * inverse * inverse;
        return {V(1) / (V(1) + b / s), first,
                V(-2) * inverse * first}; // fine for s of 0 and infinity
    }
    void check(std::string_view component) const { ScaledKernel::check(component, c); }
    friend bool operator==(const GemanMcClure&, const GemanMcClure&) = default;
};

struct Barron {
    Required alpha;
    Required c;

    template <class V>
    Rho<V> operator()(V s) const
    {
        using math::exp;
        using math::expm1;
        using math::log1p;
        if (alpha == -std::numeric_limits<double>::infinity())
            return Welsch{c}(s);
        const double first_at_0 = 0.5 / (c * c);
        const double b = std::fabs(alpha - 2);
        if (b < 1e-6)
            return {V(first_at_0) * s, V(first_at_0), V(0)};
        const V l = log1p(s / V(b * c * c)); // of what is raised to powers
        const V value =
            std::fabs(alpha) < 1e-6 ? V(0.5 * b) * l : V(b / alpha) * expm1(V(0.5 * alpha) * l);
        const double curve = (alpha > 2 ? 1 : -1) * first_at_0 * first_at_0;
        return {value, V(first_at_0) * exp(V(0.5 * alpha - 1) * l),
                V(curve) * exp(V(0.5 * alpha - 2) * l)};
    }
    void check(std::string_view component) const
    {
        ScaledKernel::check(component, c);
        require(alpha < std::numeric_limits<double>::infinity(), component, "alpha", alpha,
                "below infinity");
    }
    friend bool operator==(const Barron&, const Barron&) = default;
};

} // namespace temper::inline TEMPER_ABI
