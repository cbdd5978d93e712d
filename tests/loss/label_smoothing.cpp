// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/label_smoothing.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;
using Eigen::MatrixXd;

TEST_CASE("label smoothing over all classes and over the others")
{
    const std::vector<int> y{1, 0};
    MatrixXd t(2, 4);
    LabelSmoothing{.epsilon = 0.2}.forward(labels(y), 4, into(t));
    MatrixXd want(2, 4);
    want << 0.05, 0.85, 0.05, 0.05, 0.85, 0.05, 0.05, 0.05;
    CHECK(t.isApprox(want, 1e-15));

    LabelSmoothing{.epsilon = 0.3, .spread = Spread::other_classes}.forward(labels(y), 4, into(t));
    want << 0.1, 0.7, 0.1, 0.1, 0.7, 0.1, 0.1, 0.1;
    CHECK(t.isApprox(want, 1e-15));
    CHECK(t.rowwise().sum().isOnes(1e-15));

    LabelSmoothing{.epsilon = 1}.forward(labels(y), 4, into(t));
    CHECK(t.isConstant(0.25, 1e-15));
    LabelSmoothing{.epsilon = 0}.forward(labels(y), 4, add_to(t, 4));
    CHECK(t(0, 1) == 4.25);
    CHECK(t(0, 0) == 0.25);
}

TEST_CASE("one class is certain")
{
    const std::vector<int> y{0, 0};
    for (const Spread spread : {Spread::all_classes, Spread::other_classes}) {
        Eigen::MatrixXf t(2, 1);
        LabelSmoothing{.epsilon = 0.5, .spread = spread}.forward(labels(y), 1, into(t));
        CHECK(t.isOnes(0));
    }
}

TEST_CASE("what label smoothing refuses")
{
    MatrixXd t(2, 4);
    const std::vector<int> y{1, 4};
    CHECK_THROWS_AS((LabelSmoothing{.epsilon = -0.1}.forward(labels(y), 5, into(t))), RangeError);
    CHECK_THROWS_AS(LabelSmoothing{}.forward(labels(y), 4, into(t)), RangeError);
    CHECK_THROWS_AS(LabelSmoothing{}.forward(labels(y), 5, into(t)), ShapeError);
}
