// SPDX-License-Identifier: BSL-1.0
#pragma once

// Columns with mean 0 and variance 1: y = (x - mean) / s, and what comes back through that:
// dx = (dy - mean(dy) - y <y, dy> h) / s per column. What s and h are is told in
// representation/column_standardize.hpp.
//
// The mean is taken of x_ij - x_0j, and the variance of what is left after it, so that data far from zero
// keep their digits, and a column of equal numbers gives exactly 0. Where s = 0, so is 1 / s here.

#include <temper/simd/columns.hpp>

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

    ColumnMoments(Workspace::Frame& frame, Index d)
        : origin(frame.take<T>(d)), mean(frame.take<T>(d)), inverse(frame.take<T>(d)),
          share(frame.take<T>(d))
    {
    }

    /// Measures the columns [begin, begin + width) of x, at most max_strip of them.
    void measure(const ColumnScaling& how, MatrixView<const T> x, Index begin, Index width) const
    {
        const Index n = x.rows();
        if (n == 0)
            return;
        const std::array strip{x.block(0, begin, n, width)};
        double sums[max_strip];
        const auto count = static_cast<double>(n);
        const double divisor = how.unbiased ? (std::max)(count - 1, 1.0) : count;

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
        for (Index j = 0; j < width; ++j) {
            const double v = sums[j] / divisor;
            const double t = std::sqrt(v);
            const double s = how.inside ? std::sqrt(v + how.epsilon) : t + how.epsilon;
            const double h = how.inside ? 1 : t == 0 ? 0 : s / t;
            inverse[begin + j] = static_cast<T>(s == 0 ? 0 : 1 / s);
            share[begin + j] = static_cast<T>(h / divisor);
        }
    }
    /// The numbers that standardise, from column `begin` on.
    [[nodiscard]] std::array<const T*, 3> from(Index begin) const
    {
        return {origin + begin, mean + begin, inverse + begin};
    }
};

/// y = x standardised.
template <class T>
void standardize(const ColumnScaling& how, MatrixView<const T> x, const ColumnMoments<T>& moments,
                 const Destination<T, 2>& y)
{
    const auto strips = column_strips(x.rows(), x.cols());
    parallel_for(strips.count(), x.size(), [&](Index strip) {
        const Index begin = strips.begin(strip);
        const Index width = strips.end(strip) - begin;
        moments.measure(how, x, begin, width);
        column_map(moments.from(begin), std::array{x.block(0, begin, x.rows(), width)},
                   std::array{columns_of(y, begin, width)},
                   [](auto o, auto m, auto q, auto u, auto& v) { v = ((u - o) - m) * q; });
    });
}

/// gx for any gy.
template <class T>
void pull_standardized(const ColumnScaling& how, MatrixView<const T> x, MatrixView<const T> gy,
                       const Destination<T, 2>& gx)
{
    Workspace::Frame frame;
    const Index n = x.rows();
    const ColumnMoments<T> moments(frame, x.cols());
    T* const mean_gy = frame.take<T>(x.cols());
    T* const along = frame.take<T>(x.cols()); // <y, gy> h
    const auto strips = column_strips(n, x.cols());
    parallel_for(strips.count(), x.size(), [&](Index strip) {
        const Index begin = strips.begin(strip);
        const Index width = strips.end(strip) - begin;
        const std::array both{x.block(0, begin, n, width), gy.block(0, begin, n, width)};
        double sums[max_strip];
        moments.measure(how, x, begin, width);
        const auto [o, m, q] = moments.from(begin);

        column_sum(std::array<const T*, 0>{}, std::array{both[1]}, sums, [](auto g) { return g; });
        for (Index j = 0; j < width; ++j)
            mean_gy[begin + j] = static_cast<T>(sums[j] / static_cast<double>(n));
        column_sum(std::array<const T*, 4>{o, m, q, mean_gy + begin}, both, sums,
                   [](auto origin, auto mean, auto inverse, auto mean_g, auto u, auto g) {
                       return ((u - origin) - mean) * inverse * (g - mean_g);
                   });
        for (Index j = 0; j < width; ++j)
            along[begin + j] =
                static_cast<T>(sums[j] * static_cast<double>(moments.share[begin + j]));
        column_map(
            std::array<const T*, 5>{o, m, q, mean_gy + begin, along + begin}, both,
            std::array{columns_of(gx, begin, width)},
            [](auto origin, auto mean, auto inverse, auto mean_g, auto a, auto u, auto g, auto& v) {
                v = ((g - mean_g) - ((u - origin) - mean) * inverse * a) * inverse;
            });
    });
}

/// A standardised batch in the workspace, for objectives that are written on one.
template <class T>
struct StandardBatch {
    MatrixView<T> y{};
    const T* inverse = nullptr;
    const T* share = nullptr;

    /// y is stored by rows or by columns as `like` is.
    StandardBatch(Workspace::Frame& frame, const ColumnScaling& how, MatrixView<const T> x,
                  MatrixView<const T> like)
    {
        const ColumnMoments<T> moments(frame, x.cols());
        y = frame.matrix_like(like);
        inverse = moments.inverse;
        share = moments.share;
        standardize(how, x, moments, {y, 1, Mode::overwrite});
    }
    /// gx for gy_ij = g_ij + factor_j z_ij, whose columns sum to 0 already.
    void pull(MatrixView<const T> g, const T* factor, MatrixView<const T> z,
              const Destination<T, 2>& gx) const
    {
        Workspace::Frame frame;
        const Index n = y.rows();
        T* const along = frame.take<T>(y.cols());
        const auto strips = column_strips(n, y.cols());
        parallel_for(strips.count(), y.size(), [&](Index strip) {
            const Index begin = strips.begin(strip);
            const Index width = strips.end(strip) - begin;
            const std::array<MatrixView<const T>, 3> in{y.block(0, begin, n, width),
                                                        g.block(0, begin, n, width),
                                                        z.block(0, begin, n, width)};
            double sums[max_strip];
            column_sum(std::array<const T*, 1>{factor + begin}, in, sums,
                       [](auto e, auto v, auto u, auto w) { return v * (u + e * w); });
            for (Index j = 0; j < width; ++j)
                along[begin + j] = static_cast<T>(sums[j] * static_cast<double>(share[begin + j]));
            column_map(std::array<const T*, 3>{factor + begin, along + begin, inverse + begin}, in,
                       std::array{columns_of(gx, begin, width)},
                       [](auto e, auto a, auto q, auto v, auto u, auto w, auto& to) {
                           to = ((u + e * w) - a * v) * q;
                       });
        });
    }
};

} // namespace temper::inline TEMPER_ABI::simd
