// SPDX-License-Identifier: BSL-1.0

// Both forms of the focal loss: of classes that exclude each other, and of independent ones.

#include <temper/loss/focal_loss.hpp>

#include <temper/loss/sigmoid_focal_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <limits>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

const std::vector<int> y{2, 0, 1, 1};

MatrixXd some_logits()
{
    MatrixXd z(4, 3);
    z << 0.5, -1, 2, 1.5, 0, 0.25, -2, 0.75, 1, 3, -0.5, 0;
    return z;
}

/// Gradients, curvature and value are finite, and the curvature is not negative.
template <class M>
void sound(double value, const M& g, const M& h)
{
    CHECK(std::isfinite(value));
    CHECK(value >= 0);
    CHECK(g.allFinite());
    CHECK(h.allFinite());
    CHECK((h.array() >= 0).all());
}

/// The curvature is the second derivative, but never less than its Gauss-Newton part.
template <class Loss>
void bends(const Loss& loss, MatrixXd z, const MatrixXd& gauss_newton)
{
    MatrixXd h(z.rows(), z.cols());
    MatrixXd up = h;
    MatrixXd down = h;
    loss(z, discard, curvature(into(h)));
    int exact = 0;
    for (Index i = 0; i < z.rows(); ++i)
        for (Index j = 0; j < z.cols(); ++j) {
            const double at = z(i, j);
            z(i, j) = at + 1e-5;
            loss(z, into(up));
            z(i, j) = at - 1e-5;
            loss(z, into(down));
            z(i, j) = at;
            const double second = (up(i, j) - down(i, j)) / 2e-5;
            exact += second >= gauss_newton(i, j) - 1e-9 ? 1 : 0;
            CHECK(h(i, j) ==
                  Approx((std::max)(second, gauss_newton(i, j))).epsilon(1e-6).margin(1e-9));
        }
    CHECK(exact > 0);
}

} // namespace

TEST_CASE("focal loss with gamma 0 is softmax cross-entropy")
{
    const MatrixXd z = some_logits();
    const VectorXd w = VectorXd::LinSpaced(4, 1, 2);
    const VectorXd c = VectorXd::LinSpaced(3, 0.5, 1.5);
    for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
        MatrixXd g(4, 3);
        MatrixXd h(4, 3);
        VectorXd each(4);
        MatrixXd g0(4, 3);
        MatrixXd h0(4, 3);
        VectorXd each0(4);
        const double value = FocalLoss{.gamma = 0, .reduction = reduction}(
            z, labels(y), into(g), sample_weights(w), class_weights(c), per_sample(into(each)),
            curvature(into(h)));
        CHECK(value == Approx(SoftmaxCrossEntropy{.reduction = reduction}(
                           z, labels(y), into(g0), sample_weights(w), class_weights(c),
                           per_sample(into(each0)), curvature(into(h0)))));
        CHECK(g.isApprox(g0, 1e-13));
        CHECK(h.isApprox(h0, 1e-13));
        CHECK(each.isApprox(each0, 1e-13));
    }
}

TEST_CASE("easy samples hardly count")
{
    // The paper's example: at gamma 2 a sample of probability 0.9 counts a hundredth, of 0.968 a
    // thousandth of its cross-entropy.
    for (const auto& [p, part] : {std::pair{0.9, 0.01}, {0.968, 0.001024}}) {
        MatrixXd z(1, 2);
        z << std::log(p / (1 - p)), 0;
        CHECK(FocalLoss{}(z, labels(std::vector<int>{0})) == Approx(-part * std::log(p)));
        const MatrixXd yes = z.leftCols(1);
        CHECK(SigmoidFocalLoss{.alpha = std::nullopt}(yes, labels(std::vector<int>{1})) ==
              Approx(-part * std::log(p)));
    }
}

TEST_CASE("focal loss is finite for every gamma and all logits")
{
    const auto check = [](auto zero) {
        using T = decltype(zero);
        using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
        const T most = std::numeric_limits<T>::max() / 4;
        for (const double gamma : {0.0, 1e-3, 0.5, 1.0, 1.5, 2.0, 5.0, 50.0, 1e4})
            for (const T size : {T(0), T(1e-30), T(0.1), T(10), T(80), T(700), T(1e6), most})
                for (const T other : {T(0), T(-1), T(1)}) {
                    Matrix z(2, 3);
                    z << size, other, 0, -size, other, 0;
                    Matrix g(2, 3);
                    Matrix h(2, 3);
                    for (const int label : {0, 1})
                        sound(FocalLoss{.gamma = gamma}(z, labels(std::vector<int>(2, label)),
                                                        into(g), curvature(into(h))),
                              g, h);
                    const Matrix t = (Matrix(2, 3) << 1, 0, T(0.5), 0, 1, T(0.5)).finished();
                    sound(SigmoidFocalLoss{.gamma = gamma}(z, probabilities(t), into(g),
                                                           curvature(into(h))),
                          g, h);
                }
    };
    check(0.0F);
    check(0.0);
}

