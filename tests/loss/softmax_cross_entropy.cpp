// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/softmax_cross_entropy.hpp>

#include <temper/loss/label_smoothing.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;

namespace {

const SoftmaxCrossEntropy loss;

template <class F>
std::string message(const F& f)
{
    try {
        f();
    }
    catch (const Error& thrown) {
        return thrown.what();
    }
    return "nothing thrown";
}

const std::vector<int> y{2, 0, 1, 1};

MatrixXd some_logits()
{
    MatrixXd z(4, 3);
    z << 0.5, -1, 2, 1.5, 0, 0.25, -2, 0.75, 1, 3, -0.5, 0;
    return z;
}

} // namespace

TEST_CASE("softmax cross-entropy of huge logits")
{
    MatrixXf z(2, 3);
    z << 1e30F, -1e30F, 0, 1e4F, 0, -1e4F;
    MatrixXf g(2, 3);
    MatrixXf h(2, 3);
    const double value = loss(z, labels(std::vector<int>{0, 1}), into(g), curvature(into(h)));
    CHECK(value == 5e3);
    MatrixXf want(2, 3);
    want << 0, 0, 0, 0.5F, -0.5F, 0;
    CHECK(g == want);
    CHECK(h == MatrixXf::Zero(2, 3));
}

TEST_CASE("a logit of minus infinity is a class of probability 0")
{
    MatrixXd z = some_logits();
    z(0, 0) = z(1, 2) = -std::numeric_limits<double>::infinity();
    MatrixXd g(4, 3);
    CHECK(std::isfinite(loss(z, labels(y), into(g))));
    CHECK(g.allFinite());
    CHECK(g(0, 0) == 0);
    MatrixXd p = MatrixXd::Zero(4, 3);
    for (Index i = 0; i < 4; ++i)
        p(i, y[static_cast<std::size_t>(i)]) = 1;
    MatrixXd gp(4, 3);
    CHECK(loss(z, probabilities(p), into(g), into(gp)) == Approx(loss(z, labels(y))));
    CHECK(g.allFinite());
    CHECK(gp(0, 0) == std::numeric_limits<double>::infinity());
    CHECK(loss(z, labels(std::vector<int>{0, 0, 1, 1})) == std::numeric_limits<double>::infinity());
}

TEST_CASE("a probability next to 1 keeps its digits")
{
    MatrixXf z(1, 3);
    z << 0, 20, -5;
    MatrixXf g(1, 3);
    const double others = std::exp(-20.0) + std::exp(-25.0);
    CHECK(loss(z, labels(std::vector<int>{1}), into(g)) == Approx(std::log1p(others)));
    CHECK(g(0, 1) == Approx(-others));
}

TEST_CASE("ignored samples count for nothing")
{
    const SoftmaxCrossEntropy ignoring{.label_smoothing = 0.1, .ignore_index = -1};
    MatrixXd z = some_logits();
    const VectorXd w = VectorXd::LinSpaced(4, 1, 2);
    const VectorXd c = VectorXd::LinSpaced(3, 0.5, 1.5);
    std::vector<int> some = y;
    some[1] = -1;
    z.row(1).setConstant(std::numeric_limits<double>::quiet_NaN());
    MatrixXd g(4, 3);
    MatrixXd h(4, 3);
    VectorXd each(4);
    const double value = ignoring(z, labels(some), sample_weights(w), class_weights(c), into(g),
                                  per_sample(into(each)), curvature(into(h)));
    CHECK(g.row(1).isZero(0));
    CHECK(h.row(1).isZero(0));
    CHECK(each(1) == 0);
    CHECK(g.allFinite());

    const std::vector<Index> kept{0, 2, 3};
    const MatrixXd z3 = z(kept, Eigen::all);
    const VectorXd w3 = w(kept);
    MatrixXd g3(3, 3);
    CHECK(value == Approx(ignoring(z3, labels(std::vector<int>{2, 1, 1}), sample_weights(w3),
                                   class_weights(c), into(g3))));
    CHECK(g(kept, Eigen::all).isApprox(g3, 1e-14));

    g.setConstant(7);
    CHECK(ignoring(z, labels(std::vector<int>(4, -1)), into(g)) == 0);
    CHECK(g.isZero(0));
}

TEST_CASE("labels of any kind of number")
{
    const MatrixXd z = some_logits();
    const double want = loss(z, labels(y));
    CHECK(loss(z, labels(std::vector<std::uint8_t>(y.begin(), y.end()))) == want);
    CHECK(loss(z, labels(std::vector<std::int64_t>(y.begin(), y.end()))) == want);
    CHECK(loss(z, labels(std::vector<float>(y.begin(), y.end()))) == want);
    CHECK(loss(z, labels(Eigen::Vector4i(2, 0, 1, 1))) == want);
}

