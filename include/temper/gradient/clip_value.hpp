// SPDX-License-Identifier: BSL-1.0
#pragma once

// Clipping every entry of a gradient.
//
//   g' = min(max(g, -limit), limit)
//
// Any shape, or a list of tensors; may write onto its input. NaN stays NaN. Throws ShapeError; RangeError
// for limit < 0.
// Mikolov, Statistical language models based on neural networks (2012).

#include <temper/gradient/transform.hpp>

namespace temper::inline TEMPER_ABI {

struct ClipValue {
    static constexpr std::string_view name = "ClipValue";
    static constexpr bool measures = false;
    static constexpr bool changes_gradients = true;
    double limit = 1;

    /// (gradients, into(clipped))
    template <class G, class D>
    void apply(G&& gradients, const D& clipped) const;

    // In a chain.
    template <class T>
    void check(const NoState&, const StepTensors<T>&) const
    {
        check();
    }
    template <class T>
    auto begin(NoState&, const StepTensors<T>&) const;

    friend bool operator==(const ClipValue&, const ClipValue&) = default;

  private:
    void check() const { require(limit >= 0, name, "limit", limit, "non-negative"); }
};

namespace kernel {
template <class T>
struct ClipValue {
    static constexpr bool moves_weights = false;
    static constexpr bool changes_gradients = true;
    double limit;
    std::array<T*, 0> arrays{};

    template <class V>
    void operator()(const V&, V& g, V*) const
    {
        g = select(g > V(limit), V(limit), select(g < V(-limit), V(-limit), g));
    }
    void run(const StepEntries<T>& e) const;
    void apply(const AnyView<const T>& g, const AnyDestination<T>& out) const;
};
} // namespace kernel

template <class G, class D>
void ClipValue::apply(G&& gradients, const D& clipped) const
{
    using T = ListScalarOf<G>;
    Border<T> border(name);
    check();
    const auto g = border.list("gradients", as_list(gradients));
    const auto out = border.gradient("gradients", g, clipped, InPlace::allowed);
    for (std::size_t i = 0; i < g.size(); ++i)
        kernel::ClipValue<T>{limit}.apply(g[i], out[i]);
    border.finish();
}

template <class T>
auto ClipValue::begin(NoState&, const StepTensors<T>&) const
{
    return [formula = kernel::ClipValue<T>{limit}](const StepEntries<T>&) { return formula; };
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::ClipValue<T>::apply(const AnyView<const T>& g, const AnyDestination<T>& out) const
{
    simd::map(simd::in(g), simd::out(out), [formula = *this](auto x, auto& y) {
        y = x;
        formula(x, y, &y); // nothing is remembered
    });
}
template <class T>
void kernel::ClipValue<T>::run(const StepEntries<T>& e) const
{
    run_formulas(e, *this);
}

TEMPER_INSTANTIATE(kernel::ClipValue);

} // namespace temper::inline TEMPER_ABI
#endif
