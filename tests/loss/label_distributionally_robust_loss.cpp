// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/label_distributionally_robust_loss.hpp>

#include <temper/core/random.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace temper;
using Eigen::ArrayXd;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

using Loss = LabelDistributionallyRobustLoss;
using enum LogitNormalisation;

const std::vector<int> y{2, 0, 1, 1};

MatrixXd some_logits()
{
    MatrixXd z(4, 3);
    z << 0.5, -1, 2, 1.5, 0, 0.25, -2, 0.75, 1, 3, -0.5, 0;
    return z;
}

/// A row as the loss sees it, as the header writes it.
VectorXd normalised(const ArrayXd& z, LogitNormalisation by)
{
    const auto k = static_cast<double>(z.size());
    const ArrayXd a = by == softplus_mean ? z.exp().log1p().eval() : z;
    return by == none ? a : a * k / a.abs().sum();
}
/// d of a row.
ArrayXd margins(const Loss& loss, const ArrayXd& z, int label)
{
    const ArrayXd u = normalised(z, loss.normalisation).array();
    ArrayXd d = u - u[label] + loss.margin;
    d[label] = 0;
    return d;
}
ArrayXd worst(const Loss& loss, const ArrayXd& z, int label)
{
    const ArrayXd e = (margins(loss, z, label) / loss.lambda).exp();
    return e / e.sum();
}

} // namespace

TEST_CASE("at lambda 1 without margin and normalisation it is cross-entropy less log k")
{
    const MatrixXd z = some_logits();
    const Loss loss{.lambda = 1, .margin = 0, .normalisation = none};
    MatrixXd g(4, 3);
    MatrixXd h(4, 3);
    MatrixXd g_ce(4, 3);
    MatrixXd h_ce(4, 3);
    const double value = loss(z, labels(y), into(g), curvature(into(h)));
    CHECK(value == Approx(SoftmaxCrossEntropy{}(z, labels(y), into(g_ce), curvature(into(h_ce))) -
                          std::log(3)));
    CHECK(g.isApprox(g_ce, 1e-13));
    CHECK(h.isApprox(h_ce, 1e-13));
}

TEST_CASE("towards 0 it is the hinge, towards infinity the mean margin")
{
    const MatrixXd z = some_logits();
    MatrixXd g(4, 3);
    for (const LogitNormalisation by : {none, l1, softplus_mean}) {
        double hinge = 0;
        double mean = 0;
        for (Index i = 0; i < 4; ++i) {
            const ArrayXd d = margins({.margin = 0.3, .normalisation = by},
                                      z.row(i).transpose().array(), y[static_cast<std::size_t>(i)]);
            hinge += d.maxCoeff() / 4;
            mean += d.mean() / 4;
        }
        const auto at = [&](double lambda) {
            return Loss{.lambda = lambda, .margin = 0.3, .normalisation = by}(z, labels(y),
                                                                              into(g));
        };
        CHECK(at(1e-7) == Approx(hinge).margin(1e-6));
        CHECK(g.allFinite());
        CHECK(at(1e5) == Approx(mean).margin(1e-4));
    }
    // Of the hinge, the label and the worst class have all of the gradient.
    CHECK(Loss{.lambda = 1e-6, .margin = 0.3, .normalisation = none, .reduction = Reduction::sum}(
              z, labels(y), into(g)) == Approx(0.0 + 0.0 + 0.55 + 3.8).margin(1e-4));
    MatrixXd want(4, 3);
    want << 0, 0, 0, 0, 0, 0, 0, -1, 1, 1, -1, 0;
    CHECK(g.isApprox(want, 1e-12));

    // The mean margin is symmetric: over all labels its sum is the same for any logits.
    const Loss robust{.lambda = 1e5, .normalisation = softplus_mean, .reduction = Reduction::sum};
    const MatrixXd same = z.row(0).replicate(3, 1);
    const MatrixXd others = z.row(3).replicate(3, 1);
    const std::vector<int> each{0, 1, 2};
    CHECK(robust(same, labels(each)) == Approx(robust(others, labels(each))).margin(1e-3));
    CHECK(robust(same, labels(each)) == Approx(3 * 0.1 * 2 / 3).margin(1e-3));
}

TEST_CASE("it is the worst case over distributions of the label")
{
    const MatrixXd z = some_logits();
    auto rng = stream(2, 0, "distributions");
    for (const LogitNormalisation by : {none, l1, softplus_mean}) {
        const Loss loss{.lambda = 0.7, .margin = 0.2, .normalisation = by};
        VectorXd each(4);
        loss(z, labels(y), per_sample(into(each)));
        for (Index i = 0; i < 4; ++i) {
            const int label = y[static_cast<std::size_t>(i)];
            const ArrayXd row = z.row(i).transpose().array();
            const ArrayXd d = margins(loss, row, label);
            const auto objective = [&](const ArrayXd& p) {
                return (p * d).sum() - loss.lambda * (p * (3 * p).log()).sum();
            };
            CHECK(each[i] == Approx(objective(worst(loss, row, label))));
            for (int trial = 0; trial < 20; ++trial) {
                ArrayXd p(3);
                for (double& number : p)
                    number = -std::log(1 - uniform(rng));
                CHECK(objective(p / p.sum()) <= each[i] + 1e-12);
            }
        }
    }
}

