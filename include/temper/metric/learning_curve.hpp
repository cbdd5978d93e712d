// SPDX-License-Identifier: BSL-1.0
#pragma once

// A model of how fast a network learns its (noisy) labels: a measure of agreement in [0, 1], such as the
// intersection over union of a class with its annotations, over the epochs t.
//
//   f(t) = a (1 - exp(-t^b / c))           f'(t) = (a b / c) exp(-u^b / c) u^(b - 1),  u = t + 1e-6
//
//   fit    a, b, c that minimise  sum_i ((f(x_i) - y_i) / s_i)^2,  0 <= a <= 1, 0 < b <= 1, c > 0
//          s_i falls geometrically from 1 at the first point to 0.1 at the last
//
// With b < 1 f' is infinite at 0, hence the 1e-6. c towards 0 is a step. a is linear in the problem and is
// solved for; b and log c are searched, on a grid and then around its best point, until the steps are 1e-7 of
// the grid's: the same curve on every machine. NaN among y: no curve. Points may come in any order.
// fit throws ShapeError for x and y of different lengths, RangeError for fewer than 3 points, x < 0.
// Liu et al., Adaptive Early-Learning Correction for Segmentation from Noisy
// Annotations (2022); bounds and weights from the published code.

#include <temper/core/error.hpp>
#include <temper/core/view.hpp>

#include <algorithm>
#include <cmath>
#include <span>

namespace temper::inline TEMPER_ABI {

struct LearningCurve {
    static constexpr std::string_view name = "LearningCurve";
    double a = 1;
    double b = 1;
    double c = 1;

    [[nodiscard]] double operator()(double t) const { return a * -std::expm1(-std::pow(t, b) / c); }
    [[nodiscard]] double derivative(double t) const
    {
        const double u = t + 1e-6;
        return a * b / c * std::exp(-std::pow(u, b) / c) * std::pow(u, b - 1);
    }
    /// The weighted sum of squares that fit minimises.
    [[nodiscard]] double error(std::span<const double> x, std::span<const double> y) const
    {
        double sum = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double r = (*this)(x[i]) - y[i];
            sum += weight(i, x.size()) * r * r;
        }
        return sum;
    }
    [[nodiscard]] static LearningCurve fit(std::span<const double> x, std::span<const double> y)
    {
        if (x.size() != y.size())
            fail<ShapeError>(name, "y",
                             joined({"has ", text(static_cast<Index>(y.size())), " points"}),
                             joined({text(static_cast<Index>(x.size())), " as x"}));
        require(x.size() >= 3, name, "the number of points", static_cast<double>(x.size()),
                "at least 3");
        for (const double t : x)
            require(!(t < 0), name, "x", t, "non-negative");
        // A coarse grid in b and log c, then steps around the best point, halved when none is better.
        Candidate best{};
        for (int i = 1; i <= 20; ++i)
            for (int j = -20; j <= 20; ++j)
                best = (std::min)(best, candidate(0.05 * i, 0.25 * j, x, y));
        for (double step = 1; step > 1e-7;) {
            Candidate next = best;
            for (int i = -1; i <= 1; ++i)
                for (int j = -1; j <= 1; ++j) {
                    const double b = std::clamp(best.b + 0.05 * step * i, 1e-3, 1.0);
                    const double log_c = std::clamp(best.log_c + 0.25 * step * j, -20.0, 20.0);
                    next = (std::min)(next, candidate(b, log_c, x, y));
                }
            // Along the valley that b and c share, what was a good move is worth repeating.
            if (next.error < best.error) {
                const double db = next.b - best.b;
                const double dc = next.log_c - best.log_c;
                best = next;
                for (double stride = 1; stride < 1e3; stride *= 2) {
                    const Candidate further =
                        candidate(std::clamp(best.b + stride * db, 1e-3, 1.0),
                                  std::clamp(best.log_c + stride * dc, -20.0, 20.0), x, y);
                    if (!(further.error < best.error))
                        break;
                    best = further;
                }
            }
            else
                step /= 2;
        }
        return {best.a, best.b, std::exp(best.log_c)};
    }
    friend bool operator==(const LearningCurve&, const LearningCurve&) = default;

  private:
    struct Candidate {
        double error = std::numeric_limits<double>::infinity();
        double a = 0, b = 1, log_c = 0;
        friend bool operator<(const Candidate& x, const Candidate& y) { return x.error < y.error; }
    };
    static double weight(std::size_t i, std::size_t m)
    {
        return std::pow(100.0, static_cast<double>(i) / static_cast<double>(m - 1));
    }
    /// The best a for this b and c.
    static Candidate candidate(double b, double log_c, std::span<const double> x,
                               std::span<const double> y)
    {
        LearningCurve shape{1, b, std::exp(log_c)};
        double with_y = 0;
        double with_itself = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double w = weight(i, x.size());
            const double f = shape(x[i]);
            with_y += w * f * y[i];
            with_itself += w * f * f;
        }
        shape.a = with_itself == 0 ? 0 : std::clamp(with_y / with_itself, 0.0, 1.0);
        return {shape.error(x, y), shape.a, b, log_c};
    }
};

} // namespace temper::inline TEMPER_ABI
