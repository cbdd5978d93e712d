// SPDX-License-Identifier: BSL-1.0

// Learning curves, their fit, and when they have flattened.

#include <temper/core/random.hpp>
#include <temper/core/state.hpp>
#include <temper/metric/memorization_onset.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace temper;

namespace {

std::vector<double> epochs(std::size_t m)
{
    std::vector<double> x;
    for (std::size_t i = 0; i < m; ++i)
        x.push_back(static_cast<double>(i));
    return x;
}

} // namespace

TEST_CASE("a learning curve's derivative is one")
{
    const LearningCurve curve{0.8, 0.6, 1.7};
    for (const double t : {0.5, 1.0, 4.0, 20.0}) {
        const double h = 1e-5;
        CHECK(curve.derivative(t) ==
              Approx((curve(t + 1e-6 + h) - curve(t + 1e-6 - h)) / (2 * h)).epsilon(1e-6));
    }
    CHECK(curve(0) == 0);
    CHECK(std::isfinite(curve.derivative(0)));
    CHECK(LearningCurve{0.8, 1, 1e-3}(1) == Approx(0.8)); // a step
}

TEST_CASE("the fit finds the curve that the points come from")
{
    for (const LearningCurve truth : {LearningCurve{0.9, 0.5, 0.7}, LearningCurve{0.3, 1, 4},
                                      LearningCurve{0.62, 0.8, 2.2}, LearningCurve{1, 0.3, 1.5}}) {
        const auto x = epochs(20);
        std::vector<double> y;
        for (const double t : x)
            y.push_back(truth(t));
        const LearningCurve found = LearningCurve::fit(x, y);
        CHECK(found.error(x, y) < 1e-8);
        for (const double t : {0.5, 3.0, 15.0})
            CHECK(found(t) == Approx(truth(t)).margin(1e-4));
    }
}

TEST_CASE("a fit is no worse than what lies around it")
{
    auto rng = stream(2, 0, "curves");
    const auto x = epochs(15);
    for (int trial = 0; trial < 10; ++trial) {
        const LearningCurve truth{0.3 + 0.6 * uniform(rng), 0.3 + 0.7 * uniform(rng),
                                  0.3 + 4 * uniform(rng)};
        std::vector<double> y;
        for (const double t : x)
            y.push_back(truth(t) + 0.02 * normal(rng));
        const LearningCurve best = LearningCurve::fit(x, y);
        const double least = best.error(x, y);
        CHECK(least <= truth.error(x, y));
        for (int other = 0; other < 200; ++other) {
            const double size = 0.1 * uniform(rng);
            const LearningCurve near{std::clamp(best.a * (1 + size * normal(rng)), 0.0, 1.0),
                                     std::clamp(best.b * (1 + size * normal(rng)), 1e-3, 1.0),
                                     best.c * std::exp(size * normal(rng))};
            CHECK(near.error(x, y) >= least * (1 - 1e-9) - 1e-12);
        }
    }
}

TEST_CASE("what a fit refuses, and a constant")
{
    const std::vector<double> two{0, 1};
    CHECK_THROWS_AS(LearningCurve::fit(two, two), RangeError);
    CHECK_THROWS_AS(LearningCurve::fit(epochs(4), epochs(3)), ShapeError);
    CHECK_THROWS_AS(LearningCurve::fit(std::vector<double>{-1, 0, 1}, epochs(3)), RangeError);
    const LearningCurve flat = LearningCurve::fit(epochs(8), std::vector<double>(8, 0.0));
    CHECK(flat.a == Approx(0).margin(1e-9));
    CHECK(MemorizationOnset{.epochs = 9}(LearningCurve{0, 0.5, 1}) == 9);
}

TEST_CASE("the onset: earlier for a curve that flattens earlier, never for one that does not")
{
    const MemorizationOnset onset{.epochs = 30};
    const Index fast = onset({0.8, 0.9, 0.8});
    const Index slow = onset({0.8, 0.9, 8});
    CHECK(fast < slow);
    CHECK(slow < 30);
    CHECK(onset({0.8, 1, 1000}) == 30);
    CHECK_THROWS_AS(MemorizationOnset{.epochs = 1}(LearningCurve{}), RangeError);
}

TEST_CASE("classes are flagged one by one, once and for all, and the state is bounded and saved")
{
    const MemorizationOnset onset{.epochs = 30, .limit = 12};
    auto state = MemorizationOnset::init(3);
    const LearningCurve fast{0.8, 0.9, 0.8};
    const LearningCurve slow{0.8, 1, 1000};
    Index first = 0;
    for (Index e = 0; e < 25; ++e) {
        const auto t = static_cast<double>(e);
        onset.observe(state, std::vector<double>{fast(t), slow(t), 0});
        if (state.flagged[0] != 0 && first == 0)
            first = e + 1;
        auto loaded = MemorizationOnset::init(3);
        load(loaded, save(state));
        REQUIRE(loaded == state);
    }
    CHECK(first > 3);
    CHECK(first <= onset(fast) + 3);
    CHECK(state.flagged == std::vector<std::uint8_t>{1, 0, 0});
    CHECK(state.measures.size() == 36);
    CHECK(state.evaluations == 25);
    CHECK_THROWS_AS(onset.observe(state, std::vector<double>{1, 2}), ShapeError);
    CHECK(state.evaluations == 25);
}

TEST_CASE("evaluations before learning begins are cut off, and their time is added")
{
    const LearningCurve curve{0.8, 0.9, 0.8};
    const auto flagged_at = [&](Index wait) {
        const MemorizationOnset onset{.epochs = 30};
        auto state = MemorizationOnset::init(1);
        for (Index e = 0; e < 40; ++e) {
            onset.observe(
                state, std::vector<double>{e < wait ? 0.0 : curve(static_cast<double>(e - wait))});
            if (state.flagged[0] != 0)
                return e + 1;
        }
        return Index{0};
    };
    CHECK(flagged_at(0) > 0);
    CHECK(flagged_at(6) >= flagged_at(0) + 5);
    CHECK(flagged_at(6) <= flagged_at(0) + 7);
}
