// SPDX-License-Identifier: BSL-1.0
#pragma once

// Features as distributions over their entries: DistillationKl with any pair of features, for Alignment.
//
//   l_i = T^2 KL(softmax(t_i / T) || softmax(x_i / T))
//
// Everything else is as loss/distillation_kl.hpp says. By default T = 1 and T^2 does nothing.
// Passalis and Tefas, Learning deep representations with probabilistic knowledge transfer (2018), over the
// samples instead; over channels: Shu et al., Channel-wise knowledge distillation for dense prediction (2021).

#include <temper/loss/distillation_kl.hpp>

namespace temper::inline TEMPER_ABI {

struct SoftmaxAlignment {
    static constexpr std::string_view name = "SoftmaxAlignment";
    double temperature = 1;
    Reduction reduction = Reduction::mean;

    /// (x, t [, into(gx), into(gt)] [, sample_weights(w)] [, per_sample(into(v))])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const
    {
        const DistillationKl kl{.temperature = temperature, .reduction = reduction};
        if constexpr (is_turned<Y>) {
            auto turned = teacher_logits(t.view);
            turned.turned = true;
            return kl(x, turned, rest...);
        }
        else
            return kl(x, teacher_logits(t), rest...);
    }
    friend bool operator==(const SoftmaxAlignment&, const SoftmaxAlignment&) = default;
};

} // namespace temper::inline TEMPER_ABI
