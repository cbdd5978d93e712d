// SPDX-License-Identifier: BSL-1.0

// What no law knows of distillation's losses.

#include "support/catch.hpp"

#include <temper/loss/balanced_distillation.hpp>
#include <temper/loss/consistency.hpp>
#include <temper/loss/distillation_cross_entropy.hpp>
#include <temper/loss/distribution_regularized_cross_entropy.hpp>
#include <temper/loss/uncertainty_weighted_distillation.hpp>

#include <Eigen/Core>

#include <limits>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;

TEST_CASE("a mix of cross-entropy and distillation leaves a term out exactly")
{
    const MatrixXd s = MatrixXd::Random(4, 3);
    MatrixXd t = MatrixXd::Random(4, 3);
    const std::vector<int> y{0, 2, 1, 1};
    MatrixXd g(4, 3), want(4, 3);
    DistillationCrossEntropy loss{.alpha = 0, .temperature = 3};
    CHECK(loss(s, labels(y), teacher_logits(t), into(g)) ==
          DistillationKl{.temperature = 3}(s, teacher_logits(t), into(want)));
    CHECK(g == want);
    loss.alpha = 1;
    t.setConstant(std::numeric_limits<double>::quiet_NaN());
    CHECK(loss(s, labels(y), teacher_logits(t), into(g)) ==
          SoftmaxCrossEntropy{}(s, labels(y), into(want)));
    CHECK(g == want);
    loss.alpha = 1.5;
    CHECK_THROWS_AS(loss(s, labels(y), teacher_logits(t)), RangeError);
}

TEST_CASE("balanced distillation is made of the forward and the reverse divergence")
{
    const MatrixXd s = 3 * MatrixXd::Random(5, 4);
    const MatrixXd t = 3 * MatrixXd::Random(5, 4);
    const double temperature = 2;
    MatrixXd g(5, 4), want(5, 4);
    const BdKd both{.temperature = temperature, .high = 1, .low = 1};
    const Consistency<KullbackLeibler> forward{
        .target_temperature = temperature, .temperature = temperature, .scale_t2 = true};
    const Consistency<ReverseKullbackLeibler> reverse{
        .target_temperature = temperature, .temperature = temperature, .scale_t2 = true};
    const double value =
        forward(s, target_logits(t), into(want)) + reverse(s, target_logits(t), add_to(want));
    CHECK(both(s, teacher_logits(t), into(g)) == Approx(value));
    CHECK((g - want).norm() < 1e-12);

    // A sure student beside a doubtful teacher is held by the forward divergence.
    MatrixXd sure(1, 3), doubtful(1, 3), w(1, 2);
    sure << 5, 0, 0;
    doubtful << 1, 0.5, 0;
    BdKd bd{.temperature = 1, .high = 2, .low = 1};
    bd(sure, teacher_logits(doubtful), used_weights(into(w)));
    CHECK(w(0, 0) == 2);
    CHECK(w(0, 1) == 1);
    bd(doubtful, teacher_logits(sure), used_weights(into(w)));
    CHECK(w(0, 0) == 1);
    bd.invert = true;
    bd(doubtful, teacher_logits(sure), used_weights(into(w)));
    CHECK(w(0, 0) == 2);

    // Logits of any size, and numbers added to all of a row's, are fine.
    MatrixXd shifted = s.array() + 1e3;
    CHECK(bd(shifted, teacher_logits(s)) == Approx(0).margin(1e-12));
    CHECK(std::isfinite(bd(MatrixXd(1e3 * s), teacher_logits(t), into(g))));
    CHECK(g.allFinite());
}

TEST_CASE("one answer of a teacher is plain distillation, and doubt takes weight away")
{
    const MatrixXd s = MatrixXd::Random(3, 4);
    const MatrixXd t = 2 * MatrixXd::Random(3, 4);
    MatrixXd g(3, 4), want(3, 4);
    const UncertaintyWeightedDistillation loss{.temperature = 2};
    CHECK(loss(s, teacher_logits(t), into(g)) ==
          Approx(DistillationKl{.temperature = 2}(s, teacher_logits(t), into(want))));
    CHECK((g - want).norm() < 1e-14);

    // Two answers that contradict each other: probabilities 1 and 0 have a deviation of 1/2 each.
    const std::vector<double> answers{50, 0, 0, 50};
    Eigen::VectorXd w(1);
    MatrixXd mean(1, 2), two = MatrixXd::Zero(1, 2);
    loss(two, teacher_logits(view(answers.data(), {2, 1, 2})), used_weights(into(w)),
         teacher_mean(into(mean)));
    CHECK(w(0) == Approx(std::exp(-std::sqrt(0.5))));
    CHECK(mean(0, 0) == Approx(0.5));
}

TEST_CASE("an empty bank leaves plain cross-entropy, and the two balances differ by the shares")
{
    const MatrixXd f = MatrixXd::Random(4, 3), w = MatrixXd::Random(2, 3);
    const Eigen::VectorXd b = Eigen::VectorXd::Random(2);
    const std::vector<int> y{0, 1, 1, 0}, none, yp{1, 0};
    MatrixXd z = f * w.transpose();
    z.rowwise() += b.transpose();
    MatrixXd gw(2, 3), gw_none(2, 3);
    CHECK(DrTune{}(f, labels(y), w, b, MatrixXd(0, 3), labels(none)) ==
          Approx(SoftmaxCrossEntropy{}(z, labels(y))));
    CHECK(DrTune{}(MatrixXd(0, 3), labels(none), w, b, MatrixXd(0, 3), labels(none), discard,
                   into(gw_none)) == 0);
    CHECK(gw_none.isZero());

    const MatrixXd bank = MatrixXd::Random(2, 3);
    Eigen::VectorXd terms_of(2), sums(2);
    MatrixXd gf(4, 3), gf_sums(4, 3);
    DrTune{}(f, labels(y), w, b, bank, labels(yp), into(gf), into(gw), terms(into(terms_of)));
    DrTune{.balance = DrTune::Balance::sum_of_means}(f, labels(y), w, b, bank, labels(yp),
                                                     into(gf_sums), terms(into(sums)));
    CHECK(terms_of(0) == Approx(sums(0) * 4 / 6));
    CHECK(terms_of(1) == Approx(sums(1) * 2 / 6));
    CHECK((gf - gf_sums * 4 / 6).norm() < 1e-14);
}
