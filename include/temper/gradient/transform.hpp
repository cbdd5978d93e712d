// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a step over a model's parameters is made of. A transform changes gradients (clipping), moves
// parameters (AdamW) or watches them (averages); chain.hpp puts transforms one after another. For a chain,
// a transform is
//
//   struct Mine {
//       static constexpr std::string_view name = "Mine";
//       template <class L> auto init(const L& parameters) const;       // its state; left out if it has none
//       template <class S, class W, class G>
//       void step(S& state, const W& parameters, const G& gradients) const;        // spans of AnyView<T>
//   };
//
// The library's own say what they do to one entry, so that a chain reads and writes memory once for all of
// them:
//
//   check(state, tensors)   throws; called for all transforms before anything moves
//   begin(state, tensors)   advances the state, and returns what gives the formula for some entries; or an
//                           empty optional where the step must not go on
//   begin(...)(entries)     the formula
//
// A formula has `arrays`, what is remembered of its entries; `moves_weights` and `changes_gradients`; a
// call f(w, g, remembered) on packs that changes what stands there; and run(entries), itself alone. A
// transform `measures` whose begin reads the tensors: what stands before it must have been done to all of
// them. What is remembered of all entries is a flat array, the tensors one after another, each in the order
// in which its parameters are stored.

#include <temper/core/component.hpp>
#include <temper/core/parallel.hpp>
#include <temper/core/tensor_list.hpp>

#include <optional>

namespace temper::inline TEMPER_ABI {

/// Of transforms that remember nothing.
struct NoState {
    template <class Archive>
    void fields(Archive&)
    {
    }
    friend bool operator==(const NoState&, const NoState&) = default;
};

/// Some entries of one tensor; a vector where they stand one after another.
template <class T>
struct StepEntries {
    AnyView<T> weights;
    AnyView<const T> gradients;
    AnyDestination<T> changed; ///< onto the gradients
    Index tensor = 0;          ///< its place in the list
    Index at = 0;              ///< the place of the first entry among those of all tensors

