// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/distillation_kl.hpp>

#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <limits>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

namespace {

MatrixXd some_logits(double phase)
{
    MatrixXd z(5, 4);
    for (Index i = 0; i < 5; ++i)
        for (Index j = 0; j < 4; ++j)
            z(i, j) = 2 * std::sin(phase + static_cast<double>(3 * i + 5 * j));
    return z;
}

} // namespace

TEST_CASE("a student that agrees with its teacher is done")
{
    const MatrixXf t = some_logits(0).cast<float>();
    MatrixXf s = t;
    MatrixXf g(5, 4);
    const DistillationKl loss{.temperature = 3};
    CHECK(loss(s, teacher_logits(t), into(g)) == 0);
    CHECK(g.isZero(0));
    // What is added to all logits of a sample changes nothing.
    s.array() += 1024;
    CHECK(loss(s, teacher_logits(t), into(g)) == Approx(0).margin(1e-6));
    CHECK(g.isZero(1e-4F));
}

TEST_CASE("distillation of logits of any size")
{
    MatrixXf s(2, 3), t(2, 3), g(2, 3);
    s << 1e4F, 0, -1e4F, 0, 1e30F, -1e30F;
    t << 0, 1e4F, -1e4F, 0, 1e30F, 0;
    const double value = DistillationKl{.temperature = 1}(s, teacher_logits(t), into(g));
    CHECK(value == Approx(5e3));
    CHECK(g(0, 0) == 0.5F);
    CHECK(g(0, 1) == -0.5F);
    CHECK(g.row(1).isZero(0));
}

TEST_CASE("classes that the teacher or the student rules out")
{
    constexpr double infinity = std::numeric_limits<double>::infinity();
    MatrixXd s = some_logits(1);
    MatrixXd t = some_logits(0);
    t(0, 2) = -infinity;
    MatrixXd gs(5, 4), gt(5, 4);
    const DistillationKl loss;
    CHECK(std::isfinite(loss(s, teacher_logits(t), into(gs), into(gt))));
    CHECK(gs.allFinite());
    CHECK(gt.allFinite());
    CHECK(gt(0, 2) == 0);
    s(0, 2) = -infinity; // ruled out by both
    CHECK(std::isfinite(loss(s, teacher_logits(t))));
    s(1, 1) = -infinity;
    CHECK(loss(s, teacher_logits(some_logits(0))) == infinity);
}

TEST_CASE("distillation is cross-entropy with the teacher's probabilities, but for their entropy")
{
    const MatrixXd s = some_logits(1);
    const MatrixXd t = some_logits(0);
    MatrixXd p = t.array().exp();
    p.array().colwise() /= p.rowwise().sum().array().eval();
    MatrixXd g(5, 4), want(5, 4);
    const double entropy = -(p.array() * p.array().log()).sum() / 5;
    const double cross = SoftmaxCrossEntropy{}(s, probabilities(p), into(want));
    CHECK(DistillationKl{.temperature = 1}(s, teacher_logits(t), into(g)) ==
          Approx(cross - entropy));
    CHECK(g.isApprox(want, 1e-12));

    MatrixXd gt(4, 5);
    const MatrixXd st = s.transpose();
    const MatrixXd tt = t.transpose();
    CHECK(in_columns(DistillationKl{.temperature = 1})(st, teacher_logits(tt), into(gt)) ==
          Approx(cross - entropy));
    CHECK(gt.isApprox(g.transpose(), 1e-12));
}

TEST_CASE("distillation of nothing, and bad input")
{
    const MatrixXd none(0, 3);
    CHECK(DistillationKl{}(none, teacher_logits(none)) == 0);
    const MatrixXd no_classes(2, 0);
    CHECK(DistillationKl{}(no_classes, teacher_logits(no_classes)) == 0);
    const MatrixXd s = some_logits(0);
    const MatrixXd t = s.transpose();
    CHECK_THROWS_WITH((DistillationKl{.temperature = 0}(s, teacher_logits(s))),
                      "DistillationKl: temperature is 0, must be positive");
    CHECK_THROWS_WITH(
        DistillationKl{}(s, teacher_logits(t)),
        "DistillationKl: teacher has shape [4, 5], must be [5, 4] as student; samples in columns? "
        "say in_columns(...)");
}
