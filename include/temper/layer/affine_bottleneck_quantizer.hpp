// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a bottleneck sends over a network: its tensor in a few bits an entry, with one scale and one offset.
//
//   scale = (max x - min x) / (2^bits - 1), offset = min x
//   code_i = round((x_i - offset) / scale)         halves to the even
//   y_i = scale code_i + offset
//   pullback: gx = gy                              straight through
//
// x of any shape, a whole tensor with one scale. forward returns scale and offset; codes(into(c)) are whole
// numbers of 0 to 2^bits - 1. A constant tensor has scale 0, codes 0, and y = x. Half of the network sees y
// while it is trained, if it is to know what it will get. Throws ShapeError; RangeError for bits outside
// 1 to 16.
// Matsubara et al., BottleFit: Learning Compressed Representations in Deep Neural Networks for Effective and
// Efficient Split Computing (2022).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Codes {
    D destination;
};
/// The whole numbers that are sent, of the shape of the input.
template <class D>
[[nodiscard]] Codes<D> codes(const D& destination)
{
    return {destination};
}

struct AffineBottleneckQuantizer {
    static constexpr std::string_view name = "AffineBottleneckQuantizer";
    int bits = 8;

    struct Range {
        double scale = 0;
        double offset = 0;
        friend bool operator==(const Range&, const Range&) = default;
    };

    /// (x, into(y) [, codes(into(c))])
    template <class X, class D, class... Rest>
    Range forward(const X& x, const D& y, const Rest&... rest) const;
    /// (gy, into(gx))
    template <class G, class D>
    void pullback(const G& gy, const D& gx) const;

    friend bool operator==(const AffineBottleneckQuantizer&,
                           const AffineBottleneckQuantizer&) = default;
};

namespace kernel {
template <class T>
struct AffineBottleneckQuantizer {
    static temper::AffineBottleneckQuantizer::Range forward(int bits, const AnyView<const T>& x,
                                                            const AnyDestination<T>& y,
                                                            const AnyDestination<T>& codes);
    static void pass(const AnyView<const T>& gy, const AnyDestination<T>& gx);
};
} // namespace kernel

template <class X, class D, class... Rest>
AffineBottleneckQuantizer::Range AffineBottleneckQuantizer::forward(const X& x, const D& y,
                                                                    const Rest&... rest) const
{
    accept<0, Codes>(rest...);
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    border.require(bits >= 1 && bits <= 16, "bits", bits, "from 1 to 16");
    const auto xs = border.tensor("x", x);
    const auto to = border.gradient("y", xs, y, InPlace::allowed);
    AnyDestination<T> whole;
    if constexpr (sizeof...(Rest) > 0)
        whole = border.gradient("codes", xs, named<Codes>(rest...).destination);
    const Range range = kernel::AffineBottleneckQuantizer<T>::forward(bits, xs, to, whole);
    border.finish();
    return range;
}

template <class G, class D>
void AffineBottleneckQuantizer::pullback(const G& gy, const D& gx) const
{
    using T = KernelScalarOf<G>;
    Border<T> border(name);
    const auto g = border.tensor("gy", gy);
    const auto to = border.gradient("x", g, gx, InPlace::allowed);
    kernel::AffineBottleneckQuantizer<T>::pass(g, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
temper::AffineBottleneckQuantizer::Range kernel::AffineBottleneckQuantizer<T>::forward(
    int bits, const AnyView<const T>& x, const AnyDestination<T>& y, const AnyDestination<T>& codes)
{
    if (x.size() == 0)
        return {};
    const T largest = simd::map_max(simd::in(x), [](auto u) { return u; });
    const T smallest = -simd::map_max(simd::in(x), [](auto u) { return -u; });
    const T scale = (largest - smallest) / static_cast<T>((1 << bits) - 1);
    // Added to a number this leaves its nearest integer, of two the even one.
    constexpr auto magic = static_cast<T>(
        1.5 * static_cast<double>(std::int64_t{1} << (std::numeric_limits<T>::digits - 1)));
    simd::map(simd::in(x), simd::out(codes, y), [=](auto u, auto& code, auto& value) {
        using V = decltype(u);
        const V shifted = (u - V(smallest)) / V(scale) + V(magic);
        code = scale == T(0) ? V(0) : shifted - V(magic);
        value = fma(V(scale), code, V(smallest));
    });
    return {static_cast<double>(scale), static_cast<double>(smallest)};
}

template <class T>
void kernel::AffineBottleneckQuantizer<T>::pass(const AnyView<const T>& gy,
                                                const AnyDestination<T>& gx)
{
    simd::map(simd::in(gy), simd::out(gx), [](auto g, auto& to) { to = g; });
}

TEMPER_INSTANTIATE(kernel::AffineBottleneckQuantizer);

} // namespace temper::inline TEMPER_ABI
#endif
