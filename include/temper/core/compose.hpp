// SPDX-License-Identifier: BSL-1.0
#pragma once

// What components are put together with:
//
//   0.1 * barlow              value, gradients, curvature, prox, ball radius and dual norm scaled alike
//   (ramp * lasso).at(step)   the same with a schedule's number at a step
//   in_columns(barlow)        every sample-major argument of the call has a sample per column
//   finite_checked(barlow)    NonFiniteError where an input or the value is NaN or infinite
//   Report                    named values for logging

#include <temper/core/concepts.hpp>
#include <temper/core/destination.hpp>
#include <temper/core/targets.hpp>

#include <cmath>
#include <vector>

namespace temper::inline TEMPER_ABI {

namespace detail {

template <class A>
[[nodiscard]] A scaled_argument(const A& argument, double)
{
    return argument;
}
template <class S>
[[nodiscard]] Into<S> scaled_argument(Into<S> argument, double factor)
{
    argument.scale *= factor;
    return argument;
}
template <class S>
[[nodiscard]] IntoList<S> scaled_argument(IntoList<S> argument, double factor)
{
    argument.scale *= factor;
    return argument;
}
template <class D>
[[nodiscard]] PerSample<D> scaled_argument(const PerSample<D>& argument, double factor)
{
    return {scaled_argument(argument.destination, factor)};
}
template <class D>
[[nodiscard]] Curvature<D> scaled_argument(const Curvature<D>& argument, double factor)
{
    return {scaled_argument(argument.destination, factor)};
}

/// Owners are referred to, everything else is small and scaled by value.
template <class A>
decltype(auto) pass_scaled(const A& argument, double factor)
{
    if constexpr (is_destination<A> || requires { argument.destination; })
        return scaled_argument(argument, factor);
    else
        return (argument);
}

template <class A>
decltype(auto) pass_turned(A& argument)
{
    using Bare = std::remove_cvref_t<A>;
    if constexpr (is_probabilities<Bare>) {
        auto turned = argument;
        turned.turned = true;
        return turned;
    }
    else if constexpr (requires { argument.turned; }) {
        auto turned = argument;
        turned.turned = true;
        return turned;
    }
    else if constexpr (requires { argument.destination.turned; }) {
        auto turned = argument;
        turned.destination.turned = true;
        return turned;
    }
    else if constexpr (ViewLike<A>)
        return Turned<ViewOf<A>>{view(argument)};
    else
        return (argument);
}

} // namespace detail

/// A component times a number.
template <Component C>
struct Scaled {
    static constexpr std::string_view name = C::name;
    double factor = 1;
    C component{};

    template <class... A>
    double operator()(A&&... arguments) const
    {
        return factor * component(detail::pass_scaled(arguments, factor)...);
    }
    /// argmin_v |v - x|^2 / 2 + step * factor * f(v)
    template <class X, class... A>
    decltype(auto) prox(const X& x, double step, A&&... arguments) const
    {
        require(factor >= 0, name, "factor", factor, "non-negative for a proximal step");
        return component.prox(x, step * factor, arguments...);
    }
    /// The nearest point where factor * f <= radius.
    template <class X, class... A>
    decltype(auto) project(const X& x, double radius, A&&... arguments) const
    {
        require(factor > 0, name, "factor", factor, "positive for a projection");
        return component.project(x, radius / factor, arguments...);
    }
    template <class... A>
    double dual_norm(A&&... arguments) const
    {
        require(factor > 0, name, "factor", factor, "positive for a dual norm");
        return component.dual_norm(arguments...) / factor;
    }
    template <class V>
        requires requires(const C& c, V x) { c.prox_entry(x, 1.0); }
    [[nodiscard]] V prox_entry(V x, double step) const
    {
        return component.prox_entry(x, step * factor);
    }
    friend bool operator==(const Scaled&, const Scaled&) = default;
};

template <Component C>
[[nodiscard]] Scaled<C> operator*(double factor, const C& component)
{
    return {factor, component};
}

/// A component times a schedule; `.at(step)` is a component again.
template <Schedule S, Component C>
struct Scheduled {
    S schedule{};
    C component{};
    [[nodiscard]] Scaled<C> at(Index step) const
    {
        return {static_cast<double>(schedule(step)), component};
    }
};

template <Schedule S, Component C>
[[nodiscard]] Scheduled<S, C> operator*(const S& schedule, const C& component)
{
    return {schedule, component};
}

/// A component whose caller holds a sample per column.
template <Component C>
struct InColumns {
    static constexpr std::string_view name = C::name;
    C component{};

