// SPDX-License-Identifier: BSL-1.0
#pragma once

// Noise for clips, in part the same on all frames.
//
//   e_ij = sqrt(alpha^2 / (1 + alpha^2)) shared_i + sqrt(1 / (1 + alpha^2)) independent_ij
//
// shared [n, ...], independent and e [n, frames, ...], standard normal: draw(rng, noise) makes both. Every
// entry of e has variance 1, those of two frames the correlation alpha^2 / (1 + alpha^2). alpha = 0: frames
// independent; alpha infinite: the same noise on every frame. e may be `independent` itself.
// Throws ShapeError; RangeError for a negative alpha.
// Ge et al., Preserve your own correlation: a noise prior for video diffusion models (2023); Li et al.,
// LatentSync: audio conditioned latent diffusion models for lip sync (2024).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

/// Standard normal numbers for n clips of some frames of d entries.
template <class T>
struct TemporalNoisePlan {
    Index n = 0;
    Index frames = 0;
    Index d = 0;
    std::vector<T> shared{};      ///< [n, d]
    std::vector<T> independent{}; ///< [n, frames, d]

    friend bool operator==(const TemporalNoisePlan&, const TemporalNoisePlan&) = default;
};

struct MixedTemporalNoise {
    static constexpr std::string_view name = "MixedTemporalNoise";
    double alpha = 1;

    /// Refills a plan, whose shape is set, without allocating once it has been.
    template <BitGenerator G, class T>
    void draw(G& rng, TemporalNoisePlan<T>& plan) const
    {
        const auto fill = [&](std::vector<T>& numbers, Index size) {
            numbers.resize(static_cast<std::size_t>(size));
            for (T& number : numbers)
                number = static_cast<T>(normal(rng));
        };
        fill(plan.shared, plan.n * plan.d);
        fill(plan.independent, plan.n * plan.frames * plan.d);
    }
    template <class T = float, BitGenerator G>
    [[nodiscard]] TemporalNoisePlan<T> draw(G& rng, Index n, Index frames, Index d) const
    {
        TemporalNoisePlan<T> plan{n, frames, d};
        draw(rng, plan);
        return plan;
    }
    /// (plan, into(e)), e [n, frames, d]
    template <class T, class D>
    void apply(const TemporalNoisePlan<T>& plan, const D& noise) const
    {
        apply(temper::view(plan.shared.data(), {plan.n, plan.d}),
              temper::view(plan.independent.data(), {plan.n, plan.frames, plan.d}), noise);
    }
    /// (shared, independent, into(e))
    template <class S, class I, class D>
    void apply(const S& shared, const I& independent, const D& noise) const;

    friend bool operator==(const MixedTemporalNoise&, const MixedTemporalNoise&) = default;
};

namespace kernel {
template <class T>
struct MixedTemporalNoise {
    static void run(double of_shared, double of_independent, const AnyView<const T>& shared,
                    const AnyView<const T>& independent, const AnyDestination<T>& noise);
};
} // namespace kernel

template <class S, class I, class D>
void MixedTemporalNoise::apply(const S& shared, const I& independent, const D& noise) const
{
    using T = KernelScalarOf<S, I>;
    Border<T> border(name);
    border.require(alpha >= 0, "alpha", alpha, "non-negative");
    const auto all = border.sample_tensor("shared", shared);
    const auto each = border.sample_tensor("independent", independent);
    bool fits = each.rank == all.rank + 1 && all.rank >= 1 && each.extent(0) == all.extent(0);
    for (int d = 1; fits && d < all.rank; ++d)
        fits = all.extent(d) == each.extent(d + 1);
    if (!fits)
        fail<ShapeError>(name, "independent", joined({"has shape ", shape_text(each)}),
                         joined({shape_text(all), " as shared, with frames after the first"}));
    const auto to = border.sample_gradient("noise", each, noise, InPlace::allowed);
    // The same numbers for every frame: a dimension of stride 0.
    AnyView<const T> spread = each;
    spread.data = all.data;
    spread.strides[0] = all.stride(0);
    spread.strides[1] = 0;
    for (int d = 1; d < all.rank; ++d)
        spread.strides[place(d + 1)] = all.stride(d);
    // alpha / sqrt(1 + alpha^2), also of an infinite alpha.
    const double of_shared = alpha == 0 ? 0 : 1 / std::sqrt(1 + 1 / (alpha * alpha));
    const double of_each = 1 / std::sqrt(1 + alpha * alpha);
    kernel::MixedTemporalNoise<T>::run(of_shared, of_each, spread, each, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::MixedTemporalNoise<T>::run(double of_shared, double of_independent,
                                        const AnyView<const T>& shared,
                                        const AnyView<const T>& independent,
                                        const AnyDestination<T>& noise)
{
    if (!noise)
        return;
    simd::map(simd::in(independent, shared), simd::out(noise),
              [a = static_cast<T>(of_shared), b = static_cast<T>(of_independent)](auto e, auto s,
                                                                                  auto& to) {
                  using V = decltype(e);
                  to = V(a) * s + V(b) * e;
              });
}

TEMPER_INSTANTIATE(kernel::MixedTemporalNoise);

} // namespace temper::inline TEMPER_ABI
#endif
