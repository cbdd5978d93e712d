// SPDX-License-Identifier: BSL-1.0

// Progressive Volume Distillation with Active Learning for Efficient NeRF Architecture Conversion.

#include "effect/distillation.hpp"

#include <temper/recipe/hard_example_pool.hpp>

using namespace effect::distillation;

namespace {

/// A smooth function with a narrow bump in 3 % of its domain, learned from batches of 64 points.
double largest_error(bool pooled)
{
    double mean = 0;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        Trained network({1, 48, 48, 1}, seed, 0.003, support::Activation::tanh);
        auto rng = temper::stream(seed, 0, "points");
        constexpr Index points = 4096;
        const auto place = [](Index id) {
            return 2 * static_cast<float>(id) / static_cast<float>(points) - 1;
        };
        const auto target = [](float x) {
            return std::sin(2 * x) + 1.5F * std::exp(-(x - 0.4F) * (x - 0.4F) / 0.0004F);
        };
        const temper::HardExamplePool pool{.ratio = 0.1, .capacity = 200};
        temper::HardExamplePool::State state;
        temper::PoolPlan slots, members;
        Matrix<float> x(64, 1), g(64, 1);
        std::vector<std::int64_t> ids(64);
        std::vector<float> losses(64);
        for (int step = 0; step < 4000; ++step) {
            for (auto& id : ids)
                id = temper::uniform_index(rng, points);
            if (pooled) {
                pool.draw(rng, state, pool.count(64) * 3, members);
                for (std::size_t i = 0; i < members.slots.size(); ++i)
                    ids[i] = state.ids[static_cast<std::size_t>(members.slots[i])];
            }
            for (std::size_t i = 0; i < ids.size(); ++i)
                x(static_cast<Index>(i), 0) = place(ids[i]);
            const Matrix<float>& y = network.forward(x);
            for (Index i = 0; i < 64; ++i) {
                const float d = y(i, 0) - target(x(i, 0));
                losses[static_cast<std::size_t>(i)] = std::abs(d);
                g(i, 0) = 2 * d / 64;
            }
            network.backward(g);
            network.step();
            if (pooled) {
                pool.draw_slots(rng, state, 64, slots);
                pool.observe(state, losses, ids, slots);
            }
        }
        Matrix<float> all(points, 1);
        for (Index i = 0; i < points; ++i)
            all(i, 0) = place(i);
        const Matrix<float>& y = network.forward(all);
        double most = 0;
        for (Index i = 0; i < points; ++i)
            most = (std::max)(most, static_cast<double>(std::abs(y(i, 0) - target(all(i, 0)))));
        mean += most / 4;
    }
    std::printf("PVD with active learning: largest error %.3f %s\n", mean,
                pooled ? "with the pool" : "of uniform batches");
    return mean;
}

} // namespace

TEST_CASE("a pool of hard examples lowers the largest error", "[effect]")
{
    const double uniform = largest_error(false);
    CHECK(largest_error(true) < 0.8 * uniform);
}
