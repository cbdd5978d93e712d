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

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

/// First and second moments, in the order of the parameters.
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
    void step(State<T>& state, W&& parameters, const G& gradients) const;

    friend bool operator==(const Adam&, const Adam&) = default;
};

namespace kernel {
template <class T>
struct Adam {
    /// t is the number of this step, 1 for the first. `shrink` multiplies the weights before the step.
    static void step(const temper::Adam& adam, double shrink, Index t, const AnyView<T>& w,
                     const AnyView<const T>& g, T* first, T* second);
};

/// What Adam and AdamW share: the checks, and the walk along the list.
template <class T, class W, class G>
void adam_step(std::string_view name, const temper::Adam& adam, double shrink, AdamState<T>& state,
               W&& parameters, const G& gradients)
{
    Border<T> border(name);
    const auto decays = [](double beta) { return beta >= 0 && beta < 1; };
    border.require(adam.learning_rate >= 0, "learning_rate", adam.learning_rate, "non-negative");
    border.require(decays(adam.beta1), "beta1", adam.beta1, "in [0, 1)");
    border.require(decays(adam.beta2), "beta2", adam.beta2, "in [0, 1)");
    border.require(adam.epsilon >= 0, "epsilon", adam.epsilon, "non-negative");
    border.require(adam.weight_decay >= 0, "weight_decay", adam.weight_decay, "non-negative");
    const auto g = border.list("gradients", as_list(gradients));
    const auto list = as_list(parameters);
    const auto w = border.gradient("gradients", g, into(list));
    const Index n = total_size(g);
    border.require(static_cast<Index>(state.first.size()) == n, "state.first.size()",
                   static_cast<double>(state.first.size()), "the number of parameters");
    border.require(static_cast<Index>(state.second.size()) == n, "state.second.size()",
                   static_cast<double>(state.second.size()), "the number of parameters");
    T* first = state.first.data();
    T* second = state.second.data();
    for (std::size_t i = 0; i < g.size(); ++i) {
        Adam<T>::step(adam, shrink, state.steps + 1, w[i].view, g[i], first, second);
        first += g[i].size();
        second += g[i].size();
    }
    ++state.steps;
}
} // namespace kernel

template <class T, class W, class G>
void Adam::step(State<T>& state, W&& parameters, const G& gradients) const
{
    kernel::adam_step(name, *this, 1.0, state, parameters, gradients);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Adam<T>::step(const temper::Adam& adam, double shrink, Index t, const AnyView<T>& w,
                           const AnyView<const T>& g, T* first, T* second)
{
    const AnyView<const T> from = w;
    const AnyDestination<T> to{w, 1, Mode::overwrite};
    const auto m = simd::dense_like(first, from);
    const auto v = simd::dense_like(second, from);
    const auto steps = static_cast<double>(t);
    const double rate = adam.learning_rate / (1 - std::pow(adam.beta1, steps));
    const double root = 1 / std::sqrt(1 - std::pow(adam.beta2, steps));
    const double decay = adam.weight_decay;
    simd::map(simd::in(from, g, AnyView<const T>(m.view), AnyView<const T>(v.view)),
              simd::out(to, m, v),
              [=, b1 = adam.beta1, b2 = adam.beta2, epsilon = adam.epsilon](
                  auto x, auto dx, auto m0, auto v0, auto& y, auto& m1, auto& v1) {
                  using V = decltype(x);
                  const V grad = fma(V(decay), x, dx);
                  m1 = fma(V(b1), m0, V(1 - b1) * grad);
                  v1 = fma(V(b2), v0, V(1 - b2) * grad * grad);
                  const V scale = fma(sqrt(v1), V(root), V(epsilon));
                  const V move = V(rate) * m1 / scale;
                  // 0 / 0 where epsilon is 0 and the gradient has always been 0
                  y = V(shrink) * x - select(scale == V(0), V(0), move);
              });
}

TEMPER_INSTANTIATE(kernel::Adam);

} // namespace temper::inline TEMPER_ABI
#endif
