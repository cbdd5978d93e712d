// SPDX-License-Identifier: BSL-1.0

// Projections of the penalties on single entries, on numbers whose squares a float does not hold.

#include <temper/core/random.hpp>
#include <temper/regularizer/elastic_net.hpp>
#include <temper/regularizer/l1.hpp>
#include <temper/regularizer/squared_l2.hpp>

#include "support/catch.hpp"

#include <cmath>
#include <vector>

using namespace temper;

TEST_CASE("projections end on the ball, in place as well")
{
    Stream bits = stream(9, 0, "balls");
    std::vector<double> w(1000);
    for (double& x : w)
        x = normal(bits);
    const auto check = [&](const auto& penalty, double radius) {
        auto p = w;
        penalty.project(p, radius, into(p));
        CHECK(penalty(p) == Approx(radius).epsilon(1e-9));
        auto q = w;
        penalty.project(q, 2 * penalty(w), into(q));
        CHECK(q == w);
    };
    check(L1{}, 20);
    check(SquaredL2{}, 20);
    check(ElasticNet{.l1 = 0.3, .l2 = 2}, 20);
    check(ElasticNet{.l1 = 0, .l2 = 2}, 20);
    check(0.1 * ElasticNet{.l1 = 0.3, .l2 = 2}, 20);
}

TEST_CASE("the Euclidean ball is found for numbers of any size")
{
    for (const float size : {1e-30F, 1e-3F, 1e25F}) {
        std::vector<float> w{3 * size, 0, -4 * size};
        const double radius =
            0.5 * static_cast<double>(size) * static_cast<double>(size); // |w| = size
        SquaredL2{}.project(w, radius, into(w));
        CHECK(w[0] == Approx(0.6F * size));
        CHECK(w[2] == Approx(-0.8F * size));
    }
    std::vector<float> w{3, -4};
    SquaredL2{}.project(w, 0, into(w));
    CHECK(w == std::vector<float>{0, 0});
}

TEST_CASE("the dual norm of nothing is 0")
{
    const std::vector<double> nothing;
    CHECK(L1{}.dual_norm(nothing) == 0);
}
