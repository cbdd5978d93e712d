// SPDX-License-Identifier: BSL-1.0
#pragma once

// Alignment of anything with anything: what an extractor makes of the two is compared by a similarity.
//
//   L = S(E(x), E(t))
//
// Extractors (what is a row of the comparison):
//   Samples{}          x [n, ...]: everything a sample has, [n, d]
//   Tokens{}           x [n, ..., d]: every vector along the last axis, [n ..., d] (patches, frames)
//   through(encoder)   x [n, ...]: what a frozen encoder of yours makes of it, [n, d]
// Similarities are components on two batches of rows, (x, t [, into(gx), into(gt)], named...):
//   CosineAlignment      - cos, 1 - cos or 2 - 2 cos
//   L2Alignment, Trepa   squared distance, of features or (normalised) of their directions
//   RepaNtXent, InfoNce  a row's own target among those of the batch
//   GramAlignment        how the rows of a batch are related to each other
//   SoftmaxAlignment     distributions over the features
//
//   const Alignment align{Tokens{}, CosineAlignment{}};
//   double value = align(hidden, target, into(g_hidden));
//   const Alignment clips{through(encoder), Trepa{}};
//   double value = clips(frames, real_frames, into(g_frames));
//   double value = clips(frames, encoded(features_of_real_frames), into(g_frames));
//
// x and t are of one shape; with encoded(f) the target has been through the encoder before, f [n, d]. The
// target is held fixed unless it gets a destination, which through(encoder) does not offer. An encoder needs
//   Index features() const                  d
//   void forward(x, into(y))                x a view [n, ...], y [n, d]
//   void pullback(x, gy, into(gx))          of the x last given to forward
// and is called from the calling thread, outside parallel regions, and always told to overwrite.
// sample_weights(w) and per_sample(into(v)) go to the similarity, and are for each row it sees.
// Samples and Tokens copy nothing where rows have one stride, as those of dense tensors have.
// Throws ShapeError, and what the similarity throws.

#include <temper/core/component.hpp>
#include <temper/core/flatten.hpp>

#include <tuple>

namespace temper::inline TEMPER_ABI {

/// What through(encoder) wants.
template <class E, class T>
concept FrameEncoder = requires(E& encoder, const AnyView<const T>& x,
                                const MatrixView<const T>& gy, const Into<T>& to) {
    { encoder.features() } -> std::convertible_to<Index>;
    encoder.forward(x, to);
    encoder.pullback(x, gy, to);
};

struct Samples {
    friend bool operator==(const Samples&, const Samples&) = default;
};
struct Tokens {
    friend bool operator==(const Tokens&, const Tokens&) = default;
};
template <class E>
struct Through {
    E* encoder = nullptr;
    friend bool operator==(const Through&, const Through&) = default;
};
/// Refers to the encoder.
template <class E>
[[nodiscard]] Through<E> through(E& encoder)
{
    return {&encoder};
}

/// A target that is features already.
template <class V>
struct Encoded {
    V view;
};
template <class O>
[[nodiscard]] Encoded<ViewOf<const O>> encoded(const O& features)
{
    return {view(features)};
}

namespace detail {
template <class A>
inline constexpr bool is_encoded = false;
template <class V>
inline constexpr bool is_encoded<Encoded<V>> = true;
template <class E>
inline constexpr bool is_through = false;
template <class E>
inline constexpr bool is_through<Through<E>> = true;

/// What is not a destination.
template <class A>
[[nodiscard]] auto said_by_name(const A& argument)
{
    if constexpr (is_destination<A>)
        return std::tuple<>();
    else
        return std::tuple<A>(argument);
}
/// A destination as a caller would say it; one that is discarded has a shape all the same.
template <class T>
[[nodiscard]] Into<T> as_said(const Destination<T, 2>& d, MatrixView<const T> like)
{
    if (d)
        return {AnyView<T>(d.view), d.scale, d.mode};
    return {AnyView<T>(MatrixView<T>{nullptr, like.extents, like.strides}), 1, Mode::discard};
}
template <class T, class Similarity, class... Rest>
double compare(const Similarity& similarity, MatrixView<const T> x, MatrixView<const T> t,
               const Into<T>& gx, const Into<T>& gt, const Rest&... rest)
{
    return std::apply([&](const auto&... named) { return similarity(x, t, gx, gt, named...); },
                      std::tuple_cat(said_by_name(rest)...));
}
} // namespace detail

template <class Extractor, Component Similarity>
struct Alignment {
    static constexpr std::string_view name = Similarity::name;
    Extractor extractor{};
    Similarity similarity{};

