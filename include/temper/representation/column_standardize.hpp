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
// With over_ranks(share, all_reduce), means and deviations are those of the rows of all ranks, as in a
// synchronised batch normalisation, and gy is what each rank has at its own y. Rounds, for n rows in all:
//   n >= d   forward 2 d + 1 and 2 d doubles, pullback 4 d + 1, 2 d and d; the results are those of one
//            process up to rounding, constant columns are exactly 0
//   n < d    forward n (d + 1) + 1 numbers of type T (the rows), pullback n (2 d + 1) + 2; every rank
//            computes what one process does, with the same bits, and keeps its own rows
// Throws ShapeError; RangeError for a negative epsilon.
// Ioffe and Szegedy, Batch normalization (2015).

#include <temper/core/component.hpp>
#include <temper/core/ranks.hpp>

namespace temper::inline TEMPER_ABI {

enum class Variance { biased, unbiased };
enum class EpsilonPlacement { inside, outside };

struct ColumnStandardize {
    static constexpr std::string_view name = "ColumnStandardize";
    double epsilon = 1e-5;
    Variance variance = Variance::biased;
    EpsilonPlacement placement = EpsilonPlacement::inside;

    /// (x, into(y) [, over_ranks(...)])
    template <class X, class Y, class... Rest>
    void forward(const X& x, const Y& y, const Rest&... rest) const;
    /// (x, gy, into(gx) [, over_ranks(...)])
    template <class X, class G, class D, class... Rest>
    void pullback(const X& x, const G& gy, const D& gx, const Rest&... rest) const;

    friend bool operator==(const ColumnStandardize&, const ColumnStandardize&) = default;
};

namespace kernel {
template <class T>
struct ColumnStandardize {
    static void forward(const temper::ColumnStandardize& how, MatrixView<const T> x,
                        const Destination<T, 2>& y, const Ranks<T>& ranks);
    static void pullback(const temper::ColumnStandardize& how, MatrixView<const T> x,
                         MatrixView<const T> gy, const Destination<T, 2>& gx,
                         const Ranks<T>& ranks);
};
} // namespace kernel

template <class X, class Y, class... Rest>
void ColumnStandardize::forward(const X& x, const Y& y, const Rest&... rest) const
{
    accept<0, OverRanks>(rest...);
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto ys = border.template output<2>("y", y, xs.extents);
    const auto ranks = Ranks<T>::of_map(name, xs.rows(), rest...);
    kernel::ColumnStandardize<T>::forward(*this, xs, ys, ranks);
    border.finish();
}

template <class X, class G, class D, class... Rest>
void ColumnStandardize::pullback(const X& x, const G& gy, const D& gx, const Rest&... rest) const
{
    accept<0, OverRanks>(rest...);
    using T = KernelScalarOf<X, G>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto gys = border.samples("gy", gy);
    border.same_shape("gy", gys, "x", xs);
    const auto gxs = border.gradient("x", xs, gx);
    const auto ranks = Ranks<T>::of_map(name, xs.rows(), rest...);
    kernel::ColumnStandardize<T>::pullback(*this, xs, gys, gxs, ranks);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/gathered_rows.hpp>
#include <temper/simd/standard_columns.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {
[[nodiscard]] inline simd::ColumnScaling column_scaling(const ColumnStandardize& how)
{
    return {how.epsilon, how.variance == Variance::unbiased,
            how.placement == EpsilonPlacement::inside};
}
} // namespace detail

template <class T>
void kernel::ColumnStandardize<T>::forward(const temper::ColumnStandardize& how,
                                           MatrixView<const T> x, const Destination<T, 2>& y,
                                           const Ranks<T>& ranks)
{
    if (!y)
        return;
    if (!ranks || ranks.all_rows(x.rows()) >= x.cols())
        return simd::standardize(detail::column_scaling(how), x, y, ranks);
    simd::on_gathered_rows(ranks, std::array{x}, std::array{y},
                           [&](const auto& in, const auto& out) {
                               forward(how, in[0], out[0], Ranks<T>());
                               return 0.0;
                           });
}

template <class T>
void kernel::ColumnStandardize<T>::pullback(const temper::ColumnStandardize& how,
                                            MatrixView<const T> x, MatrixView<const T> gy,
                                            const Destination<T, 2>& gx, const Ranks<T>& ranks)
{
    if (!gx)
        return;
    if (!ranks || ranks.all_rows(x.rows()) >= x.cols())
        return simd::pull_standardized(detail::column_scaling(how), x, gy, gx, ranks);
    simd::on_gathered_rows(ranks, std::array{x, gy}, std::array{gx},
                           [&](const auto& in, const auto& out) {
                               pullback(how, in[0], in[1], out[0], Ranks<T>());
                               return 0.0;
                           });
}

TEMPER_INSTANTIATE(kernel::ColumnStandardize);

} // namespace temper::inline TEMPER_ABI
#endif
