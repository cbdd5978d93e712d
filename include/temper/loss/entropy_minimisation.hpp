// SPDX-License-Identifier: BSL-1.0
#pragma once

// Entropy minimisation: predictions shall be sure, whatever of.
//
//   H_i = -sum_j p_ij log p_ij                    p_i = softmax(z_i)
//   mean:  L = sum_i w_i H_i / sum_i w_i          sum:  L = sum_i w_i H_i
//   dL/dz_ij = -W_i p_ij (log p_ij + H_i)
//
// z logits [n, k], w sample weights [n]. per_sample: H_i. A sure row has value and gradient 0 (0 log 0
// is 0); a uniform row has log k, and no gradient either. n = 0: value 0. Throws ShapeError.
// Its counterpart, the entropy of the mean prediction, is PredictionDiversity.
// Grandvalet and Bengio, Semi-supervised Learning by Entropy Minimization (2004).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct EntropyMinimisation {
    static constexpr std::string_view name = "EntropyMinimisation";
    Reduction reduction = Reduction::mean;

    /// (z [, into(gz)] [, sample_weights(w), per_sample(into(v))])
    template <class Z, class... Rest>
    double operator()(const Z& z, const Rest&... rest) const;

    friend bool operator==(const EntropyMinimisation&, const EntropyMinimisation&) = default;
};

namespace kernel {
template <class T>
struct EntropyMinimisation {
    static double run(MatrixView<const T> z, RowScale<T> scale, const Destination<T, 2>& gz,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class Z, class... Rest>
double EntropyMinimisation::operator()(const Z& z, const Rest&... rest) const
{
    accept<1, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as logits has rows");
    const auto gz = border.gradient("logits", zs, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    return border.finish(
        kernel::EntropyMinimisation<T>::run(zs, row_scale(reduction, n, weights), gz, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::EntropyMinimisation<T>::run(MatrixView<const T> z, RowScale<T> scale,
                                           const Destination<T, 2>& gz,
                                           const Destination<T, 1>& per_sample)
{
    using V = simd::Pack<T>;
    return simd::sum_tiles<T>(simd::operands(z, gz), 1, [&](const auto& tile) {
        const auto s = simd::softmax(tile, z, tile.scratch(0));
        // e (m - z), where e log p = -e (m - z) - e log sum.
        const auto spread = tile.sum([=](auto at) {
            const V e = at(s.e);
            return select(e == V(0), e, e * (at(s.shift) - at(z)));
        });
        double total = 0;
        auto level = tile.numbers(); // H_i - log sum
        auto factor = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const auto sum = static_cast<double>(s.sum[i]);
            const double below = tile.columns() == 0 ? 0 : spread[i] / sum;
            const double entropy = tile.columns() == 0 ? 0 : std::log(sum) + below;
            level[i] = static_cast<T>(below);
            factor[i] = static_cast<T>(scale(row) / sum);
            total += scale(row) * entropy;
            if (per_sample)
                per_sample.put(per_sample.view(row), static_cast<T>(entropy));
        }
        if (gz)
            tile.each([=](auto at) {
                const V e = at(s.e);
                const V g = e * (at(s.shift) - at(z) - at(level));
                at.put(gz, at(factor) * select(e == V(0), e, g));
            });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::EntropyMinimisation);

} // namespace temper::inline TEMPER_ABI
#endif
