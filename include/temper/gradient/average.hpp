// SPDX-License-Identifier: BSL-1.0
#pragma once

// What averages of weights share: the state, and how a state, the caller's own tensors and a chain move it.

#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

/// An average of all entries.
template <class T>
struct AverageState {
    std::vector<T> average;
    Index updates = 0;
    template <class Archive>
    void fields(Archive& archive)
    {
        archive("average", average)("updates", updates);
    }
    friend bool operator==(const AverageState&, const AverageState&) = default;
};

namespace kernel {
template <class T>
struct Average {
    static constexpr bool moves_weights = false;
    static constexpr bool changes_gradients = false;
    double decay;
    std::array<T*, 1> arrays; ///< nothing where the average stays

    template <class V>
    void operator()(const V& w, const V&, V* average) const
    {
        const V next = fma(V(decay), *average, V(1 - decay) * w);
        *average = select(V(decay) == V(0), w, next); // a copy, whatever stood there
    }
    void run(const StepEntries<T>& e) const;
    static void observe(double decay, const AnyView<T>& average, const AnyView<const T>& weights);
    static void copy(const AnyView<const T>& from, const AnyDestination<T>& to);
};

/// What averages share: with a state, in the caller's tensors, and as a formula of a chain.
template <class L>
[[nodiscard]] auto average_of(std::string_view name, const L& weights)
{
    using T = ListScalarOf<const L>;
    Border<T> border(name);
    const auto w = border.list("weights", as_list(weights));
    AverageState<T> state{std::vector<T>(static_cast<std::size_t>(total_size(w))), 0};
    T* to = state.average.data();
    for (const auto& tensor : w) {
        Average<T>::copy(tensor, {stored_like(to, tensor), 1, Mode::overwrite});
        to += tensor.size();
    }
    return state;
}
template <class A, class W>
void observe_average(std::string_view name, double decay, A&& average, const W& weights)
{
    using T = ListScalarOf<const W>;
    Border<T> border(name);
    const auto w = border.list("weights", as_list(weights));
    const auto list = as_list(average);
    const auto a = border.gradient("average", w, into(list));
    for (std::size_t i = 0; i < w.size(); ++i)
        Average<T>::observe(decay, a[i].view, w[i]);
}
template <class T, class D>
void read_average(std::string_view name, const AverageState<T>& state, const D& out)
{
    Border<T> border(name);
    const auto list = [&] {
        if constexpr (requires { out.views; })
            return out.views;
        else
            return std::array{out.view};
    }();
    require_entries(name, "state.average.size()", state.average, total_size(list));
    const auto n = static_cast<Index>(list.size());
    auto* const from = border.scratch().template take<AnyView<const T>>(n);
    const T* at = state.average.data();
    for (std::size_t i = 0; i < list.size(); ++i) {
        from[i] = stored_like(at, list[i]);
        at += list[i].size();
    }
    const auto to = border.gradient("average", std::span(from, list.size()), out);
    for (std::size_t i = 0; i < to.size(); ++i)
        Average<T>::copy(from[i], to[i]);
    border.finish();
}
template <class T>
[[nodiscard]] auto average_formula(double decay, AverageState<T>& state)
{
    return [decay, average = state.average.data()](const StepEntries<T>& e) {
        return Average<T>{decay, {decay == 1 ? nullptr : average + e.at}};
    };
}
} // namespace kernel

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Average<T>::observe(double decay, const AnyView<T>& average,
                                 const AnyView<const T>& weights)
{
    if (decay != 1)
        simd::map(simd::in(AnyView<const T>(average), weights),
                  simd::out(AnyDestination<T>{average, 1, Mode::overwrite}),
                  [formula = Average{decay, {}}](auto a, auto w, auto& next) {
                      next = a;
                      formula(w, w, &next);
                  });
}
template <class T>
void kernel::Average<T>::copy(const AnyView<const T>& from, const AnyDestination<T>& to)
{
    simd::map(simd::in(from), simd::out(to), [](auto x, auto& y) { y = x; });
}

template <class T>
void kernel::Average<T>::run(const StepEntries<T>& e) const
{
    if (arrays[0] != nullptr)
        run_formulas(e, *this);
}

TEMPER_INSTANTIATE(kernel::Average);

} // namespace temper::inline TEMPER_ABI
#endif
