// SPDX-License-Identifier: BSL-1.0
#pragma once

// Adaptive projected guidance (APG): classifier-free guidance without the part that only saturates.
//
//   delta = cond - uncond           a' = delta + momentum a          q = a' min(1, r / |a'|)   (r = 0: q = a')
//   par = (q . v) v, v = cond / |cond|                  orth = q - par
//   guided = cond + (scale - 1) (orth + eta par)
//
// cond and uncond are predictions of the data (not of noise or velocity: convert first), and a the running
// average of the step before, zeros at first, all [n, d]; lengths and products are those of whole samples, in
// double. `forward` gives the guided prediction, and a' for the next step, which may be written over a.
// Momentum is negative: the average pushes against what was done before. scale = 1: cond. eta = 1, r = 0,
// momentum = 0: classifier-free guidance uncond + scale (cond - uncond). cond = 0: par = 0. delta = 0 and
// a = 0: guided = cond.
// No gradients: a sampler's step. Throws ShapeError; RangeError for r < 0.
// Sadat, Hilliges and Weber, Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion
// Models (2025): eta 0, momentum -0.5, r 2.5 (class-conditional) to 15 (Stable Diffusion), second-hand.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Parallel {
    D destination;
};
template <class D>
struct Orthogonal {
    D destination;
};
/// The part of q along the conditional prediction, [n, d].
template <class D>
[[nodiscard]] Parallel<D> parallel(const D& destination)
{
    return {destination};
}
/// The rest of q, [n, d].
template <class D>
[[nodiscard]] Orthogonal<D> orthogonal(const D& destination)
{
    return {destination};
}

struct AdaptiveProjectedGuidance {
    static constexpr std::string_view name = "AdaptiveProjectedGuidance";
    double scale = 7.5;
    double eta = 0;
    double radius = 2.5; ///< r; 0: lengths stay
    double momentum = -0.5;

    /// (a, cond, uncond, into(guided) [, into(a')] [, parallel(into(p)), orthogonal(into(o))])
    template <class A, class C, class U, class... Rest>
    void forward(const A& average, const C& cond, const U& uncond, const Rest&... rest) const;

    friend bool operator==(const AdaptiveProjectedGuidance&,
                           const AdaptiveProjectedGuidance&) = default;
};
using Apg = AdaptiveProjectedGuidance;

namespace kernel {
template <class T>
struct AdaptiveProjectedGuidance {
    struct Outputs {
        Destination<T, 2> guided, average, parallel, orthogonal;
    };
    static void run(const temper::AdaptiveProjectedGuidance& how, MatrixView<const T> a,
                    MatrixView<const T> cond, MatrixView<const T> uncond, const Outputs& out);
};
} // namespace kernel

template <class A, class C, class U, class... Rest>
void AdaptiveProjectedGuidance::forward(const A& average, const C& cond, const U& uncond,
                                        const Rest&... rest) const
{
    accept<2, Parallel, Orthogonal>(rest...);
    using T = KernelScalarOf<A, C, U>;
    Border<T> border(name);
    border.require(radius >= 0, "radius", radius, "non-negative");
    const auto a = border.samples("average", average);
    const auto c = border.samples("cond", cond);
    const auto u = border.samples("uncond", uncond);
    border.same_shape("average", a, "cond", c);
    border.same_shape("uncond", u, "cond", c);
    typename kernel::AdaptiveProjectedGuidance<T>::Outputs out;
    out.guided = border.template output<2>("guided", positional<0>(rest...), c.extents);
    out.average =
        border.template output<2>("average'", positional<1>(rest...), c.extents, InPlace::allowed);
    out.parallel = border.template named_into<2>("parallel", named<Parallel>(rest...), c.extents);
    out.orthogonal =
        border.template named_into<2>("orthogonal", named<Orthogonal>(rest...), c.extents);
    kernel::AdaptiveProjectedGuidance<T>::run(*this, a, c, u, out);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::AdaptiveProjectedGuidance<T>::run(const temper::AdaptiveProjectedGuidance& how,
                                               MatrixView<const T> a, MatrixView<const T> cond,
                                               MatrixView<const T> uncond, const Outputs& out)
{
    using V = simd::Pack<T>;
    const auto all =
        simd::operands(a, cond, uncond, out.guided, out.average, out.parallel, out.orthogonal);
    (void)simd::sum_tiles<T>(all, 1, [&](const auto& tile) {
        const auto next = tile.scratch(0); // a' may go where a is
        const auto sums = tile.template sums<3>([=, m = V(how.momentum)](auto at) {
            const V c = at(cond);
            const V q = fma(m, at(a), c - at(uncond));
            at.put(next, q);
            return std::array{q * q, q * c, c * c};
        });
        auto shrink = tile.numbers();
        auto along = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const double length = std::sqrt(sums[0][i]);
            const double factor = how.radius > 0 && length > how.radius ? how.radius / length : 1;
            shrink[i] = static_cast<T>(factor);
            along[i] = static_cast<T>(sums[2][i] == 0 ? 0 : factor * sums[1][i] / sums[2][i]);
        }
        tile.each([=, rise = V(how.scale - 1), eta = V(how.eta)](auto at) {
            const V c = at(cond);
            const V q = at(next);
            const V par = at(along) * c;
            const V orth = fma(at(shrink), q, -par);
            at.put(out.average, q);
            at.put(out.parallel, par);
            at.put(out.orthogonal, orth);
            at.put(out.guided, fma(rise, fma(eta, par, orth), c));
        });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::AdaptiveProjectedGuidance);

} // namespace temper::inline TEMPER_ABI
#endif
