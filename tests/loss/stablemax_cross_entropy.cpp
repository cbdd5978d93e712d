// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/stablemax_cross_entropy.hpp>

#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <limits>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

TEST_CASE("a sample that is known well still has a gradient")
{
    MatrixXf z(1, 3), g(1, 3);
    z << 200, 0, -3;
    const std::vector<int> y{0};
    CHECK(SoftmaxCrossEntropy{}(z, labels(y), into(g)) < 1e-30);
    CHECK(g.cwiseAbs().maxCoeff() < 1e-30F);
    CHECK(StableMaxCrossEntropy{}(z, labels(y), into(g)) == Approx(std::log1p(1.25 / 201)));
    CHECK(g(0, 0) == Approx(-1.25 / 201 / 202.25).epsilon(1e-6));
    CHECK(g(0, 1) == Approx(1 / 202.25));
    CHECK(g(0, 2) == Approx(1 / 202.25 / 16));

    z << 1e6F, -1, -3; // the others are below the last digit of the sum
    CHECK(StableMaxCrossEntropy{}(z, labels(y), into(g)) == Approx(0.75e-6).epsilon(1e-5));
    CHECK(g(0, 0) == Approx(-0.75e-12).epsilon(1e-5));
}

TEST_CASE("StableMax of logits of any size")
{
    MatrixXf z(2, 3), g(2, 3);
    z << 1e30F, -1e30F, 0, -1e30F, 1e30F, 1e30F;
    CHECK(std::isfinite(StableMaxCrossEntropy{}(z, labels(std::vector<int>{1, 0}), into(g))));
    CHECK(g.allFinite());
}

TEST_CASE("logarithms of StableMax's probabilities")
{
    MatrixXd z(3, 4), l(3, 4);
    z << 0, 1, -1, 2, -5, -6, -7, -8, 3, 0, 0, 0;
    const std::vector<int> y{3, -1, 1};
    const double value = StableMaxCrossEntropy{.ignore_index = -1, .reduction = Reduction::sum}(
        z, labels(y), log_probabilities(into(l)));
    CHECK(l.array().exp().rowwise().sum().isApproxToConstant(1, 1e-12));
    CHECK(value == Approx(-l(0, 3) - l(2, 1)));
    CHECK(l(0, 0) == Approx(-std::log(6.5)));
}

TEST_CASE("samples that StableMax ignores count for nothing")
{
    MatrixXd z = MatrixXd::Ones(3, 2), g(3, 2);
    z.row(1).setConstant(std::numeric_limits<double>::quiet_NaN());
    const StableMaxCrossEntropy loss{.ignore_index = 9};
    CHECK(loss(z, labels(std::vector<int>{0, 9, 1}), into(g)) == Approx(std::log(2)));
    CHECK(g.row(1).isZero(0));
    CHECK(g(0, 0) == Approx(-1.0 / 8));
    CHECK(loss(z, labels(std::vector<int>{9, 9, 9}), into(g)) == 0);
    CHECK(g.isZero(0));
    CHECK(loss(MatrixXd(0, 2), labels(std::vector<int>{})) == 0);
    CHECK_THROWS_WITH(StableMaxCrossEntropy{}(z, labels(std::vector<int>{0, 2, 1})),
                      "StableMaxCrossEntropy: labels is 2 at 1, must be an integer from 0 to 1");
}
