// SPDX-License-Identifier: BSL-1.0
#pragma once

// The denoising loss where a mask says that it counts: on the subject of a picture, not on its background.
//
//   L = f sum (m (pred - noise))^2        dL/dpred = 2 f m^2 (pred - noise)
//   f = 1 / entries                       Normalize::all_entries (the default)
//       1 / entries with m != 0           Normalize::valid_entries
//
// pred, noise, mask of one shape, any; mask 0 and 1 (cross-attention of the subject's token above a threshold,
// or a segmentation), or any weights. Where the mask is 0 neither value nor gradient look at the data, and a
// mask without any other entry gives 0. Which of the two divisors the paper takes could not be checked.
// Throws ShapeError.
// Wang et al., HiFi Tuner: High-Fidelity Subject-Driven Fine-Tuning for Diffusion Models (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct MaskedDenoisingLoss {
    static constexpr std::string_view name = "MaskedDenoisingLoss";
    enum class Normalize { all_entries, valid_entries };
    Normalize normalize = Normalize::all_entries;

    /// (pred, noise, mask [, into(g_pred)])
    template <class P, class N, class M, class... Rest>
    double operator()(const P& pred, const N& noise, const M& mask, const Rest&... rest) const;

    friend bool operator==(const MaskedDenoisingLoss&, const MaskedDenoisingLoss&) = default;
};

namespace kernel {
template <class T>
struct MaskedDenoisingLoss {
    static double run(bool valid, const AnyView<const T>& pred, const AnyView<const T>& noise,
                      const AnyView<const T>& mask, const AnyDestination<T>& to);
};
} // namespace kernel

template <class P, class N, class M, class... Rest>
double MaskedDenoisingLoss::operator()(const P& pred, const N& noise, const M& mask,
                                       const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<P, N, M>;
    Border<T> border(name);
    const auto p = border.sample_tensor("pred", pred);
    const auto e = border.sample_tensor("noise", noise);
    const auto m = border.sample_tensor("mask", mask);
    border.same_shape("noise", e, "pred", p);
    border.same_shape("mask", m, "pred", p);
    const auto to = border.sample_gradient("pred", p, positional<0>(rest...));
    return border.finish(
        kernel::MaskedDenoisingLoss<T>::run(normalize == Normalize::valid_entries, p, e, m, to));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::MaskedDenoisingLoss<T>::run(bool valid, const AnyView<const T>& pred,
                                           const AnyView<const T>& noise,
                                           const AnyView<const T>& mask,
                                           const AnyDestination<T>& to)
{
    const double entries = valid ? simd::map_sum(simd::in(mask), simd::none<T>(),
                                                 [](auto m) {
                                                     using V = decltype(m);
                                                     return select(m == V(0), V(0), V(1));
                                                 })
                                 : static_cast<double>(pred.size());
    const double factor = entries == 0 ? 0 : 1 / entries;
    return factor * simd::map_sum(simd::in(pred, noise, mask), simd::out(to),
                                  [slope = 2 * factor](auto p, auto e, auto m, auto& g) {
                                      using V = decltype(p);
                                      const V d = select(m == V(0), V(0), m * (p - e));
                                      g = V(slope) * m * d;
                                      return d * d;
                                  });
}

TEMPER_INSTANTIATE(kernel::MaskedDenoisingLoss);

} // namespace temper::inline TEMPER_ABI
#endif
