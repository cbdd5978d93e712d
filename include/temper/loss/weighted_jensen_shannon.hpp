// SPDX-License-Identifier: BSL-1.0
#pragma once

// Weighted Jensen-Shannon divergence of the predictions of several members, which is 0 where they agree.
//
//   m_i = sum_s w_s p_si        p_si = softmax(z_si)
//   l_i = sum_s w_s KL(p_si || m_i) = H(m_i) - sum_s w_s H(p_si)
//   mean:  L = (1/n) sum_i l_i  sum:  L = sum_i l_i
//   dL/dz_si = (w_s / n) p_si (log(p_si / m_i) - <p_si, log(p_si / m_i)>)
//
// z a list of logits [n, k], tensors(z1, z2, ...), w a weight for each of them [members], non-negative with
// sum 1, in double. l is at most the entropy of w. Per sample: l_i. n = 0: value 0. A logit of minus infinity
// is a class of probability 0, which costs nothing.
// Throws ShapeError; RangeError for no member, weights below 0 or of another sum than 1 (to 1e-6).
// Lin, Divergence measures based on the Shannon entropy (1991); as the consistency of scales in Liu et al.,
// Adaptive Early-Learning Correction for Segmentation from Noisy Annotations (2022).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct WeightedJensenShannon {
    static constexpr std::string_view name = "WeightedJensenShannon";
    Reduction reduction = Reduction::mean;

    /// (tensors(z1, z2, ...), w [, into(tensors(g1, g2, ...))] [, per_sample(into(v))])
    template <class L, class W, class... Rest>
    double operator()(const L& members, const W& weights, const Rest&... rest) const;

    friend bool operator==(const WeightedJensenShannon&, const WeightedJensenShannon&) = default;
};

namespace kernel {
template <class T>
struct WeightedJensenShannon {
    /// The members' rows stand below each other in `p` [members n, k], which is overwritten.
    static double run(std::span<const AnyView<const T>> z, const double* weights, MatrixView<T> p,
                      double factor, std::span<const AnyDestination<T>> gz,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class L, class W, class... Rest>
double WeightedJensenShannon::operator()(const L& members, const W& weights,
                                         const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    using T = std::remove_const_t<ListScalarOf<L>>;
    Border<T> border(name);
    const auto z = border.list("logits", members);
    border.require(!z.empty(), "the number of members", 0, "at least 1");
    const MatrixView<const T> first =
        z[0].rank == 2 ? z[0].template as<2>() : MatrixView<const T>{};
    for (const auto& member : z)
        border.expect_shape("logits", member, {first.rows(), first.cols()}, "all alike");
    const AnyView<const ScalarOf<const W>> ws(view(weights));
    if (ws.rank != 1 || ws.extents[0] != static_cast<Index>(z.size()))
        fail<ShapeError>(
            name, "weights", joined({"has shape ", shape_text(ws)}),
            joined({"[", text(static_cast<Index>(z.size())), "], one for each member"}));
    auto* w = border.scratch().template take<double>(ws.size());
    double sum = 0;
    for (Index s = 0; s < ws.size(); ++s) {
        w[s] = static_cast<double>(ws.data[s * ws.strides[0]]);
        border.require(!(w[s] < 0), "weights", w[s], "non-negative");
        sum += w[s];
    }
    border.require(!(std::fabs(sum - 1) > 1e-6), "the sum of weights", sum, "1");
    const auto gz = border.gradient("logits", z, positional<0>(rest...));
    const Index n = first.rows();
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto p = border.scratch().template matrix<T>(ws.size() * n, first.cols());
    const double factor = reduction == Reduction::sum || n == 0 ? 1 : 1 / static_cast<double>(n);
    return border.finish(kernel::WeightedJensenShannon<T>::run(z, w, p, factor, gz, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::WeightedJensenShannon<T>::run(std::span<const AnyView<const T>> z,
                                             const double* weights, MatrixView<T> p, double factor,
                                             std::span<const AnyDestination<T>> gz,
                                             const Destination<T, 1>& per_sample)
{
    using V = simd::Pack<T>;
    const auto members = static_cast<Index>(z.size());
    const Index n = p.rows() / members;
    const Index k = p.cols();
    Workspace::Frame frame;
    const auto mixture = frame.matrix<T>(n, k);
    auto* loss = frame.take_zeros<double>(n);
    const Destination<T, 2> to_mixture{mixture, 1, Mode::overwrite};
    const auto rows_of = [&](Index s) { return p.block(s * n, 0, n, k); };
    for (Index s = 0; s < members; ++s) {
        const auto view = z[static_cast<std::size_t>(s)].template as<2>();
        const auto rows = rows_of(s);
        const auto w = static_cast<T>(weights[s]);
        simd::softmax_rows<T>(view, {rows, 1, Mode::overwrite});
        const MatrixView<const T> own = rows;
        const MatrixView<const T> before = mixture;
        (void)simd::sum_tiles<T>(simd::operands(own, before), 0, [&](const auto& tile) {
            tile.each([=](auto at) {
                at.put(to_mixture, s == 0 ? V(w) * at(own) : at(before) + V(w) * at(own));
            });
            return 0.0;
        });
    }
    double value = 0;
    for (Index s = 0; s < members; ++s) {
        const MatrixView<const T> own = rows_of(s);
        const MatrixView<const T> of_all = mixture;
        const auto g = gz[static_cast<std::size_t>(s)]
                           ? gz[static_cast<std::size_t>(s)].template as<2>()
                           : Destination<T, 2>{};
        const double w = weights[s];
        value += simd::sum_tiles<T>(simd::operands(own, of_all, g), 1, [&](const auto& tile) {
            const auto ratio = tile.scratch(0);
            const auto divergence = tile.sum([=](auto at) {
                const V share = at(own);
                const V all = at(of_all);
                const V r = select(share > V(0), select(all > V(0), log(share / all), all), share);
                at.put(ratio, r);
                return share * r;
            });
            double total = 0;
            auto mean = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i) {
                mean[i] = static_cast<T>(divergence[i]);
                loss[tile.row(i)] += w * divergence[i];
                total += factor * w * divergence[i];
            }
            if (g)
                tile.each(
                    [=](auto at) { at.put(g, V(factor * w) * at(own) * (at(ratio) - at(mean))); });
            return total;
        });
    }
    if (per_sample)
        for (Index i = 0; i < n; ++i)
            per_sample.put(per_sample.view(i), static_cast<T>(loss[i]));
    return value;
}

TEMPER_INSTANTIATE(kernel::WeightedJensenShannon);

} // namespace temper::inline TEMPER_ABI
#endif
