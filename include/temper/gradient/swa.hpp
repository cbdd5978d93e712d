// SPDX-License-Identifier: BSL-1.0
#pragma once

// Stochastic weight averaging: the plain mean of the weights at several points of a run, under a constant
// or cyclical learning rate; flatter than any of them.
//
//   average = average + (weights - average) / t                     t = 1, 2, ... counts the averaged
//
// The first update copies. With the caller's own tensors, `observe` whenever weights are to be averaged;
// in a chain, `start` steps pass first (three quarters of a run, say) and then every `every`-th is
// averaged, the end of each cycle, say. Before that the average is what the run began with. Recompute
// batch-norm statistics for averaged weights. Takes tensors(w1, b1, ...) or one tensor. Throws
// ShapeError; RangeError for t < 1, start < 0 or every < 1.
// Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization (2018).

#include <temper/gradient/average.hpp>

namespace temper::inline TEMPER_ABI {

struct Swa {
    static constexpr std::string_view name = "Swa";
    static constexpr bool measures = false;
    static constexpr bool changes_gradients = false;
    Index start = 0;
    Index every = 1;

    /// (average, weights, t)
    template <class A, class W>
    void observe(A&& average, const W& weights, Index t) const
    {
        require(t >= 1, name, "t", static_cast<double>(t), "at least 1");
        kernel::observe_average(name, kept(t), average, weights);
    }
    /// (state, into(tensors(a1, a2, ...)))
    template <class T, class D>
    void average(const AverageState<T>& state, const D& out) const
    {
        kernel::read_average(name, state, out);
    }

    // In a chain, where a state's `updates` counts steps.
    template <class T>
    using State = AverageState<T>;
    template <class L>
    [[nodiscard]] auto init(const L& weights) const
    {
        return kernel::average_of(name, weights);
    }
    template <class T>
    void check(const State<T>& state, const StepTensors<T>& tensors) const
    {
        require(start >= 0, name, "start", static_cast<double>(start), "non-negative");
        require(every >= 1, name, "every", static_cast<double>(every), "at least 1");
        require_entries(name, "state.average.size()", state.average, tensors.size);
    }
    template <class T>
    auto begin(State<T>& state, const StepTensors<T>&) const
    {
        const Index since = ++state.updates - start; // 1 is the first step that counts
        const bool counts = since >= 1 && since % every == 0;
        return kernel::average_formula(counts ? kept(since / every) : 1.0, state);
    }

    friend bool operator==(const Swa&, const Swa&) = default;

  private:
    static double kept(Index t) { return 1 - 1 / static_cast<double>(t); }
};

} // namespace temper::inline TEMPER_ABI
