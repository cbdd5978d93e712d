// SPDX-License-Identifier: BSL-1.0
#pragma once

// What a cache router is trained with: the error of the cached prediction, as far as it matters to the final
// image, against the number of blocks that are computed.
//
//   L = lambda mean (f - c)^2 + beta sum_l sigmoid(r_l)
//   dL/dc = 2 lambda (c - f) / entries        dL/dr_l = beta q_l (1 - q_l), q = sigmoid(r)
//
// full f and cached c, outputs of the whole denoiser at a step without and with the cache, of one shape, any;
// f held fixed. logits r [L] of the step (CacheRouter). lambda >= 0, the image error proxy of the step: the
// mean squared difference between the final images when this step's mask, too, is soft (those of noisier steps
// being so already), measured again after every 500 to 1000 steps of training; a number of the call, as it is
// measured. beta has no default: 1e-8 to 1e-7 in practice. A sum over blocks, not a mean. f = c: the second
// term alone. terms: both, [2]. Throws ShapeError; RangeError for a negative lambda or beta.
// Huang et al., HarmoniCa: Harmonizing Training and Inference for Better Feature Cache in Diffusion
// Transformer Acceleration (2024).

#include <temper/core/component.hpp>
#include <temper/core/required.hpp>
#include <temper/core/terms.hpp>

namespace temper::inline TEMPER_ABI {

struct IepoLoss {
    static constexpr std::string_view name = "IepoLoss";
    Required beta;

    /// (cached, full, logits, lambda [, into(g_cached), into(g_logits)] [, terms(into(v))])
    template <class C, class F, class R, class... Rest>
    double operator()(const C& cached, const F& full, const R& logits, double lambda,
                      const Rest&... rest) const;

    friend bool operator==(const IepoLoss& a, const IepoLoss& b)
    {
        return a.beta.value == b.beta.value;
    }
};

namespace kernel {
template <class T>
struct IepoLoss {
    static double error(double lambda, const AnyView<const T>& cached, const AnyView<const T>& full,
                        const AnyDestination<T>& g_cached);
};
} // namespace kernel

template <class C, class F, class R, class... Rest>
double IepoLoss::operator()(const C& cached, const F& full, const R& logits, double lambda,
                            const Rest&... rest) const
{
    accept<2, Terms>(rest...);
    using T = KernelScalarOf<C, F, R>;
    Border<T> border(name);
    border.require(lambda >= 0, "lambda", lambda, "non-negative");
    border.require(beta >= 0, "beta", beta, "non-negative");
    const auto c = border.sample_tensor("cached", cached);
    const auto f = border.sample_tensor("full", full);
    border.same_shape("full", f, "cached", c);
    const auto r = border.vector("logits", logits);
    const auto gc = border.sample_gradient("cached", c, positional<0>(rest...));
    const auto gr = border.gradient("logits", r, positional<1>(rest...));
    const auto each = border.template named_into<1>("terms", named<Terms>(rest...), {2});
    std::array<double, 2> term{kernel::IepoLoss<T>::error(lambda, c, f, gc), 0};
    for (Index l = 0; l < r.extents[0]; ++l) {
        const double e = std::exp(-std::abs(static_cast<double>(r(l))));
        term[1] += beta * ((r(l) < 0 ? e : 1) / (1 + e));
        if (gr)
            gr.put(gr.view(l), static_cast<T>(beta * (e / (1 + e) / (1 + e))));
    }
    detail::put_terms(each, term);
    return border.finish(term[0] + term[1]);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::IepoLoss<T>::error(double lambda, const AnyView<const T>& cached,
                                  const AnyView<const T>& full, const AnyDestination<T>& g_cached)
{
    if (cached.size() == 0)
        return 0;
    const double factor = lambda / static_cast<double>(cached.size());
    return factor * simd::map_sum(simd::in(cached, full), simd::out(g_cached),
                                  [slope = 2 * factor](auto c, auto f, auto& g) {
                                      const auto d = c - f;
                                      g = decltype(c)(slope) * d;
                                      return d * d;
                                  });
}

TEMPER_INSTANTIATE(kernel::IepoLoss);

} // namespace temper::inline TEMPER_ABI
#endif
