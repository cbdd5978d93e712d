// SPDX-License-Identifier: BSL-1.0
#include <temper/augment/cutmix.hpp>
#include <temper/augment/lesion_mixup.hpp>
#include <temper/augment/policy_region.hpp>
#include <temper/augment/simplex_mix.hpp>
#include <temper/augment/smmix_regions.hpp>
#include <temper/recipe/adamixup.hpp>
#include <temper/schedule/mixup_until.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <numeric>
#include <vector>

using namespace temper;
using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

Rows numbers(Index n, Index d)
{
    Rows x(n, d);
    for (Index i = 0; i < x.size(); ++i)
        x.data()[i] = std::sin(static_cast<double>(7 * i + 1));
    return x;
}

} // namespace

TEST_CASE("mixup until a step, at once and along a ramp")
{
    const MixupUntil half{.stop = 10};
    CHECK(half.on(9));
    CHECK(!half.on(10));
    CHECK(half(9) == 1);
    CHECK(!MixupUntil{.stop = 0}.on(0));
    const MixupUntil ramp{.stop = 10, .ramp = 3, .probability = 0.8};
    CHECK(ramp(6) == Approx(0.8));
    CHECK(ramp(7) == Approx(0.6));
    CHECK(ramp(9) == Approx(0.2));
    CHECK(ramp(10) == 0);
    auto rng = stream(1, 0, "until");
    int mixed = 0;
    for (int i = 0; i < 1000; ++i)
        mixed += ramp.draw(rng, 7);
    CHECK(mixed > 500);
    CHECK(mixed < 700);
    CHECK_THROWS_AS(MixupUntil{.stop = -1}(0), RangeError);
    CHECK_THROWS_AS((MixupUntil{.stop = 2, .ramp = 3}(0)), RangeError);
}

TEST_CASE("pairings and coefficients of the mixers")
{
    auto rng = stream(3, 0, "pairs");
    for (Index n = 1; n < 8; ++n)
        for (int round = 0; round < 50; ++round) {
            std::vector<Index> partner(static_cast<std::size_t>(n));
            DerangedPairs{}(rng, std::span<Index>(partner));
            std::vector<Index> sorted = partner;
            std::sort(sorted.begin(), sorted.end());
            for (Index i = 0; i < n; ++i) {
                CHECK(sorted[static_cast<std::size_t>(i)] == i);
                CHECK((n == 1 || partner[static_cast<std::size_t>(i)] != i));
            }
        }
    for (int i = 0; i < 100; ++i)
        CHECK(FlooredCoefficient<>{.least = 0.7}(rng) >= 0.7);
    std::vector<Index> list{1, 1};
    std::vector<Index> partner(3);
    CHECK_THROWS_AS((ListedPairs{list}(rng, std::span<Index>(partner))), RangeError);
}

TEST_CASE("a simplex plan starts with the samples themselves, and two of it are mixup")
{
    auto rng = stream(2, 0, "simplex");
    const SimplexMix three{.order = 3};
    SimplexPlan plan = three.draw(rng, 5);
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(plan.index[3 * i] == static_cast<Index>(i));
        CHECK(plan.weight[3 * i] + plan.weight[3 * i + 1] + plan.weight[3 * i + 2] == Approx(1));
    }
    const SimplexMix two{};
    two.draw(rng, 4, plan);
    MixPlan as_mixup;
    for (std::size_t i = 0; i < 4; ++i) {
        as_mixup.partner.push_back(plan.index[2 * i + 1]);
        as_mixup.lambda.push_back(plan.weight[2 * i]);
    }
    const Rows x = numbers(4, 3);
    Rows a(4, 3), b(4, 3);
    two.apply(plan, x, into(a));
    Mixup<>{}.apply(as_mixup, x, into(b));
    CHECK(a.isApprox(b, 1e-14));
    plan.index[0] = 4;
    CHECK_THROWS_AS(two.apply(plan, x, into(a)), RangeError);
    CHECK_THROWS_AS((SimplexMix{.order = 0}.draw(rng, 3)), RangeError);
    CHECK(two.draw(rng, 0).size() == 0);
}

