// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sharpness-aware minimisation (SAM): a step from where the loss is worst nearby, towards flat minima.
//
//   e = rho g / (|g| + epsilon)                                     |.| over all tensors together
//   e = rho w^2 g / (| |w| g | + epsilon)                           adaptive (ASAM), entry by entry
//   the optimiser's step at w, with the gradient at w + e
//
// Two gradients a step, and only the caller can compute them:
//
//   gradient(w, g);  sam.ascend(state, tensors(w), tensors(g));    // w is w + e
//   gradient(w, g);  sam.descend(state, tensors(w));               // w again, to the bit
//   adamw.step(moments, tensors(w), tensors(g));
//
// on the same batch. A chain has the two verbs as well, and its step begins with the descent. Without an
// ascent before it descend does nothing. `apply` gives e itself. g = 0: e = 0. Throws ShapeError;
// RangeError for a negative rho or epsilon, and for a second ascent before the descent.
// rho is about 0.05, for ASAM ten times that and more.
// Foret et al., Sharpness-Aware Minimization for Efficiently Improving Generalization (2021); Kwon et al.,
// ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks (2021).

#include <temper/gradient/global_norm.hpp>
#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

struct SharpnessAware {
    static constexpr std::string_view name = "SharpnessAware";
    double rho = 0.05;
    bool adaptive = false;
    double epsilon = 1e-12;

    /// The weights as they were before the ascent.
    template <class T>
    struct State {
        std::vector<T> weights;
        bool ascended = false;
        template <class Archive>
        void fields(Archive& archive)
        {
            archive("weights", weights)("ascended", ascended);
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
    void ascend(State<T>& state, W&& parameters, const G& gradients) const
    {
        Border<T> border(name);
        const auto tensors = step_tensors<false, T>(border, parameters, gradients);
        check_ascent(state, tensors);
        lift(state, tensors);
    }
    template <class T, class W>
    void descend(State<T>& state, W&& parameters) const
    {
        Border<T> border(name);
        const auto tensors = parameter_tensors<T>(border, parameters);
        check(state, tensors);
        lower(state, tensors);
    }
    /// (parameters, gradients, into(perturbations))
    template <class W, class G, class D>
    void apply(const W& parameters, const G& gradients, const D& perturbations) const;

    // In a chain.
    template <class T>
    void check(const State<T>& state, const StepTensors<T>& tensors) const
    {
        check();
        require_entries(name, "state.weights.size()", state.weights, tensors.size);
    }
    template <class T>
    void check_ascent(const State<T>& state, const StepTensors<T>& tensors) const
    {
        check(state, tensors);
        require(!state.ascended, name, "state.ascended", 1, "0: descend first");
    }
    template <class T>
    void lift(State<T>& state, const StepTensors<T>& tensors) const;
    template <class T>
    void lower(State<T>& state, const StepTensors<T>& tensors) const;

    friend bool operator==(const SharpnessAware&, const SharpnessAware&) = default;

  private:
    void check() const
    {
        require(rho >= 0, name, "rho", rho, "non-negative");
        require(epsilon >= 0, name, "epsilon", epsilon, "non-negative");
    }
    template <class T>
    [[nodiscard]] double factor(std::span<const AnyView<const T>> w,
                                std::span<const AnyView<const T>> g) const
    {
        const double norm =
            adaptive ? kernel::GlobalNorm<T>::of_products(w, g) : kernel::GlobalNorm<T>::of(g);
        return norm == 0 ? 0 : rho / (norm + epsilon);
    }
};

namespace kernel {
template <class T>
struct SharpnessAware {
    /// w^2 g where adaptive, else g, times `factor`
    static void perturbation(double factor, bool adaptive, const AnyView<const T>& w,
                             const AnyView<const T>& g, AnyDestination<T> out);
};
template <class T>
struct Ascent {
    static constexpr bool moves_weights = true;
    static constexpr bool changes_gradients = false;
    double factor;
    bool adaptive;
    std::array<T*, 1> arrays; ///< the weights before

    template <class V>
    void operator()(V& w, const V& g, V* before) const
    {
        *before = w;
        w = fma(V(factor), adaptive ? w * w * g : g, w);
    }
    void run(const StepEntries<T>& e) const;
};
template <class T>
struct Descent {
    static constexpr bool moves_weights = true;
    static constexpr bool changes_gradients = false;
    std::array<T*, 1> arrays;

    template <class V>
    void operator()(V& w, const V&, const V* before) const
    {
        w = *before;
    }
    void run(const StepEntries<T>& e) const;
};
} // namespace kernel

template <class W, class G, class D>
void SharpnessAware::apply(const W& parameters, const G& gradients, const D& perturbations) const
{
    using T = ListScalarOf<const G>;
    Border<T> border(name);
    check();
    const auto w = border.list("parameters", as_list(parameters));
    const auto g = border.list("gradients", as_list(gradients));
    same_shapes<T>(name, "parameters", w, "gradients", g);
    const auto out = border.gradient("gradients", g, perturbations, InPlace::allowed);
    const double by = factor<T>(w, g);
    for (std::size_t i = 0; i < g.size(); ++i)
        kernel::SharpnessAware<T>::perturbation(by, adaptive, w[i], g[i], out[i]);
    border.finish();
}

template <class T>
void SharpnessAware::lift(State<T>& state, const StepTensors<T>& tensors) const
{
    const auto n = static_cast<Index>(tensors.weights.size());
    auto* const w = tensors.scratch->template take<AnyView<const T>>(n);
    std::copy(tensors.weights.begin(), tensors.weights.end(), w);
    const double by = factor<T>({w, tensors.weights.size()}, tensors.gradients);
    sweep(tensors, [by, as = adaptive, before = state.weights.data()](const StepEntries<T>& e) {
        return kernel::Ascent<T>{by, as, {before + e.at}};
    });
    state.ascended = true;
}

template <class T>
void SharpnessAware::lower(State<T>& state, const StepTensors<T>& tensors) const
{
    if (!std::exchange(state.ascended, false))
        return;
    sweep(tensors, [before = state.weights.data()](const StepEntries<T>& e) {
        return kernel::Descent<T>{{before + e.at}};
    });
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::SharpnessAware<T>::perturbation(double factor, bool adaptive,
                                             const AnyView<const T>& w, const AnyView<const T>& g,
                                             AnyDestination<T> out)
{
    if (!out)
        return;
    out.scale *= factor;
    if (adaptive)
        simd::map(simd::in(w, g), simd::out(out), [](auto x, auto dx, auto& e) { e = x * x * dx; });
    else
        simd::map(simd::in(g), simd::out(out), [](auto dx, auto& e) { e = dx; });
}

template <class T>
void kernel::Ascent<T>::run(const StepEntries<T>& e) const
{
    run_formulas(e, *this);
}
template <class T>
void kernel::Descent<T>::run(const StepEntries<T>& e) const
{
    run_formulas(e, *this);
}

TEMPER_INSTANTIATE(kernel::SharpnessAware);
TEMPER_INSTANTIATE(kernel::Ascent);
TEMPER_INSTANTIATE(kernel::Descent);

} // namespace temper::inline TEMPER_ABI
#endif