TEST_CASE("a focal loss that saturates keeps its slope where it should")
{
    // All wrong: q = 1, and the loss is cross-entropy. All right: a slope of 0 and not of NaN.
    MatrixXd z(2, 2);
    z << -1000, 1000, 1000, -1000;
    MatrixXd g(2, 2);
    CHECK(FocalLoss{.reduction = Reduction::sum}(z, labels(std::vector<int>{0, 0}), into(g)) ==
          Approx(2000));
    CHECK(g.row(0) == (MatrixXd(1, 2) << -1, 1).finished());
    CHECK(g.row(1).isZero(0));

    const SigmoidFocalLoss binary{.alpha = std::nullopt, .reduction = Reduction::sum};
    const MatrixXd one = z.col(0);
    MatrixXd g1(2, 1);
    CHECK(binary(one, labels(std::vector<int>{1, 1}), into(g1)) == Approx(1000));
    CHECK(g1(0) == -1);
    CHECK(g1(1) == 0);
}

TEST_CASE("the curvature of focal loss")
{
    // F(L) = (1 - exp(-L))^gamma L as in the header, its derivatives by hand; gamma 0.5 has a negative
    // second derivative far from the label, gamma 2 near it.
    const MatrixXd z = 2 * some_logits();
    for (const double gamma : {0.0, 0.5, 1.0, 2.0, 4.0}) {
        const FocalLoss loss{.gamma = gamma, .reduction = Reduction::sum};
        MatrixXd gauss_newton(4, 3);
        for (Index i = 0; i < 4; ++i) {
            const Eigen::ArrayXd e = z.row(i).array().exp();
            const Eigen::ArrayXd p = e / e.sum();
            const double py = p[y[static_cast<std::size_t>(i)]];
            const double slope =
                std::pow(1 - py, gamma) * (1 - gamma * py * std::log(py) / (1 - py));
            gauss_newton.row(i) = slope * p * (1 - p);
        }
        bends([&](const auto& x, const auto&... out) { return loss(x, labels(y), out...); }, z,
              gauss_newton);
    }
}

TEST_CASE("the curvature of sigmoid focal loss")
{
    const MatrixXd z = 2 * some_logits();
    const MatrixXd yes = MatrixXd::Ones(4, 3);
    const MatrixXd no = MatrixXd::Zero(4, 3);
    for (const double gamma : {0.0, 0.5, 1.0, 2.0, 4.0})
        for (const MatrixXd* t : {&yes, &no}) {
            const SigmoidFocalLoss loss{
                .gamma = gamma, .alpha = std::nullopt, .reduction = Reduction::sum};
            const Eigen::ArrayXXd sign = 2 * t->array() - 1;
            const Eigen::ArrayXXd p = 1 / (1 + (-sign * z.array()).exp());
            const MatrixXd gauss_newton =
                (1 - p).pow(gamma) * (1 - gamma * p * p.log() / (1 - p)) * p * (1 - p);
            bends([&](const auto& x,
                      const auto&... out) { return loss(x, probabilities(*t), out...); },
                  z, gauss_newton);
        }
}

TEST_CASE("sigmoid focal loss: cross-entropy, alpha, soft targets")
{
    const MatrixXd z = some_logits();
    const MatrixXd t = (MatrixXd(4, 3) << 1, 0, 0, 0, 1, 1, 0, 0, 1, 1, 1, 0).finished();
    const Eigen::ArrayXXd p = 1 / (1 + (-z.array()).exp());
    const Eigen::ArrayXXd entropy = -(t.array() * p.log() + (1 - t.array()) * (1 - p).log());
    MatrixXd g(4, 3);
    CHECK(SigmoidFocalLoss{.gamma = 0, .alpha = std::nullopt}(z, probabilities(t), into(g)) ==
          Approx(entropy.mean()));
    CHECK(g.isApprox(((p - t.array()) / 12).matrix(), 1e-13));

    const Eigen::ArrayXXd weight = 0.25 * t.array() + 0.75 * (1 - t.array());
    CHECK(SigmoidFocalLoss{.gamma = 0, .alpha = 0.25}(z, probabilities(t)) ==
          Approx((weight * entropy).mean()));

    // Between yes and no it is the expected loss.
    const MatrixXd third = MatrixXd::Constant(4, 3, 1.0 / 3);
    const MatrixXd yes = MatrixXd::Ones(4, 3);
    const MatrixXd no = MatrixXd::Zero(4, 3);
    const SigmoidFocalLoss loss;
    CHECK(loss(z, probabilities(third)) ==
          Approx((loss(z, probabilities(yes)) + 2 * loss(z, probabilities(no))) / 3));

    // Labels of a column of logits, and the same as a matrix of targets.
    const MatrixXd column = z.col(0);
    const MatrixXd of_column = t.col(0);
    CHECK(loss(column, labels(std::vector<float>{1, 0, 0, 1})) ==
          loss(column, probabilities(of_column)));
}

TEST_CASE("what the focal losses refuse")
{
    const MatrixXd z = some_logits();
    CHECK_THROWS_AS(FocalLoss{.gamma = -0.1}(z, labels(y)), RangeError);
    CHECK_THROWS_AS(FocalLoss{}(z, labels(std::vector<int>{0, 1, 2, 3})), RangeError);
    CHECK_THROWS_AS(SigmoidFocalLoss{.alpha = 1.5}(z, probabilities(z)), RangeError);
    CHECK_THROWS_AS(SigmoidFocalLoss{.gamma = -1}(z, probabilities(z)), RangeError);
    CHECK_THROWS_AS(SigmoidFocalLoss{}(z, labels(std::vector<int>{0, 1, 1, 0})), ShapeError);
    const MatrixXd column = z.col(0);
    CHECK_THROWS_AS(SigmoidFocalLoss{}(column, labels(std::vector<int>{0, 1, 2, 0})), RangeError);
}
