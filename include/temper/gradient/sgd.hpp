// SPDX-License-Identifier: BSL-1.0
#pragma once

// Stochastic gradient descent with momentum, as PyTorch steps.
//
//   g = gradient + weight_decay w
//   b = g at the first step, then momentum b + (1 - dampening) g            (only if momentum != 0)
//   w = w - learning_rate (nesterov ? g + momentum b : b)
//
// The first buffer is g itself, not (1 - dampening) g; weight decay is coupled. `step` moves the caller's
// parameters and advances the state at once. Parameters are tensors(w1, b1, ...) or one tensor; all
// shapes are checked before anything moves. Throws ShapeError, RangeError.
// Sutskever et al., On the importance of initialization and momentum in deep learning (2013).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct Sgd {
    static constexpr std::string_view name = "Sgd";
    double learning_rate = 0.1;
    double momentum = 0.9;
    double dampening = 0;
    double weight_decay = 0;
    bool nesterov = false;

    /// The momentum buffers, in the order of the parameters.
    template <class T>
    struct State {
        std::vector<T> buffer;
        bool started = false;
        template <class Archive>
        void fields(Archive& archive)
        {
            archive("buffer", buffer)("started", started);
        }
        friend bool operator==(const State&, const State&) = default;
    };
    template <class L>
    [[nodiscard]] auto init(const L& parameters) const
    {
        using T = ListScalarOf<const L>;
        return State<T>{std::vector<T>(static_cast<std::size_t>(total_size(as_list(parameters)))),
                        false};
    }
    template <class T, class W, class G>
    void step(State<T>& state, W&& parameters, const G& gradients) const;

    friend bool operator==(const Sgd&, const Sgd&) = default;
};

namespace kernel {
template <class T>
struct Sgd {
    static void step(const temper::Sgd& sgd, bool first, const AnyView<T>& w,
                     const AnyView<const T>& g, T* buffer);
};
} // namespace kernel

template <class T, class W, class G>
void Sgd::step(State<T>& state, W&& parameters, const G& gradients) const
{
    Border<T> border(name);
    border.require(learning_rate >= 0, "learning_rate", learning_rate, "non-negative");
    border.require(momentum >= 0, "momentum", momentum, "non-negative");
    border.require(weight_decay >= 0, "weight_decay", weight_decay, "non-negative");
    border.require(!nesterov || (momentum > 0 && dampening == 0), "dampening", dampening,
                   "0, with momentum above 0, for nesterov");
    const auto g = border.list("gradients", as_list(gradients));
    const auto list = as_list(parameters);
    const auto w = border.gradient("gradients", g, into(list));
    border.require(static_cast<Index>(state.buffer.size()) == total_size(g), "state.buffer.size()",
                   static_cast<double>(state.buffer.size()), "the number of parameters");
    T* buffer = state.buffer.data();
    for (std::size_t i = 0; i < g.size(); ++i) {
        kernel::Sgd<T>::step(*this, !state.started, w[i].view, g[i], buffer);
        buffer += g[i].size();
    }
    state.started = true;
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Sgd<T>::step(const temper::Sgd& sgd, bool first, const AnyView<T>& w,
                          const AnyView<const T>& g, T* buffer)
{
    const AnyDestination<T> to{w, 1, Mode::overwrite};
    const AnyView<const T> from = w;
    const double lr = sgd.learning_rate;
    const double decay = sgd.weight_decay;
    if (sgd.momentum == 0) {
        simd::map(simd::in(from, g), simd::out(to), [=](auto x, auto dx, auto& y) {
            using V = decltype(x);
            y = x - V(lr) * fma(V(decay), x, dx);
        });
        return;
    }
    const auto b = simd::dense_like(buffer, from);
    const double keep = first ? 0 : sgd.momentum;
    const double take = first ? 1 : 1 - sgd.dampening;
    const double ahead = sgd.nesterov ? sgd.momentum : 1;
    const double direct = sgd.nesterov ? 1 : 0;
    simd::map(simd::in(from, g, AnyView<const T>(b.view)), simd::out(to, b),
              [=](auto x, auto dx, auto old, auto& y, auto& next) {
                  using V = decltype(x);
                  const V grad = fma(V(decay), x, dx);
                  next = fma(V(keep), old, V(take) * grad);
                  y = x - V(lr) * fma(V(ahead), next, V(direct) * grad);
              });
}

TEMPER_INSTANTIATE(kernel::Sgd);

} // namespace temper::inline TEMPER_ABI
#endif
