// SPDX-License-Identifier: BSL-1.0
#pragma once

// Clipping by the global norm of a list of gradients.
//
//   N = sqrt(sum over all tensors |g|^2),   g' = g min(1, max_norm / (N + epsilon))
//
// Takes tensors(g1, g2, ...) or one tensor; may write onto its input. The norm neither overflows nor
// underflows where N itself is a finite number. Where N is not finite the gradients are left as they are,
// the coefficient is 1 and `finite` is false: skip the step. No gradients: N = 0. Throws ShapeError;
// RangeError for max_norm <= 0.
// Pascanu et al., On the difficulty of training recurrent neural networks (2013); epsilon as in PyTorch.

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct ClipNorm {
    static constexpr std::string_view name = "ClipNorm";
    double max_norm = 1;
    double epsilon = 1e-6;

    struct Result {
        double norm = 0;
        double coefficient = 1;
        bool finite = true;
    };
    /// (gradients, into(clipped))
    template <class G, class D>
    Result apply(G&& gradients, const D& clipped) const;

    friend bool operator==(const ClipNorm&, const ClipNorm&) = default;
};

namespace kernel {
template <class T>
struct ClipNorm {
    static double norm(std::span<const AnyView<const T>> g);
    static void scale(std::span<const AnyView<const T>> g, double coefficient,
                      std::span<const AnyDestination<T>> out);
};
} // namespace kernel

template <class G, class D>
ClipNorm::Result ClipNorm::apply(G&& gradients, const D& clipped) const
{
    using T = ListScalarOf<G>;
    Border<T> border(name);
    border.require(max_norm > 0, "max_norm", max_norm, "positive");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto g = border.list("gradients", as_list(gradients));
    const auto out = border.gradient("gradients", g, clipped, InPlace::allowed);
    Result result;
    result.norm = kernel::ClipNorm<T>::norm(g);
    result.finite = std::isfinite(result.norm);
    if (result.finite)
        result.coefficient = (std::min)(1.0, max_norm / (result.norm + epsilon));
    kernel::ClipNorm<T>::scale(g, result.coefficient, out);
    border.finish();
    return result;
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::ClipNorm<T>::norm(std::span<const AnyView<const T>> g)
{
    double squares = 0;
    for (const auto& tensor : g)
        squares += simd::map_sum(simd::in(tensor), simd::none<T>(), [](auto x) { return x * x; });
    constexpr double safe = static_cast<double>((std::numeric_limits<T>::min)()) * 1e8;
    if (std::isnan(squares) || (std::isfinite(squares) && squares > safe))
        return std::sqrt(squares);
    // Squares may have left the range of T: once more, in units of the largest entry.
    T largest = 0;
    for (const auto& tensor : g)
        if (tensor.size() > 0)
            largest =
                (std::max)(largest, simd::map_max(simd::in(tensor), [](auto x) { return abs(x); }));
    if (largest == 0 || !std::isfinite(largest))
        return static_cast<double>(largest);
    squares = 0;
    for (const auto& tensor : g)
        squares += simd::map_sum(simd::in(tensor), simd::none<T>(), [largest](auto x) {
            const auto u = x / decltype(x)(largest);
            return u * u;
        });
    return static_cast<double>(largest) * std::sqrt(squares);
}

template <class T>
void kernel::ClipNorm<T>::scale(std::span<const AnyView<const T>> g, double coefficient,
                                std::span<const AnyDestination<T>> out)
{
    for (std::size_t i = 0; i < g.size(); ++i) {
        auto to = out[i];
        to.scale *= coefficient;
        if (to)
            simd::map(simd::in(g[i]), simd::out(to), [](auto x, auto& y) { y = x; });
    }
}

TEMPER_INSTANTIATE(kernel::ClipNorm);

} // namespace temper::inline TEMPER_ABI
#endif
