// SPDX-License-Identifier: BSL-1.0
#pragma once

// Rows divided by their lengths.
//
//   forward     y_i = x_i / max(|x_i|, epsilon)
//   pullback    gx_i = (gy_i - y_i <y_i, gy_i>) / |x_i|
//
// x, y, gy, gx [n, d]. A row with |x_i| <= epsilon sends back zero, by convention: the derivative of
// x / epsilon would multiply gradients by 1 / epsilon. A zero row gives zeros. d = 1: y = sign(x) and
// the gradient is zero. Lengths are found without overflow. Throws ShapeError; RangeError for a negative
// epsilon.
// Wang et al., NormFace: L2 hypersphere embedding for face verification (2017).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct RowL2Normalize {
    static constexpr std::string_view name = "RowL2Normalize";
    double epsilon = 1e-12;

    /// (x, into(y))
    template <class X, class Y>
    void forward(const X& x, const Y& y) const;
    /// (x, gy, into(gx))
    template <class X, class G, class D>
    void pullback(const X& x, const G& gy, const D& gx) const;

    friend bool operator==(const RowL2Normalize&, const RowL2Normalize&) = default;
};

namespace kernel {
template <class T>
struct RowL2Normalize {
    static void forward(MatrixView<const T> x, double epsilon, const Destination<T, 2>& y);
    static void pullback(MatrixView<const T> x, double epsilon, MatrixView<const T> gy,
                         const Destination<T, 2>& gx);
};
} // namespace kernel

template <class X, class Y>
void RowL2Normalize::forward(const X& x, const Y& y) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto ys = border.template output<2>("y", y, xs.extents);
    kernel::RowL2Normalize<T>::forward(xs, epsilon, ys);
    border.finish();
}

template <class X, class G, class D>
void RowL2Normalize::pullback(const X& x, const G& gy, const D& gx) const
{
    using T = KernelScalarOf<X, G>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto gys = border.samples("gy", gy);
    border.same_shape("gy", gys, "x", xs);
    const auto gxs = border.gradient("x", xs, gx);
    kernel::RowL2Normalize<T>::pullback(xs, epsilon, gys, gxs);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::RowL2Normalize<T>::forward(MatrixView<const T> x, double epsilon,
                                        const Destination<T, 2>& y)
{
    (void)simd::sum_tiles<T>(simd::operands(x, y), 0, [&](const auto& tile) {
        const auto scale = simd::unit_scale(tile, x, epsilon);
        tile.each([=](auto at) { at.put(y, at(x) * at(scale.forward)); });
        return 0.0;
    });
}

template <class T>
void kernel::RowL2Normalize<T>::pullback(MatrixView<const T> x, double epsilon,
                                         MatrixView<const T> gy, const Destination<T, 2>& gx)
{
    (void)simd::sum_tiles<T>(simd::operands(x, gy, gx), 0, [&](const auto& tile) {
        const auto scale = simd::unit_scale(tile, x, epsilon);
        const auto along =
            tile.sum([=](auto at) { return at(x) * at(scale.forward) * at(gy); }).narrow();
        tile.each([=](auto at) {
            const auto y = at(x) * at(scale.forward);
            at.put(gx, (at(gy) - y * at(along)) * at(scale.backward));
        });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::RowL2Normalize);

} // namespace temper::inline TEMPER_ABI
#endif
