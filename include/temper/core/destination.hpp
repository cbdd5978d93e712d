// SPDX-License-Identifier: BSL-1.0
#pragma once

// Destinations: where a gradient or a result goes, and how.
//
//   into(g)        overwrites g
//   add_to(g, s)   adds s times the result to g
//   discard        computes nothing; also how a stop-gradient is said
//
// Whoever owns g, all of them become one type per scalar, Into<S>, at the border, and
// Destination<T, R> or AnyDestination<T> in a kernel: the mode is data, and the work for a discarded
// output is skipped by `if (g)`.
//
// per_sample(into(v)) and curvature(into(h)) are outputs by name.

#include <temper/core/view.hpp>

#include <span>

namespace temper::inline TEMPER_ABI {

enum class Mode : unsigned char { discard, overwrite, add };

/// What a kernel writes through: out = scale * result, or out += scale * result.
template <class T, int R>
struct Destination {
    static constexpr int rank = R;
    View<T, R> view{};
    double scale = 1;
    Mode mode = Mode::discard;

    explicit operator bool() const { return mode != Mode::discard; }
    [[nodiscard]] bool adds() const { return mode == Mode::add; }
    /// Writes one entry.
    void put(T& entry, T value) const
    {
        const T scaled = static_cast<T>(scale) * value;
        entry = adds() ? entry + scaled : scaled;
    }
};

template <class T>
struct AnyDestination {
    AnyView<T> view{};
    double scale = 1;
    Mode mode = Mode::discard;

    AnyDestination() = default;
    AnyDestination(AnyView<T> v, double s, Mode m) : view(v), scale(s), mode(m) {}
    template <int R>
    AnyDestination(const Destination<T, R>& d) // NOLINT(google-explicit-constructor): loses nothing
        : view(d.view), scale(d.scale), mode(d.mode)
    {
    }
    explicit operator bool() const { return mode != Mode::discard; }
    [[nodiscard]] bool adds() const { return mode == Mode::add; }
    template <int R>
    [[nodiscard]] Destination<T, R> as() const
    {
        return {view.template as<R>(), scale, mode};
    }
};

/// A destination as the caller says it. `turned`: samples are in columns.
template <class S>
struct Into {
    AnyView<S> view{};
    double scale = 1;
    Mode mode = Mode::overwrite;
    bool turned = false;
};

/// Destinations of a list of tensors.
template <class S>
struct IntoList {
    std::span<const AnyView<S>> views{};
    double scale = 1;
    Mode mode = Mode::overwrite;
};

struct Discard {};
/// Computes nothing for this output.
inline constexpr Discard discard{};

template <class L>
concept TensorList = requires(const L& list) {
    std::span(list);
    requires std::same_as<std::remove_cvref_t<decltype(std::span(list)[0])>,
                          AnyView<std::remove_pointer_t<decltype(std::span(list)[0].data)>>>;
};

namespace detail {
template <class O>
[[nodiscard]] auto destination(O&& owner, double scale, Mode mode)
{
    using Bare = std::remove_cvref_t<O>;
    if constexpr (std::is_arithmetic_v<Bare>) {
        static_assert(!std::is_const_v<std::remove_reference_t<O>> && std::is_lvalue_reference_v<O>,
                      "temper: a destination must be something that can be written to");
        AnyView<Bare> v;
        v.data = &owner;
        return Into<Bare>{v, scale, mode};
    }
    else if constexpr (TensorList<Bare>) {
        using V = std::remove_cvref_t<decltype(std::span(owner)[0])>;
        using S = std::remove_pointer_t<decltype(V::data)>;
        static_assert(!std::is_const_v<S>,
                      "temper: a destination must be something that can be written to");
        return IntoList<S>{std::span<const AnyView<S>>(owner), scale, mode};
    }
    else {
        using V = decltype(view(owner));
        if constexpr (!std::is_void_v<V>) { // void: view() has said what is wrong
            using S = std::remove_pointer_t<decltype(V::data)>;
            static_assert(!std::is_const_v<S>,
                          "temper: a destination must be something that can be written to");
            return Into<S>{AnyView<S>(view(owner)), scale, mode};
        }
    }
}
} // namespace detail

/// Overwrites `owner`. A number is a destination of rank 0.
template <class O>
[[nodiscard]] auto into(O&& owner)
{
    return detail::destination(std::forward<O>(owner), 1, Mode::overwrite);
}

/// Adds `scale` times the result to `owner`.
template <class O>
[[nodiscard]] auto add_to(O&& owner, double scale = 1)
{
    return detail::destination(std::forward<O>(owner), scale, Mode::add);
}

/// Outputs and inputs that are said by name, in any order after the positional ones.
template <class D>
struct PerSample {
    D destination;
};
template <class D>
struct Curvature {
    D destination;
};

/// The value of each sample before the reduction, without weights, [n].
template <class D>
[[nodiscard]] PerSample<D> per_sample(const D& destination)
{
    return {destination};
}
/// The non-negative diagonal of the second derivative, of the shape of the predictions.
template <class D>
[[nodiscard]] Curvature<D> curvature(const D& destination)
{
    return {destination};
}

template <class D>
inline constexpr bool is_destination = false;
template <class S>
inline constexpr bool is_destination<Into<S>> = true;
template <class S>
inline constexpr bool is_destination<IntoList<S>> = true;
template <>
inline constexpr bool is_destination<Discard> = true;

} // namespace temper::inline TEMPER_ABI
