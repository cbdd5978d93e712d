// SPDX-License-Identifier: BSL-1.0
#pragma once

// Unsupervised data augmentation (UDA): the prediction of an augmented sample shall be the sharpened one
// of the sample itself, where that is sure.
//
//   l_i = m_i KL(p_i || softmax(z_i))          p_i = softmax(t_i / temperature)
//   m_i = 1 where max_j softmax(t_i)_j > threshold, else 0
//   mean:  L = sum_i w_i l_i / sum_i w_i      over all samples, kept or not
//
// Consistency<KullbackLeibler> with the paper's numbers (CIFAR-10); everything else is said there. z
// logits of the augmented samples, target_logits(t) of the samples themselves, both [n, k]. The mask is of
// the probabilities before sharpening, and only the target is sharpened. threshold 0 keeps all,
// temperature 1 sharpens nothing (both are -1 in the published code).
// Xie et al., Unsupervised Data Augmentation for Consistency Training (2020).

#include <temper/loss/consistency.hpp>

namespace temper::inline TEMPER_ABI {

struct UdaConsistency {
    static constexpr std::string_view name = "UdaConsistency";
    double temperature = 0.4;
    double threshold = 0.8;
    Reduction reduction = Reduction::mean;

    /// (z, target_logits(t) [, into(gz), into(gt)] [, sample_weights(w), per_sample(into(v)),
    ///  kept(into(m))])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& target, const Rest&... rest) const
    {
        return Consistency<KullbackLeibler>{.target_temperature = temperature,
                                            .threshold = threshold,
                                            .strict = true,
                                            .reduction = reduction}(z, target, rest...);
    }
    friend bool operator==(const UdaConsistency&, const UdaConsistency&) = default;
};

} // namespace temper::inline TEMPER_ABI
