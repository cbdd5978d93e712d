// SPDX-License-Identifier: BSL-1.0
#pragma once

// The loss of consistency training: a model's outputs at two neighbouring noise levels of one noisy sample
// shall agree.
//
//   x+_i = x_i + high_i z_i      x-_i = x_i + low_i z_i        the same noise: `pair`
//   f+_i = skip(high_i) x+_i + out(high_i) F+_i                f- likewise, held still
//   mean:  L = (1 / n) sum_i w_i rho(|f+_i - f-_i|^2)          w_i = weight(low_i, high_i)
//   dL/dF+_i = (2 / n) w_i rho' out(high_i) (f+_i - f-_i)      sum: without 1 / n
//
// x data and z standard normal noise [n, d]; F+ and F- what the network (the same weights, and the same
// dropout mask) says of x+ and x-, [n, d]. rho is a robust kernel of the whole sample's squared residual:
// all entries of a sample shrink together, and c grows with sqrt(d). Residuals are put together of x, z and
// the two outputs, so that neither x+ nor f need be kept. per_sample: rho. At the lowest level f- = x-,
// whatever F- is. n = 0: 0. Throws ShapeError; RangeError for what kernel, weight and scalings refuse.
// A latent form, LatentConsistencyLoss, adds `diffusion_weight` times an EarlyDiffusionLoss of f+, whose
// gradient reaches F+ through out(high_i), in the same pass; terms(into(v)) gives both.
// Song and Dhariwal, Improved Techniques for Training Consistency Models (2023): PseudoHuber::for_entries(d),
// no moving teacher. Dao et al., Improved Training Technique for Latent Consistency Models (2025): Cauchy.

#include <temper/core/terms.hpp>
#include <temper/diffusion/consistency_scalings.hpp>
#include <temper/diffusion/early_diffusion_loss.hpp>
#include <temper/diffusion/inverse_gap_weight.hpp>

namespace temper::inline TEMPER_ABI {

template <RobustKernel Kernel = PseudoHuber, PairWeight Weight = InverseGapWeight,
          NoiseScalings S = ConsistencyScalings>
struct ConsistencyLoss {
    static constexpr std::string_view name = "ConsistencyLoss";
    Kernel kernel;
    Weight weight{};
    S scalings{};
    Reduction reduction = Reduction::mean;

    /// (x, noise, pairs, into(x_high) [, into(x_low)])
    template <class X, class Z, class... Rest>
    static void pair(const X& x, const Z& noise, const NoisePairs& pairs, const Rest&... rest);

    /// (x, noise, pairs, F_high, F_low [, into(gF_high)] [, per_sample(into(v))])
    template <class X, class Z, class H, class L, class... Rest>
    double operator()(const X& x, const Z& noise, const NoisePairs& pairs, const H& high,
                      const L& low, const Rest&... rest) const;

    friend bool operator==(const ConsistencyLoss&, const ConsistencyLoss&) = default;
};

template <RobustKernel Kernel = Cauchy, PairWeight Weight = InverseGapWeight,
          NoiseScalings S = ConsistencyScalings, RobustKernel Early = L2Residual>
struct LatentConsistencyLoss {
    static constexpr std::string_view name = "LatentConsistencyLoss";
    ConsistencyLoss<Kernel, Weight, S> consistency;
    EarlyDiffusionLoss<Early> early{};
    double diffusion_weight = 1;

    /// (x, noise, pairs, F_high, F_low [, into(gF_high)] [, per_sample(into(v)), terms(into(v))])
    template <class X, class Z, class H, class L, class... Rest>
    double operator()(const X& x, const Z& noise, const NoisePairs& pairs, const H& high,
                      const L& low, const Rest&... rest) const;