    template <class... A>
    decltype(auto) operator()(A&&... arguments) const
    {
        return component(detail::pass_turned(arguments)...);
    }
    template <class... A>
    decltype(auto) observe(A&&... arguments) const
    {
        return component.observe(detail::pass_turned(arguments)...);
    }
    template <class... A>
    decltype(auto) forward(A&&... arguments) const
    {
        return component.forward(detail::pass_turned(arguments)...);
    }
    template <class... A>
    decltype(auto) apply(A&&... arguments) const
    {
        return component.apply(detail::pass_turned(arguments)...);
    }
    template <class... A>
    decltype(auto) pullback(A&&... arguments) const
    {
        return component.pullback(detail::pass_turned(arguments)...);
    }
};

template <Component C>
[[nodiscard]] InColumns<C> in_columns(const C& component)
{
    return {component};
}

/// A component that looks for NaN and infinity in every input before it computes, and in its value.
template <Component C>
struct FiniteChecked {
    static constexpr std::string_view name = C::name;
    C component{};

    template <class... A>
    double operator()(A&&... arguments) const
    {
        int position = 0;
        (check(++position, arguments), ...);
        const double value = component(arguments...);
        if (!std::isfinite(value))
            fail<NonFiniteError>(name, "value", joined({"is ", text(value)}), "finite");
        return value;
    }

  private:
    template <class A>
    static void check(int position, A& argument)
    {
        if constexpr (is_probabilities<std::remove_cvref_t<A>> || is_turned<std::remove_cvref_t<A>>)
            check(position, argument.view);
        else if constexpr (ViewLike<A>) {
            using S = ScalarOf<A>;
            if constexpr (!std::is_integral_v<S>)
                search(position, AnyView<const S>(view(argument)), 0, 0);
        }
    }
    template <class S>
    static void search(int position, const AnyView<const S>& v, int dimension, Index offset)
    {
        if (dimension < v.rank) {
            for (Index i = 0; i < v.extent(dimension); ++i)
                search(position, v, dimension + 1, offset + i * v.stride(dimension));
            return;
        }
        const auto number = static_cast<double>(v.data[offset]);
        if (!std::isfinite(number))
            fail<NonFiniteError>(name, joined({"argument ", text(Index{position})}),
                                 joined({"has ", text(number), " at offset ", text(offset)}),
                                 "finite");
    }
};

template <Component C>
[[nodiscard]] FiniteChecked<C> finite_checked(const C& component)
{
    return {component};
}

/// Named values of a step, in the order in which they were added. A cleared report that is filled with
/// the names of the step before allocates nothing.
class Report {
  public:
    [[nodiscard]] auto begin() const { return values_.begin(); }
    [[nodiscard]] auto end() const { return values_.begin() + static_cast<Index>(used_); }
    /// Adds to the value of this name (0 before the first time), and hands `value` back.
    double add(std::string_view name, double value)
    {
        for (std::size_t i = 0; i < used_; ++i)
            if (values_[i].first == name) {
                values_[i].second += value;
                return value;
            }
        if (used_ == values_.size())
            values_.emplace_back();
        values_[used_].first = name;
        values_[used_++].second = value;
        return value;
    }
    [[nodiscard]] double operator[](std::string_view name) const
    {
        for (const auto& [known, value] : *this)
            if (known == name)
                return value;
        fail<RangeError>("Report", name, "is not in the report", "a name that was added");
    }
    [[nodiscard]] double total() const
    {
        double sum = 0;
        for (const auto& entry : *this)
            sum += entry.second;
        return sum;
    }
    void clear() { used_ = 0; }
    [[nodiscard]] std::size_t size() const { return used_; }

  private:
    std::vector<std::pair<std::string, double>> values_;
    std::size_t used_ = 0;
};

} // namespace temper::inline TEMPER_ABI
