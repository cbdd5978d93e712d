// SPDX-License-Identifier: BSL-1.0
#pragma once

// Parameters pushed away from a set that has learned what is to be unlearned.
//
//   s = sum_l f_l |w_l - a_l|^2        f_l = 1                          Distance::sum
//                                            1 / (tensors entries_l)    Distance::mean_of_tensor_means
//   Kind::inverse       gamma / s              gradient  -2 gamma f_l (w_l - a_l) / s^2
//   Kind::negative      -gamma s                         -2 gamma f_l (w_l - a_l)
//   Kind::exponential   exp(-gamma s)                    -2 gamma exp(-gamma s) f_l (w_l - a_l)
//
// w = tensors(w1, ...) or one tensor, adapted a likewise, the parameters after adapting to the negative
// samples (with EWC), held fixed. gamma was 0.1 to 100 by data set and has no default; the published code
// takes a mean over tensors of means and a factor of half the number of adapted models, which gamma absorbs.
// squared_distance(into(s)): s. `negative` is unbounded below: clip its gradient. Below s = 1e-12 the inverse
// is gamma / 1e-12 without a gradient: start from the original parameters, not from the adapted ones.
// Throws ShapeError; RangeError for a negative gamma.
// Tiwary et al., Adapt then Unlearn: Exploring Parameter Space Semantics for Unlearning in Generative
// Adversarial Networks (2023).

#include <temper/core/component.hpp>
#include <temper/core/required.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct SquaredDistanceOutput {
    D destination;
};
/// The squared distance, a number.
template <class D>
[[nodiscard]] SquaredDistanceOutput<D> squared_distance(const D& destination)
{
    return {destination};
}

struct ParameterRepulsion {
    static constexpr std::string_view name = "ParameterRepulsion";
    enum class Kind { inverse, negative, exponential };
    enum class Distance { sum, mean_of_tensor_means };
    Required gamma;
    Kind kind = Kind::inverse;
    Distance distance = Distance::sum;

    /// (w, adapted [, into(gw)] [, squared_distance(into(s))])
    template <class W, class A, class... Rest>
    double operator()(const W& w, const A& adapted, const Rest&... rest) const;

    friend bool operator==(const ParameterRepulsion& a, const ParameterRepulsion& b)
    {
        return a.gamma.value == b.gamma.value && a.kind == b.kind && a.distance == b.distance;
    }
};

namespace kernel {
template <class T>
struct ParameterRepulsion {
    static double squares(const AnyView<const T>& w, const AnyView<const T>& a);
    /// rate (w - a)
    static void pull(double rate, const AnyView<const T>& w, const AnyView<const T>& a,
                     const AnyDestination<T>& gw);
};
} // namespace kernel

template <class W, class A, class... Rest>
double ParameterRepulsion::operator()(const W& w, const A& adapted, const Rest&... rest) const
{
    accept<1, SquaredDistanceOutput>(rest...);
    using T = std::remove_const_t<ListScalarOf<const W>>;
    Border<T> border(name);
    border.require(gamma >= 0, "gamma", gamma, "non-negative");
    const auto x = border.list("w", as_list(w));
    const auto a = border.list("adapted", as_list(adapted));
    same_shapes(name, "adapted", a, "w", x);
    const auto gw = border.gradient("w", x, positional<0>(rest...));
    const auto to = border.template named_into<0>("squared_distance",
                                                  named<SquaredDistanceOutput>(rest...), {});
    const auto share = [&](std::size_t l) {
        return distance == Distance::sum || x[l].size() == 0
                   ? 1
                   : 1 / static_cast<double>(x[l].size()) / static_cast<double>(x.size());
    };
    double s = 0;
    for (std::size_t l = 0; l < x.size(); ++l)
        s += share(l) * kernel::ParameterRepulsion<T>::squares(x[l], a[l]);
    const double floored = s < 1e-12 ? 1e-12 : s;
    const double value = kind == Kind::inverse    ? gamma / floored
                         : kind == Kind::negative ? -gamma * s
                                                  : std::exp(-gamma * s);
    const double slope = kind == Kind::inverse    ? (s < 1e-12 ? 0 : -gamma / s / s)
                         : kind == Kind::negative ? -gamma
                                                  : -gamma * value;
    for (std::size_t l = 0; l < x.size(); ++l)
        kernel::ParameterRepulsion<T>::pull(2 * slope * share(l), x[l], a[l], gw[l]);
    if (to)
        to.put(*to.view.data, static_cast<T>(s));
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::ParameterRepulsion<T>::squares(const AnyView<const T>& w, const AnyView<const T>& a)
{
    return simd::map_sum(simd::in(w, a), simd::none<T>(), [](auto x, auto y) {
        const auto d = x - y;
        return d * d;
    });
}

template <class T>
void kernel::ParameterRepulsion<T>::pull(double rate, const AnyView<const T>& w,
                                         const AnyView<const T>& a, const AnyDestination<T>& gw)
{
    if (gw)
        simd::map(simd::in(w, a), simd::out(gw), [rate](auto x, auto y, auto& g) {
            using V = decltype(x);
            g = V(rate) * (x - y);
        });
}

TEMPER_INSTANTIATE(kernel::ParameterRepulsion);

} // namespace temper::inline TEMPER_ABI
#endif
