// SPDX-License-Identifier: BSL-1.0
#pragma once

// The slots of Mixup: four small questions, each answered by a policy of one call operator. None of them
// sees the data; what each adds to the plan stands behind it.
//
//   Coefficient   double operator()(rng)                       the weight of the row itself, in [0, 1]
//   Pairing       void operator()(rng, std::span<Index> j)     partner[i], in [0, n)
//   Blend         void operator()(rng, MixPlan& plan)          boxes, and the lambda that they leave
//   LabelRule     void operator()(rng, MixPlan& plan)          label_lambda
//
// A policy of one's own is a struct with that operator:
//
//   struct NearOne { template <class G> double operator()(G& rng) const { return 1 - uniform(rng) / 4; } };
//   Mixup<NearOne> mixup{};

#include <temper/augment/mix_plan.hpp>
#include <temper/core/random.hpp>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <span>

namespace temper::inline TEMPER_ABI {

template <class P>
concept MixCoefficient = requires(const P& policy, Stream& rng) {
    { policy(rng) } -> std::convertible_to<double>;
};
template <class P>
concept MixPairing =
    requires(const P& policy, Stream& rng, std::span<Index> partner) { policy(rng, partner); };
template <class P>
concept MixBlend = requires(const P& policy, Stream& rng, MixPlan& plan) { policy(rng, plan); };
template <class P>
concept MixLabelRule = requires(const P& policy, Stream& rng, MixPlan& plan) { policy(rng, plan); };

// ---- coefficients --------------------------------------------------------------------------------

/// Beta(alpha, alpha); alpha <= 0 mixes nothing (lambda = 1).
struct BetaCoefficient {
    double alpha = 1;
    template <class G>
    double operator()(G& rng) const
    {
        return alpha > 0 ? beta(rng, alpha, alpha) : 1.0;
    }
    friend bool operator==(const BetaCoefficient&, const BetaCoefficient&) = default;
};

struct ConstantCoefficient {
    double lambda = 0.5;
    template <class G>
    double operator()(G&) const
    {
        return lambda;
    }
    friend bool operator==(const ConstantCoefficient&, const ConstantCoefficient&) = default;
};

/// max(lambda, 1 - lambda): the row itself always counts more than its partner.
template <MixCoefficient C = BetaCoefficient>
struct DominantCoefficient {
    C of{};
    template <class G>
    double operator()(G& rng) const
    {
        const double lambda = of(rng);
        return (std::max)(lambda, 1 - lambda);
    }
    friend bool operator==(const DominantCoefficient&, const DominantCoefficient&) = default;
};

/// max(lambda, least): the row itself never counts less.
template <MixCoefficient C = DominantCoefficient<>>
struct FlooredCoefficient {
    double least = 0.55;
    C of{};
    template <class G>
    double operator()(G& rng) const
    {
        return (std::max)(static_cast<double>(of(rng)), least);
    }
    friend bool operator==(const FlooredCoefficient&, const FlooredCoefficient&) = default;
};

// ---- pairings ------------------------------------------------------------------------------------

/// A random permutation; may leave rows with themselves.
struct ShuffledPairs {
    template <class G>
    void operator()(G& rng, std::span<Index> partner) const
    {
        permutation(rng, partner);
    }
    friend bool operator==(const ShuffledPairs&, const ShuffledPairs&) = default;
};

/// Row i with row n - 1 - i, as timm does; of an odd number the middle row stays with itself.
struct ReversedPairs {
    template <class G>
    void operator()(G&, std::span<Index> partner) const
    {
        for (std::size_t i = 0; i < partner.size(); ++i)
            partner[i] = static_cast<Index>(partner.size() - 1 - i);
    }
    friend bool operator==(const ReversedPairs&, const ReversedPairs&) = default;
};

/// Row i with the row `shift` before it, round the batch, as torchvision does with shift 1.
struct RolledPairs {
    Index shift = 1;
    template <class G>
    void operator()(G&, std::span<Index> partner) const
    {
        const auto n = static_cast<Index>(partner.size());
        for (Index i = 0; i < n; ++i)
            partner[static_cast<std::size_t>(i)] = ((i - shift) % n + n) % n;
    }
    friend bool operator==(const RolledPairs&, const RolledPairs&) = default;
};

/// A permutation that leaves no row with itself (a batch of one excepted): shuffled again up to ten
/// times, then rolled by a random shift, as OpenMixup does.
struct DerangedPairs {
    template <class G>
    void operator()(G& rng, std::span<Index> partner) const
    {
        const auto n = static_cast<Index>(partner.size());
        if (n < 2)
            return ReversedPairs{}(rng, partner);
        for (int attempt = 0; attempt < 10; ++attempt) {
            permutation(rng, partner);
            bool deranged = true;
            for (Index i = 0; i < n; ++i)
                deranged = deranged && partner[static_cast<std::size_t>(i)] != i;
            if (deranged)
                return;
        }
        RolledPairs{1 + uniform_index(rng, n - 1)}(rng, partner);
    }
    friend bool operator==(const DerangedPairs&, const DerangedPairs&) = default;
};

/// Partners from a list of yours, as long as the batch.
struct ListedPairs {
    std::span<const Index> list{};
    template <class G>
    void operator()(G&, std::span<Index> partner) const
    {
        require(list.size() == partner.size(), "Mixup", "pairing.list.size()",
                static_cast<double>(list.size()), "the batch's size");
        std::copy(list.begin(), list.end(), partner.begin());
    }
};

// ---- blends --------------------------------------------------------------------------------------

/// lambda x_i + (1 - lambda) x_partner(i), everywhere.
struct LinearBlend {
    template <class G>
    void operator()(G&, MixPlan&) const
    {
    }
    friend bool operator==(const LinearBlend&, const LinearBlend&) = default;
};

// ---- label rules ---------------------------------------------------------------------------------

/// Labels are mixed as the inputs are.
struct SameLabels {
    template <class G>
    void operator()(G&, MixPlan& plan) const
    {
        plan.label_lambda = plan.lambda;
    }
    friend bool operator==(const SameLabels&, const SameLabels&) = default;
};

/// Labels are mixed with a coefficient of their own (Zou et al., The Benefits of Mixup for Feature
/// Learning, 2023).
template <MixCoefficient C = BetaCoefficient>
struct SeparateLabels {
    C coefficient{};
    template <class G>
    void operator()(G& rng, MixPlan& plan) const
    {
        plan.label_lambda.resize(plan.lambda.size());
        for (double& lambda : plan.label_lambda)
            lambda = coefficient(rng);
    }
    friend bool operator==(const SeparateLabels&, const SeparateLabels&) = default;
};

} // namespace temper::inline TEMPER_ABI
