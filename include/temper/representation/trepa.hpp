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
// It is called from the calling thread, outside parallel regions, and always told to overwrite.
// Rows with |x_i| <= epsilon get no gradient, by convention; a zero target is the vector 0. n = 0: 0.
// Throws ShapeError; RangeError for a negative epsilon.
// Li et al., LatentSync: audio conditioned latent diffusion models for lip sync (2024).

#include <temper/representation/l2_alignment.hpp>

namespace temper::inline TEMPER_ABI {

/// What trepa.through(encoder) wants.
template <class E, class T>
concept FrameEncoder = requires(E& encoder, const AnyView<const T>& x,
                                const MatrixView<const T>& gy, const Into<T>& to) {
    { encoder.features() } -> std::convertible_to<Index>;
    encoder.forward(x, to);
    encoder.pullback(x, gy, to);
};

template <class E>
struct TrepaThrough;

struct Trepa {
    static constexpr std::string_view name = "Trepa";
    MeanOver mean_over = MeanOver::entries;
    double epsilon = 1e-12;

    /// (x, t [, into(gx), into(gt)])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const;
    /// A component that sees frames through the encoder, which it refers to.
    template <class E>
    [[nodiscard]] TrepaThrough<E> through(E& encoder) const;

    friend bool operator==(const Trepa&, const Trepa&) = default;
};

template <class E>
struct TrepaThrough {
    static constexpr std::string_view name = "Trepa";
    Trepa trepa{};
    E* encoder = nullptr;

    /// (frames, target_frames [, into(g_frames)])
    template <class X, class Y, class... Rest>
    double operator()(const X& frames, const Y& target_frames, const Rest&... rest) const;

    friend bool operator==(const TrepaThrough&, const TrepaThrough&) = default;
};

namespace kernel {
template <class T>
struct Trepa {
    static double run(const temper::Trepa& how, MatrixView<const T> x, MatrixView<const T> t,
                      const Destination<T, 2>& gx, const Destination<T, 2>& gt);
    /// A dense tensor of the shape of v, and to += from, for encoders that are told to overwrite.
    static AnyView<T> dense(Workspace::Frame& frame, const AnyView<const T>& v);
    static void add(const AnyView<const T>& from, const AnyView<T>& to);
};
} // namespace kernel

template <class X, class Y, class... Rest>
double Trepa::operator()(const X& x, const Y& t, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto ts = border.samples("t", t);
    border.same_shape("t", ts, "x", xs);
    const auto gx = border.gradient("x", xs, positional<0>(rest...));
    const auto gt = border.gradient("t", ts, positional<1>(rest...));
    return border.finish(kernel::Trepa<T>::run(*this, xs, ts, gx, gt));
}

template <class E>
TrepaThrough<E> Trepa::through(E& encoder) const
{
    return {*this, &encoder};
}

template <class E>
template <class X, class Y, class... Rest>
double TrepaThrough<E>::operator()(const X& frames, const Y& target_frames,
                                   const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<X, Y>;
    if constexpr (!FrameEncoder<E, T>) {
        static_assert(FrameEncoder<E, T>,
                      "temper: the encoder needs features(), forward(x, into(y)) and "
                      "pullback(x, gy, into(gx))");
        return 0;
    }
    else {
        Border<T> border(name);
        border.require(trepa.epsilon >= 0, "epsilon", trepa.epsilon, "non-negative");
        const auto x = border.sample_tensor("frames", frames);
        const auto t = border.sample_tensor("target_frames", target_frames);
        if (x.rank == 0)
            fail<ShapeError>(name, "frames", "is a number", "of shape [n, ...]");
        border.same_shape("target_frames", t, "frames", x);
        const auto gx = border.sample_gradient("frames", x, positional<0>(rest...));

        auto& scratch = border.scratch();
        const Index n = x.extent(0);
        const Index d = encoder->features();
        const MatrixView<T> a = scratch.template matrix<T>(n, d);
        const MatrixView<T> b = scratch.template matrix<T>(n, d);
        encoder->forward(t, into(b));
        encoder->forward(x, into(a));
        // The pullback is linear: the destination's scale goes in with the features' gradient.
        Destination<T, 2> ga;
        if (gx)
            ga = {scratch.template matrix<T>(n, d), gx.scale, Mode::overwrite};
        const double value = kernel::Trepa<T>::run(trepa, a, b, ga, {});
        if (gx) {
            AnyView<T> to = gx.view;
            if (gx.adds())
                to = kernel::Trepa<T>::dense(scratch, x);
            encoder->pullback(x, MatrixView<const T>(ga.view), into(to));
            if (gx.adds())
                kernel::Trepa<T>::add(to, gx.view);
        }
        return border.finish(value);
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::Trepa<T>::run(const temper::Trepa& how, MatrixView<const T> x, MatrixView<const T> t,
                             const Destination<T, 2>& gx, const Destination<T, 2>& gt)
{
    return L2Alignment<T>::directions(x, t, how.epsilon, entry_scale(how.mean_over, x.cols()),
                                      row_scale<T>(reduction_of(how.mean_over), x.rows(), {}), gx,
                                      gt, {});
}

template <class T>
AnyView<T> kernel::Trepa<T>::dense(Workspace::Frame& frame, const AnyView<const T>& v)
{
    return simd::dense_like(frame.take<T>(v.size()), v).view;
}

template <class T>
void kernel::Trepa<T>::add(const AnyView<const T>& from, const AnyView<T>& to)
{
    simd::map(simd::in(from), simd::out(AnyDestination<T>(to, 1, Mode::add)),
              [](auto u, auto& v) { v = u; });
}

TEMPER_INSTANTIATE(kernel::Trepa);

} // namespace temper::inline TEMPER_ABI
#endif
