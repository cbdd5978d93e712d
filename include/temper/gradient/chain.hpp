// SPDX-License-Identifier: BSL-1.0
#pragma once

// Transforms one after another, with one state, over a list of tensors.
//
//   const auto update = temper::chain(ClipNorm{.max_norm = 1}, PerpendicularGradient{},
//                                     AdamW{.learning_rate = 1e-3}, Ema{.decay = 0.99});
//   auto state = update.init(parameters);
//   update.step(state, parameters, gradients);
//
// Each transform sees what the one before it left: the gradients are changed in the caller's memory, and
// the parameters move there. The result is that of the same calls by hand, to the bit; but what need not
// wait for a norm is one pass over memory: clipping, decay, AdamW, element-wise proximal steps and averages
// are, behind the one that measures. Give `step` tensors of the layout that `init` has seen.
//
// `step` is false where ClipNorm met gradients that are not finite: nothing behind it has moved then.
// update.get<AdamW>() is the transform and state.get<Ema>() its state, by type; std::get<2>(update.parts)
// by place. A learning rate that changes is a chain made anew, or get<AdamW>().learning_rate. States are
// saved as any other (checkpoint.hpp). A transform of your own is described in transform.hpp.
//
// With SharpnessAware in the chain a step is
//
//   gradient(w, g);  update.ascend(state, parameters, gradients);
//   gradient(w, g);  update.step(state, parameters, gradients);     // descends first
//
// and the ascent goes along the gradient that the transforms before SharpnessAware make of the first one
// (they change it in place; those that move or watch parameters wait for the step). A step without an
// ascent is a plain one.
//
// Checks of all transforms come before anything moves. Throws what they throw.

#include <temper/gradient/transform.hpp>

#include <tuple>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// The place of the one C that is Wanted.
template <class Wanted, class... C>
consteval std::size_t place_of()
{
    static_assert(
        (0 + ... + (std::is_same_v<Wanted, C> ? 1 : 0)) == 1,
        "temper: the chain has no transform of this type, or several: say which by place, "
        "std::get<i>(... .parts)");
    std::size_t place = 0;
    (void)((std::is_same_v<Wanted, C> || (++place, false)) || ...);
    return place;
}

/// `ascend` runs what makes the gradient along which the sharpness-aware transform goes.
enum class Verb { step, ascend };

/// Transforms I, I + 1, ... after the formulas that wait for the next reading of memory.
template <Verb verb, std::size_t I, class Parts, class States, class T, class... Begun>
bool run_chain(const Parts& parts, States& states, const StepTensors<T>& tensors,
               const Begun&... waiting)
{
    if constexpr (I == std::tuple_size_v<Parts>) {
        sweep(tensors, waiting...);
        return true;
    }
    else {
        using C = std::tuple_element_t<I, Parts>;
        const C& transform = std::get<I>(parts);
        auto& state = std::get<I>(states);
        if constexpr (verb == Verb::ascend && Ascends<C>) {
            sweep(tensors, waiting...);
            transform.lift(state, tensors);
            return true;
        }
        else if constexpr (Ascends<C> || (verb == Verb::ascend && !changes_gradients<C>()))
            return run_chain<verb, I + 1>(parts, states, tensors, waiting...);
        else if constexpr (!HasFormula<C>) {
            sweep(tensors, waiting...);
            if constexpr (changes_gradients<C>())
                transform.step(state, tensors.weights, tensors.writable);
            else
                transform.step(state, tensors.weights, tensors.gradients);
            return run_chain<verb, I + 1>(parts, states, tensors);
        }
        else if constexpr (C::measures) {
            sweep(tensors, waiting...);
            const auto begun = transform.begin(state, tensors);
            if constexpr (requires { begun.has_value(); })
                return begun && run_chain<verb, I + 1>(parts, states, tensors, *begun);
            else
                return run_chain<verb, I + 1>(parts, states, tensors, begun);
        }
        else
            return run_chain<verb, I + 1>(parts, states, tensors, waiting...,
                                          transform.begin(state, tensors));
    }
}

} // namespace detail

/// The states of a chain's transforms.
template <class T, class... C>
struct ChainState {
    std::tuple<StateOf<C, T>...> parts;

