// SPDX-License-Identifier: BSL-1.0
#pragma once

// How far a prediction q is from a target p, both distributions over k classes: the policies of
// Consistency.
//
//   TargetCrossEntropy       -sum p log q
//   KullbackLeibler          KL(p || q) = sum p log(p / q)            the gradient of the one above
//   ReverseKullbackLeibler   KL(q || p)
//   SymmetricKullbackLeibler half the sum of the two
//   JensenShannon            half of KL(p || m) + KL(q || m), m = (p + q) / 2; at most log 2
//   SquaredDistance          sum (p - q)^2 / k
//   SymmetricCrossEntropy    -(1 - alpha) sum p log q - alpha sum q log p
//
// A policy is a formula for one class: it gives the summand and, for d = sum_j d_j, p dd/dp and q dd/dq
// (parts of either that are the same multiple of p, or of q, in every class may be left out: the softmax
// takes them away). What is multiplied by a probability of 0 counts for nothing.
//
//   struct Hellinger { // one's own: sum (sqrt p - sqrt q)^2
//       static constexpr bool hard_targets = true; // has a value where p is 0?
//       template <class V>
//       Divergence<V> operator()(V p, V, V q, V) const
//       {
//           const V d = sqrt(p) - sqrt(q);
//           return {d * d, sqrt(p) * d, -sqrt(q) * d};
//       }
//   };
//
// Lin, Divergence Measures Based on the Shannon Entropy (1991), for Jensen and Shannon's; Doebler et al.,
// Robust Mean Teacher for Continual and Gradual Test-Time Adaptation (2023), for the symmetric
// cross-entropy between two predictions (without the clamp of Wang et al. 2019: log q is finite here).

#include <temper/core/math.hpp>

#include <iterator>
#include <limits>

namespace temper::inline TEMPER_ABI {

template <class V>
struct Divergence {
    V value;
    V of_target;     ///< p dd/dp
    V of_prediction; ///< q dd/dq
};

namespace detail {
/// p x, and 0 where p is next to nothing, whatever x is.
template <class V>
[[nodiscard]] V weighed(V p, V x)
{
    using math::select;
    using T = std::remove_cvref_t<decltype([] {
        if constexpr (requires { typename V::Scalar; })
            return typename V::Scalar{};
        else
            return V{};
    }())>;
    return select(p <= V(std::numeric_limits<T>::min()), V(0), p * x);
}
/// d - 1 + exp(-d) for |d| <= 1/8: p times it is p log(p / q) - p + q, of d = log(p / q). The sum over all
/// classes is a divergence of which no term is negative, and no digit cancels.
template <class V>
[[nodiscard]] V small_excess(V d)
{
    using math::fma;
    constexpr double series[] = {1 / 2.,   -1 / 6.,    1 / 24.,    -1 / 120.,
                                 1 / 720., -1 / 5040., 1 / 40320., -1 / 362880.};
    V sum(series[std::size(series) - 1]);
    for (std::size_t i = std::size(series) - 1; i-- > 0;)
        sum = fma(sum, d, V(series[i]));
    return d * d * sum;
}
/// p d - p + q, of d = log(p / q).
template <class V>
[[nodiscard]] V excess(V p, V q, V d)
{
    using math::abs;
    using math::fma;
    using math::select;
    const V far = select(p == V(0), q, fma(p, d, q - p));
    return select(abs(d) < V(0.125), p * small_excess(d), far);
}
} // namespace detail

struct TargetCrossEntropy {
    static constexpr bool hard_targets = true;
    /// The sum of of_prediction where it is the same for all p and q: saves a pass.
    static constexpr double prediction_sum = -1;
    template <class V>
    Divergence<V> operator()(V p, V, V, V log_q) const
    {
        const V value = -detail::weighed(p, log_q);
        return {value, value, -p};
    }
    friend bool operator==(const TargetCrossEntropy&, const TargetCrossEntropy&) = default;
};

struct KullbackLeibler {
    static constexpr bool hard_targets = true;
    static constexpr double prediction_sum = -1;
    template <class V>
    Divergence<V> operator()(V p, V log_p, V, V log_q) const
    {
        const V value = detail::weighed(p, log_p - log_q);
        return {value, value, -p};
    }
    friend bool operator==(const KullbackLeibler&, const KullbackLeibler&) = default;
};

struct ReverseKullbackLeibler {
    static constexpr bool hard_targets = false;
    template <class V>
    Divergence<V> operator()(V, V log_p, V q, V log_q) const
    {
        const V value = detail::weighed(q, log_q - log_p);
        return {value, -q, value};
    }
    friend bool operator==(const ReverseKullbackLeibler&, const ReverseKullbackLeibler&) = default;
};

struct SymmetricKullbackLeibler {
    static constexpr bool hard_targets = false;
    template <class V>
    Divergence<V> operator()(V p, V log_p, V q, V log_q) const
    {
        using math::abs;
        const V half(0.5);
        const V forward = half * detail::weighed(p, log_p - log_q);
        const V reverse = half * detail::weighed(q, log_q - log_p);
        // No term is negative, and no digit of a small divergence cancels.
        const V value = half * detail::weighed(abs(p - q), abs(log_p - log_q));
        return {value, forward - half * q, reverse - half * p};
    }
    friend bool operator==(const SymmetricKullbackLeibler&,
                           const SymmetricKullbackLeibler&) = default;
};

struct JensenShannon {
    static constexpr bool hard_targets = true;
    template <class V>
    Divergence<V> operator()(V p, V, V q, V) const
    {
        using math::log1p;
        const V d = V(0.5) * (q - p); // m / p = 1 + d / p: nothing is left of equal ones
        const V a = V(-0.5) * detail::weighed(p, log1p(d / p));
        const V b = V(-0.5) * detail::weighed(q, log1p(-d / q));
        return {a + b, a, b};
    }
    friend bool operator==(const JensenShannon&, const JensenShannon&) = default;
};

struct SquaredDistance {
    static constexpr bool hard_targets = true;
    static constexpr bool mean_over_classes = true;
    template <class V>
    Divergence<V> operator()(V p, V, V q, V) const
    {
        const V d = p - q;
        return {d * d, V(2) * p * d, V(-2) * q * d};
    }
    friend bool operator==(const SquaredDistance&, const SquaredDistance&) = default;
};

struct SymmetricCrossEntropy {
    static constexpr bool hard_targets = false;
    double alpha = 0.5; ///< the share of the prediction's side
    template <class V>
    Divergence<V> operator()(V p, V log_p, V q, V log_q) const
    {
        const V forward = V(alpha - 1) * detail::weighed(p, log_q);
        const V reverse = V(-alpha) * detail::weighed(q, log_p);
        return {forward + reverse, forward - V(alpha) * q, reverse - V(1 - alpha) * p};
    }
    friend bool operator==(const SymmetricCrossEntropy&, const SymmetricCrossEntropy&) = default;
};

/// Whatever gives a Divergence of numbers of type V.
template <class D>
concept DivergenceOf = requires(const D& d, double x) {
    { D::hard_targets } -> std::convertible_to<bool>;
    { d(x, x, x, x) } -> std::same_as<Divergence<double>>;
};

} // namespace temper::inline TEMPER_ABI
