// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which layers to take out of a network so that at least so many parameters go and as little as possible is
// lost: a 0/1 knapsack.
//
//   minimise  sum_l r_l I_l        such that  sum_l r_l P_l >= min_removed        r_l in {0, 1}
//
// importance I [layers] (LayerImportance), params P [layers], whole numbers, removed r [layers]. Layers of
// negative importance are always removed. Solved exactly: over all sets for up to 20 layers, by dynamic
// programming over parameters while these are few; beyond `buckets` they are rounded to buckets, of a kept
// layer upwards, so that min_removed is met and the loss is the least but for that rounding. Of sets of equal
// importance any. Returns what went. min_removed = 0 removes nothing else.
// Throws ShapeError; RangeError for more than all, negative numbers of parameters, importances that are NaN.
// Zhang et al., LAPTOP-Diff: Layer Pruning and Normalized Distillation for Compressing Diffusion Models
// (2024).

#include <temper/core/component.hpp>

#include <bit>

namespace temper::inline TEMPER_ABI {

struct LayerKnapsack {
    static constexpr std::string_view name = "LayerKnapsack";
    Index buckets = 10000;

    struct Removed {
        double importance = 0;
        std::int64_t params = 0;
        friend bool operator==(const Removed&, const Removed&) = default;
    };

    /// (importance, params, min_removed, into(removed)), removed std::int64_t
    template <class I, class P, class D>
    Removed apply(const I& importance, const P& params, std::int64_t min_removed,
                  const D& removed) const
    {
        using T = KernelScalarOf<I>;
        Border<T> border(name);
        const auto given = border.vector("importance", importance);
        const Index layers = given.extents[0];
        const auto* size =
            border.indices("params", params, layers, (std::numeric_limits<Index>::max)());
        const auto to = border.integers("removed", removed, {layers});
        border.require(buckets >= 1, "buckets", static_cast<double>(buckets), "at least 1");
        auto& scratch = border.scratch();
        auto* const cost = scratch.template take<double>(layers);
        auto* const keep = scratch.template take_zeros<char>(layers);
        std::int64_t all = 0;
        for (Index l = 0; l < layers; ++l) {
            cost[l] = static_cast<double>(given(l));
            border.require(cost[l] == cost[l], "importance", cost[l], "a number");
            all += size[l];
        }
        border.require(min_removed <= all, "min_removed", static_cast<double>(min_removed),
                       "no more than all parameters");
        const std::int64_t room = all - (min_removed < 0 ? 0 : min_removed);
        if (layers <= 20)
            best_of_all(layers, cost, size, room, keep);
        else
            dynamic(layers, cost, size, room, keep);
        std::int64_t left = room;
        for (Index l = 0; l < layers; ++l)
            left -= keep[l] != 0 ? size[l] : 0;
        for (Index l = 0; l < layers; ++l) // what nothing speaks for or against stays while it can
            if (keep[l] == 0 && cost[l] == 0 && size[l] <= left) {
                keep[l] = 1;
                left -= size[l];
            }
        Removed sum;
        for (Index l = 0; l < layers; ++l) {
            to.data[l * to.strides[0]] = keep[l] != 0 ? 0 : 1;
            if (keep[l] == 0) {
                sum.importance += cost[l];
                sum.params += size[l];
            }
        }
        return sum;
    }

    friend bool operator==(const LayerKnapsack&, const LayerKnapsack&) = default;

  private:
    // Both choose the layers that are kept: the most importance within `room` parameters.
    static void best_of_all(Index layers, const double* cost, const std::int64_t* size,
                            std::int64_t room, char* keep)
    {
        double most = 0;
        std::uint32_t best = 0;
        double value = 0;
        std::int64_t used = 0;
        std::uint32_t set = 0;
        for (std::uint32_t i = 1; i < std::uint32_t{1} << layers; ++i) {
            const int l = std::countr_zero(i); // Gray's order: one layer comes or goes
            set ^= std::uint32_t{1} << l;
            const bool comes = (set >> l & 1) != 0;
            value += comes ? cost[l] : -cost[l];
            used += comes ? size[l] : -size[l];
            if (used <= room && value > most) {
                most = value;
                best = set;
            }
        }
        for (Index l = 0; l < layers; ++l)
            keep[l] = cost[l] >= 0 && (best >> l & 1) != 0 ? 1 : 0;
    }
    void dynamic(Index layers, const double* cost, const std::int64_t* size, std::int64_t room,
                 char* keep) const
    {
        const std::int64_t bucket = room / buckets + 1;
        const auto places = static_cast<Index>(room / bucket) + 1;
        Workspace::Frame frame;
        auto* const value = frame.take_zeros<double>(places);
        auto* const taken = frame.take_zeros<char>(layers * places);
        const auto weight = [&](Index l) { return (size[l] + bucket - 1) / bucket; };
        for (Index l = 0; l < layers; ++l)
            for (Index at = places; cost[l] > 0 && at-- > weight(l);)
                if (const double with = value[at - weight(l)] + cost[l]; with > value[at]) {
                    value[at] = with;
                    taken[l * places + at] = 1;
                }
        Index at = places - 1;
        for (Index l = layers; l-- > 0;)
            if (taken[l * places + at] != 0) {
                keep[l] = 1;
                at -= weight(l);
            }
    }
};

} // namespace temper::inline TEMPER_ABI