TEST_CASE("SMMix draws its side, and a whole image becomes its partner")
{
    const Index side = 4;
    const Rows attention = numbers(3, side * side);
    const Rows images = numbers(3, 2 * 8 * 8);
    const SmmixRegions<> smmix{};
    auto rng = stream(5, 0, "regions");
    for (int round = 0; round < 20; ++round) {
        const MixPlan plan = smmix.draw(rng, attention, {8, 8});
        CHECK(plan.partner == std::vector<Index>{2, 1, 0});
        const double share = plan.lambda[0];
        CHECK((share == Approx(1 - 1.0 / 16) || share == Approx(1 - 4.0 / 16) ||
               share == Approx(1 - 9.0 / 16)));
        Rows mask(3, side * side);
        smmix.source_mask(plan, side, into(mask));
        CHECK(mask.sum() / 48 == Approx(1 - share));
        Rows mixed(3, images.cols());
        smmix.apply(plan, images, into(mixed));
        CHECK(mixed.row(1).sum() != images.row(1).sum()); // with itself, from another place
    }
    MixPlan plan;
    plan.image = {8, 8};
    plan.partner = {1, 0, 2};
    smmix.place(attention, side, plan);
    CHECK(plan.lambda[0] == 0);
    Rows mixed(3, images.cols());
    smmix.apply(plan, images, into(mixed));
    CHECK(mixed.row(0) == images.row(1));
    smmix.place(attention, 0, plan);
    smmix.apply(plan, images, into(mixed));
    CHECK(mixed == images);
    CHECK_THROWS_AS(smmix.place(attention, 5, plan), RangeError);
    plan.image = {8, 6};
    CHECK_THROWS_AS(smmix.place(attention, 2, plan), RangeError);
}

TEST_CASE("a plan's sources must be as large as its boxes, and inside")
{
    const Rows images = numbers(2, 16);
    Rows mixed(2, 16);
    MixPlan plan{{1, 0}, {0.75}, {0.75}, {{0, 0, 2, 2}}, {{2, 2, 4, 4}}, {4, 4}};
    const CutMix<> cut{};
    cut.apply(plan, images, into(mixed));
    CHECK(mixed(0, 0) == images(1, 10));
    plan.sources = {{3, 2, 5, 4}};
    CHECK_THROWS_AS(cut.apply(plan, images, into(mixed)), RangeError);
    plan.sources = {{2, 2, 4, 3}};
    CHECK_THROWS_AS(cut.apply(plan, images, into(mixed)), RangeError);
}

TEST_CASE("saturated gates pin lambda")
{
    Rows gate(3, 3);
    gate << 800, 0, 0, 0, 800, 0, 0, 0, 800;
    const PolicyRegion policy{};
    auto rng = stream(1, 0, "policy");
    PolicyPlan plan = policy.draw(rng, 3);
    policy.decide(gate, plan);
    CHECK(plan.lambda[0] == 1);
    CHECK(plan.lambda[1] == plan.uniform[1]);
    CHECK(plan.lambda[2] == 0);
    const Rows wrong(2, 3);
    CHECK_THROWS_AS(policy.decide(wrong, plan), ShapeError);
    // Equal gates: the region is the middle third.
    policy.decide(Rows(Rows::Zero(3, 3)), plan);
    for (const double lambda : plan.lambda) {
        CHECK(lambda >= 1.0 / 3 - 1e-12);
        CHECK(lambda <= 2.0 / 3 + 1e-12);
    }
}

TEST_CASE("lesions are mixed with others of their group, or not at all")
{
    const std::vector<std::int64_t> groups{4, 7, 4, 4, 9};
    const LesionMixup mixup = lesion_mixup(groups);
    auto rng = stream(1, 0, "lesions");
    std::vector<int> seen(5, 0);
    for (int round = 0; round < 200; ++round) {
        const MixPlan plan = mixup.draw(rng, 5);
        for (std::size_t i = 0; i < 5; ++i) {
            const auto partner = static_cast<std::size_t>(plan.partner[i]);
            CHECK(groups[partner] == groups[i]);
            const bool alone = groups[i] != 4;
            CHECK((partner == i) == alone);
            CHECK(plan.lambda[i] == (alone ? 1.0 : 0.75));
            ++seen[partner];
        }
    }
    CHECK(seen[0] > 100);
    CHECK(seen[3] > 100);
    const Rows x = numbers(5, 3);
    Rows m(5, 3);
    mixup.apply(mixup.draw(rng, 5), x, into(m));
    CHECK(m.row(1) == x.row(1));
    CHECK_THROWS_AS(mixup.draw(rng, 4), RangeError);
    CHECK_THROWS_AS(lesion_mixup(groups, 1.5), RangeError);
}

TEST_CASE("AdaMixUp's classes count as one batch of mixtures and first members")
{
    const Rows zm = numbers(4, 3);
    const Rows zf = -numbers(4, 3);
    const Rows t = Rows::Constant(4, 3, 1.0 / 3);
    const std::vector<int> y{0, 2, 1, 1};
    const AdaMixup ada{.intrusion_weight = 2};
    const SoftmaxCrossEntropy loss{};
    CHECK(ada.classification(zm, probabilities(t), zf, labels(y)) ==
          Approx((loss(zm, probabilities(t)) + loss(zf, labels(y))) / 2));
    const Rows r = numbers(6, 2);
    CHECK(ada.intrusion(r, r) == Approx(2 * IntrusionLoss{}(r, r)));
    const Rows few = numbers(3, 3);
    CHECK_THROWS_AS(ada.classification(zm, probabilities(t), few, labels(std::vector<int>(3))),
                    ShapeError);
}
