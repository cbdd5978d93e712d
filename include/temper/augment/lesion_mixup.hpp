// SPDX-License-Identifier: BSL-1.0
#pragma once

// Lesion-aware mixup: a sample is mixed with another that shows the same.
//
//   x'_i = f_i x_i + (1 - f_i) x_p(i)      p(i) uniform among the other samples of i's group
//   f_i = factor, and 1 where the group has no other sample (p(i) = i)
//
// The groups are the caller's: an observation, or an observation together with the attributes in which
// two lesions must agree to be exchangeable, numbered. Partners are no permutation: a sample may serve
// several others. factor is not drawn; paper: 0.75. The published code mixes pixels of cropped lesions, after
// normalising them, not representations.
//
//   const auto mixup = lesion_mixup(groups);                    group [n], any integers
//   const MixPlan plan = mixup.draw(rng, n);
//   mixup.apply(plan, patches, into(m));                        and mix_labels, pullback as Mixup's
//
// LesionMixupLoss takes the plan's lambda as its factors. RangeError for a list of another size, a factor
// outside [0, 1].
// Hou et al., ICON: Improving Inter-Report Consistency of Radiology Report Generation via Lesion-aware
// Mix-up Augmentation (2024).

#include <temper/augment/mixup.hpp>

#include <cstdint>

namespace temper::inline TEMPER_ABI {

/// Row i with another row of its group, or with itself where there is none.
struct SameGroupPairs {
    std::span<const std::int64_t> group{};

    template <class G>
    void operator()(G& rng, std::span<Index> partner) const
    {
        require(group.size() == partner.size(), "Mixup", "pairing.group.size()",
                static_cast<double>(group.size()), "the batch's size");
        for (std::size_t i = 0; i < group.size(); ++i) {
            const auto alike = std::count(group.begin(), group.end(), group[i]) - 1;
            partner[i] = static_cast<Index>(i);
            if (alike == 0)
                continue;
            Index left = uniform_index(rng, static_cast<Index>(alike));
            for (std::size_t j = 0; j < group.size(); ++j)
                if (j != i && group[j] == group[i] && left-- == 0)
                    partner[i] = static_cast<Index>(j);
        }
    }
};

/// A linear blend that leaves rows without a partner as they are.
struct PairedBlend {
    template <class G>
    void operator()(G&, MixPlan& plan) const
    {
        if (plan.lambda.size() == 1)
            plan.lambda.resize(plan.partner.size(), plan.lambda[0]);
        for (std::size_t i = 0; i < plan.partner.size(); ++i)
            if (plan.partner[i] == static_cast<Index>(i))
                plan.lambda[i] = 1;
    }
    friend bool operator==(const PairedBlend&, const PairedBlend&) = default;
};

using LesionMixup = Mixup<ConstantCoefficient, SameGroupPairs, PairedBlend>;

[[nodiscard]] inline LesionMixup lesion_mixup(std::span<const std::int64_t> groups,
                                              double factor = 0.75)
{
    require(factor >= 0 && factor <= 1, "LesionMixup", "factor", factor, "from 0 to 1");
    return {.coefficient = {factor}, .pairing = {groups}};
}

} // namespace temper::inline TEMPER_ABI
