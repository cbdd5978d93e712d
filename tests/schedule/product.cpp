// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/schedule/cosine.hpp>
#include <temper/schedule/discretization_doubling.hpp>
#include <temper/schedule/linear.hpp>
#include <temper/schedule/product.hpp>

#include <Eigen/Core>

using temper::Index;

TEST_CASE("Product: a schedule times a schedule or a number", "[schedule]")
{
    const temper::Linear line{.from = 1, .to = 3, .steps = 4};
    const temper::Cosine cosine{.steps = 4};
    const auto both = line * cosine;
    const auto left = 0.1 * line;
    const auto right = line * 0.1;
    const auto chain = 2 * line * cosine * 3;
    static_assert(temper::Schedule<decltype(chain)>);
    for (Index t = 0; t < 6; ++t) {
        CHECK(both(t) == line(t) * cosine(t));
        CHECK(left(t) == 0.1 * line(t));
        CHECK(right(t) == left(t));
        CHECK(chain(t) == Approx(6 * line(t) * cosine(t)));
    }
    CHECK(left == 0.1 * line);
    CHECK(!(left == 0.2 * line));
}

TEST_CASE("Product: with lambdas and with schedules of integers", "[schedule]")
{
    const temper::Linear line{.from = 1, .to = 3, .steps = 4};
    CHECK((line * [](Index t) { return static_cast<double>(t); })(2) == 4);
    const temper::DiscretizationDoubling levels{.s0 = 2, .s1 = 8, .total_steps = 30};
    CHECK((0.5 * levels)(0) == 1.5);
}

TEST_CASE("Product: matrices whose entries are read by a call stay their library's", "[schedule]")
{
    using namespace temper; // as users do
    Eigen::VectorXd v(2);
    v << 1, 2;
    static_assert(!Schedule<Eigen::VectorXd> && !Schedule<decltype(v + v)>);
    const Eigen::VectorXd twice = 2 * v;
    const Eigen::RowVectorXd product = v.transpose() * (v * v.transpose());
    CHECK(twice(1) == 4);
    CHECK(product(0) == 5);
}
