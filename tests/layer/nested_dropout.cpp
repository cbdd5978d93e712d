// SPDX-License-Identifier: BSL-1.0
#include <temper/layer/nested_dropout.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;
using Eigen::MatrixXd;

TEST_CASE("nested dropout: draws follow the distribution")
{
    const NestedDropout drop{.deviation = 3};
    std::vector<double> p(6);
    drop.distribution(into(p));
    std::vector<double> seen(6);
    auto rng = stream(1, 0, "prefixes");
    constexpr int n = 20000;
    for (int i = 0; i < n; ++i)
        seen[static_cast<std::size_t>(drop.draw(rng, 6).keep - 1)] += 1.0 / n;
    double total = 0;
    for (std::size_t k = 0; k < 6; ++k) {
        CHECK(seen[k] == Approx(p[k]).margin(0.015));
        total += p[k];
    }
    CHECK(total == Approx(1));
    CHECK(p[0] > p[5]);
}

TEST_CASE("nested dropout: a narrow distribution keeps one feature, or the one at mu")
{
    auto rng = stream(1, 0, "prefixes");
    for (int i = 0; i < 20; ++i) {
        CHECK(NestedDropout{.deviation = 1e-3}.draw(rng, 9).keep == 1);
        CHECK(NestedDropout{.deviation = 1e-3, .mu = 5}.draw(rng, 9).keep == 5);
        CHECK(NestedDropout{.deviation = 1e-3, .mu = 50}.draw(rng, 9).keep == 9);
    }
    CHECK_THROWS_AS((NestedDropout{.deviation = 0}.draw(rng, 9)), RangeError);
    CHECK_THROWS_AS((NestedDropout{.deviation = 1}.draw(rng, 0)), RangeError);
}

TEST_CASE("nested dropout: all features change nothing, in place, and the smallest of equal ones")
{
    const NestedDropout drop{.deviation = 3};
    MatrixXd x = MatrixXd::Random(4, 5);
    const MatrixXd before = x;
    drop.forward({5}, x, into(x));
    CHECK(x == before);
    drop.forward({2}, x, into(x));
    CHECK(x.leftCols(2) == before.leftCols(2));
    CHECK(x.rightCols(3).isZero());
    CHECK_THROWS_AS(drop.forward({6}, x, into(x)), RangeError);

    CHECK(drop.best(std::vector<double>{0.5, 0.9, 0.9, 0.8}).keep == 2);
    CHECK(drop.best(std::vector<double>{0.5, 0.9, 0.900005, 0.8}).keep == 2);
    CHECK(drop.best(std::vector<double>{0.5, 0.9, 0.91, 0.8}).keep == 3);
}