    /// By the type of its transform.
    template <class Wanted>
    [[nodiscard]] auto& get()
    {
        return std::get<detail::place_of<Wanted, C...>()>(parts);
    }
    template <class Wanted>
    [[nodiscard]] const auto& get() const
    {
        return std::get<detail::place_of<Wanted, C...>()>(parts);
    }
    template <class Archive>
    void fields(Archive& archive)
    {
        std::apply([&](auto&... part) { (archive(C::name, part), ...); }, parts);
    }
    friend bool operator==(const ChainState&, const ChainState&) = default;
};

template <Transform... C>
    requires(sizeof...(C) > 0)
struct Chain {
    static constexpr std::string_view name = "chain";
    static constexpr bool ascends = (detail::Ascends<C> || ...);
    static_assert((0 + ... + (detail::Ascends<C> ? 1 : 0)) <= 1,
                  "temper: a chain has at most one sharpness-aware transform");

    std::tuple<C...> parts;

    /// By type.
    template <class Wanted>
    [[nodiscard]] Wanted& get()
    {
        return std::get<detail::place_of<Wanted, C...>()>(parts);
    }
    template <class Wanted>
    [[nodiscard]] const Wanted& get() const
    {
        return std::get<detail::place_of<Wanted, C...>()>(parts);
    }

    template <class T>
    using State = ChainState<T, C...>;
    template <class L>
    [[nodiscard]] auto init(const L& parameters) const
    {
        using T = ListScalarOf<const L>;
        return std::apply(
            [&](const C&... part) { return State<T>{{detail::state_of(part, parameters)...}}; },
            parts);
    }
    /// Changes gradients in place and moves parameters; false where a transform stopped the step.
    template <class T, class W, class G>
    bool step(State<T>& state, W&& parameters, G&& gradients) const
    {
        return with_tensors(state, parameters, gradients, [&](const StepTensors<T>& tensors) {
            each(state, [&](const auto& part, auto& own) {
                if constexpr (detail::Ascends<std::remove_cvref_t<decltype(part)>>)
                    part.lower(own, tensors);
            });
            return detail::run_chain<detail::Verb::step, 0>(parts, state.parts, tensors);
        });
    }
    /// Moves parameters up the gradient, for the second gradient of the step; false likewise.
    template <class T, class W, class G>
        requires ascends
    bool ascend(State<T>& state, W&& parameters, G&& gradients) const
    {
        return with_tensors(state, parameters, gradients, [&](const StepTensors<T>& tensors) {
            each(state, [&](const auto& part, auto& own) {
                if constexpr (detail::Ascends<std::remove_cvref_t<decltype(part)>>)
                    part.check_ascent(own, tensors);
            });
            return detail::run_chain<detail::Verb::ascend, 0>(parts, state.parts, tensors);
        });
    }

    friend bool operator==(const Chain&, const Chain&) = default;

  private:
    template <class State, class F>
    void each(State& state, const F& f) const
    {
        [&]<std::size_t... i>(std::index_sequence<i...>) {
            (f(std::get<i>(parts), std::get<i>(state.parts)), ...);
        }(std::index_sequence_for<C...>{});
    }
    template <class T, class W, class G, class F>
    bool with_tensors(State<T>& state, W& parameters, G& gradients, const F& run) const
    {
        Border<T> border(name);
        const auto tensors =
            step_tensors<(detail::changes_gradients<C>() || ...), T>(border, parameters, gradients);
        each(state, [&](const auto& part, const auto& own) {
            if constexpr (requires { part.check(own, tensors); })
                part.check(own, tensors);
        });
        return run(tensors);
    }
};

/// Transforms one after another.
template <class... C>
[[nodiscard]] auto chain(const C&... transforms)
{
    if constexpr ((Transform<C> && ...) && sizeof...(C) > 0)
        return Chain<C...>{{transforms...}};
    else
        static_assert(
            (Transform<C> && ...) && sizeof...(C) > 0,
            "temper: a chain is made of transforms: ClipNorm{}, AdamW{}, Ema{}, ..., or types "
            "of your own with a name and step(state, parameters, gradients)");
}

} // namespace temper::inline TEMPER_ABI
