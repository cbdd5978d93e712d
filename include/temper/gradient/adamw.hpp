// SPDX-License-Identifier: BSL-1.0
#pragma once

// Adam with decoupled weight decay.
//
//   w = (1 - learning_rate weight_decay) w, then Adam's step (adam.hpp) on the plain gradient
//
// Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019).

#include <temper/gradient/adam.hpp>

namespace temper::inline TEMPER_ABI {

struct AdamW {
    static constexpr std::string_view name = "AdamW";
    static constexpr bool measures = false;
    static constexpr bool changes_gradients = false;
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0.01;

    template <class T>
    using State = AdamState<T>;
    template <class L>
    [[nodiscard]] auto init(const L& parameters) const
    {
        return Adam{}.init(parameters);
    }
    template <class T, class W, class G>
    void step(State<T>& state, W&& parameters, const G& gradients) const
    {
        step_alone<T>(*this, state, parameters, gradients);
    }

    // In a chain.
    template <class T>
    void check(const State<T>& state, const StepTensors<T>& tensors) const
    {
        require(weight_decay >= 0, name, "weight_decay", weight_decay, "non-negative");
        adam().check(state, tensors, name);
    }
    template <class T>
    auto begin(State<T>& state, const StepTensors<T>&) const
    {
        return adam().move(state, 1 - learning_rate * weight_decay);
    }

    friend bool operator==(const AdamW&, const AdamW&) = default;

  private:
    [[nodiscard]] Adam adam() const { return {learning_rate, beta1, beta2, epsilon, 0}; }
};

} // namespace temper::inline TEMPER_ABI
