// SPDX-License-Identifier: BSL-1.0
#pragma once

// Clipping every entry of a gradient.
//
//   g' = min(max(g, -limit), limit)
//
// Any shape, or a list of tensors; may write onto its input. NaN stays NaN. Throws ShapeError; RangeError
// for limit < 0.
// Mikolov, Statistical language models based on neural networks (2012).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct ClipValue {
    static constexpr std::string_view name = "ClipValue";
    double limit = 1;

    /// (gradients, into(clipped))
    template <class G, class D>
    void apply(G&& gradients, const D& clipped) const;

    friend bool operator==(const ClipValue&, const ClipValue&) = default;
};

namespace kernel {
template <class T>
struct ClipValue {
    static void apply(const AnyView<const T>& g, double limit, const AnyDestination<T>& out);
};
} // namespace kernel

template <class G, class D>
void ClipValue::apply(G&& gradients, const D& clipped) const
{
    using T = ListScalarOf<G>;
    Border<T> border(name);
    border.require(limit >= 0, "limit", limit, "non-negative");
    const auto g = border.list("gradients", as_list(gradients));
    const auto out = border.gradient("gradients", g, clipped, InPlace::allowed);
    for (std::size_t i = 0; i < g.size(); ++i)
        kernel::ClipValue<T>::apply(g[i], limit, out[i]);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::ClipValue<T>::apply(const AnyView<const T>& g, double limit,
                                 const AnyDestination<T>& out)
{
    simd::map(simd::in(g), simd::out(out), [limit](auto x, auto& y) {
        using V = decltype(x);
        y = select(x > V(limit), V(limit), select(x < V(-limit), V(-limit), x));
    });
}

TEMPER_INSTANTIATE(kernel::ClipValue);

} // namespace temper::inline TEMPER_ABI
#endif
