// SPDX-License-Identifier: BSL-1.0
#pragma once

// Score identity distillation: what a one-step generator learns from a pretrained denoiser and from one that
// follows the generator itself. Score forgetting distillation is the same loss with other conditions.
//
//   a_i = p_i - s_i, b_i = p_i - g_i, o_i = max((1/d) sum_j |b_ij|, floor)      o held still
//   l_i = sum_j a_ij (b_ij - alpha a_ij) / o_i
//   mean:  L = (1/n) sum_i l_i        sum:  L = sum_i l_i
//   dL/dg_i = -a_i / (n o_i)
//   dL/dp_i = (b_i + (1 - 2 alpha) a_i) / (n o_i)
//   dL/ds_i = (2 alpha a_i - b_i) / (n o_i)
//
// generated g [n, d], p the pretrained denoiser's estimate of the clean data at noisy g, s that of the
// generator's own denoiser. The gradients by p and s are for whoever pulls them back through the two networks
// to g. To forget a class: p for a safe class, s and g for the one to forget, and retain + 0.01 forget. The
// published defaults besides: t of 38 to 712 of 1000, g drawn at t = 440. per_sample: l_i. p = s: value 0.
// n = 0: 0. Throws ShapeError; RangeError for a floor that is not positive.
// Chen et al., Score Forgetting Distillation: A Swift, Data-Free Method for Machine Unlearning in Diffusion
// Models (2024); Zhou et al., Score identity distillation (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct ScoreIdentityGeneratorLoss {
    static constexpr std::string_view name = "ScoreIdentityGeneratorLoss";
    double alpha = 1.2;
    double floor = 1e-5;
    Reduction reduction = Reduction::mean;

    /// (g, p, s [, into(gg), into(gp), into(gs)] [, sample_weights(w), per_sample(into(v))])
    template <class G, class P, class S, class... Rest>
    double operator()(const G& generated, const P& teacher, const S& fake,
                      const Rest&... rest) const;

    friend bool operator==(const ScoreIdentityGeneratorLoss&,
                           const ScoreIdentityGeneratorLoss&) = default;
};

namespace kernel {
template <class T>
struct ScoreIdentityGeneratorLoss {
    static double run(const temper::ScoreIdentityGeneratorLoss& how, MatrixView<const T> g,
                      MatrixView<const T> p, MatrixView<const T> s, RowScale<T> scale,
                      const std::array<Destination<T, 2>, 3>& to,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class G, class P, class S, class... Rest>
double ScoreIdentityGeneratorLoss::operator()(const G& generated, const P& teacher, const S& fake,
                                              const Rest&... rest) const
{
    accept<3, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<G, P, S>;
    Border<T> border(name);
    border.require(floor > 0, "floor", floor, "positive");
    const auto g = border.samples("generated", generated);
    const auto p = border.samples("teacher", teacher);
    const auto s = border.samples("fake", fake);
    border.same_shape("teacher", p, "generated", g);
    border.same_shape("fake", s, "generated", g);
    const Index n = g.rows();
    const auto weights = border.optional_vector("sample_weights", named<SampleWeights>(rest...), n,
                                                "as generated has rows");
    const auto gg = border.gradient("generated", g, positional<0>(rest...));
    const auto gp = border.gradient("teacher", p, positional<1>(rest...));
    const auto gs = border.gradient("fake", s, positional<2>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    return border.finish(kernel::ScoreIdentityGeneratorLoss<T>::run(
        *this, g, p, s, row_scale(reduction, n, weights), {gg, gp, gs}, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::ScoreIdentityGeneratorLoss<T>::run(const temper::ScoreIdentityGeneratorLoss& how,
                                                  MatrixView<const T> g, MatrixView<const T> p,
                                                  MatrixView<const T> s, RowScale<T> scale,
                                                  const std::array<Destination<T, 2>, 3>& to,
                                                  const Destination<T, 1>& per_sample)
{
    using V = simd::Pack<T>;
    return simd::sum_tiles<T>(
        simd::operands(g, p, s, to[0], to[1], to[2]), 0, [&](const auto& tile) {
            const auto sums = tile.template sums<2>([=, alpha = how.alpha](auto at) {
                const V a = at(p) - at(s);
                const V b = at(p) - at(g);
                return std::array{abs(b), a * (b - V(alpha) * a)};
            });
            auto factor = tile.numbers();
            double total = 0;
            for (Index i = 0; i < tile.rows(); ++i) {
                const Index row = tile.row(i);
                const double size = g.cols() == 0 ? 0 : sums[0][i] / static_cast<double>(g.cols());
                const double omega = size < how.floor ? how.floor : size;
                const double loss = sums[1][i] / omega;
                total += scale(row) * loss;
                factor[i] = static_cast<T>(scale(row) / omega);
                if (per_sample)
                    per_sample.put(per_sample.view(row), static_cast<T>(loss));
            }
            if (to[0] || to[1] || to[2])
                tile.each([=, alpha = how.alpha, gg = to[0], gp = to[1], gs = to[2]](auto at) {
                    const V a = at(p) - at(s);
                    const V b = at(p) - at(g);
                    at.put(gg, -at(factor) * a);
                    at.put(gp, at(factor) * fma(V(1 - 2 * alpha), a, b));
                    at.put(gs, at(factor) * fma(V(2 * alpha), a, -b));
                });
            return total;
        });
}

TEMPER_INSTANTIATE(kernel::ScoreIdentityGeneratorLoss);

} // namespace temper::inline TEMPER_ABI
#endif
