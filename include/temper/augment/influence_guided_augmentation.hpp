// SPDX-License-Identifier: BSL-1.0
#pragma once

// Influence-guided augmentation of tensor data (DAIN): new cells are drawn where the observed cells helped
// the validation error most, and get the model's own predictions as values.
//
//   V_e = sum over validation cells of G[e, i]          G[e, i] the last layer's gradient of cell i's loss
//   I_i = sum_e <G[e, i], V_e>                          at checkpoint e (TracIn without the learning rates)
//   cells:     I_i / max I
//   entities:  of mode m, v -> sum over training cells with coordinate v of |cell|, divided by its total
//   draw:      for each new cell an entity of each mode, independently
//
// G [e, cells, d], for half the squared error (prediction - y) times the input of the last layer, up to the
// checkpoint of the best validation error; train and validation the cells' rows in G; cells [n];
// coordinates [n, modes]; entities [extent of the mode]. If max I is not positive it stands for max |I|, and
// without any signal all cells count 1; an entity without cells has probability 0; without a cell all
// entities are alike. Drawn cells may exist already or twice: they are trained on like any others
// (published: half as many as there are).
// Throws ShapeError, RangeError for rows or coordinates outside, entities that are negative.
// Oh et al., Influence-guided Data Augmentation for Neural Tensor Completion (2021).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

/// Coordinates of new cells, [cells, modes] by rows.
struct CellPlan {
    std::vector<Index> coordinates;
    Index modes = 0;
    [[nodiscard]] Index size() const
    {
        return modes == 0 ? 0 : static_cast<Index>(coordinates.size()) / modes;
    }
    [[nodiscard]] Index operator()(Index cell, Index mode) const
    {
        return coordinates[static_cast<std::size_t>(cell * modes + mode)];
    }
    friend bool operator==(const CellPlan&, const CellPlan&) = default;
};

struct InfluenceGuidedAugmentation {
    static constexpr std::string_view name = "InfluenceGuidedAugmentation";

    /// (G, train, validation, into(cells))
    template <class G, class A, class B, class D>
    void cell_importance(const G& gradients, const A& train, const B& validation,
                         const D& cells) const;
    /// (cells, coordinates of one mode [n], into(entities))
    template <class C, class X, class D>
    void entity_importance(const C& cells, const X& coordinates, const D& entities) const;
    /// `count` new cells from the entities of each mode, a list of vectors tensors(e0, e1, ...).
    template <class R, class L>
    void draw(R& rng, const L& entities, Index count, CellPlan& plan) const;
    template <class R, class L>
    [[nodiscard]] CellPlan draw(R& rng, const L& entities, Index count) const
    {
        CellPlan plan;
        draw(rng, entities, count, plan);
        return plan;
    }
    friend bool operator==(const InfluenceGuidedAugmentation&,
                           const InfluenceGuidedAugmentation&) = default;
};

/// The paper's name.
using Dain = InfluenceGuidedAugmentation;

template <class G, class A, class B, class D>
void InfluenceGuidedAugmentation::cell_importance(const G& gradients, const A& train,
                                                  const B& validation, const D& cells) const
{
    using T = KernelScalarOf<G>;
    Border<T> border(name);
    const auto g = border.tensor("checkpoint_gradients", gradients);
    if (g.rank != 3)
        fail<ShapeError>(name, "checkpoint_gradients", joined({"has shape ", shape_text(g)}),
                         "[checkpoints, cells, d]");
    const auto rows_of = [&](std::string_view which, const auto& rows) {
        return border.indices(which, rows, view(rows).size(), g.extent(1));
    };
    const Index n = view(train).size();
    const Index m = view(validation).size();
    const auto* rows = rows_of("train", train);
    const auto* held_out = rows_of("validation", validation);
    const auto to = border.template output<1>("cells", cells, {n});
    const Index d = g.extent(2);
    auto* influence = border.scratch().template take_zeros<double>(n);
    auto* sum = border.scratch().template take<double>(d);
    const auto at = [&](Index e, std::int64_t i, Index j) {
        return static_cast<double>(
            g.data[e * g.stride(0) + static_cast<Index>(i) * g.stride(1) + j * g.stride(2)]);
    };
    for (Index e = 0; e < g.extent(0); ++e) {
        for (Index j = 0; j < d; ++j) {
            sum[j] = 0;
            for (Index i = 0; i < m; ++i)
                sum[j] += at(e, held_out[i], j);
        }
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < d; ++j)
                influence[i] += at(e, rows[i], j) * sum[j];
    }
    double most = n == 0 ? 0 : influence[0];
    double largest = 0;
    for (Index i = 0; i < n; ++i) {
        most = (std::max)(most, influence[i]);
        largest = (std::max)(largest, std::fabs(influence[i]));
    }
    const double unit = most > 0 ? most : largest;
    for (Index i = 0; to && i < n; ++i)
        to.put(to.view(i), static_cast<T>(unit == 0 ? 1 + influence[i] : influence[i] / unit));
    border.finish();
}

template <class C, class X, class D>
void InfluenceGuidedAugmentation::entity_importance(const C& cells, const X& coordinates,
                                                    const D& entities) const
{
    using T = KernelScalarOf<C>;
    Border<T> border(name);
    const auto c = border.vector("cells", cells);
    if constexpr (!std::is_same_v<D, Discard>) {
        const Index extent = entities.view.size();
        const auto* v = border.indices("coordinates", coordinates, c.size(), extent);
        const auto to = border.template output<1>("entities", entities, {extent});
        auto* sum = border.scratch().template take_zeros<double>(extent);
        double total = 0;
        for (Index i = 0; i < c.size(); ++i) {
            const double size = std::fabs(static_cast<double>(c(i)));
            sum[v[i]] += size;
            total += size;
        }
        for (Index j = 0; to && j < extent; ++j)
            to.put(to.view(j),
                   static_cast<T>(total == 0 ? 1 / static_cast<double>(extent) : sum[j] / total));
        border.finish();
    }
}

template <class R, class L>
void InfluenceGuidedAugmentation::draw(R& rng, const L& entities, Index count, CellPlan& plan) const
{
    const auto list = std::span(entities);
    require(count >= 0, name, "count", static_cast<double>(count), "non-negative");
    plan.modes = static_cast<Index>(list.size());
    plan.coordinates.resize(static_cast<std::size_t>(count * plan.modes));
    for (Index mode = 0; mode < plan.modes; ++mode) {
        const auto& e = list[static_cast<std::size_t>(mode)];
        const auto at = [&](Index j) { return static_cast<double>(e.data[j * e.strides[0]]); };
        if (e.rank != 1 || e.size() == 0)
            fail<ShapeError>(name, "entities", joined({"has shape ", shape_text(e)}),
                             "a vector for each mode");
        double total = 0;
        for (Index j = 0; j < e.size(); ++j) {
            require(at(j) >= 0, name, "entities", at(j), "non-negative");
            total += at(j);
        }
        for (Index cell = 0; cell < count; ++cell) {
            double rest = uniform(rng) * total;
            Index chosen = e.size() - 1;
            while (chosen > 0 && at(chosen) == 0) // rounding must not choose what has no chance
                --chosen;
            for (Index j = 0; j < e.size(); ++j) {
                rest -= at(j);
                if (rest < 0) {
                    chosen = j;
                    break;
                }
            }
            plan.coordinates[static_cast<std::size_t>(cell * plan.modes + mode)] = chosen;
        }
    }
}

} // namespace temper::inline TEMPER_ABI