TEST_CASE("label smoothing without the matrix of targets")
{
    const MatrixXd z = some_logits();
    MatrixXd t(4, 3);
    LabelSmoothing{.epsilon = 0.2}.forward(labels(y), 3, into(t));
    const SoftmaxCrossEntropy smooth{.label_smoothing = 0.2};
    MatrixXd g(4, 3);
    MatrixXd g_soft(4, 3);
    CHECK(smooth(z, labels(y), into(g)) == Approx(loss(z, probabilities(t), into(g_soft))));
    CHECK(g.isApprox(g_soft, 1e-14));
}

TEST_CASE("the curvature is the second derivative")
{
    MatrixXd z = some_logits();
    const VectorXd c = VectorXd::LinSpaced(3, 0.5, 1.5);
    MatrixXd h(4, 3);
    for (const double smoothing : {0.0, 0.3}) {
        const SoftmaxCrossEntropy smooth{.label_smoothing = smoothing};
        smooth(z, labels(y), class_weights(c), curvature(into(h)));
        MatrixXd up(4, 3);
        MatrixXd down(4, 3);
        for (Index i = 0; i < 4; ++i)
            for (Index j = 0; j < 3; ++j) {
                const double at = z(i, j);
                z(i, j) = at + 1e-5;
                smooth(z, labels(y), class_weights(c), into(up));
                z(i, j) = at - 1e-5;
                smooth(z, labels(y), class_weights(c), into(down));
                z(i, j) = at;
                CHECK(h(i, j) == Approx((up(i, j) - down(i, j)) / 2e-5).epsilon(1e-6));
            }
    }
}

TEST_CASE("samples in columns, and a scaled loss")
{
    const MatrixXd z = some_logits();
    const MatrixXd zt = z.transpose();
    MatrixXd g(4, 3);
    MatrixXd gt(3, 4);
    MatrixXd ht(3, 4);
    VectorXd each(4);
    const double value = loss(z, labels(y), into(g));
    CHECK(in_columns(loss)(zt, labels(y), into(gt)) == value);
    CHECK(gt == g.transpose());
    const MatrixXd p = MatrixXd::Constant(4, 3, 1.0 / 3);
    const MatrixXd pt = p.transpose();
    CHECK(in_columns(loss)(zt, probabilities(pt), into(gt)) ==
          Approx(loss(z, probabilities(p), into(g))));
    CHECK(gt.isApprox(g.transpose(), 1e-14));

    const double twice = (2 * loss)(z, labels(y), add_to(g, -1), per_sample(into(each)));
    CHECK(twice == Approx(2 * value));
    CHECK(each.sum() == Approx(8 * value));
}

TEST_CASE("nothing to sum over")
{
    CHECK(loss(MatrixXd(0, 3), labels(std::vector<int>{})) == 0);
    VectorXd each = VectorXd::Constant(2, 7);
    const MatrixXd none(2, 0);
    CHECK(loss(none, probabilities(none), per_sample(into(each))) == 0);
    CHECK(each.isZero(0));
}

TEST_CASE("what softmax cross-entropy says about bad input")
{
    const MatrixXd z = some_logits();
    MatrixXd g = MatrixXd::Constant(4, 3, 7);
    CHECK(message([&] { loss(z, labels(std::vector<int>{0, 3, 1, 1}), into(g)); }) ==
          "SoftmaxCrossEntropy: labels is 3 at 1, must be an integer from 0 to 2");
    CHECK(message([&] {
              SoftmaxCrossEntropy{.ignore_index = -100}(
                  z, labels(std::vector<float>{0, 1, 0.5F, -100}), into(g));
          }) == "SoftmaxCrossEntropy: labels is 0.5 at 2, must be an integer from 0 to 2 or the "
                "ignored index -100");
    CHECK(message([&] { loss(z, labels(std::vector<int>{0, 1}), into(g)); }) ==
          "SoftmaxCrossEntropy: labels has shape [2], must be [4], a label for each sample");
    const MatrixXd turned = z.transpose();
    CHECK(message([&] { loss(z, probabilities(turned), into(g)); }) ==
          "SoftmaxCrossEntropy: targets has shape [3, 4], must be [4, 3] as logits; samples in "
          "columns? say in_columns(...)");
    CHECK(message([&] { SoftmaxCrossEntropy{.label_smoothing = 1.5}(z, labels(y), into(g)); }) ==
          "SoftmaxCrossEntropy: label_smoothing is 1.5, must be from 0 to 1");
    CHECK(message([&] { loss(z, labels(y), into(g), class_weights(std::vector<double>(4))); }) ==
          "SoftmaxCrossEntropy: class_weights has shape [4], must be [3] as logits has columns");
    CHECK(g == MatrixXd::Constant(4, 3, 7));
}
