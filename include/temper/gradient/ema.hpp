// SPDX-License-Identifier: BSL-1.0
#pragma once

// Exponential moving average of weights: mean teachers, momentum encoders, weights for evaluation.
//
//   average = d_t average + (1 - d_t) weights                       t = 1, 2, ... counts the updates
//
//   Ramp::none      d_t = decay
//   Ramp::tenth     d_t = min(decay, (1 + t) / (10 + t))            TensorFlow's, for slow decays
//   Ramp::inverse   d_t = min(decay, 1 - 1 / t)                     a plain mean at first; t = 1 copies
//
// The average is a state in the caller's own tensors (start it as a copy of the weights; `observe` after
// the optimiser's step), or in a state that init makes of the weights, for chains: `average` copies it
// out. decay is the weight of the old value: 1 leaves the average as it is to the bit, 0 copies. Takes
// tensors(w1, b1, ...) or one tensor. Batch-norm statistics are weights or not, as you pass them. Throws
// ShapeError; RangeError for decay outside [0, 1] or t < 1.
// Tarvainen and Valpola, Mean teachers are better role models (2017).

#include <temper/gradient/average.hpp>

namespace temper::inline TEMPER_ABI {

struct Ema {
    static constexpr std::string_view name = "Ema";
    static constexpr bool measures = false;
    static constexpr bool changes_gradients = false;
    enum class Ramp { none, tenth, inverse };
    double decay = 0.999;
    Ramp ramp = Ramp::none;

    /// d_t
    [[nodiscard]] double decay_at(Index t) const
    {
        require(decay >= 0 && decay <= 1, name, "decay", decay, "in [0, 1]");
        require(t >= 1, name, "t", static_cast<double>(t), "at least 1");
        const auto n = static_cast<double>(t);
        if (ramp == Ramp::tenth)
            return (std::min)(decay, (1 + n) / (10 + n));
        if (ramp == Ramp::inverse)
            return (std::min)(decay, 1 - 1 / n);
        return decay;
    }
    /// (average, weights, t): the average moves towards the weights.
    template <class A, class W>
    void observe(A&& average, const W& weights, Index t = 1) const
    {
        kernel::observe_average(name, decay_at(t), average, weights);
    }
    /// (state, into(tensors(a1, a2, ...)))
    template <class T, class D>
    void average(const AverageState<T>& state, const D& out) const
    {
        kernel::read_average(name, state, out);
    }

    // In a chain.
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
        (void)decay_at(state.updates + 1);
        require_entries(name, "state.average.size()", state.average, tensors.size);
    }
    template <class T>
    auto begin(State<T>& state, const StepTensors<T>&) const
    {
        return kernel::average_formula(decay_at(++state.updates), state);
    }

    friend bool operator==(const Ema&, const Ema&) = default;
};

} // namespace temper::inline TEMPER_ABI