    [[nodiscard]] bool is_flat() const
    {
        const auto dense = [](const auto& v) { return v.rank == 1 && v.strides[0] == 1; };
        return dense(weights) && dense(gradients);
    }
};

/// All that a step works on, checked. The lists have the caller's shapes.
template <class T>
struct StepTensors {
    std::span<const StepEntries<T>> all;
    std::span<const AnyView<T>> weights;
    std::span<const AnyView<const T>> gradients;
    std::span<const AnyView<T>> writable; ///< the gradients, where they are written
    Index size = 0;
    Workspace::Frame* scratch = nullptr;
};

// ---- what a transform is -------------------------------------------------------------------------

namespace detail {
template <class C, class L>
auto state_of(const C& transform, const L& parameters)
{
    if constexpr (requires { transform.init(parameters); })
        return transform.init(parameters);
    else
        return NoState{};
}
} // namespace detail

/// The state of a transform.
template <class C, class T>
using StateOf = decltype(detail::state_of(std::declval<const C&>(), std::span<const AnyView<T>>()));

namespace detail {
template <class C>
concept HasFormula =
    requires(const C& transform, StateOf<C, float>& state, const StepTensors<float>& tensors) {
        transform.begin(state, tensors);
    };
template <class C>
concept Ascends = requires(const C& transform, StateOf<C, float>& state,
                           const StepTensors<float>& tensors) { transform.lift(state, tensors); };
template <class C>
concept Steps =
    requires(const C& transform, StateOf<C, float>& state, std::span<const AnyView<float>> list) {
        transform.step(state, list, list);
    };

/// Does it write gradients? A transform of the user's own that does not say so may.
template <class C>
consteval bool changes_gradients()
{
    if constexpr (requires { C::changes_gradients; })
        return C::changes_gradients;
    else
        return !Ascends<C>;
}
} // namespace detail

/// What a chain is made of.
template <class C>
concept Transform =
    Component<C> && (detail::HasFormula<C> || detail::Ascends<C> || detail::Steps<C>);

// ---- the tensors of a step -----------------------------------------------------------------------

namespace detail {
template <class T>
[[nodiscard]] StepTensors<T> joined_tensors(Border<T>& border,
                                            std::span<const AnyDestination<T>> weights,
                                            std::span<const AnyView<const T>> gradients,
                                            std::span<const AnyDestination<T>> changed)
{
    StepTensors<T> out;
    out.gradients = gradients;
    out.scratch = &border.scratch();
    const auto n = static_cast<Index>(weights.size());
    auto* const views = out.scratch->template take<AnyView<T>>(n);
    auto* const writable =
        out.scratch->template take<AnyView<T>>(static_cast<Index>(changed.size()));
    auto* const all = out.scratch->template take<StepEntries<T>>(n);
    for (Index i = 0; i < n; ++i) {
        const auto l = static_cast<std::size_t>(i);
        StepEntries<T>& e = all[i] = {weights[l].view, gradients[l], {}, i, out.size};
        views[i] = e.weights;
        out.size += e.weights.size();
        if (!changed.empty()) {
            e.changed = changed[l];
            writable[i] = changed[l].view;
        }
        if (stored_flat(e.weights) && stored_alike(e.weights, e.gradients)) {
            e.weights = flattened(e.weights);
            e.gradients = flattened(e.gradients);
            if (e.changed)
                e.changed.view = flattened(e.changed.view);
        }
    }
    out.weights = {views, weights.size()};
    out.writable = {writable, changed.size()};
    out.all = {all, weights.size()};
    return out;
}
template <class T, class W>
constexpr void require_scalar()
{
    static_assert(std::is_same_v<ListScalarOf<W>, T>,
                  "temper: parameters have the scalar type of the state");
}
} // namespace detail

/// Announces parameters, which are written, and gradients, which are written if `changes` says so.
template <bool changes, class T, class W, class G>
[[nodiscard]] StepTensors<T> step_tensors(Border<T>& border, W&& parameters, G&& gradients)
{
    detail::require_scalar<T, W>();
    const auto to = as_list(parameters);
    const auto from = as_list(gradients);
    const auto g = border.list("gradients", from);
    const auto w = border.gradient("parameters", g, into(to));
    std::span<const AnyDestination<T>> changed;
    if constexpr (changes) {
        static_assert(std::is_same_v<ListScalarOf<G>, T>,
                      "temper: gradients that are changed have the scalar type of the state");
        changed = border.gradient("gradients", g, into(from), InPlace::allowed);
    }
    return detail::joined_tensors(border, w, g, changed);
}
/// Parameters alone, which stand in for their gradients.
template <class T, class W>
[[nodiscard]] StepTensors<T> parameter_tensors(Border<T>& border, W&& parameters)
{
    detail::require_scalar<T, W>();
    const auto to = as_list(parameters);
    const auto read = border.list("parameters", to);
    const auto w = border.gradient("parameters", read, into(to), InPlace::allowed);
    return detail::joined_tensors(border, w, read, std::span<const AnyDestination<T>>{});
}

/// Throws unless a state's array has an entry for each of n parameters.
template <class T>
void require_entries(std::string_view component, std::string_view field,
                     const std::vector<T>& entries, Index n)
{
    require(static_cast<Index>(entries.size()) == n, component, field,
            static_cast<double>(entries.size()), "the number of parameters");
}

} // namespace temper::inline TEMPER_ABI

// ---- formulas ------------------------------------------------------------------------------------

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

