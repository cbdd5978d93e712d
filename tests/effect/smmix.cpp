// SPDX-License-Identifier: BSL-1.0

// SMMix: the most attended region over the least attended one leaves both objects to be seen, where a random
// box of the same size pastes background over objects.

#include <temper/augment/cutmix.hpp>
#include <temper/augment/smmix_regions.hpp>

#include "support/catch.hpp"

#include <cstdio>

using namespace temper;

namespace {

constexpr Index side = 16;   // pixels
constexpr Index patches = 4; // of a side
constexpr Index object = 6;  // pixels of its side

/// Image i: a square of i + 1 on nothing. Attention: how much of the square is in a patch, and a little noise.
struct Toy {
    std::vector<double> images, attention;
    explicit Toy(Index n, Stream& rng)
        : images(static_cast<std::size_t>(n * side * side)),
          attention(static_cast<std::size_t>(n * patches * patches))
    {
        for (Index i = 0; i < n; ++i) {
            const Index top = uniform_index(rng, side - object + 1);
            const Index left = uniform_index(rng, side - object + 1);
            for (Index p = 0; p < patches * patches; ++p)
                attention[static_cast<std::size_t>(i * patches * patches + p)] = uniform(rng);
            for (Index y = top; y < top + object; ++y)
                for (Index x = left; x < left + object; ++x) {
                    images[static_cast<std::size_t>((i * side + y) * side + x)] =
                        static_cast<double>(i + 1);
                    constexpr Index patch = side / patches;
                    attention[static_cast<std::size_t>((i * patches + y / patch) * patches +
                                                       x / patch)] += 1;
                }
        }
    }
};

/// The share of mixtures in which at least half of both objects is left.
double both_seen(const std::vector<double>& mixed, const MixPlan& plan)
{
    double seen = 0;
    for (Index i = 0; i < plan.size(); ++i) {
        Index own = 0;
        Index other = 0;
        for (Index p = 0; p < side * side; ++p) {
            const double pixel = mixed[static_cast<std::size_t>(i * side * side + p)];
            own += pixel == static_cast<double>(i + 1);
            other += pixel == static_cast<double>(plan.partner[static_cast<std::size_t>(i)] + 1);
        }
        seen += 2 * own >= object * object && 2 * other >= object * object;
    }
    return seen / static_cast<double>(plan.size());
}

} // namespace

TEST_CASE("regions by attention keep both objects", "[effect]")
{
    constexpr Index n = 200;
    auto rng = stream(1, 0, "toys");
    double by_attention = 0;
    double by_chance = 0;
    double lambda = 0;
    constexpr int rounds = 5;
    for (int round = 0; round < rounds; ++round) {
        const Toy toy(n, rng);
        const auto images = view(toy.images.data(), {n, Index{1}, side, side});
        std::vector<double> mixed(toy.images.size());
        const auto out = view(mixed.data(), {n, Index{1}, side, side});

        const SmmixRegions<> smmix{};
        MixPlan plan;
        plan.image = {side, side};
        plan.partner.resize(n);
        ReversedPairs{}(rng, std::span<Index>(plan.partner));
        smmix.place(view(toy.attention.data(), {n, patches * patches}), 2, plan);
        smmix.apply(plan, images, into(out));
        by_attention += both_seen(mixed, plan) / rounds;

        // Boxes of the same size that no border clips.
        const CutMix<> cutmix{};
        MixPlan boxes = plan;
        boxes.sources.clear();
        boxes.lambda.assign(n, 0);
        for (std::size_t i = 0; i < n; ++i) {
            boxes.boxes[i] = CutBox::around(4 + uniform_index(rng, 9), 4 + uniform_index(rng, 9),
                                            plan.lambda[0], plan.image);
            boxes.lambda[i] = CutBox::remaining(boxes.boxes[i], plan.image);
            lambda += boxes.lambda[i] / static_cast<double>(n * rounds);
        }
        boxes.label_lambda = boxes.lambda;
        cutmix.apply(boxes, images, into(out));
        by_chance += both_seen(mixed, boxes) / rounds;
        CHECK(plan.lambda[0] == Approx(0.75));
    }
    std::printf("SMMix, both objects seen: by attention %.3f, by chance %.3f (lambda 0.75, %.2f)\n",
                by_attention, by_chance, lambda);
    CHECK(lambda == Approx(0.75));
    CHECK(by_attention > by_chance + 0.2);
}
