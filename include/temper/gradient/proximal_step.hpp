// SPDX-License-Identifier: BSL-1.0
#pragma once

// A regularizer's proximal step as a transform: behind an optimiser it leaves exact zeros.
//
//   w = argmin_v |v - w|^2 / 2 + learning_rate f(v)                 for each tensor on its own
//
//   const auto update = temper::chain(AdamW{.learning_rate = lr},
//                                     ProximalStep{.regularizer = 1e-3 * L1{}, .learning_rate = lr});
//
// The step is the optimiser's learning rate (under Adam as well, see the regularizer's header). f acts on
// every tensor of the list; only(...) says on which. Throws what the regularizer's prox throws: a rate or a
// weight below 0 before anything moves, a shape that f does not take (a bias for a penalty of matrices,
// say) when its turn comes.
// Parikh and Boyd, Proximal Algorithms (2014).

#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {
/// Regularizers whose prox treats every entry on its own.
template <class R>
concept Elementwise = requires(const R& regularizer, float x) { regularizer.prox_entry(x, 1.0); };
} // namespace detail

namespace kernel {
template <class T, class R>
struct ProximalStep {
    static constexpr bool moves_weights = true;
    static constexpr bool changes_gradients = false;
    R regularizer;
    double learning_rate;
    std::array<T*, 0> arrays{};

    template <class V>
    void operator()(V& w, const V&, V*) const
    {
        w = regularizer.prox_entry(w, learning_rate);
    }
    /// For whoever sees compiled kernels only; the regularizer's are among them.
    void run(const StepEntries<T>& e) const
    {
        regularizer.prox(e.weights, learning_rate, into(e.weights));
    }
};
} // namespace kernel

template <Component R>
struct ProximalStep {
    static constexpr std::string_view name = "ProximalStep";
    static constexpr bool measures = false;
    static constexpr bool changes_gradients = false;
    R regularizer{};
    double learning_rate = 1e-3;

    /// (parameters)
    template <class W>
    void apply(W&& parameters) const
    {
        for (const auto& tensor : as_list(parameters))
            regularizer.prox(tensor, learning_rate, into(tensor));
    }

    // In a chain.
    template <class T>
    void check(const NoState&, const StepTensors<T>&) const
    {
        T none = 0;
        const auto empty = view(&none, {Index{0}, Index{0}});
        regularizer.prox(empty, learning_rate, into(empty));
    }
    template <class T>
        requires detail::Elementwise<R>
    auto begin(NoState&, const StepTensors<T>&) const
    {
        return [formula = kernel::ProximalStep<T, R>{regularizer, learning_rate}](
                   const StepEntries<T>&) { return formula; };
    }
    template <class W, class G>
        requires(!detail::Elementwise<R>)
    void step(NoState&, const W& parameters, const G&) const
    {
        apply(parameters);
    }

    friend bool operator==(const ProximalStep&, const ProximalStep&) = default;
};

} // namespace temper::inline TEMPER_ABI
