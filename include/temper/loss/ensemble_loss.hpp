// SPDX-License-Identifier: BSL-1.0
#pragma once

// An ensemble of losses for two classes (EnsLoss): not a loss but the derivatives of one that is drawn anew
// at every step, among those that are convex, calibrated and bounded from below.
//
//   m_i = (2 y_i - 1) s_i                                                   the margins
//   r_i = exp(x_i) if lambda = 0, else max(1 + lambda x_i, 0)^(1 / lambda)   x_i ~ N(0, 1), drawn
//   g   = the max(-r, -1) in ascending order, the k-th smallest for the row of k-th smallest margin
//   g_i <- g_i / m_i where m_i > 1;     g_i <- g_i - 1e-6
//   L = (1/n) sum_i g_i m_i             dL/ds_i = g_i (2 y_i - 1) / n        g held still
//
// s scores [n], labels(y) [n] of 0 and 1. The order makes the derivative grow with the margin (convex) up to
// m = 1, the tail rule makes a raising tail, the last line keeps g below 0 (calibrated). The value says
// nothing: watch the accuracy. draw(rng, n, lambda) for each batch, lambda ~ U(-1, 1) (draw_lambda) for each
// `period` of 10 in the published code. The clip comes after the order; of equal margins the lower row comes
// first. lambda < 0 with 1 + lambda x <= 0: r is infinite, g = -1; lambda > 0: r = 0. n = 0: value 0.
// Throws ShapeError, RangeError for labels that are not 0 or 1, lambda outside [-1, 1], a plan of other size.
// Dai, EnsLoss: Stochastic Calibrated Loss Ensembles for Preventing Overfitting in Classification (2024).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

#include <algorithm>
#include <vector>

namespace temper::inline TEMPER_ABI {

/// A normal number for each sample of a batch, and the transform's exponent.
struct EnsembleLossPlan {
    std::vector<double> noise;
    double lambda = 0;
    friend bool operator==(const EnsembleLossPlan&, const EnsembleLossPlan&) = default;
};

struct EnsembleLoss {
    static constexpr std::string_view name = "EnsembleLoss";
    Reduction reduction = Reduction::mean;

    template <class G>
    [[nodiscard]] double draw_lambda(G& rng) const
    {
        return 2 * uniform(rng) - 1;
    }
    template <class G>
    void draw(G& rng, Index n, double lambda, EnsembleLossPlan& plan) const
    {
        plan.lambda = lambda;
        plan.noise.resize(static_cast<std::size_t>(n));
        for (double& x : plan.noise)
            x = normal(rng);
    }
    template <class G>
    [[nodiscard]] EnsembleLossPlan draw(G& rng, Index n, double lambda) const
    {
        EnsembleLossPlan plan;
        draw(rng, n, lambda, plan);
        return plan;
    }
    /// (s, labels(y), plan [, into(gs)])
    template <class S, class Y, class... Rest>
    double operator()(const S& scores, const Y& targets, const EnsembleLossPlan& plan,
                      const Rest&... rest) const
    {
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
        accept<1>(rest...);
        using T = KernelScalarOf<S>;
        Border<T> border(name);
        border.require(plan.lambda >= -1 && plan.lambda <= 1, "plan.lambda", plan.lambda,
                       "from -1 to 1");
        const auto s = border.vector("scores", scores);
        const Index n = s.size();
        const auto* y = border.labels("labels", targets, n, 2);
        border.require(static_cast<Index>(plan.noise.size()) == n, "plan",
                       static_cast<double>(plan.noise.size()), "of the batch's size");
        const auto gs = border.gradient("scores", s, positional<0>(rest...));

        auto* slope = border.scratch().template take<double>(n);
        auto* order = border.scratch().template take<Index>(n);
        const auto margin = [&](Index i) { return (y[i] == 1 ? 1.0 : -1.0) * double(s(i)); };
        for (Index i = 0; i < n; ++i) {
            slope[i] = derivative(plan.noise[static_cast<std::size_t>(i)], plan.lambda);
            order[i] = i;
        }
        std::sort(slope, slope + n);
        // NaN has a place of its own at the end, as an order has to have.
        std::sort(order, order + n, [&](Index a, Index b) {
            const double of_a = margin(a);
            const double of_b = margin(b);
            if (std::isnan(of_a) || std::isnan(of_b))
                return std::isnan(of_a) == std::isnan(of_b) ? a < b : std::isnan(of_b);
            return of_a < of_b || (of_a == of_b && a < b);
        });
        const double factor =
            reduction == Reduction::sum || n == 0 ? 1 : 1 / static_cast<double>(n);
        double value = 0;
        for (Index rank = 0; rank < n; ++rank) {
            const Index i = order[rank];
            const double m = margin(i);
            const double g = (m > 1 ? slope[rank] / m : slope[rank]) - 1e-6 + 0 * m;
            value += factor * g * m;
            if (gs)
                gs.put(gs.view(i), static_cast<T>(factor * (y[i] == 1 ? g : -g)));
        }
        return border.finish(value);
    }

    friend bool operator==(const EnsembleLoss&, const EnsembleLoss&) = default;

  private:
    /// max(-r, -1)
    static double derivative(double x, double lambda)
    {
        const double base = (std::max)(1 + lambda * x, 0.0);
        const double r = lambda == 0 ? std::exp(x) : std::pow(base, 1 / lambda);
        return r < 1 ? -r : -1;
    }
};

/// The paper's name.
using EnsLoss = EnsembleLoss;

} // namespace temper::inline TEMPER_ABI
