// SPDX-License-Identifier: BSL-1.0
#pragma once

// Samples weighted by their losses, while they are trained on: easy, hard or middling ones count for less.
//
//   h_i = (2 l_i - max l - min l) / max(max l - min l, 1e-6)                       in [-1, 1]
//   f_i = min(h + 1, 1)  lin_upper    1 - h^2  middle    (h + 1) / 2  upper    |h|  extremes
//   w = softmax(f / r) over the batch = argmax over distributions of <w, f> - r KL(w || uniform)
//   L = sum_i w_i l_i                              dL/dl_i = w_i
//   L = n sum_i w_i a_i l_i, a = s / sum s         with sample_weights(s), such as the numbers of tokens
//
// l losses [n], from any loss (per_sample); the weights have no gradient, and are an output by name. All of
// the batch counts for min and max: with several devices its losses have to be together. lin_upper is the
// authors' best: losses above the middle count alike, easy ones less. One outlier sets max l and squeezes all
// other h together. at(step): plain average for the first burn_in steps. Equal losses: all weights 1 / n;
// n = 0: value 0; r towards infinity: 1 / n.
// Throws ShapeError, RangeError for r <= 0.
// Sow et al., Dynamic Loss-Based Sample Reweighting for Improved
// Large Language Model Pretraining (2025).

#include <temper/core/component.hpp>

#include <algorithm>

namespace temper::inline TEMPER_ABI {

/// The weights that a reweighting loss has used, [n].
template <class D>
struct UsedWeights {
    D destination;
};
template <class D>
[[nodiscard]] UsedWeights<D> used_weights(const D& destination)
{
    return {destination};
}

struct LossReweighting {
    static constexpr std::string_view name = "LossReweighting";
    enum class Strategy { lin_upper, middle, upper, extremes, uniform };

    Strategy strategy = Strategy::lin_upper;
    double r = 0.4;
    Index burn_in = 1000;

    /// The loss at a step of training.
    [[nodiscard]] LossReweighting at(Index step) const
    {
        LossReweighting now = *this;
        if (step < burn_in)
            now.strategy = Strategy::uniform;
        return now;
    }
    /// (l [, into(gl)] [, sample_weights(s), used_weights(into(w))])
    template <class L, class... Rest>
    double operator()(const L& losses, const Rest&... rest) const
    {
        accept<1, SampleWeights, UsedWeights>(rest...);
        using T = KernelScalarOf<L>;
        Border<T> border(name);
        border.require(r > 0, "r", r, "positive");
        const auto l = border.vector("losses", losses);
        const Index n = l.size();
        const auto sizes = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                  n, "as there are losses");
        const auto gl = border.gradient("losses", l, positional<0>(rest...));
        const auto used =
            border.template named_into<1>("used_weights", named<UsedWeights>(rest...), {n});
        auto* w = border.scratch().template take<double>(n);
        weigh(l, w);
        double all = 0;
        for (Index i = 0; sizes.data != nullptr && i < n; ++i)
            all += static_cast<double>(sizes(i));
        double value = 0;
        for (Index i = 0; i < n; ++i) {
            const double share =
                sizes.data == nullptr ? w[i]
                : all == 0            ? 0
                           : w[i] * static_cast<double>(n) * static_cast<double>(sizes(i)) / all;
            value += share * static_cast<double>(l(i));
            if (gl)
                gl.put(gl.view(i), static_cast<T>(share));
            if (used)
                used.put(used.view(i), static_cast<T>(w[i]));
        }
        return border.finish(value);
    }

    friend bool operator==(const LossReweighting&, const LossReweighting&) = default;

  private:
    template <class T>
    void weigh(VectorView<const T> l, double* w) const
    {
        const Index n = l.size();
        if (n == 0)
            return;
        auto least = static_cast<double>(l(Index{0}));
        double most = least;
        for (Index i = 1; i < n; ++i) {
            least = (std::min)(least, static_cast<double>(l(i)));
            most = (std::max)(most, static_cast<double>(l(i)));
        }
        const double range = (std::max)(most - least, 1e-6);
        double sum = 0;
        for (Index i = 0; i < n; ++i) {
            const double x = static_cast<double>(l(i));
            const double h = ((x - least) - (most - x)) / range;
            // f is at most 1.
            w[i] = std::exp((preference(h) - 1) / r);
            sum += w[i];
        }
        for (Index i = 0; i < n; ++i)
            w[i] /= sum;
    }
    [[nodiscard]] double preference(double h) const
    {
        switch (strategy) {
        case Strategy::lin_upper:
            return h > 0 ? 1 : h + 1;
        case Strategy::middle:
            return 1 - h * h;
        case Strategy::upper:
            return (h + 1) / 2;
        case Strategy::extremes:
            return std::fabs(h);
        case Strategy::uniform:
            break;
        }
        return 1;
    }
};

} // namespace temper::inline TEMPER_ABI
