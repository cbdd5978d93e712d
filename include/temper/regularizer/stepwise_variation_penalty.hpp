// SPDX-License-Identifier: BSL-1.0
#pragma once

// A step in the latent shall move the output by the same amount wherever it is taken.
//
//   v_i = | J_i' e_i |               J_i the derivative of the one-step clean estimate by the noise latent
//   m' = m + decay (mean_i v_i - m)
//   L = (1/n) sum_i (v_i - m')^2
//   dL/dv_i = (2/n) ((v_i - m') - decay mean_j (v_j - m')),   and from there v_i / |v_i| times
//
// vjp [n, ...]: row i is J_i' e_i, the vector-Jacobian product that one backward pass of a trainer gives for
// the probe e_i = normal / sqrt(entries of a sample) sqrt(1 - alpha_bar_i), which draw makes. The gradient is
// with respect to vjp, through m' as well; to get it to parameters takes a second backward pass (or a
// difference of two gradients). m lives in the state; observe moves it to m', AFTER the loss. m starts at 0,
// so that for the first hundred steps the penalty mostly shrinks the Jacobian, as the published code has it.
// Per sample: v_i. A row of zeros gets no gradient. n = 0: 0 and nothing is observed.
// Path length regularisation is the same with another probe. Throws ShapeError; RangeError for a decay
// outside [0, 1].
// Guo et al., Smooth diffusion: crafting smooth latent spaces in diffusion models (2024); Karras et al.,
// Analyzing and improving the image quality of StyleGAN (2020).

#include <temper/core/component.hpp>
#include <temper/core/flatten.hpp>
#include <temper/core/random.hpp>

#include <span>
#include <vector>

namespace temper::inline TEMPER_ABI {

struct StepwiseVariationPenalty {
    static constexpr std::string_view name = "StepwiseVariationPenalty";
    double decay = 0.01;

    struct State {
        double mean = 0;
        template <class Archive>
        void fields(Archive& a)
        {
            a("mean", mean);
        }
        friend bool operator==(const State&, const State&) = default;
    };
    [[nodiscard]] State init() const { return {}; }

    /// Probes [n, d] for n = alpha_bar.size() samples of d entries.
    template <BitGenerator G, class T>
    void draw(G& rng, std::span<const double> alpha_bar, Index d, std::vector<T>& probe) const
    {
        probe.clear();
        for (const double a : alpha_bar) {
            require(!(a < 0) && !(a > 1), name, "alpha_bar", a, "in [0, 1]");
            const double scale = std::sqrt((1 - a) / static_cast<double>(d));
            for (Index j = 0; j < d; ++j)
                probe.push_back(static_cast<T>(scale * normal(rng)));
        }
    }
    /// (state, vjp [, into(g)] [, per_sample(into(v))])
    template <class X, class... Rest>
    double operator()(const State& state, const X& vjp, const Rest&... rest) const;
    /// (state, vjp)
    template <class X>
    void observe(State& state, const X& vjp) const;

    friend bool operator==(const StepwiseVariationPenalty&,
                           const StepwiseVariationPenalty&) = default;
};

namespace kernel {
template <class T>
struct StepwiseVariationPenalty {
    /// The lengths of rows; returns their sum.
    static double lengths(MatrixView<const T> x, double* v);
    /// g_i = factor_i x_i
    static void gradient(MatrixView<const T> x, const double* factor, const Destination<T, 2>& g);
};
} // namespace kernel

template <class X, class... Rest>
double StepwiseVariationPenalty::operator()(const State& state, const X& vjp,
                                            const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    border.require(decay >= 0 && decay <= 1, "decay", decay, "in [0, 1]");
    const auto xs = detail::batch(border, "vjp", vjp);
    const Index n = xs.extent(0);
    const auto g = border.sample_gradient("vjp", xs, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    if (n == 0)
        return 0;
    Flatten<T> flat(border);
    const auto x = flat.input(xs, 1);
    double* const v = border.scratch().template take<double>(n);
    const auto count = static_cast<double>(n);
    const double mean = kernel::StepwiseVariationPenalty<T>::lengths(x, v) / count;
    const double target = state.mean + decay * (mean - state.mean);
    double value = 0;
    for (Index i = 0; i < n; ++i) {
        const double apart = v[i] - target;
        value += apart * apart / count;
        if (each)
            each.put(each.view(i), static_cast<T>(v[i]));
        v[i] = v[i] > 0 ? 2 / count * (apart - decay * (mean - target)) / v[i] : 0 * v[i];
    }
    kernel::StepwiseVariationPenalty<T>::gradient(x, v, flat.output(g, 1));
    flat.finish();
    return border.finish(value);
}

template <class X>
void StepwiseVariationPenalty::observe(State& state, const X& vjp) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    border.require(decay >= 0 && decay <= 1, "decay", decay, "in [0, 1]");
    const auto xs = detail::batch(border, "vjp", vjp);
    const Index n = xs.extent(0);
    if (n == 0)
        return;
    Flatten<T> flat(border);
    double* const v = border.scratch().template take<double>(n);
    const double mean =
        kernel::StepwiseVariationPenalty<T>::lengths(flat.input(xs, 1), v) / static_cast<double>(n);
    state.mean += decay * (mean - state.mean);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::StepwiseVariationPenalty<T>::lengths(MatrixView<const T> x, double* v)
{
    return simd::sum_tiles<T>(simd::operands(x), 0, [&](const auto& tile) {
        const auto length = simd::norms(tile, x);
        double total = 0;
        for (Index i = 0; i < tile.rows(); ++i)
            total += v[tile.row(i)] = length[i];
        return total;
    });
}

template <class T>
void kernel::StepwiseVariationPenalty<T>::gradient(MatrixView<const T> x, const double* factor,
                                                   const Destination<T, 2>& g)
{
    if (!g)
        return;
    (void)simd::sum_tiles<T>(simd::operands(x, g), 0, [&](const auto& tile) {
        auto f = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            f[i] = static_cast<T>(factor[tile.row(i)]);
        tile.each([=](auto at) { at.put(g, at(f) * at(x)); });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::StepwiseVariationPenalty);

} // namespace temper::inline TEMPER_ABI
#endif
