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

#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

struct Sgd {
    static constexpr std::string_view name = "Sgd";
    static constexpr bool measures = false;
    static constexpr bool changes_gradients = false;
    double learning_rate = 0.1;
    double momentum = 0.9;
    double dampening = 0;
    double weight_decay = 0;
    bool nesterov = false;

    /// The momentum buffers of all entries.
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
    void step(State<T>& state, W&& parameters, const G& gradients) const
    {
        step_alone<T>(*this, state, parameters, gradients);
    }

    // In a chain.
    template <class T>
    void check(const State<T>& state, const StepTensors<T>& tensors) const
    {
        require(learning_rate >= 0, name, "learning_rate", learning_rate, "non-negative");
        require(momentum >= 0, name, "momentum", momentum, "non-negative");
        require(weight_decay >= 0, name, "weight_decay", weight_decay, "non-negative");
        require(!nesterov || (momentum > 0 && dampening == 0), name, "dampening", dampening,
                "0, with momentum above 0, for nesterov");
        require_entries(name, "state.buffer.size()", state.buffer, tensors.size);
    }
    template <class T>
    auto begin(State<T>& state, const StepTensors<T>&) const;

    friend bool operator==(const Sgd&, const Sgd&) = default;
};

namespace kernel {
template <class T>
struct Sgd {
    static constexpr bool moves_weights = true;
    static constexpr bool changes_gradients = false;
    temper::Sgd sgd;
    bool first;
    std::array<T*, 1> arrays; ///< the momentum buffer, nothing without momentum

    template <class V>
    void operator()(V& w, const V& g, V* buffer) const
    {
        const V grad = fma(V(sgd.weight_decay), w, g);
        if (sgd.momentum == 0) {
            w = w - V(sgd.learning_rate) * grad;
            return;
        }
        const V& b = buffer[0] =
            first ? grad : fma(V(sgd.momentum), buffer[0], V(1 - sgd.dampening) * grad);
        w = w - V(sgd.learning_rate) * (sgd.nesterov ? fma(V(sgd.momentum), b, grad) : b);
    }
    void run(const StepEntries<T>& e) const;
};
} // namespace kernel

template <class T>
auto Sgd::begin(State<T>& state, const StepTensors<T>&) const
{
    const bool first = !std::exchange(state.started, true);
    return [sgd = *this, first, buffer = state.buffer.data()](const StepEntries<T>& e) {
        return kernel::Sgd<T>{sgd, first, {sgd.momentum == 0 ? nullptr : buffer + e.at}};
    };
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Sgd<T>::run(const StepEntries<T>& e) const
{
    run_formulas(e, *this);
}

TEMPER_INSTANTIATE(kernel::Sgd);

} // namespace temper::inline TEMPER_ABI
#endif
