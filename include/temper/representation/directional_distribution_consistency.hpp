// SPDX-License-Identifier: BSL-1.0
#pragma once

// Few-shot adaption that moves a distribution as a whole: every sample goes the way from the mean of the
// source to the mean of the target, so that what the source samples differ in is kept.
//
//   direction     w = mean of target_set - mean of source_set
//   phase         a_i = base^(t_i / steps)
//   l_i = (1/d) |o_i - s_i - w|^2,   L = (1/n) sum_i a_i l_i,   dL/do_i = 2 a_i (o_i - s_i - w) / (n d)
//   denoising     the factor of the denoising loss of the same step, max(base^0.9 - a_i, 0)
//
// source_set [p, d], target_set [q, d]: an encoder's features of both sets, w [d], computed once. o, s [n, d]
// features of the adapted model's output and of the source model's, t [n] numbers of any kind. Features are
// as they are, not unit vectors. Per sample: l_i, without a_i. Above t = 0.9 steps the published factor is
// negative, which is 0 here unless clamp is off. t = 0: a_i = 1. n = 0: 0.
// Throws ShapeError; RangeError for base and steps that are not positive, and for an empty set.
// Hu et al., Phasic content fusing diffusion model with directional distribution consistency for few-shot
// model adaption (2023); the phase is that of the released script.

#include <temper/diffusion/noise_levels.hpp>

namespace temper::inline TEMPER_ABI {

struct DirectionalDistributionConsistency {
    static constexpr std::string_view name = "DirectionalDistributionConsistency";
    double base = 20;
    double steps = 1000;
    bool clamp = true;

    /// (source_set, target_set, into(w))
    template <class S, class Y, class D>
    void direction(const S& source_set, const Y& target_set, const D& w) const;
    [[nodiscard]] double phase(double t) const
    {
        require(base > 0, name, "base", base, "positive");
        require(steps > 0, name, "steps", steps, "positive");
        return std::pow(base, t / steps);
    }
    [[nodiscard]] double denoising(double t) const
    {
        const double weight = std::pow(base, 0.9) - phase(t);
        return clamp && weight < 0 ? 0 : weight;
    }
    /// (w, source, output, t [, into(g_output)] [, per_sample(into(l))])
    template <class W, class S, class O, class L, class... Rest>
    double operator()(const W& w, const S& source, const O& output, const L& t,
                      const Rest&... rest) const;

    friend bool operator==(const DirectionalDistributionConsistency&,
                           const DirectionalDistributionConsistency&) = default;
};

namespace kernel {
template <class T>
struct DirectionalDistributionConsistency {
    static void direction(MatrixView<const T> source, MatrixView<const T> target,
                          const Destination<T, 1>& w);
    static double run(VectorView<const T> w, MatrixView<const T> source, MatrixView<const T> output,
                      const double* phase, const Destination<T, 2>& g,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class S, class Y, class D>
void DirectionalDistributionConsistency::direction(const S& source_set, const Y& target_set,
                                                   const D& w) const
{
    using T = KernelScalarOf<S, Y>;
    Border<T> border(name);
    const auto source = border.samples("source_set", source_set);
    const auto target = border.samples("target_set", target_set);
    border.expect_shape("target_set", target, {target.rows(), source.cols()},
                        "with the columns of source_set");
    border.require(source.rows() > 0, "source_set", 0, "not empty");
    border.require(target.rows() > 0, "target_set", 0, "not empty");
    const auto to = border.template output<1>("direction", w, {source.cols()});
    kernel::DirectionalDistributionConsistency<T>::direction(source, target, to);
    border.finish();
}

template <class W, class S, class O, class L, class... Rest>
double DirectionalDistributionConsistency::operator()(const W& w, const S& source, const O& output,
                                                      const L& t, const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    using T = KernelScalarOf<W, S, O>;
    Border<T> border(name);
    const auto s = border.samples("source", source);
    const auto o = border.samples("output", output);
    border.same_shape("output", o, "source", s);
    const auto ws = border.vector("direction", w);
    border.expect_shape("direction", ws, {s.cols()}, "as source has columns");
    const Index n = s.rows();
    const double* const times = noise_levels(border, "t", t, n, [](double) {});
    double* const phases = border.scratch().template take<double>(n);
    for (Index i = 0; i < n; ++i)
        phases[i] = phase(times[i]);
    const auto g = border.gradient("output", o, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    return border.finish(
        kernel::DirectionalDistributionConsistency<T>::run(ws, s, o, phases, g, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/columns.hpp>
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::DirectionalDistributionConsistency<T>::direction(MatrixView<const T> source,
                                                              MatrixView<const T> target,
                                                              const Destination<T, 1>& w)
{
    if (!w)
        return;
    Workspace::Frame frame;
    auto* const from = frame.take<double>(source.cols());
    auto* const to = frame.take<double>(source.cols());
    const auto sum = [](MatrixView<const T> x, double* sums) {
        simd::column_sum(std::array<const T*, 0>{}, std::array{x}, sums, [](auto u) { return u; });
    };
    sum(source, from);
    sum(target, to);
    for (Index j = 0; j < source.cols(); ++j)
        w.put(w.view(j), static_cast<T>(to[j] / static_cast<double>(target.rows()) -
                                        from[j] / static_cast<double>(source.rows())));
}

template <class T>
double kernel::DirectionalDistributionConsistency<T>::run(
    VectorView<const T> w, MatrixView<const T> source, MatrixView<const T> output,
    const double* phase, const Destination<T, 2>& g, const Destination<T, 1>& per_sample)
{
    const double per_entry = entry_scale(MeanOver::entries, output.cols());
    const double per_row = output.rows() > 0 ? 1 / static_cast<double>(output.rows()) : 0;
    return simd::sum_tiles<T>(simd::operands(source, output, g), 0, [&](const auto& tile) {
        const auto apart = [=](auto at) { return at(output) - at(source) - at(w); };
        const auto squares = tile.sum([=](auto at) {
            const auto e = apart(at);
            return e * e;
        });
        double total = 0;
        auto factor = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const double a = per_row * phase[tile.row(i)];
            total += a * per_entry * squares[i];
            factor[i] = static_cast<T>(2 * a * per_entry);
            if (per_sample)
                per_sample.put(per_sample.view(tile.row(i)),
                               static_cast<T>(per_entry * squares[i]));
        }
        if (g)
            tile.each([=](auto at) { at.put(g, at(factor) * apart(at)); });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::DirectionalDistributionConsistency);

} // namespace temper::inline TEMPER_ABI
#endif
