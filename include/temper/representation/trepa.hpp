// SPDX-License-Identifier: BSL-1.0
#pragma once

// TREPA, temporal representation alignment: clips shall look alike to a frozen encoder of videos. It sees
// whole clips, so that flicker, which no loss on single frames notices, is what costs most.
//
//   L = f sum_i |a_i - b_i|^2                       a_i, b_i = unit(x_i), unit(t_i)
//   dL/dx_i = -2 f (b_i - <a_i, b_i> a_i) / |x_i|
//   f = 1 / (n d)   mean over entries: what the authors' code does, 2 / d times the mean of 1 - cos, hence
//                   their weight of 10 (`10 * Trepa{}`)
//       1 / n       mean over samples (MeanOver::nothing: the sum)
//
// x, t [n, d]: features of the generated and of the real clips. The target is held fixed unless it gets a
// destination. Between frames and features stands an encoder of yours:
//
//   double value = trepa.through(encoder)(frames, target_frames, into(g_frames));
//
// frames of any shape [n, ...]. The encoder needs
//   Index features() const                  d
//   void forward(x, into(y))                x a view of frames [n, ...], y [n, d]
//   void pullback(x, gy, into(gx))          of the x last given to forward, which is `frames`
// It is called from the calling thread, outside parallel regions, and always told to overwrite. This is
// Alignment{through(encoder), Trepa{}}; the target may be encoded(features), computed before.
// Rows with |x_i| <= epsilon get no gradient, by convention; a zero target is the vector 0. n = 0: 0.
// Throws ShapeError; RangeError for a negative epsilon.
// Li et al., LatentSync: audio conditioned latent diffusion models for lip sync (2024).

#include <temper/representation/alignment.hpp>
#include <temper/representation/l2_alignment.hpp>

namespace temper::inline TEMPER_ABI {

struct Trepa {
    static constexpr std::string_view name = "Trepa";
    MeanOver mean_over = MeanOver::entries;
    double epsilon = 1e-12;

    /// (x, t [, sample_weights(w)] [, into(gx), into(gt)] [, per_sample(into(v))])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const;
    /// A component that sees frames through the encoder, which it refers to.
    template <class E>
    [[nodiscard]] Alignment<Through<E>, Trepa> through(E& encoder) const
    {
        return {{&encoder}, *this};
    }
    friend bool operator==(const Trepa&, const Trepa&) = default;
};

namespace kernel {
template <class T>
struct Trepa {
    static double run(const temper::Trepa& how, MatrixView<const T> x, MatrixView<const T> t,
                      RowScale<T> scale, const Destination<T, 2>& gx, const Destination<T, 2>& gt,
                      const Destination<T, 1>& per_sample);
};
} // namespace kernel

template <class X, class Y, class... Rest>
double Trepa::operator()(const X& x, const Y& t, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample>(rest...);
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto ts = border.samples("t", t);
    border.same_shape("t", ts, "x", xs);
    const Index n = xs.rows();
    const auto weights =
        border.optional_vector("sample_weights", named<SampleWeights>(rest...), n, "as x has rows");
    const auto gx = border.gradient("x", xs, positional<0>(rest...));
    const auto gt = border.gradient("t", ts, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    return border.finish(kernel::Trepa<T>::run(
        *this, xs, ts, row_scale(reduction_of(mean_over), n, weights), gx, gt, each));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::Trepa<T>::run(const temper::Trepa& how, MatrixView<const T> x, MatrixView<const T> t,
                             RowScale<T> scale, const Destination<T, 2>& gx,
                             const Destination<T, 2>& gt, const Destination<T, 1>& per_sample)
{
    return L2Alignment<T>::directions(x, t, how.epsilon, entry_scale(how.mean_over, x.cols()),
                                      scale, gx, gt, per_sample);
}

TEMPER_INSTANTIATE(kernel::Trepa);

} // namespace temper::inline TEMPER_ABI
#endif
