// SPDX-License-Identifier: BSL-1.0

// Improved Techniques for Training Consistency Models, on two moons: samples of one and of two steps are nearer to
// held-out data than those of the first consistency training (a moving teacher, squared error, uniform indices,
// unweighted), and Pseudo-Huber does better than squared error.

#include "effect/diffusion.hpp"

#include <temper/schedule/discretization_progressive.hpp>

using namespace temper;
using namespace effect;

TEST_CASE("improved consistency training beats the first one, and squared error, on two moons",
          "[effect]")
{
    constexpr Index steps = 1200;
    const auto data = two_moons(4000, 1);
    const auto held = two_moons(2000, 2);
    const DiscretizationDoubling doubling{.s0 = 10, .s1 = 80, .total_steps = steps};
    const Ema ema{.decay = 0.99};
    struct Scores {
        double one = 0, two = 0;
    };
    Scores improved, squared, first;
    const auto add = [&](Scores& to, const Samples& samples) {
        to.one += sliced_wasserstein(samples.one, held) / 2;
        to.two += sliced_wasserstein(samples.two, held) / 2;
    };
    for (const std::uint64_t seed : {1, 2}) {
        Training how{.steps = steps, .network = {.features = 2, .width = 64, .layers = 2}};
        ConsistencyTraining<AnyRule> recipe{.levels = doubling, .ema = ema, .seed = seed};
        add(improved, train(recipe, data, how, 2000));
        recipe.rule = {AnyRule::squared};
        add(squared, train(recipe, data, how, 2000));
        const DiscretizationProgressive progressive{
            .s0 = 2, .s1 = 80, .total_steps = steps, .mu0 = 0.9};
        how.teacher = [&](Index step) { return progressive.teacher_decay(step); };
        add(first,
            train(
                ConsistencyTraining<FixedKernel<L2Residual>, IndependentCoupling, NoEarlyDiffusion,
                                    UniformIndexSampler, UnitWeight, DiscretizationProgressive>{
                    .levels = progressive, .ema = ema, .seed = seed},
                data, how, 2000));
    }
    std::printf(
        "two moons, sliced Wasserstein distance of one (two) steps: improved %.3f (%.3f), "
        "with squared error %.3f (%.3f), first consistency training %.3f (%.3f); real %.3f\n",
        improved.one, improved.two, squared.one, squared.two, first.one, first.two,
        sliced_wasserstein(two_moons(2000, 3), held));
    CHECK(improved.one < 0.9 * squared.one);
    CHECK(improved.one < 0.8 * first.one);
    CHECK(improved.two < first.two);
}
