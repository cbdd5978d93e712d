// SPDX-License-Identifier: BSL-1.0
#pragma once

// Clipping by the global norm of a list of gradients.
//
//   N = sqrt(sum over all tensors |g|^2),   g' = g min(1, max_norm / (N + epsilon))
//
// Takes tensors(g1, g2, ...) or one tensor; may write onto its input. The norm neither overflows nor
// underflows where N itself is a finite number. Where N is not finite the gradients are left as they are,
// the coefficient is 1 and `finite` is false: skip the step. A chain (chain.hpp) skips what stands behind
// it then, and its state is the result of the last step. No gradients: N = 0. Throws ShapeError;
// RangeError for max_norm <= 0.
// Pascanu et al., On the difficulty of training recurrent neural networks (2013); epsilon as in PyTorch.

#include <temper/gradient/global_norm.hpp>
#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

struct ClipNorm {
    static constexpr std::string_view name = "ClipNorm";
    static constexpr bool measures = true;
    static constexpr bool changes_gradients = true;
    double max_norm = 1;
    double epsilon = 1e-6;

    struct Result {
        double norm = 0;
        double coefficient = 1;
        bool finite = true;
        template <class Archive>
        void fields(Archive& archive)
        {
            archive("norm", norm)("coefficient", coefficient)("finite", finite);
        }
        friend bool operator==(const Result&, const Result&) = default;
    };
    /// (gradients, into(clipped))
    template <class G, class D>
    Result apply(G&& gradients, const D& clipped) const;

    // In a chain.
    template <class L>
    [[nodiscard]] Result init(const L&) const
    {
        return {};
    }
    template <class T>
    void check(const Result&, const StepTensors<T>&) const
    {
        check();
    }
    template <class T>
    auto begin(Result& result, const StepTensors<T>& tensors) const;

    friend bool operator==(const ClipNorm&, const ClipNorm&) = default;

  private:
    void check() const
    {
        require(max_norm > 0, name, "max_norm", max_norm, "positive");
        require(epsilon >= 0, name, "epsilon", epsilon, "non-negative");
    }
    template <class T>
    [[nodiscard]] Result measure(std::span<const AnyView<const T>> gradients) const
    {
        Result result;
        result.norm = kernel::GlobalNorm<T>::of(gradients);
        result.finite = std::isfinite(result.norm);
        if (result.finite)
            result.coefficient = (std::min)(1.0, max_norm / (result.norm + epsilon));
        return result;
    }
};

namespace kernel {
template <class T>
struct ClipNorm {
    static constexpr bool moves_weights = false;
    static constexpr bool changes_gradients = true;
    double coefficient;
    std::array<T*, 0> arrays{};

    template <class V>
    void operator()(const V&, V& g, V*) const
    {
        g = g * V(coefficient);
    }
    void run(const StepEntries<T>& e) const;
    static void scale(const AnyView<const T>& g, double coefficient, AnyDestination<T> out);
};
} // namespace kernel

template <class G, class D>
ClipNorm::Result ClipNorm::apply(G&& gradients, const D& clipped) const
{
    using T = ListScalarOf<G>;
    Border<T> border(name);
    check();
    const auto g = border.list("gradients", as_list(gradients));
    const auto out = border.gradient("gradients", g, clipped, InPlace::allowed);
    const Result result = measure<T>(g);
    for (std::size_t i = 0; i < g.size(); ++i)
        kernel::ClipNorm<T>::scale(g[i], result.coefficient, out[i]);
    border.finish();
    return result;
}

template <class T>
auto ClipNorm::begin(Result& result, const StepTensors<T>& tensors) const
{
    result = measure<T>(tensors.gradients);
    const auto formula = [by = result.coefficient](const StepEntries<T>&) {
        return kernel::ClipNorm<T>{by};
    };
    return result.finite ? std::optional(formula) : std::nullopt;
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::ClipNorm<T>::scale(const AnyView<const T>& g, double coefficient,
                                AnyDestination<T> out)
{
    out.scale *= coefficient;
    if (out)
        simd::map(simd::in(g), simd::out(out), [](auto x, auto& y) { y = x; });
}

template <class T>
void kernel::ClipNorm<T>::run(const StepEntries<T>& e) const
{
    if (coefficient != 1)
        run_formulas(e, *this);
}

TEMPER_INSTANTIATE(kernel::ClipNorm);

} // namespace temper::inline TEMPER_ABI
#endif
