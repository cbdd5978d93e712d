// SPDX-License-Identifier: BSL-1.0
#include <temper/augment/mixed_temporal_noise.hpp>
#include <temper/augment/slerp.hpp>
#include <temper/augment/sync_pair_draw.hpp>
#include <temper/metric/interpolation_std.hpp>
#include <temper/metric/sync_offset_confidence.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;

TEST_CASE("windows out of sync are of the same sequence and never the same")
{
    const SyncPairDraw draw{.window = 4};
    auto rng = stream(1, 0, "pairs");
    std::vector<int> starts(7), wrong(7);
    int in_sync = 0;
    for (int i = 0; i < 7000; ++i) {
        const SyncPair pair = draw.draw(rng, 10);
        REQUIRE(pair.start != pair.wrong_start);
        REQUIRE(
            (pair.start >= 0 && pair.start <= 6 && pair.wrong_start >= 0 && pair.wrong_start <= 6));
        CHECK(pair.frames() == (pair.in_sync ? pair.start : pair.wrong_start));
        ++starts[static_cast<std::size_t>(pair.start)];
        ++wrong[static_cast<std::size_t>(pair.wrong_start)];
        in_sync += pair.in_sync ? 1 : 0;
    }
    for (std::size_t i = 0; i < 7; ++i) {
        CHECK(std::abs(starts[i] - 1000) < 150);
        CHECK(std::abs(wrong[i] - 1000) < 150);
    }
    CHECK(std::abs(in_sync - 3500) < 250);
    CHECK_THROWS_WITH(draw.draw(rng, 7), "SyncPairDraw: length is 7, must be at least two windows");

    Eigen::MatrixXd x = Eigen::MatrixXd::Random(10, 3);
    const auto part = draw.window_of(x, 5);
    CHECK(part.extents[0] == 4);
    CHECK(part.data == &x(5, 0)); // a window, not a copy
    CHECK_THROWS_AS(draw.window_of(x, 7), RangeError);
}

TEST_CASE("noise of clips has unit variance and the correlation that was asked for")
{
    const MixedTemporalNoise mix{.alpha = 2};
    auto rng = stream(2, 0, "noise");
    constexpr Index n = 4000;
    const auto plan = mix.draw<double>(rng, n, 2, 3);
    std::vector<double> e(static_cast<std::size_t>(n * 6));
    mix.apply(plan, into(view(e.data(), {n, 2, 3})));
    double square = 0, product = 0;
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < 3; ++j) {
            const double a = e[static_cast<std::size_t>(i * 6 + j)];
            const double b = e[static_cast<std::size_t>(i * 6 + 3 + j)];
            square += (a * a + b * b) / (6 * n);
            product += a * b / (3 * n);
        }
    CHECK(square == Approx(1).margin(0.04));
    CHECK(product / square == Approx(0.8).margin(0.03));

    const MixedTemporalNoise same{.alpha = std::numeric_limits<double>::infinity()};
    same.apply(plan, into(view(e.data(), {n, 2, 3})));
    CHECK(e[0] == plan.shared[0]);
    CHECK(e[3] == plan.shared[0]);
    auto again = stream(2, 0, "noise");
    auto refilled = plan;
    mix.draw(again, refilled);
    CHECK(refilled == plan);
    CHECK_THROWS_AS((MixedTemporalNoise{.alpha = -1}.apply(plan, into(view(e.data(), {n, 2, 3})))),
                    RangeError);
}

TEST_CASE("a shift of k frames moves the offset by k")
{
    constexpr Index t = 30, d = 6;
    Eigen::MatrixXd sound(t + 5, d);
    for (Index i = 0; i < t + 5; ++i)
        for (Index j = 0; j < d; ++j)
            sound(i, j) = std::sin(static_cast<double>((i + 1) * (j + 2)));
    const SyncOffsetConfidence metric{.shifts = 7};
    const Eigen::MatrixXd here = sound.topRows(t);
    const SyncOffset zero = metric(here, here);
    const SyncOffset five = metric(sound.middleRows(5, t), here);
    CHECK(zero.offset == 0);
    CHECK(zero.min_distance < 1e-5);
    CHECK(five.offset == -5);
    CHECK(five.confidence < zero.confidence);
    CHECK(five.confidence > 0);
}

TEST_CASE("points on the arc")
{
    const std::vector<double> a{3, 0}, b{0, 3}, t{0, 0.5, 1}, back{-3, 0};
    Eigen::MatrixXd y(3, 2);
    Slerp{}.forward(a, b, t, into(y));
    CHECK(y(0, 0) == Approx(3));
    CHECK(y(1, 0) == Approx(3 / std::sqrt(2)));
    CHECK(y.row(1).norm() == Approx(3));
    CHECK(y(2, 1) == Approx(3));
    Slerp{}.forward(a, back, t, into(y)); // no arc is nearer than another: straight through
    CHECK(y.row(1).isZero(0));
    Slerp{.threshold = 2}.forward(a, a, t, into(y));
    CHECK(y(1, 0) == 3);
    CHECK(InterpolationStd{}(y.topRows(2)) == 0);
}
