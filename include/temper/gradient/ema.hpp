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
// The average is a state in the caller's own tensors: start it as a copy of the weights. decay is the
// weight of the old value: 1 leaves the average as it is to the bit, 0 copies. `observe` after the
// optimiser's step. Takes tensors(w1, b1, ...) or one tensor. Batch-norm statistics are weights or not,
// as you pass them. Throws ShapeError; RangeError for decay outside [0, 1] or t < 1.
// Tarvainen and Valpola, Mean teachers are better role models (2017).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct Ema {
    static constexpr std::string_view name = "Ema";
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
    void observe(A&& average, const W& weights, Index t = 1) const;

    friend bool operator==(const Ema&, const Ema&) = default;
};

namespace kernel {
template <class T>
struct Ema {
    static void observe(double decay, const AnyView<T>& average, const AnyView<const T>& weights);
};
} // namespace kernel

template <class A, class W>
void Ema::observe(A&& average, const W& weights, Index t) const
{
    using T = ListScalarOf<const W>;
    const double d = decay_at(t);
    Border<T> border(name);
    const auto w = border.list("weights", as_list(weights));
    const auto list = as_list(average);
    const auto a = border.gradient("average", w, into(list));
    for (std::size_t i = 0; i < w.size(); ++i)
        kernel::Ema<T>::observe(d, a[i].view, w[i]);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Ema<T>::observe(double decay, const AnyView<T>& average,
                             const AnyView<const T>& weights)
{
    if (decay == 1)
        return;
    const AnyView<const T> old = average;
    simd::map(simd::in(old, weights), simd::out(AnyDestination<T>{average, 1, Mode::overwrite}),
              [decay](auto a, auto w, auto& next) {
                  using V = decltype(a);
                  next = fma(V(decay), a, V(1 - decay) * w);
              });
}

TEMPER_INSTANTIATE(kernel::Ema);

} // namespace temper::inline TEMPER_ABI
#endif
