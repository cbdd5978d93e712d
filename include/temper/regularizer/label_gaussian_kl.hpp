// SPDX-License-Identifier: BSL-1.0
#pragma once

// Latent factors that stand where their labels say: the divergence of an encoder's normal distribution from
// one around the label.
//
//   v_ik = l_ik - p_k
//   KL_i = 1/2 sum_k [ exp(v_ik) - 1 - v_ik + (m_ik - y_ik)^2 exp(-p_k) ]
//   L = reduce_i w_i KL_i,   dL/dm = w_i (m - y) exp(-p),   dL/dl = w_i (exp(v) - 1) / 2
//
// m mean, l log variance, y label [n, k], p the prior's log variance [k]; w sample weights [n] (0 for samples
// without labels), 1 where not given, the mean is over their sum. y = 0 and p = 0 is the divergence from the
// standard normal. Per sample: KL_i. Equal distributions: 0. n = 0: 0. Throws ShapeError.
// Komanduri et al., Causal diffusion autoencoders: toward counterfactual generation via diffusion
// probabilistic models (2024), which adds it with weight 1 to KL(q(u) || N(0, I)), as far as we know.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct LabelGaussianKl {
    static constexpr std::string_view name = "LabelGaussianKl";
    Reduction reduction = Reduction::mean;

    /// (mean, logvar, label, prior_logvar [, sample_weights(w)] [, into(g_mean), into(g_logvar)]
    ///  [, per_sample(into(v))])
    template <class M, class L, class Y, class P, class... Rest>
    double operator()(const M& mean, const L& logvar, const Y& label, const P& prior_logvar,
                      const Rest&... rest) const;

    friend bool operator==(const LabelGaussianKl&, const LabelGaussianKl&) = default;
};

namespace kernel {
template <class T>
struct LabelGaussianKl {
    static double run(MatrixView<const T> m, MatrixView<const T> l, MatrixView<const T> y,
                      VectorView<const T> p, RowScale<T> scale, const Destination<T, 2>& gm,
                      const Destination<T, 2>& gl, const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class M, class L, class Y, class P, class... Rest>
double LabelGaussianKl::operator()(const M& mean, const L& logvar, const Y& label,
                                   const P& prior_logvar, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<M, L, Y, P>;
    Border<T> border(name);
    const auto m = border.samples("mean", mean);
    const auto l = border.samples("logvar", logvar);
    const auto y = border.samples("label", label);
    border.same_shape("logvar", l, "mean", m);
    border.same_shape("label", y, "mean", m);
    const auto p = border.vector("prior_logvar", prior_logvar);
    border.expect_shape("prior_logvar", p, {m.cols()}, "as mean has columns");
    const Index n = m.rows();
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as mean has rows");
    const auto gm = border.gradient("mean", m, positional<0>(rest...));
    const auto gl = border.gradient("logvar", l, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    return border.finish(kernel::LabelGaussianKl<T>::run(
        m, l, y, p, row_scale(reduction, n, weights), gm, gl, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::LabelGaussianKl<T>::run(MatrixView<const T> m, MatrixView<const T> l,
                                       MatrixView<const T> y, VectorView<const T> p,
                                       RowScale<T> scale, const Destination<T, 2>& gm,
                                       const Destination<T, 2>& gl,
                                       const Destination<T, 1>& per_sample)
{
    return simd::sum_tiles<T>(simd::operands(m, l, y, gm, gl), 0, [&](const auto& tile) {
        const auto twice = tile.sum([=](auto at) {
            const auto v = at(l) - at(p);
            const auto e = at(m) - at(y);
            return (expm1(v) - v) + e * e * exp(-at(p));
        });
        double total = 0;
        auto factor = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const double w = scale(tile.row(i));
            factor[i] = static_cast<T>(w);
            total += w * twice[i] / 2;
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)), static_cast<T>(twice[i] / 2));
        }
        if (gm || gl)
            tile.each([=](auto at) {
                using V = decltype(at(m));
                at.put(gm, at(factor) * (at(m) - at(y)) * exp(-at(p)));
                at.put(gl, at(factor) * V(T(0.5)) * expm1(at(l) - at(p)));
            });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::LabelGaussianKl);

} // namespace temper::inline TEMPER_ABI
#endif
