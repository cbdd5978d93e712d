// SPDX-License-Identifier: BSL-1.0
#pragma once

// A transform that sees some tensors of the list only, and of the others nothing: decay for weights and
// none for biases, a proximal step for one layer, clipping by the norm of a part.
//
//   const auto update = temper::chain(temper::only({0, 2}, AdamW{.weight_decay = 0.01}),
//                                     temper::only({1, 3}, AdamW{.weight_decay = 0}));
//
// Numbers are places in the list of parameters, each at most once: in braces, or a std::vector where they
// are known at run time only. Throws RangeError for others, and what the transform throws.

#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {
/// A formula, or none.
template <class T, class F>
struct Conditional {
    static constexpr bool moves_weights = F::moves_weights;
    static constexpr bool changes_gradients = F::changes_gradients;
    std::optional<F> formula;
    decltype(F::arrays) arrays{};

    Conditional() = default;
    explicit Conditional(const F& f) : formula(f), arrays(f.arrays) {}
    template <class V>
    void operator()(V& w, V& g, V* remembered) const
    {
        if (formula)
            (*formula)(w, g, remembered);
    }
    void run(const StepEntries<T>& e) const
    {
        if (formula)
            formula->run(e);
    }
};
} // namespace kernel

template <Transform C, class Places = std::vector<Index>>
struct Only {
    static constexpr std::string_view name = C::name;
    static constexpr bool measures = requires { requires C::measures; };
    static constexpr bool changes_gradients = detail::changes_gradients<C>();
    Places places{};
    C transform{};

    template <class L>
    [[nodiscard]] auto init(const L& parameters) const
    {
        const auto list = as_list(parameters);
        check_places(list.size());
        std::vector<std::remove_cvref_t<decltype(list[0])>> mine;
        for (const Index place : places)
            mine.push_back(list[static_cast<std::size_t>(place)]);
        return detail::state_of(transform, mine);
    }

    // In a chain.
    template <class State, class T>
    void check(const State& state, const StepTensors<T>& tensors) const
    {
        check_places(tensors.all.size());
        if constexpr (requires { transform.check(state, tensors); })
            transform.check(state, chosen(tensors));
    }
    template <class State, class T>
        requires detail::HasFormula<C>
    auto begin(State& state, const StepTensors<T>& tensors) const
    {
        const StepTensors<T> mine = chosen(tensors);
        const auto n = static_cast<Index>(tensors.all.size());
        auto* const whole = tensors.scratch->template take<const StepEntries<T>*>(n);
        std::fill_n(whole, n, nullptr);
        for (std::size_t i = 0; i < places.size(); ++i)
            whole[places[i]] = &mine.all[i];
        const auto where_seen = [whole, all = tensors.all.data()](const auto& begun) {
            return [=](StepEntries<T> e) {
                using Formula = std::remove_cvref_t<decltype(begun(e))>;
                const StepEntries<T>* const own = whole[e.tensor];
                if (own == nullptr)
                    return kernel::Conditional<T, Formula>{};
                e.at += own->at - all[e.tensor].at;
                e.tensor = own->tensor;
                return kernel::Conditional<T, Formula>(begun(e));
            };
        };
        const auto begun = transform.begin(state, mine);
        if constexpr (requires { begun.has_value(); })
            return begun ? std::optional(where_seen(*begun)) : std::nullopt;
        else
            return where_seen(begun);
    }
    template <class State, class W, class G>
        requires(!detail::HasFormula<C> && !detail::Ascends<C>)
    void step(State& state, const W& parameters, const G& gradients) const
    {
        Workspace::Frame frame;
        transform.step(state, chosen(frame, parameters), chosen(frame, gradients));
    }
    template <class State, class T>
        requires detail::Ascends<C>
    void lift(State& state, const StepTensors<T>& tensors) const
    {
        transform.lift(state, chosen(tensors));
    }
    template <class State, class T>
        requires detail::Ascends<C>
    void lower(State& state, const StepTensors<T>& tensors) const
    {
        transform.lower(state, chosen(tensors));
    }
    template <class State, class T>
        requires detail::Ascends<C>
    void check_ascent(const State& state, const StepTensors<T>& tensors) const
    {
        transform.check_ascent(state, chosen(tensors));
    }

    friend bool operator==(const Only&, const Only&) = default;

  private:
    void check_places(std::size_t n) const
    {
        for (auto place = places.begin(); place != places.end(); ++place) {
            if (*place < 0 || *place >= static_cast<Index>(n))
                fail(name, "only(places)", "has " + text(*place),
                     "from 0 to " + text(static_cast<Index>(n) - 1));
            if (std::find(places.begin(), place, *place) != place)
                fail(name, "only(places)", "has " + text(*place) + " twice",
                     "of different tensors");
        }
    }
    template <class V>
    [[nodiscard]] std::span<const V> chosen(Workspace::Frame& frame, std::span<const V> list) const
    {
        auto* const out = frame.take<V>(static_cast<Index>(places.size()));
        for (std::size_t i = 0; i < places.size(); ++i)
            out[i] = list[static_cast<std::size_t>(places[i])];
        return {out, places.size()};
    }
    template <class T>
    [[nodiscard]] StepTensors<T> chosen(const StepTensors<T>& tensors) const
    {
        StepTensors<T> out;
        out.scratch = tensors.scratch;
        out.weights = chosen(*out.scratch, tensors.weights);
        out.gradients = chosen(*out.scratch, tensors.gradients);
        if (!tensors.writable.empty())
            out.writable = chosen(*out.scratch, tensors.writable);
        auto* const all =
            out.scratch->template take<StepEntries<T>>(static_cast<Index>(places.size()));
        for (std::size_t i = 0; i < places.size(); ++i) {
            all[i] = tensors.all[static_cast<std::size_t>(places[i])];
            all[i].tensor = static_cast<Index>(i);
            all[i].at = out.size;
            out.size += all[i].weights.size();
        }
        out.all = {all, places.size()};
        return out;
    }
};

/// `transform` on the tensors at these places of the list.
template <std::size_t N, Transform C>
[[nodiscard]] Only<C, std::array<Index, N>> only(const Index (&places)[N], const C& transform)
{
    return {std::to_array(places), transform};
}
template <Transform C>
[[nodiscard]] Only<C> only(std::vector<Index> places, const C& transform)
{
    return {std::move(places), transform};
}

} // namespace temper::inline TEMPER_ABI