    /// (x, t [, into(gx), into(gt)] [, sample_weights(w)] [, per_sample(into(v))])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const
    {
        if constexpr (detail::is_through<Extractor>) {
            accept<1, SampleWeights, PerSample>(rest...);
            return encode(*extractor.encoder, x, t, rest...);
        }
        else {
            accept<2, SampleWeights, PerSample>(rest...);
            return flatten(x, t, rest...);
        }
    }
    friend bool operator==(const Alignment&, const Alignment&) = default;

  private:
    template <class X, class Y, class... Rest>
    double flatten(const X& x, const Y& t, const Rest&... rest) const;
    template <class E, class X, class Y, class... Rest>
    double encode(E& encoder, const X& frames, const Y& target, const Rest&... rest) const;
};
template <class Extractor, class Similarity>
Alignment(Extractor, Similarity) -> Alignment<Extractor, Similarity>;

template <class Extractor, Component Similarity>
template <class X, class Y, class... Rest>
double Alignment<Extractor, Similarity>::flatten(const X& x, const Y& t, const Rest&... rest) const
{
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    const auto xs = detail::batch(border, "x", x);
    const auto ts = border.sample_tensor("t", t);
    border.same_shape("t", ts, "x", xs);
    const auto gx = border.sample_gradient("x", xs, positional<0>(rest...));
    const auto gt = border.sample_gradient("t", ts, positional<1>(rest...));
    const int lead = std::is_same_v<Extractor, Tokens> ? (std::max)(1, xs.rank - 1) : 1;
    Flatten<T> flat(border);
    const auto a = flat.input(xs, lead);
    const auto b = flat.input(ts, lead);
    const auto ga = detail::as_said(flat.output(gx, lead), a);
    const auto gb = detail::as_said(flat.output(gt, lead), b);
    const double value = detail::compare(similarity, a, b, ga, gb, rest...);
    flat.finish();
    return border.finish(value);
}

template <class Extractor, Component Similarity>
template <class E, class X, class Y, class... Rest>
double Alignment<Extractor, Similarity>::encode(E& encoder, const X& frames, const Y& target,
                                                const Rest&... rest) const
{
    using T = KernelScalarOf<X>;
    if constexpr (!FrameEncoder<E, T>) {
        static_assert(FrameEncoder<E, T>,
                      "temper: the encoder needs features(), forward(x, into(y)) and "
                      "pullback(x, gy, into(gx))");
        return 0;
    }
    else {
        Border<T> border(name);
        auto& scratch = border.scratch();
        const auto x = detail::batch(border, "frames", frames);
        const Index n = x.extent(0);
        const Index d = encoder.features();
        MatrixView<const T> b;
        AnyView<const T> t;
        if constexpr (detail::is_encoded<Y>) {
            b = border.samples("target", target.view);
            border.expect_shape("target", b, {n, d}, "the encoder's features of each sample");
        }
        else {
            t = border.sample_tensor("target_frames", target);
            border.same_shape("target_frames", t, "frames", x);
        }
        const auto gx = border.sample_gradient("frames", x, positional<0>(rest...));
        if constexpr (!detail::is_encoded<Y>) {
            const MatrixView<T> made = scratch.template matrix<T>(n, d);
            encoder.forward(t, into(made));
            b = made;
        }
        const MatrixView<T> a = scratch.template matrix<T>(n, d);
        encoder.forward(x, into(a));
        // The pullback is linear: the destination's scale goes in with the features' gradient.
        Destination<T, 2> ga;
        if (gx)
            ga = {scratch.template matrix<T>(n, d), gx.scale, Mode::overwrite};
        const double value =
            detail::compare(similarity, MatrixView<const T>(a), b, detail::as_said<T>(ga, a),
                            detail::as_said<T>({}, b), rest...);
        if (gx) {
            // An encoder overwrites: what is added to goes through scratch.
            const AnyView<T> to =
                gx.adds() ? row_major_like(scratch.template take<T>(x.size()), x) : gx.view;
            // The scale went in with ga, so overwriting is at scale 1.
            encoder.pullback(x, MatrixView<const T>(ga.view), into(to));
            if (gx.adds())
                detail::each_entry(gx.view, [&](T& entry, Index i) { entry += to.data[i]; });
        }
        return border.finish(value);
    }
}

} // namespace temper::inline TEMPER_ABI
