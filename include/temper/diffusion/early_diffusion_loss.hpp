// SPDX-License-Identifier: BSL-1.0
#pragma once

// Early diffusion loss: where a consistency model bootstraps from, at small noise levels, its output shall
// be the data itself, so that errors do not add up on the way to large ones.
//
//   m_i = [index_i < floor(ratio (N - 1))]       the lowest of the N - 1 pairs of neighbouring levels
//   L = (1 / n) sum_i m_i rho(|f_i - x_i|^2)     over all n samples, chosen or not; sum: without 1 / n
//   dL/df_i = (2 / n) m_i rho'(|f_i - x_i|^2) (f_i - x_i)
//
// f the model's output at the higher level of the pair and x data [n, d]; pairs says index_i and N. rho is a
// robust kernel of the whole sample; the paper's is the square, which no outlier is robust to: say
// EarlyDiffusionLoss<PseudoHuber> where there are some. kept: m_i. per_sample: m_i rho_i. ratio 0: nothing, 1:
// everything. n = 0: 0. Throws ShapeError; RangeError for a ratio outside [0, 1] and what rho refuses.
// Dao et al., Improved Training Technique for Latent Consistency Models (2025). The 0.25 is second-hand;
// names of released scripts say 0.7.

#include <temper/core/selection.hpp>
#include <temper/diffusion/noise_levels.hpp>
#include <temper/diffusion/row_residual.hpp>

namespace temper::inline TEMPER_ABI {

template <RobustKernel Kernel = L2Residual>
struct EarlyDiffusionLoss {
    static constexpr std::string_view name = "EarlyDiffusionLoss";
    double ratio = 0.25;
    Kernel kernel{};
    Reduction reduction = Reduction::mean;

    /// (f, x, pairs [, into(gf)] [, per_sample(into(v)), kept(into(m))])
    template <class F, class X, class... Rest>
    double operator()(const F& f, const X& x, const NoisePairs& pairs, const Rest&... rest) const;

    /// m_i
    [[nodiscard]] bool chooses(const NoisePairs& pairs, Index i) const
    {
        const double limit = std::floor(ratio * static_cast<double>(pairs.levels - 1));
        return static_cast<double>(pairs.index[static_cast<std::size_t>(i)]) < limit;
    }
    void check() const
    {
        require(ratio >= 0 && ratio <= 1, name, "ratio", ratio, "in [0, 1]");
        if constexpr (requires { kernel.check(name); })
            kernel.check(name);
    }
    friend bool operator==(const EarlyDiffusionLoss&, const EarlyDiffusionLoss&) = default;
};

template <RobustKernel Kernel>
template <class F, class X, class... Rest>
double EarlyDiffusionLoss<Kernel>::operator()(const F& f, const X& x, const NoisePairs& pairs,
                                              const Rest&... rest) const
{
    accept<1, PerSample, Kept>(rest...);
    using T = KernelScalarOf<F, X>;
    Border<T> border(name);
    check();
    const auto fs = border.samples("f", f);
    const auto xs = border.samples("x", x);
    border.same_shape("x", xs, "f", fs);
    const Index n = fs.rows();
    pairs.check(name, n);
    auto& scratch = border.scratch();
    std::array<double*, 4> a; // factors of f and x, scale, mask
    for (double*& each : a)
        each = scratch.template take<double>(n);
    const auto rows = row_scale<T>(reduction, n, {});
    for (Index i = 0; i < n; ++i) {
        a[3][i] = chooses(pairs, i) ? 1 : 0;
        a[0][i] = 1;
        a[1][i] = -1;
        a[2][i] = rows(i) * a[3][i];
    }
    const auto g = border.gradient("f", fs, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto mask = border.template named_into<1>("kept", named<Kept>(rest...), {n});
    for (Index i = 0; mask && i < n; ++i)
        mask.put(mask.view(i), static_cast<T>(a[3][i]));
    const ResidualTerm<2> term{{a[0], a[1]}, RhoReference::to(kernel, name), a[2]};
    return border.finish(
        temper::kernel::RowResidual<T>::run({fs, xs}, term, nullptr, {g, each, a[3]})[0]);
}

} // namespace temper::inline TEMPER_ABI
