// SPDX-License-Identifier: BSL-1.0
#pragma once

// Columns with mean 0 and variance 1, as a batch normalisation without parameters.
//
//   m_j = mean_i x_ij       v_j = sum_i (x_ij - m_j)^2 / N      N = n (biased) or n - 1 (unbiased)
//   s_j = sqrt(v_j + epsilon)  (inside)      or  sqrt(v_j) + epsilon  (outside)
//
//   forward     y = (x - m) / s
//   pullback    gx = (gy - mean(gy) - y <y, gy> h) / s per column
//               h_j = 1 / N (inside)      or  s_j / (N sqrt(v_j))  (outside)
//
// x, y, gy, gx [n, d]. Data far from zero keep their digits: nothing is squared before the mean is taken
// off. A constant column gives y = 0 exactly and gx = (gy - mean(gy)) / s; where s = 0 too, gx = 0.
// One row: y = 0.
// Throws ShapeError; RangeError for a negative epsilon.
// Ioffe and Szegedy, Batch normalization (2015).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

enum class Variance { biased, unbiased };
enum class EpsilonPlacement { inside, outside };

struct ColumnStandardize {
    static constexpr std::string_view name = "ColumnStandardize";
    double epsilon = 1e-5;
    Variance variance = Variance::biased;
    EpsilonPlacement placement = EpsilonPlacement::inside;

    /// (x, into(y))
    template <class X, class Y>
    void forward(const X& x, const Y& y) const;
    /// (x, gy, into(gx))
    template <class X, class G, class D>
    void pullback(const X& x, const G& gy, const D& gx) const;

    friend bool operator==(const ColumnStandardize&, const ColumnStandardize&) = default;
};

namespace kernel {
template <class T>
struct ColumnStandardize {
    static void forward(const temper::ColumnStandardize& how, MatrixView<const T> x,
                        const Destination<T, 2>& y);
    static void pullback(const temper::ColumnStandardize& how, MatrixView<const T> x,
                         MatrixView<const T> gy, const Destination<T, 2>& gx);
};
} // namespace kernel

template <class X, class Y>
void ColumnStandardize::forward(const X& x, const Y& y) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto ys = border.template output<2>("y", y, xs.extents);
    kernel::ColumnStandardize<T>::forward(*this, xs, ys);
    border.finish();
}

template <class X, class G, class D>
void ColumnStandardize::pullback(const X& x, const G& gy, const D& gx) const
{
    using T = KernelScalarOf<X, G>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto gys = border.samples("gy", gy);
    border.same_shape("gy", gys, "x", xs);
    const auto gxs = border.gradient("x", xs, gx);
    kernel::ColumnStandardize<T>::pullback(*this, xs, gys, gxs);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/standard_columns.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::ColumnStandardize<T>::forward(const temper::ColumnStandardize& how,
                                           MatrixView<const T> x, const Destination<T, 2>& y)
{
    if (!y)
        return;
    Workspace::Frame frame;
    simd::standardize(simd::ColumnScaling{how.epsilon, how.variance == Variance::unbiased,
                                          how.placement == EpsilonPlacement::inside},
                      x, simd::ColumnMoments<T>(frame, x.cols()), y);
}

template <class T>
void kernel::ColumnStandardize<T>::pullback(const temper::ColumnStandardize& how,
                                            MatrixView<const T> x, MatrixView<const T> gy,
                                            const Destination<T, 2>& gx)
{
    if (gx)
        simd::pull_standardized(simd::ColumnScaling{how.epsilon, how.variance == Variance::unbiased,
                                                    how.placement == EpsilonPlacement::inside},
                                x, gy, gx);
}

TEMPER_INSTANTIATE(kernel::ColumnStandardize);

} // namespace temper::inline TEMPER_ABI
#endif
