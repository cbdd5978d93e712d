// SPDX-License-Identifier: BSL-1.0
#pragma once

// A pool of hard examples: the worst of each batch are kept, and some of them come back with every batch.
//
//   selected   the floor(ratio n) largest of the losses, largest first; of equal ones the earlier
//   observe    while the pool is not full:  append them; full once its size is at least `capacity`
//              when it is:                  pool[slots_j] = selected_j
//
// losses [n] and ids [n], which say what the samples are (the ids of rays, cameras, points; without them the
// places in the batch). The size may exceed the capacity once, by less than a batch's worst. Slots are drawn
// without replacement into a plan, and so are the members that join the next batch:
//
//   pool.draw_slots(rng, state, n, plan)             which to overwrite; nothing while the pool is not full
//   pool.observe(state, losses, plan)                or (state, losses, ids, plan)
//   pool.draw(rng, state, count, plan)               state.ids at these places join the next batch
//
// floor(ratio n) = 0 changes nothing. NaN is never hard. Throws ShapeError; RangeError for a ratio outside
// [0, 1], capacity < 1, slots outside the pool or of another number than are selected.
// Fang et al., Progressive Volume Distillation with Active Learning for Efficient NeRF Architecture
// Conversion (2023): ratio 0.1 and capacities of 100 cameras, 4096 * 150 rays.

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

#include <algorithm>
#include <vector>

namespace temper::inline TEMPER_ABI {

/// Places in a pool.
struct PoolPlan {
    std::vector<std::int64_t> slots;
    friend bool operator==(const PoolPlan&, const PoolPlan&) = default;
};

struct HardExamplePool {
    static constexpr std::string_view name = "HardExamplePool";
    double ratio = 0.1;
    Index capacity = 100;

    struct State {
        std::vector<std::int64_t> ids;
        bool full = false;
        template <class Archive>
        void fields(Archive& a)
        {
            a.resizable("ids", ids)("full", full);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    /// How many of n samples are hard.
    [[nodiscard]] Index count(Index n) const
    {
        require(ratio >= 0 && ratio <= 1, name, "ratio", ratio, "from 0 to 1");
        return static_cast<Index>(ratio * static_cast<double>(n) * (1 + 1e-12));
    }
    /// (losses, into(selected)): [count(n)], places in the batch.
    template <class L, class I>
    void select(const L& losses, const I& selected) const
    {
        using T = KernelScalarOf<L>;
        Border<T> border(name);
        const auto l = border.vector("losses", losses);
        const Index k = count(l.extents[0]);
        const auto to = border.integers("selected", selected, {k});
        const auto* order = hardest(border, l, k);
        for (Index i = 0; i < k; ++i)
            to.data[i * to.strides[0]] = order[i];
    }
    template <BitGenerator G>
    void draw_slots(G& rng, const State& state, Index n, PoolPlan& plan) const
    {
        draw(rng, state, state.full ? count(n) : 0, plan);
    }
    /// `wanted` members of the pool, or all if there are no more.
    template <BitGenerator G>
    void draw(G& rng, const State& state, Index wanted, PoolPlan& plan) const
    {
        // Floyd's: as many draws as are wanted, whatever the size of the pool.
        const auto size = static_cast<Index>(state.ids.size());
        wanted = (std::min)(wanted, size);
        plan.slots.clear();
        for (Index top = size - wanted; top < size; ++top) {
            const Index pick = uniform_index(rng, top + 1);
            const bool known =
                std::find(plan.slots.begin(), plan.slots.end(), pick) != plan.slots.end();
            plan.slots.push_back(known ? top : pick);
        }
        shuffle(rng, std::span(plan.slots));
    }
    /// (state, losses, plan)
    template <class L>
    void observe(State& state, const L& losses, const PoolPlan& plan) const
    {
        advance(state, losses, plan, [](auto&, Index) { return nullptr; });
    }
    /// (state, losses, ids, plan)
    template <class L, class Ids>
    void observe(State& state, const L& losses, const Ids& ids, const PoolPlan& plan) const
    {
        advance(state, losses, plan, [&](auto& border, Index n) {
            return border.indices("ids", ids, n, (std::numeric_limits<Index>::max)());
        });
    }

    friend bool operator==(const HardExamplePool&, const HardExamplePool&) = default;

  private:
    template <class T>
    static const Index* hardest(Border<T>& border, VectorView<const T> l, Index k)
    {
        const Index n = l.extents[0];
        auto* const order = border.scratch().template take<Index>(n);
        for (Index i = 0; i < n; ++i)
            order[i] = i;
        std::partial_sort(order, order + k, order + n, [&](Index a, Index b) {
            const bool known_a = l(a) == l(a);
            const bool known_b = l(b) == l(b);
            if (known_a != known_b)
                return known_a;
            return known_a && l(a) != l(b) ? l(a) > l(b) : a < b;
        });
        return order;
    }
    template <class L, class F>
    void advance(State& state, const L& losses, const PoolPlan& plan, const F& read_ids) const
    {
        using T = KernelScalarOf<L>;
        Border<T> border(name);
        border.require(capacity >= 1, "capacity", static_cast<double>(capacity), "at least 1");
        const auto l = border.vector("losses", losses);
        const Index k = count(l.extents[0]);
        const std::int64_t* const id = read_ids(border, l.extents[0]);
        const auto size = static_cast<Index>(state.ids.size());
        if (state.full && k > 0) {
            if (static_cast<Index>(plan.slots.size()) != k)
                fail<RangeError>(name, "plan.slots",
                                 joined({"has ", text(static_cast<Index>(plan.slots.size()))}),
                                 joined({text(k), " places, as many as are selected"}));
            for (const std::int64_t slot : plan.slots)
                border.require(slot >= 0 && slot < size, "plan.slots", static_cast<double>(slot),
                               "a place in the pool");
        }
        const auto* order = hardest(border, l, k);
        const auto id_of = [&](Index i) {
            return id == nullptr ? std::int64_t{order[i]} : id[order[i]];
        };
        for (Index i = 0; i < k; ++i)
            if (state.full)
                state.ids[static_cast<std::size_t>(plan.slots[static_cast<std::size_t>(i)])] =
                    id_of(i);
            else
                state.ids.push_back(id_of(i));
        state.full = state.full || static_cast<Index>(state.ids.size()) >= capacity;
    }
};

} // namespace temper::inline TEMPER_ABI
