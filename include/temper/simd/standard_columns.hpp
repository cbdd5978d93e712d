// SPDX-License-Identifier: BSL-1.0
#pragma once

// Columns with mean 0 and variance 1: y = (x - mean) / s, and what comes back through that:
// dx = (dy - mean(dy) - y <y, dy> h) / s per column. What s and h are is told in
// representation/column_standardize.hpp. Over ranks, <y, dy> is one more round.

#include <temper/simd/column_moments.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// y = x standardised.
template <class T>
void standardize(const ColumnScaling& how, MatrixView<const T> x, const ColumnMoments<T>& moments,
                 const Destination<T, 2>& y)
{
    each_strip(x.rows(), x.cols(), [&](Index begin, Index width) {
        moments.measure(how, x, begin, width);
        column_map(moments.from(begin), std::array{x.block(0, begin, x.rows(), width)},
                   std::array{columns_of(y, begin, width)},
                   [](auto o, auto m, auto q, auto u, auto& v) { v = ((u - o) - m) * q; });
    });
}

/// The same on the batch of all ranks.
template <class T>
void standardize(const ColumnScaling& how, MatrixView<const T> x, const Destination<T, 2>& y,
                 const Ranks<T>& ranks)
{
    Workspace::Frame frame;
    std::array moments{ColumnMoments<T>(frame, x.cols())};
    if (ranks)
        measure_globally(how, ranks, std::array{x}, global_means(frame, ranks, std::array{x}),
                         moments);
    standardize(how, x, moments[0], y);
}

/// gx for any gy.
template <class T>
void pull_standardized(const ColumnScaling& how, MatrixView<const T> x, MatrixView<const T> gy,
                       const Destination<T, 2>& gx, const Ranks<T>& ranks)
{
    Workspace::Frame frame;
    const Index n = x.rows();
    const Index d = x.cols();
    std::array all{ColumnMoments<T>(frame, d)};
    const ColumnMoments<T>& moments = all[0];
    T* const mean_gy = frame.take<T>(d);
    T* const along = frame.take<T>(d); // <y, gy> h
    double* const dots = frame.take<double>(d);
    const auto strips = [&](Index begin, Index width) {
        return std::array{x.block(0, begin, n, width), gy.block(0, begin, n, width)};
    };
    const auto sum_dots = [&](Index begin, Index width) {
        const auto [o, m, q] = moments.from(begin);
        column_sum(std::array<const T*, 4>{o, m, q, mean_gy + begin}, strips(begin, width),
                   dots + begin,
                   [](auto origin, auto mean, auto inverse, auto mean_g, auto u, auto g) {
                       return ((u - origin) - mean) * inverse * (g - mean_g);
                   });
    };
    const auto write = [&](Index begin, Index width) {
        const auto [o, m, q] = moments.from(begin);
        for (Index j = begin; j < begin + width; ++j)
            along[j] = static_cast<T>(dots[j] * static_cast<double>(moments.share[j]));
        column_map(
            std::array<const T*, 5>{o, m, q, mean_gy + begin, along + begin}, strips(begin, width),
            std::array{columns_of(gx, begin, width)},
            [](auto origin, auto mean, auto inverse, auto mean_g, auto a, auto u, auto g, auto& v) {
                v = ((g - mean_g) - ((u - origin) - mean) * inverse * a) * inverse;
            });
    };
    if (ranks) {
        const double* const means = global_means(frame, ranks, std::array{x, gy});
        measure_globally(how, ranks, std::array{x}, means, all);
        for (Index j = 0; j < d; ++j)
            mean_gy[j] = static_cast<T>(means[d + j]);
        each_strip(n, d, sum_dots);
        ranks.sum(dots, d);
        each_strip(n, d, write);
        return;
    }
    each_strip(n, d, [&](Index begin, Index width) {
        double sums[max_strip];
        moments.measure(how, x, begin, width);
        column_sum(std::array<const T*, 0>{}, std::array{strips(begin, width)[1]}, sums,
                   [](auto g) { return g; });
        for (Index j = 0; j < width; ++j)
            mean_gy[begin + j] = static_cast<T>(sums[j] / static_cast<double>(n));
        sum_dots(begin, width);
        write(begin, width);
    });
}

} // namespace temper::inline TEMPER_ABI::simd
