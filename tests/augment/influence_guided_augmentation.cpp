// SPDX-License-Identifier: BSL-1.0
#include <temper/augment/influence_guided_augmentation.hpp>

#include "support/catch.hpp"

#include <vector>

using namespace temper;

namespace {

/// One checkpoint, cells with one-dimensional gradients.
auto gradients(const std::vector<double>& g)
{
    return view(g.data(), {1, static_cast<Index>(g.size()), 1});
}

} // namespace

TEST_CASE("importance of cells: by the largest, by the largest in size, and without a signal")
{
    const Dain dain;
    const std::vector<int> train{0, 1};
    const std::vector<int> held_out{2};
    std::vector<double> cells(2);
    dain.cell_importance(gradients({1, -4, 2}), train, held_out, into(cells));
    CHECK(cells == std::vector<double>{1, -4});
    dain.cell_importance(gradients({-1, -4, 2}), train, held_out, into(cells));
    CHECK(cells == std::vector<double>{-0.25, -1});
    dain.cell_importance(gradients({1, -4, 0}), train, held_out, into(cells));
    CHECK(cells == std::vector<double>{1, 1});
    CHECK_THROWS_AS(dain.cell_importance(gradients({1, 2}), train, held_out, into(cells)),
                    RangeError);
}

TEST_CASE("importance of entities, and cells drawn from it")
{
    const Dain dain;
    const std::vector<double> cells{1, -3, 0};
    std::vector<double> entities(4);
    dain.entity_importance(cells, std::vector<int>{2, 0, 1}, into(entities));
    CHECK(entities == std::vector<double>{0.75, 0, 0.25, 0});
    std::vector<double> nothing(2);
    dain.entity_importance(std::vector<double>{0, 0}, std::vector<int>{0, 0}, into(nothing));
    CHECK(nothing == std::vector<double>{0.5, 0.5});
    CHECK_THROWS_AS(dain.entity_importance(cells, std::vector<int>{2, 0, 4}, into(entities)),
                    RangeError);

    auto rng = stream(3, 0, "cells");
    const CellPlan plan = dain.draw(rng, tensors(entities, nothing), 8000);
    CHECK(plan.size() == 8000);
    std::vector<double> seen(4);
    for (Index i = 0; i < plan.size(); ++i) {
        seen[static_cast<std::size_t>(plan(i, 0))] += 1.0 / 8000;
        REQUIRE(plan(i, 1) < 2);
    }
    CHECK(seen[0] == Approx(0.75).margin(0.02));
    CHECK(seen[1] == 0);
    CHECK(seen[3] == 0);
    CHECK_THROWS_AS(dain.draw(rng, tensors(entities), -1), RangeError);
}
