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
        require(weight_decay >= 0, name, "weight_decay", weight_decay, "non-negative");
        kernel::adam_step(name, Adam{learning_rate, beta1, beta2, epsilon, 0},
                          1 - learning_rate * weight_decay, state, parameters, gradients);
    }
    friend bool operator==(const AdamW&, const AdamW&) = default;
};

} // namespace temper::inline TEMPER_ABI
