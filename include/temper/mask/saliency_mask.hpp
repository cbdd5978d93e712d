// SPDX-License-Identifier: BSL-1.0
#pragma once

// Masks by the saliency of single weights.
//
//   magnitude  |w|            snip     |w g|         taylor  -w g  (movement pruning)
//   fisher     (w g)^2        gradient |g|
//
//   mask = 1 for the `keep` entries of largest score, 0 elsewhere; on a tie the LOWER flat (row-major)
//   index lives.
//
// w and its gradient g of any one shape, score and mask of that shape. keep = 0 gives zeros, keep = size
// ones. Throws ShapeError; RangeError for keep outside [0, size] and for a NaN score.
// Lee et al., SNIP: Single-shot Network Pruning based on Connection Sensitivity (2019); Sanh et al.,
// Movement Pruning (2020); Molchanov et al., Importance Estimation for Neural Network Pruning (2019).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

enum class Saliency { magnitude, snip, taylor, fisher, gradient };

struct SaliencyMask {
    static constexpr std::string_view name = "SaliencyMask";
    Saliency saliency = Saliency::magnitude;
    Index keep = 0;

    /// (w, g, into(mask))
    template <class W, class G, class D>
    void apply(const W& w, const G& g, const D& mask) const;
    /// (w, g, into(score))
    template <class W, class G, class D>
    void score(const W& w, const G& g, const D& score) const;

    friend bool operator==(const SaliencyMask&, const SaliencyMask&) = default;
};

namespace kernel {
template <class T>
struct SaliencyMask {
    static void score(Saliency saliency, const AnyView<const T>& w, const AnyView<const T>& g,
                      const AnyDestination<T>& score);
    /// Scores in row-major order; false if one is NaN.
    static bool dense_score(Saliency saliency, const AnyView<const T>& w, const AnyView<const T>& g,
                            T* score);
    /// One ranking of n scores; the masks follow each other in it. `live` is scratch.
    static void select(const T* score, Index n, Index keep, T* live,
                       std::span<const AnyDestination<T>> masks);
};
} // namespace kernel

template <class W, class G, class D>
void SaliencyMask::apply(const W& w, const G& g, const D& mask) const
{
    using T = KernelScalarOf<W, G>;
    Border<T> border(name);
    const auto weights = border.tensor("w", w);
    const auto gradients = border.tensor("g", g);
    border.same_shape("g", gradients, "w", weights);
    const Index n = weights.size();
    border.require(keep >= 0 && keep <= n, "keep", static_cast<double>(keep),
                   "from 0 to the number of weights");
    const auto out = border.gradient("w", weights, mask);
    T* scores = border.scratch().template take<T>(n);
    T* live = border.scratch().template take<T>(n);
    if (!kernel::SaliencyMask<T>::dense_score(saliency, weights, gradients, scores))
        fail<RangeError>(name, "a score", "is nan", "a number");
    kernel::SaliencyMask<T>::select(scores, n, keep, live, {&out, 1});
    border.finish();
}

template <class W, class G, class D>
void SaliencyMask::score(const W& w, const G& g, const D& score) const
{
    using T = KernelScalarOf<W, G>;
    Border<T> border(name);
    const auto weights = border.tensor("w", w);
    const auto gradients = border.tensor("g", g);
    border.same_shape("g", gradients, "w", weights);
    const auto out = border.gradient("w", weights, score, InPlace::allowed);
    kernel::SaliencyMask<T>::score(saliency, weights, gradients, out);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/mask/top_k.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::SaliencyMask<T>::score(Saliency saliency, const AnyView<const T>& w,
                                    const AnyView<const T>& g, const AnyDestination<T>& score)
{
    simd::map(simd::in(w, g), simd::out(score), [saliency](auto x, auto dx, auto& s) {
        switch (saliency) {
        case Saliency::magnitude:
            s = abs(x);
            break;
        case Saliency::snip:
            s = abs(x * dx);
            break;
        case Saliency::taylor:
            s = -(x * dx);
            break;
        case Saliency::fisher:
            s = x * dx * (x * dx);
            break;
        case Saliency::gradient:
            s = abs(dx);
            break;
        }
    });
}

template <class T>
bool kernel::SaliencyMask<T>::dense_score(Saliency saliency, const AnyView<const T>& w,
                                          const AnyView<const T>& g, T* scores)
{
    const auto dense = simd::dense_like(scores, w);
    score(saliency, w, g, dense);
    // NaN is the only number that a maximum of magnitudes passes on as NaN.
    return w.size() == 0 || !std::isnan(simd::map_max(simd::in(AnyView<const T>(dense.view)),
                                                      [](auto s) { return abs(s); }));
}

template <class T>
void kernel::SaliencyMask<T>::select(const T* score, Index n, Index keep, T* live,
                                     std::span<const AnyDestination<T>> masks)
{
    auto cut = top_k<T>({score, static_cast<std::size_t>(n)}, keep);
    for (Index i = 0; i < n; ++i)
        live[i] = cut.keeps(score[i]) ? T(1) : T(0);
    for (const auto& mask : masks) {
        if (mask) {
            const AnyView<const T> chosen =
                simd::dense_like(live, AnyView<const T>(mask.view)).view;
            simd::map(simd::in(chosen), simd::out(mask), [](auto x, auto& y) { y = x; });
        }
        live += mask.view.size();
    }
}

TEMPER_INSTANTIATE(kernel::SaliencyMask);

} // namespace temper::inline TEMPER_ABI
#endif