TEST_CASE("the curvature of a label-distributionally robust loss")
{
    MatrixXd z = some_logits();
    z(0, 1) = 0.25; // away from 0, where l1 has a kink
    z(1, 1) = -0.5;
    z(3, 2) = 1.25;
    for (const LogitNormalisation by : {none, l1, softplus_mean}) {
        const Loss loss{.lambda = 0.7, .margin = 0.2, .normalisation = by};
        MatrixXd h(4, 3);
        loss(z, labels(y), curvature(into(h)));
        for (Index i = 0; i < 4; ++i) {
            VectorXd row = z.row(i).transpose();
            const ArrayXd q = worst(loss, row.array(), y[static_cast<std::size_t>(i)]);
            for (Index j = 0; j < 3; ++j) {
                const double at = row[j];
                row[j] = at + 1e-6;
                const VectorXd up = normalised(row.array(), by);
                row[j] = at - 1e-6;
                const VectorXd down = normalised(row.array(), by);
                row[j] = at;
                const ArrayXd du = (up - down).array() / 2e-6;
                const double mean = (q * du).sum();
                const double variance = (q * (du - mean).square()).sum();
                CHECK(h(i, j) == Approx(variance / 0.7 / 4).epsilon(1e-6));
            }
        }
    }
}

TEST_CASE("normalised logits bound the loss")
{
    const MatrixXd z = some_logits();
    MatrixXd g(4, 3);
    for (const LogitNormalisation by : {l1, softplus_mean}) {
        const Loss loss{.lambda = 0.5, .normalisation = by};
        VectorXd each(4);
        const MatrixXd huge = 1e200 * z;
        loss(huge, labels(y), into(g), per_sample(into(each)));
        CHECK(g.allFinite());
        CHECK(each.cwiseAbs().maxCoeff() <= 2 * 3 + 0.1); // |u| <= k
    }
    // The l1 norm takes the size of a row away altogether.
    const Loss loss{.normalisation = l1};
    const MatrixXd larger = 1e3 * z;
    CHECK(loss(larger, labels(y)) == Approx(loss(z, labels(y))));
    loss(z, labels(y), into(g));
    CHECK((g.array() * z.array()).rowwise().sum().matrix().norm() < 1e-14);
}

TEST_CASE("softplus of very negative logits")
{
    // Towards minus infinity softplus is exp, and u is softmax times k: nothing of that vanishes.
    const Loss loss{.lambda = 0.5, .margin = 0.1, .normalisation = softplus_mean};
    const Loss plain{.lambda = 0.5, .margin = 0.1, .normalisation = none};
    MatrixXd u(4, 3);
    for (Index i = 0; i < 4; ++i) {
        const ArrayXd e = some_logits().row(i).transpose().array().exp();
        u.row(i) = 3 * e / e.sum();
    }
    const auto check = [&](auto zero, double tolerance) {
        using T = decltype(zero);
        using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
        Matrix g(4, 3);
        Matrix h(4, 3);
        Matrix first(4, 3);
        for (const double shift : {-40.0, -100.0, -1e3}) {
            const Matrix z = (some_logits().array() + shift).matrix().template cast<T>();
            const double value = loss(z, labels(y), into(g), curvature(into(h)));
            CHECK(value == Approx(plain(u, labels(y))).epsilon(tolerance));
            CHECK(h.allFinite());
            if (shift == -40)
                first = g;
            CHECK(g.isApprox(first, static_cast<T>(tolerance)));
        }
        CHECK(first.norm() > 0.1);
    };
    check(0.0, 1e-12);
    check(0.0F, 2e-4); // the logits themselves are rounded
}

TEST_CASE("a row of zeros under l1, one class, nothing")
{
    const MatrixXd z = MatrixXd::Zero(1, 4);
    MatrixXd g = MatrixXd::Constant(1, 4, 7);
    MatrixXd h = g;
    const Loss loss{.lambda = 0.5, .margin = 0.2, .normalisation = l1};
    CHECK(loss(z, labels(std::vector<int>{1}), into(g), curvature(into(h))) ==
          Approx(0.5 * std::log((1 + 3 * std::exp(0.4)) / 4)));
    CHECK(g.isZero(0));
    CHECK(h.isZero(0));

    const MatrixXd one = MatrixXd::Constant(2, 1, -3);
    MatrixXd g1(2, 1);
    for (const LogitNormalisation by : {none, l1, softplus_mean}) {
        CHECK(Loss{.normalisation = by}(one, labels(std::vector<int>{0, 0}), into(g1)) ==
              Approx(0).margin(1e-15));
        CHECK(g1.isZero(1e-15));
    }
    CHECK(Loss{}(MatrixXd(0, 3), labels(std::vector<int>{})) == 0);
}

TEST_CASE("what a label-distributionally robust loss refuses")
{
    const MatrixXd z = some_logits();
    const auto message = [&](const Loss& loss, const std::vector<int>& targets) {
        try {
            loss(z, labels(targets));
        }
        catch (const RangeError& thrown) {
            return std::string(thrown.what());
        }
        return std::string("nothing thrown");
    };
    CHECK(message({.lambda = 0}, y) ==
          "LabelDistributionallyRobustLoss: lambda is 0, must be positive and finite");
    CHECK(message({.margin = std::numeric_limits<double>::infinity()}, y) ==
          "LabelDistributionallyRobustLoss: margin is inf, must be finite");
    CHECK(message({}, {0, 1, 2, 3}) ==
          "LabelDistributionallyRobustLoss: labels is 3 at 3, must be an integer from 0 to 2");
}
