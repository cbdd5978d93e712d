// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/mixup_cross_entropy.hpp>

#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <limits>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;

namespace {
const MixupCrossEntropy loss;
const std::vector<int> a{0, 1, 2, 1};
const std::vector<int> b{2, 1, 0, 0};

MatrixXd some_logits()
{
    MatrixXd z(4, 3);
    z << 0.5, -1, 2, 1.5, 0, 0.25, -2, 0.75, 1, 3, -0.5, 0;
    return z;
}
} // namespace

TEST_CASE("mixup cross-entropy is softmax cross-entropy on the mixed labels")
{
    const MatrixXd z = some_logits();
    const VectorXd lambda = VectorXd::LinSpaced(4, 0, 1);
    const VectorXd w = VectorXd::LinSpaced(4, 1, 2);
    MatrixXd t = MatrixXd::Zero(4, 3);
    for (std::size_t i = 0; i < 4; ++i) {
        t(static_cast<Index>(i), a[i]) += lambda(static_cast<Index>(i));
        t(static_cast<Index>(i), b[i]) += 1 - lambda(static_cast<Index>(i));
    }
    for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
        const MixupCrossEntropy two_terms{.reduction = reduction};
        const SoftmaxCrossEntropy soft{.reduction = reduction};
        MatrixXd g(4, 3);
        MatrixXd h(4, 3);
        MatrixXd g_soft(4, 3);
        MatrixXd h_soft(4, 3);
        VectorXd each(4);
        VectorXd each_soft(4);
        CHECK(two_terms(z, labels(a), labels(b), lambda, into(g), sample_weights(w),
                        per_sample(into(each)), curvature(into(h))) ==
              Approx(soft(z, probabilities(t), into(g_soft), sample_weights(w),
                          per_sample(into(each_soft)), curvature(into(h_soft)))));
        CHECK(g.isApprox(g_soft, 1e-13));
        CHECK(h.isApprox(h_soft, 1e-13));
        CHECK(each.isApprox(each_soft, 1e-13));
    }
}

TEST_CASE("lambda for the batch: a number, a vector of one, of another type")
{
    const MatrixXd z = some_logits();
    const MatrixXf zf = z.cast<float>();
    const std::vector<double> one{0.3};
    const std::vector<double> four(4, 0.3);
    VectorXd g4(4);
    std::vector<double> g1(1);
    double g0 = 0;
    const double value = loss(z, labels(a), labels(b), four, discard, into(g4));
    CHECK(loss(z, labels(a), labels(b), 0.3, discard, into(g0)) == value);
    CHECK(loss(z, labels(a), labels(b), one, discard, into(g1)) == value);
    CHECK(g0 == Approx(g4.sum()));
    CHECK(g1[0] == g0);
    // A plan holds doubles.
    MatrixXf gf(4, 3);
    CHECK(loss(zf, labels(a), labels(b), four, into(gf), into(g4)) == Approx(value).epsilon(1e-6));
    CHECK(g4.sum() == Approx(g0).epsilon(1e-6));
    const MatrixXd zt = z.transpose();
    MatrixXd gt(3, 4);
    CHECK(in_columns(loss)(zt, labels(a), labels(b), one, into(gt)) == value);
    CHECK(in_columns(loss)(zt, labels(a), labels(b), 0.3, into(gt)) == value);
}

TEST_CASE("mixup cross-entropy with everything is what the two losses of labels are")
{
    MatrixXd z = some_logits();
    const VectorXd lambda = VectorXd::LinSpaced(4, 0.2, 1);
    const VectorXd w = VectorXd::LinSpaced(4, 1, 2);
    const VectorXd c = VectorXd::LinSpaced(3, 0.5, 2);
    const std::vector<int> some_a{0, -7, 2, -7};
    const std::vector<int> some_b{2, 1, -7, -7};
    z(3, 0) = std::numeric_limits<double>::quiet_NaN(); // of a sample that is left out
    const SoftmaxCrossEntropy of_labels{
        .label_smoothing = 0.1, .ignore_index = -7, .reduction = Reduction::sum};
    MatrixXd ga(4, 3);
    MatrixXd gb(4, 3);
    const VectorXd wa = w.cwiseProduct(lambda);
    const VectorXd wb = w - wa;
    const double value =
        of_labels(z, labels(some_a), into(ga), sample_weights(wa), class_weights(c)) +
        of_labels(z, labels(some_b), into(gb), sample_weights(wb), class_weights(c));
    const double mass = wa(0) * c(0) + wa(2) * c(2) + wb(0) * c(2) + wb(1) * c(1);
    for (const Reduction reduction : {Reduction::mean, Reduction::sum}) {
        const MixupCrossEntropy mixed{
            .label_smoothing = 0.1, .ignore_index = -7, .reduction = reduction};
        const double divisor = reduction == Reduction::mean ? mass : 1;
        MatrixXd g(4, 3);
        VectorXd gl(4);
        CHECK(mixed(z, labels(some_a), labels(some_b), lambda, into(g), into(gl), sample_weights(w),
                    class_weights(c)) == Approx(value / divisor));
        CHECK((g * divisor).isApprox(ga + gb, 1e-13));
        CHECK(gl(3) == 0);
    }
}

TEST_CASE("mixup cross-entropy of a label that cannot be")
{
    MatrixXd z = some_logits();
    z(0, 0) = -std::numeric_limits<double>::infinity();
    MatrixXd g(4, 3);
    const std::vector<double> lambda{0, 0.5, 0.5, 0.5};
    CHECK(std::isfinite(loss(z, labels(a), labels(b), lambda, into(g))));
    CHECK(g.allFinite());
    CHECK(loss(z, labels(a), labels(b), 0.5) == std::numeric_limits<double>::infinity());
}

TEST_CASE("what mixup cross-entropy refuses")
{
    const MatrixXd z = some_logits();
    CHECK_THROWS_AS(loss(z, labels(a), labels(b), std::vector<double>(3)), ShapeError);
    CHECK_THROWS_AS(loss(z, labels(a), labels(std::vector<int>{0, 1, 2, 3}), 0.5), RangeError);
    VectorXd g(3);
    CHECK_THROWS_AS(loss(z, labels(a), labels(b), std::vector<double>(4), discard, into(g)),
                    ShapeError);
}
