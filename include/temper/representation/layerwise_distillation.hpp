// SPDX-License-Identifier: BSL-1.0
#pragma once

// Features of several layers, or several predicted attributes, pulled to a teacher's by squared distances:
// the core of feature distillation, of momentum self-distillation and of head network distillation.
//
//   L = sum_l a_l f_l |s_l - t_l|^2            dL/ds_l = 2 a_l f_l (s_l - t_l)
//
//   f_l = 1 / entries of s_l    MeanOver::entries (the default)
//         1 / rows of s_l       MeanOver::samples
//         1                     MeanOver::nothing
//   a_l = (rms(t_last) / rms(t_l))^power      held still; power 0: 1
//
// s tensors(s1, s2, ...), t likewise, the shapes of a pair alike, else any; t is held fixed. rms is the root
// of the mean square over all entries. Layers differ in size by orders of magnitude, and without weights
// a few of them are all that counts: power 1 takes the size out once, 2 makes each term free of scale. A
// layer of zeros then has weight 0. layer_weights(w) [layers], non-negative, says a_l instead: those of a
// calibration batch, read with used_weights(into(a)). terms: the summands, [layers]. An empty layer is 0.
//
//   normalized_distillation   power 1, means          LAPTOP-Diff
//   momentum_consistency      power 0, means          Momentum-GS, against a momentum teacher (gradient/ema.hpp);
//                             attributes after their activations, q and -q of a rotation are two
//   ghnd                      power 0, sums           generalised head network distillation, BottleFit
//
// Throws ShapeError; RangeError for a negative power or weight.
// Zhang et al., LAPTOP-Diff: Layer Pruning and Normalized Distillation for Compressing Diffusion Models
// (2024), whose normaliser is a ratio of norms of the teacher's features (the root mean square is our
// reading); Fan et al., Momentum-GS (2024); Matsubara et al., BottleFit (2022).

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>
#include <temper/core/terms.hpp>
#include <temper/core/used_weights.hpp>

namespace temper::inline TEMPER_ABI {

template <class V>
struct LayerWeights {
    V view;
};
/// A weight for each layer, instead of those that a technique would take.
template <class O>
[[nodiscard]] auto layer_weights(const O& owner)
{
    return LayerWeights<detail::ConstViewOf<O>>{view(owner)};
}

struct LayerwiseDistillation {
    static constexpr std::string_view name = "LayerwiseDistillation";
    double power = 0;
    MeanOver mean_over = MeanOver::entries;

    /// (tensors(s1, ...), tensors(t1, ...) [, into(tensors(g1, ...))]
    ///  [, layer_weights(w), used_weights(into(a)), terms(into(v))])
    template <class S, class L, class... Rest>
    double operator()(const S& student, const L& teacher, const Rest&... rest) const;

    friend bool operator==(const LayerwiseDistillation&, const LayerwiseDistillation&) = default;
};

inline constexpr LayerwiseDistillation normalized_distillation{.power = 1};
inline constexpr LayerwiseDistillation momentum_consistency{};
inline constexpr LayerwiseDistillation ghnd{.mean_over = MeanOver::nothing};

namespace kernel {
template <class T>
struct LayerwiseDistillation {
    static double rms(const AnyView<const T>& x);
    /// factor |s - t|^2
    static double term(double factor, const AnyView<const T>& s, const AnyView<const T>& t,
                       const AnyDestination<T>& gs);
};
} // namespace kernel

template <class S, class L, class... Rest>
double LayerwiseDistillation::operator()(const S& student, const L& teacher,
                                         const Rest&... rest) const
{
    accept<1, LayerWeights, UsedWeights, Terms>(rest...);
    using T = std::remove_const_t<ListScalarOf<S>>;
    using Kernel = kernel::LayerwiseDistillation<T>;
    Border<T> border(name);
    border.require(power >= 0, "power", power, "non-negative");
    const auto s = border.list("student", student);
    const auto t = border.list("teacher", teacher);
    same_shapes(name, "teacher", t, "student", s);
    const auto layers = static_cast<Index>(s.size());
    const auto given = border.optional_vector("layer_weights", named<LayerWeights>(rest...), layers,
                                              "a number for each layer");
    for (Index l = 0; given.data != nullptr && l < layers; ++l)
        border.require(!(given(l) < 0), "layer_weights", static_cast<double>(given(l)),
                       "non-negative");
    const auto gs = border.gradient("student", s, positional<0>(rest...));
    const auto used =
        border.template named_into<1>("used_weights", named<UsedWeights>(rest...), {layers});
    const auto each = border.template named_into<1>("terms", named<Terms>(rest...), {layers});

    const double reference =
        power > 0 && layers > 0 && given.data == nullptr ? Kernel::rms(t[s.size() - 1]) : 0;
    double value = 0;
    for (std::size_t l = 0; l < s.size(); ++l) {
        double weight = 1;
        if (given.data != nullptr)
            weight = static_cast<double>(given(static_cast<Index>(l)));
        else if (power > 0) {
            const double size = Kernel::rms(t[l]);
            weight = size == 0 ? 0 : std::pow(reference / size, power);
        }
        const Index divisor = mean_over == MeanOver::entries   ? s[l].size()
                              : mean_over == MeanOver::samples ? s[l].extent(0)
                                                               : Index{1};
        const double factor = divisor == 0 ? 0 : weight / static_cast<double>(divisor);
        const double term = Kernel::term(factor, s[l], t[l], gs[l]);
        value += term;
        if (used)
            used.put(used.view(static_cast<Index>(l)), static_cast<T>(weight));
        if (each)
            each.put(each.view(static_cast<Index>(l)), static_cast<T>(term));
    }
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::LayerwiseDistillation<T>::rms(const AnyView<const T>& x)
{
    if (x.size() == 0)
        return 0;
    // Relative to the largest entry, so that no square overflows or vanishes.
    const T largest = simd::map_max(simd::in(x), [](auto u) { return abs(u); });
    if (!(largest > 0))
        return static_cast<double>(largest);
    const double squares = simd::map_sum(simd::in(x), simd::none<T>(), [largest](auto u) {
        const auto v = u / decltype(u)(largest);
        return v * v;
    });
    return static_cast<double>(largest) * std::sqrt(squares / static_cast<double>(x.size()));
}

template <class T>
double kernel::LayerwiseDistillation<T>::term(double factor, const AnyView<const T>& s,
                                              const AnyView<const T>& t,
                                              const AnyDestination<T>& gs)
{
    const double squares =
        simd::map_sum(simd::in(s, t), simd::out(gs), [slope = 2 * factor](auto u, auto v, auto& g) {
            const auto d = u - v;
            g = decltype(u)(slope) * d;
            return d * d;
        });
    return factor == 0 ? 0 : factor * squares;
}

TEMPER_INSTANTIATE(kernel::LayerwiseDistillation);

} // namespace temper::inline TEMPER_ABI
#endif
