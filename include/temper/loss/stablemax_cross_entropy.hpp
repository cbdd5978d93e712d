// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cross-entropy of StableMax, which grows linearly where softmax grows exponentially, so that a sample
// that is known well still has a gradient in float instead of collapsing to exactly zero loss.
//
//   s(z) = z + 1 for z >= 0,  1 / (1 - z + epsilon) for z < 0;  p_ij = s(z_ij) / S_i,  S_i = sum_j s(z_ij)
//   l_i = -log p_iy
//   sum:   L = sum_i w_i l_i
//   mean:  L = sum_i w_i l_i / sum_i w_i m_i
//   dL/dz_ij = W_i s'(z_ij) (1 / S_i - [j = y] / s(z_iy))     s' = 1 for z >= 0, s^2 for z < 0
//
// z logits [n, k], labels(y) class indices [n], w sample weights [n]; W_i = w_i, divided by the mean's sum.
// m_i is 1, or 0 for a label equal to ignore_index, which leaves its sample out of everything: l_i and its
// gradient are 0, whatever its logits; where all are left out (or n = 0) L is 0. Per sample: l_i. log p_ij
// is there by name, of ignored samples as well. Logits of any finite size are fine.
// Throws ShapeError; RangeError for labels outside [0, k) and a negative epsilon.
// Prieto et al., Grokking at the edge of numerical stability (2025).

#include <temper/core/class_targets.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct LogProbabilities {
    D destination;
};
/// The logarithms of all probabilities, [n, k].
template <class D>
[[nodiscard]] LogProbabilities<D> log_probabilities(const D& destination)
{
    return {destination};
}

struct StableMaxCrossEntropy {
    static constexpr std::string_view name = "StableMaxCrossEntropy";
    double epsilon = 1e-30;
    std::optional<std::int64_t> ignore_index = std::nullopt;
    Reduction reduction = Reduction::mean;

    /// (z, labels(y) [, into(gz)], named...), named: sample_weights(w), per_sample(into(v)),
    /// log_probabilities(into(l))
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, const Rest&... rest) const;

    friend bool operator==(const StableMaxCrossEntropy&, const StableMaxCrossEntropy&) = default;
};

namespace kernel {
template <class T>
struct StableMaxCrossEntropy {
    static double run(double epsilon, MatrixView<const T> z, const ClassTargets<T>& y,
                      RowScale<T> scale, const Destination<T, 2>& gz,
                      const Destination<T, 1>& per_sample, const Destination<T, 2>& log_p);
};
} // namespace kernel

template <class Z, class Y, class... Rest>
double StableMaxCrossEntropy::operator()(const Z& z, const Y& targets, const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
    else {
        accept<1, SampleWeights, PerSample, LogProbabilities>(rest...);
        using T = KernelScalarOf<Z>;
        Border<T> border(name);
        border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
        const auto zs = border.samples("logits", z);
        const Index n = zs.rows();
        const Index k = zs.cols();
        const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...),
                                                    n, "as logits has rows");
        const ClassTargets<T> y{
            border.labels("labels", targets, n, k, ignore_index), {}, ignore_index.has_value()};
        const auto gz = border.gradient("logits", zs, positional<0>(rest...));
        const auto each =
            border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
        const auto log_p = border.template named_into<2>("log_probabilities",
                                                         named<LogProbabilities>(rest...), {n, k});
        const auto scale =
            y.plain() ? row_scale(reduction, n, weights)
                      : row_scale(reduction, n, weights, 1, [&](Index i) { return y.weight(i); });
        return border.finish(
            kernel::StableMaxCrossEntropy<T>::run(epsilon, zs, y, scale, gz, each, log_p));
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::StableMaxCrossEntropy<T>::run(double epsilon, MatrixView<const T> z,
                                             const ClassTargets<T>& y, RowScale<T> scale,
                                             const Destination<T, 2>& gz,
                                             const Destination<T, 1>& per_sample,
                                             const Destination<T, 2>& log_p)
{
    using V = simd::Pack<T>;
    return simd::sum_tiles<T>(simd::operands(z, gz, log_p), 1, [&](const auto& tile) {
        const auto s = tile.scratch(0, gz);
        tile.each([=](auto at) {
            const V x = at(z);
            const V size = V(1) + abs(x);
            at.put(s, select(x < V(0), V(1) / (size + V(epsilon)), size));
        });
        // The label's is set apart, so that the sum of the others keeps its digits next to it.
        auto one = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            if (const Index label = y(tile.row(i)); label >= 0)
                std::swap(one[i], tile.entry(s, i, label));
        const auto others = tile.sum([=](auto at) { return at(s); });
        double total = 0;
        auto slope = tile.numbers();
        auto log_sum = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const Index label = y(row);
            const double w = label < 0 ? 0 : scale(row);
            const auto own = static_cast<double>(one[i]);
            const double sum = own + others[i];
            const double loss = label < 0 ? 0 : std::log1p(others[i] / own);
            log_sum[i] = static_cast<T>(std::log(sum));
            slope[i] = label < 0 ? T(0) : static_cast<T>(w / sum);
            total += label < 0 ? 0 : w * loss;
            if (per_sample)
                per_sample.put(per_sample.view(row), static_cast<T>(loss));
        }
        if (log_p) {
            for (Index i = 0; i < tile.rows(); ++i)
                if (const Index label = y(tile.row(i)); label >= 0)
                    tile.entry(s, i, label) = one[i];
            tile.each([=](auto at) { at.put(log_p, log(at(s)) - at(log_sum)); });
        }
        if (gz) {
            for (Index i = 0; i < tile.rows(); ++i) {
                const Index label = y(tile.row(i));
                if (label >= 0) // -s'(z_iy) others / s(z_iy)
                    tile.entry(s, i, label) =
                        static_cast<T>(one[i] < 1 ? -others[i] * one[i] : -others[i] / one[i]);
                for (Index j = 0; label < 0 && j < z.cols(); ++j)
                    tile.entry(s, i, j) = 0;
            }
            tile.each([=](auto at) {
                const V x = at(s); // only the label's is negative, and complete
                at.put(gz, at(slope) * select(x < V(0), x, min(V(1), x * x)));
            });
        }
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::StableMaxCrossEntropy);

} // namespace temper::inline TEMPER_ABI
#endif
