// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sharpening: probabilities as they were at a lower temperature.
//
//   forward     s_ij = p_ij^(1/T) / sum_l p_il^(1/T)
//   pullback    dp_ij = (1/T) (s_ij / p_ij) (c_ij - <c_i, s_i>)
//
// p probabilities [n, k] (rows need not sum to 1), s of the same shape, c the gradient that comes back.
// T = 1 normalises; T below 1 sharpens, above 1 flattens. Powers are taken as logarithms, so that T next
// to 0 is the largest entry's one-hot row (equal ones share). p_ij = 0 stays 0 and gets no gradient; a
// row of zeros is NaN. Of logits z, softmax(z / T) is the same: see Consistency's target_temperature.
// Throws ShapeError; RangeError for T <= 0.
// Xie et al., Unsupervised Data Augmentation for Consistency Training (2020).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct SharpenDistribution {
    static constexpr std::string_view name = "SharpenDistribution";
    double temperature = 0.4;

    /// (probabilities(p), into(s))
    template <class P, class D>
    void forward(const P& p, const D& s) const;
    /// (probabilities(p), gs, into(gp))
    template <class P, class G, class D>
    void pullback(const P& p, const G& gs, const D& gp) const;

    friend bool operator==(const SharpenDistribution&, const SharpenDistribution&) = default;
};

namespace kernel {
template <class T>
struct SharpenDistribution {
    static void forward(MatrixView<const T> p, double temperature, const Destination<T, 2>& s);
    static void pullback(MatrixView<const T> p, double temperature, MatrixView<const T> gs,
                         const Destination<T, 2>& gp);
};
} // namespace kernel

template <class P, class D>
void SharpenDistribution::forward(const P& p, const D& s) const
{
    using T = KernelScalarOf<decltype(p.view)>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    const auto ps = border.probabilities("probabilities", p);
    const auto to = border.template output<2>("sharpened", s, {ps.rows(), ps.cols()});
    kernel::SharpenDistribution<T>::forward(ps, temperature, to);
    border.finish();
}

template <class P, class G, class D>
void SharpenDistribution::pullback(const P& p, const G& gs, const D& gp) const
{
    using T = KernelScalarOf<decltype(p.view), G>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    const auto ps = border.probabilities("probabilities", p);
    const auto g = border.samples("gs", gs);
    border.same_shape("gs", g, "probabilities", ps);
    const auto to = border.gradient("probabilities", ps, gp);
    kernel::SharpenDistribution<T>::pullback(ps, temperature, g, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::SharpenDistribution<T>::forward(MatrixView<const T> p, double temperature,
                                             const Destination<T, 2>& s)
{
    using V = simd::Pack<T>;
    (void)simd::sum_tiles<T>(simd::operands(p, s), 1, [&](const auto& tile) {
        const auto largest = tile.max([=](auto at) { return at(p); });
        const auto e = tile.scratch(0);
        const auto sum = tile.sum([=](auto at) {
                                 const V x = at(p) / at(largest);
                                 const V y = exp(log(x) * V(1 / temperature));
                                 const V power = select(x == V(0), x, y);
                                 at.put(e, power);
                                 return power;
                             })
                             .narrow();
        tile.each([=](auto at) { at.put(s, at(e) / at(sum)); });
        return 0.0;
    });
}

template <class T>
void kernel::SharpenDistribution<T>::pullback(MatrixView<const T> p, double temperature,
                                              MatrixView<const T> gs, const Destination<T, 2>& gp)
{
    using V = simd::Pack<T>;
    (void)simd::sum_tiles<T>(simd::operands(p, gs, gp), 1, [&](const auto& tile) {
        const auto largest = tile.max([=](auto at) { return at(p); });
        const auto slope = tile.scratch(0); // s / p, but for sum and largest
        const auto sum = tile.sum([=](auto at) {
            const V x = at(p) / at(largest);
            const V y = exp(log(x) * V(1 / temperature - 1));
            const V power = select(x == V(0), x, y);
            at.put(slope, power);
            return power * x;
        });
        const auto along =
            tile.sum([=](auto at) { return at(slope) * (at(p) / at(largest)) * at(gs); });
        auto mean = tile.numbers();
        auto factor = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            mean[i] = static_cast<T>(along[i] / sum[i]);
            factor[i] =
                static_cast<T>(1 / (temperature * sum[i] * static_cast<double>(largest[i])));
        }
        tile.each([=](auto at) {
            const V g = at(factor) * at(slope) * (at(gs) - at(mean));
            at.put(gp, select(at(p) == V(0), V(0), g));
        });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::SharpenDistribution);

} // namespace temper::inline TEMPER_ABI
#endif