    friend bool operator==(const LatentConsistencyLoss&, const LatentConsistencyLoss&) = default;
};

namespace detail {

/// Both losses, with or without the early term.
template <class T, class Loss, class Early, class X, class Z, class H, class L, class... Rest>
double consistency_loss(std::string_view name, const Loss& loss, const Early* early,
                        double diffusion_weight, const X& x, const Z& noise,
                        const NoisePairs& pairs, const H& high, const L& low, const Rest&... rest)
{
    Border<T> border(name);
    const auto data = border.samples("x", x);
    const auto z = border.samples("noise", noise);
    const auto upper = border.samples("high", high);
    const auto lower = border.samples("low", low);
    border.same_shape("noise", z, "x", data);
    border.same_shape("high", upper, "x", data);
    border.same_shape("low", lower, "x", data);
    const Index n = data.rows();
    pairs.check(name, n);
    const RhoReference rho = RhoReference::to(loss.kernel, name);
    if (early != nullptr)
        early->check();

    auto& scratch = border.scratch();
    std::array<double*, 8> a; // factors of F+, F-, x, z; scale; of the early term: x, z, scale
    for (double*& each : a)
        each = scratch.template take<double>(n);
    double* const zeros = scratch.template take_zeros<double>(n);
    const auto rows = row_scale<T>(loss.reduction, n, {});
    for (Index i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double up = pairs.high[at];
        const double down = pairs.low[at];
        const Scalings above = loss.scalings(up);
        const Scalings below = loss.scalings(down);
        a[0][i] = above.out;
        a[1][i] = -below.out;
        a[2][i] = above.skip - below.skip;
        a[3][i] = above.skip * up - below.skip * down;
        a[4][i] = rows(i) * loss.weight(down, up);
        a[5][i] = above.skip - 1;
        a[6][i] = above.skip * up;
        a[7][i] = early != nullptr && early->chooses(pairs, i) ? diffusion_weight * rows(i) : 0;
    }
    typename kernel::RowResidual<T>::Outputs out;
    out.gradient = border.gradient("high", upper, positional<0>(rest...));
    out.per_sample = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto both = border.template named_into<1>("terms", named<Terms>(rest...), {2});
    const L2Residual square{};
    const ResidualTerm<4> first{{a[0], a[1], a[2], a[3]}, rho, a[4]};
    ResidualTerm<4> second{{a[0], zeros, a[5], a[6]}, RhoReference::to(square, name), a[7]};
    if (early != nullptr)
        second.rho = RhoReference::to(early->kernel, name);
    const auto values = kernel::RowResidual<T>::run({upper, lower, data, z}, first,
                                                    early != nullptr ? &second : nullptr, out);
    put_terms(both, values);
    return border.finish(values[0] + values[1]);
}

} // namespace detail

template <RobustKernel Kernel, PairWeight Weight, NoiseScalings S>
template <class X, class Z, class... Rest>
void ConsistencyLoss<Kernel, Weight, S>::pair(const X& x, const Z& noise, const NoisePairs& pairs,
                                              const Rest&... rest)
{
    accept<2>(rest...);
    using T = KernelScalarOf<X, Z>;
    Border<T> border(name);
    const auto data = border.samples("x", x);
    const auto z = border.samples("noise", noise);
    border.same_shape("noise", z, "x", data);
    const Index n = data.rows();
    pairs.check(name, n);
    double* const ones = border.scratch().template take<double>(n);
    std::fill_n(ones, n, 1.0);
    const auto high = border.template output<2>("x_high", positional<0>(rest...), {n, data.cols()});
    const auto low = border.template output<2>("x_low", positional<1>(rest...), {n, data.cols()});
    temper::kernel::ScaledRows<T>::run(ones, data, pairs.high.data(), z, high);
    temper::kernel::ScaledRows<T>::run(ones, data, pairs.low.data(), z, low);
    border.finish();
}

template <RobustKernel Kernel, PairWeight Weight, NoiseScalings S>
template <class X, class Z, class H, class L, class... Rest>
double ConsistencyLoss<Kernel, Weight, S>::operator()(const X& x, const Z& noise,
                                                      const NoisePairs& pairs, const H& high,
                                                      const L& low, const Rest&... rest) const
{
    accept<1, PerSample>(rest...);
    return detail::consistency_loss<KernelScalarOf<X, Z, H, L>>(
        name, *this, static_cast<const EarlyDiffusionLoss<>*>(nullptr), 0, x, noise, pairs, high,
        low, rest...);
}

template <RobustKernel Kernel, PairWeight Weight, NoiseScalings S, RobustKernel Early>
template <class X, class Z, class H, class L, class... Rest>
double LatentConsistencyLoss<Kernel, Weight, S, Early>::operator()(const X& x, const Z& noise,
                                                                   const NoisePairs& pairs,
                                                                   const H& high, const L& low,
                                                                   const Rest&... rest) const
{
    accept<1, PerSample, Terms>(rest...);
    return detail::consistency_loss<KernelScalarOf<X, Z, H, L>>(
        name, consistency, &early, diffusion_weight, x, noise, pairs, high, low, rest...);
}

} // namespace temper::inline TEMPER_ABI
