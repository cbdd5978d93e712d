// SPDX-License-Identifier: BSL-1.0
#pragma once

// Means and standard deviations of the columns of a batch, of this process or of all ranks.
//
// The mean is taken of x_ij - x_0j, and the variance of what is left after it, so that data far from zero
// keep their digits, and a column of equal numbers gives exactly 0. Where s = 0, so is 1 / s here.
//
// Over ranks each of the two sums is a round:
//   global_means       2 K d + 1 doubles: the rows, and the column sums of K batches
//   measure_globally   2 K d doubles: what rounding left of the means, and the squares about them

#include <temper/core/ranks.hpp>
#include <temper/simd/columns.hpp>

#include <bit>

namespace temper::inline TEMPER_ABI::simd {

/// How the standard deviation s is made of the sum of squares.
struct ColumnScaling {
    double epsilon = 0;
    bool unbiased = false;
    bool inside = true; ///< sqrt(v + epsilon), not sqrt(v) + epsilon
};

/// Numbers per column: y = ((x - origin) - mean) * inverse.
template <class T>
struct ColumnMoments {
    T* origin = nullptr;
    T* mean = nullptr;
    T* inverse = nullptr; ///< 1 / s
    T* share = nullptr;   ///< h
    bool global = false;  ///< of the rows of all ranks, measured already

    ColumnMoments(Workspace::Frame& frame, Index d)
        : origin(frame.take<T>(d)), mean(frame.take<T>(d)), inverse(frame.take<T>(d)),
          share(frame.take<T>(d))
    {
    }

    /// Measures the columns [begin, begin + width) of x, at most max_strip of them.
    void measure(const ColumnScaling& how, MatrixView<const T> x, Index begin, Index width) const
    {
        const Index n = x.rows();
        if (n == 0 || global)
            return;
        const std::array strip{x.block(0, begin, n, width)};
        double sums[max_strip];
        const auto count = static_cast<double>(n);

        for (Index j = 0; j < width; ++j)
            origin[begin + j] = x.row(0)(begin + j);
        column_sum(std::array<const T*, 1>{origin + begin}, strip, sums,
                   [](auto o, auto u) { return u - o; });
        for (Index j = 0; j < width; ++j)
            mean[begin + j] = static_cast<T>(sums[j] / count);
        column_sum(std::array<const T*, 2>{origin + begin, mean + begin}, strip, sums,
                   [](auto o, auto m, auto u) {
                       const auto centered = (u - o) - m;
                       return centered * centered;
                   });
        for (Index j = 0; j < width; ++j)
            scale(how, count, begin + j, sums[j]);
    }
    /// What column j of `count` rows is scaled by, given its sum of squares about the mean.
    void scale(const ColumnScaling& how, double count, Index j, double squares) const
    {
        const double divisor = how.unbiased ? (std::max)(count - 1, 1.0) : count;
        const double v = squares / divisor;
        const double t = std::sqrt(v);
        const double s = how.inside ? std::sqrt(v + how.epsilon) : t + how.epsilon;
        const double h = how.inside ? 1 : t == 0 ? 0 : s / t;
        inverse[j] = static_cast<T>(s == 0 ? 0 : 1 / s);
        share[j] = static_cast<T>(h / divisor);
    }
    /// The numbers that standardise, from column `begin` on.
    [[nodiscard]] std::array<const T*, 3> from(Index begin) const
    {
        return {origin + begin, mean + begin, inverse + begin};
    }
};

namespace detail {
/// A number in two parts of at most 27 bits, whose multiples by a number of rows have no rounding.
[[nodiscard]] inline std::array<double, 2> halves(double x)
{
    constexpr std::uint64_t low = (std::uint64_t{1} << 27) - 1;
    const auto high = std::bit_cast<double>(std::bit_cast<std::uint64_t>(x) & ~low);
    return {high, x - high};
}
} // namespace detail

/// The means of the columns of K batches of all ranks, [K d]; of a constant column exactly.
template <class T, std::size_t K>
[[nodiscard]] const double* global_means(Workspace::Frame& frame, const Ranks<T>& ranks,
                                         const std::array<MatrixView<const T>, K>& x)
{
    const Index n = x[0].rows();
    const Index d = x[0].cols();
    const Index all = static_cast<Index>(K) * d;
    double* const high = frame.take_zeros<double>(2 * all + 1);
    double* const low = high + all;
    double& rows = high[2 * all];
    rows = static_cast<double>(n);
    T* const first = frame.take<T>(d);
    for (std::size_t k = 0; n > 0 && k < K; ++k)
        each_strip(n, d, [&](Index begin, Index width) {
            double sums[max_strip];
            for (Index j = 0; j < width; ++j)
                first[begin + j] = x[k].row(0)(begin + j);
            column_sum(std::array<const T*, 1>{first + begin},
                       std::array{x[k].block(0, begin, n, width)}, sums,
                       [](auto o, auto u) { return u - o; });
            for (Index j = 0; j < width; ++j) {
                const Index at = static_cast<Index>(k) * d + begin + j;
                const auto mean =
                    detail::halves(static_cast<double>(first[begin + j]) + sums[j] / rows);
                high[at] = rows * mean[0];
                low[at] = rows * mean[1];
            }
        });
    ranks.sum(high, 2 * all + 1);
    ranks.expect_rows(rows);
    for (Index j = 0; j < all; ++j)
        high[j] = high[j] / rows + low[j] / rows;
    return high;
}

/// Measures the columns of K batches of all ranks about these means, whose rounding is taken off.
template <class T, std::size_t K>
void measure_globally(const ColumnScaling& how, const Ranks<T>& ranks,
                      const std::array<MatrixView<const T>, K>& x, const double* means,
                      std::array<ColumnMoments<T>, K>& moments)
{
    Workspace::Frame frame;
    const Index n = x[0].rows();
    const Index d = x[0].cols();
    const Index all = static_cast<Index>(K) * d;
    double* const left = frame.take<double>(2 * all);
    double* const squares = left + all;
    for (std::size_t k = 0; k < K; ++k) {
        T* const origin = moments[k].origin;
        const Index from = static_cast<Index>(k) * d;
        for (Index j = 0; j < d; ++j)
            origin[j] = static_cast<T>(means[from + j]);
        each_strip(n, d, [&](Index begin, Index width) {
            const std::array<const T*, 1> o{origin + begin};
            const std::array strip{x[k].block(0, begin, n, width)};
            column_sum(o, strip, left + from + begin, [](auto c, auto u) { return u - c; });
            column_sum(o, strip, squares + from + begin,
                       [](auto c, auto u) { return (u - c) * (u - c); });
        });
    }
    ranks.sum(left, 2 * all);
    const auto rows = static_cast<double>(ranks.all_rows(n));
    for (std::size_t k = 0; k < K; ++k) {
        for (Index j = 0; j < d; ++j) {
            const Index at = static_cast<Index>(k) * d + j;
            const double rest = left[at] / rows;
            const double sum = squares[at] - left[at] * rest;
            moments[k].mean[j] = static_cast<T>(rest);
            moments[k].scale(how, rows, j, sum < 0 ? 0 : sum);
        }
        moments[k].global = true;
    }
}

} // namespace temper::inline TEMPER_ABI::simd