/// Formulas one after another on each entry, in one reading and writing of memory.
template <class T, class... F>
void run_formulas(const StepEntries<T>& e, const F&... formula)
{
    // What is read, and for what changes, where it goes: weights, gradients, all that is remembered.
    constexpr std::size_t n = (2 + ... + std::tuple_size_v<decltype(F::arrays)>);
    constexpr auto written = [] {
        std::array<bool, n> which;
        which.fill(true);
        which[0] = (F::moves_weights || ...);
        which[1] = (F::changes_gradients || ...);
        return which;
    }();
    const auto all = [... f = formula](auto& x) {
        [[maybe_unused]] auto* remembered = x.data() + 2;
        ((f(x[0], x[1], remembered), remembered += std::tuple_size_v<decltype(F::arrays)>), ...);
    };
    std::array<T*, n> to{e.weights.data, e.changed.view.data};
    [[maybe_unused]] auto next = to.begin() + 2;
    ((next = std::copy(formula.arrays.begin(), formula.arrays.end(), next)), ...);

    const bool complete = std::find(to.begin() + 2, to.end(), nullptr) == to.end();
    if (e.is_flat() && complete) {
        std::array<const T*, n> from;
        std::copy(to.begin(), to.end(), from.begin());
        from[1] = e.gradients.data;
        simd::update<written>(e.weights.size(), from, to, all);
        return;
    }
    std::array<AnyView<const T>, n> in{e.weights, e.gradients};
    std::array<AnyDestination<T>, n> out;
    if constexpr (written[0])
        out[0] = {e.weights, 1, Mode::overwrite};
    if constexpr (written[1])
        out[1] = e.changed;
    for (std::size_t k = 2; k < n; ++k) {
        in[k] = in[0]; // whatever is readable, where there is nothing to remember
        if (to[k] != nullptr) {
            out[k] = {stored_like(to[k], e.weights), 1, Mode::overwrite};
            in[k] = out[k].view;
        }
    }
    simd::map(in, out, [all](auto&... number) {
        const auto numbers = std::tie(number...); // n packs, then n places for what becomes of them
        [&]<std::size_t... i>(std::index_sequence<i...>) {
            std::array<std::remove_cvref_t<decltype(std::get<n>(numbers))>, n> x{
                std::get<i>(numbers)...};
            all(x);
            ((std::get<n + i>(numbers) = x[i]), ...);
        }(std::make_index_sequence<n>{});
    });
}

} // namespace temper::inline TEMPER_ABI
#endif

namespace temper::inline TEMPER_ABI {

/// Does to all entries what the formulas say, block by block, in one pass. Where formulas are compiled one
/// by one, each goes over a block while it is in the cache.
template <class T, class... Begun>
void sweep(const StepTensors<T>& tensors, const Begun&... begun)
{
    constexpr Index block = TEMPER_COMPILED ? 4096 : 16384;
    const auto run = [&](const StepEntries<T>& e) {
#if TEMPER_COMPILED
        (begun(e).run(e), ...);
#else
        run_formulas(e, begun(e)...);
#endif
    };
    if constexpr (sizeof...(Begun) > 0)
        for (const StepEntries<T>& whole : tensors.all) {
            const Index n = whole.weights.size();
            if (n <= block || !whole.is_flat()) {
                run(whole);
                continue;
            }
            const Blocks blocks{n, block};
            parallel_for(blocks.count(), n, [&](Index b) {
                StepEntries<T> some = whole;
                const auto cut = [&](auto& v) {
                    v.data += blocks.begin(b);
                    v.extents[0] = blocks.end(b) - blocks.begin(b);
                };
                cut(some.weights);
                cut(some.gradients);
                if (some.changed)
                    cut(some.changed.view);
                some.at += blocks.begin(b);
                run(some);
            });
        }
}

/// A transform's step on its own.
template <class T, class C, class State, class W, class G>
void step_alone(const C& transform, State& state, W&& parameters, G&& gradients)
{
    Border<T> border(C::name);
    const auto tensors =
        step_tensors<detail::changes_gradients<C>(), T>(border, parameters, gradients);
    transform.check(state, tensors);
    sweep(tensors, transform.begin(state, tensors));
}

} // namespace temper::inline TEMPER_ABI
