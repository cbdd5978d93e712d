// SPDX-License-Identifier: BSL-1.0
#pragma once

// Adam, with weight decay coupled into the gradient. AdamW (adamw.hpp) decays the weights instead.
//
//   g = gradient + weight_decay w
//   m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2                    t = 1, 2, ...
//   w = w - learning_rate (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + epsilon)
//
// epsilon is added after the bias-corrected root. An entry whose gradient was always 0 stays. `step`
// moves the caller's parameters and advances the state at once, in one pass over memory. Parameters are
// tensors(w1, b1, ...) or one tensor; all shapes are checked before anything moves. A learning rate that
// changes is a component made anew: Adam{.learning_rate = schedule(t)}. Throws ShapeError, RangeError.
// Kingma and Ba, Adam: A Method for Stochastic Optimization (2015).

#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

/// First and second moments of all entries.
template <class T>
struct AdamState {
    std::vector<T> first;
    std::vector<T> second;
    Index steps = 0;
    template <class Archive>
    void fields(Archive& archive)
    {
        archive("first", first)("second", second)("steps", steps);
    }
    friend bool operator==(const AdamState&, const AdamState&) = default;
};

struct Adam {
    static constexpr std::string_view name = "Adam";
    static constexpr bool measures = false;
    static constexpr bool changes_gradients = false;
    double learning_rate = 1e-3;
    double beta1 = 0.9;
    double beta2 = 0.999;
    double epsilon = 1e-8;
    double weight_decay = 0;

    template <class T>
    using State = AdamState<T>;
    template <class L>
    [[nodiscard]] auto init(const L& parameters) const
    {
        using T = ListScalarOf<const L>;
        const auto n = static_cast<std::size_t>(total_size(as_list(parameters)));
        return State<T>{std::vector<T>(n), std::vector<T>(n), 0};
    }
    template <class T, class W, class G>
    void step(State<T>& state, W&& parameters, const G& gradients) const
    {
        step_alone<T>(*this, state, parameters, gradients);
    }

    // In a chain.
    template <class T>
    void check(const State<T>& state, const StepTensors<T>& tensors,
               std::string_view called = name) const
    {
        const auto decays = [](double beta) { return beta >= 0 && beta < 1; };
        require(learning_rate >= 0, called, "learning_rate", learning_rate, "non-negative");
        require(decays(beta1), called, "beta1", beta1, "in [0, 1)");
        require(decays(beta2), called, "beta2", beta2, "in [0, 1)");
        require(epsilon >= 0, called, "epsilon", epsilon, "non-negative");
        require(weight_decay >= 0, called, "weight_decay", weight_decay, "non-negative");
        require_entries(called, "state.first.size()", state.first, tensors.size);
        require_entries(called, "state.second.size()", state.second, tensors.size);
    }
    template <class T>
    auto begin(State<T>& state, const StepTensors<T>&) const
    {
        return move(state, 1);
    }
    /// `shrink` multiplies the weights before they move (AdamW).
    template <class T>
    auto move(State<T>& state, double shrink) const;

    friend bool operator==(const Adam&, const Adam&) = default;
};

namespace kernel {
template <class T>
struct Adam {
    static constexpr bool moves_weights = true;
    static constexpr bool changes_gradients = false;
    double shrink;
    double decay;
    double beta1;
    double beta2;
    double rate; ///< learning_rate / (1 - beta1^t)
    double root; ///< 1 / sqrt(1 - beta2^t)
    double epsilon;
    std::array<T*, 2> arrays; ///< first and second moments

    template <class V>
    void operator()(V& w, const V& g, V* moments) const
    {
        const V grad = fma(V(decay), w, g);
        moments[0] = fma(V(beta1), moments[0], V(1 - beta1) * grad);
        moments[1] = fma(V(beta2), moments[1], V(1 - beta2) * grad * grad);
        const V scale = fma(sqrt(moments[1]), V(root), V(epsilon));
        const V move = V(rate) * moments[0] / scale;
        // 0 / 0 where epsilon is 0 and the gradient has always been 0
        w = V(shrink) * w - select(scale == V(0), V(0), move);
    }
    void run(const StepEntries<T>& e) const;
};
} // namespace kernel

template <class T>
auto Adam::move(State<T>& state, double shrink) const
{
    const auto t = static_cast<double>(++state.steps);
    const double rate = learning_rate / (1 - std::pow(beta1, t));
    const double root = 1 / std::sqrt(1 - std::pow(beta2, t));
    return [=, adam = *this, first = state.first.data(),
            second = state.second.data()](const StepEntries<T>& e) {
        return kernel::Adam<T>{shrink,       adam.weight_decay,
                               adam.beta1,   adam.beta2,
                               rate,         root,
                               adam.epsilon, {first + e.at, second + e.at}};
    };
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Adam<T>::run(const StepEntries<T>& e) const
{
    run_formulas(e, *this);
}

TEMPER_INSTANTIATE(kernel::Adam);

} // namespace temper::inline TEMPER_ABI
#endif
