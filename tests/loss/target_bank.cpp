// SPDX-License-Identifier: BSL-1.0

// Early-learning regularization, its mixed form, and self-distillation by past predictions: what they
// remember in one and the same bank.

#include <temper/core/state.hpp>
#include <temper/loss/early_learning_mixup.hpp>
#include <temper/loss/progressive_self_distillation.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <string>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

namespace {

const std::vector<int> ids{4, 0, 5};
const std::vector<int> y{1, 0, 2};

MatrixXd some_logits()
{
    MatrixXd z(3, 3);
    z << 0.5, -1, 2, 1.5, 0, 0.25, -2, 0.75, 1;
    return z;
}
MatrixXd softmax(const MatrixXd& z)
{
    MatrixXd p = z.array().exp();
    return (p.array().colwise() / p.rowwise().sum().array()).matrix();
}
template <class T>
auto rows_of(const TargetBank<T>& bank)
{
    using Rows = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    return Eigen::Map<const Rows>(bank.targets.data(), bank.samples(), bank.classes);
}
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

} // namespace

TEST_CASE("targets start at 0 and are not debiased")
{
    const Elr elr;
    auto bank = elr.init<double>(6, 3);
    CHECK(rows_of(bank).isZero());
    elr.observe(bank, ids, some_logits());
    CHECK(rows_of(bank).row(4).sum() == Approx(0.3));
    CHECK(rows_of(bank).row(1).isZero()); // not visited
    elr.observe(bank, ids, some_logits());
    CHECK(rows_of(bank).row(4).sum() == Approx(1 - 0.7 * 0.7));
    CHECK(rows_of(bank).row(4).isApprox(0.51 * softmax(some_logits()).row(0), 1e-12));
}

TEST_CASE("of an id that occurs twice the last row counts, from what was there before")
{
    const Elr elr;
    auto twice = elr.init<double>(6, 3);
    auto once = elr.init<double>(6, 3);
    twice.targets.assign(18, 0.25);
    once.targets.assign(18, 0.25);
    elr.observe(twice, std::vector<int>{4, 4, 4}, some_logits());
    elr.observe(once, std::vector<int>{0, 1, 4}, some_logits());
    CHECK(rows_of(twice).row(4) == rows_of(once).row(4));
    CHECK(rows_of(twice).row(0).isConstant(0.25));
}

TEST_CASE("a saturated row has the gradient of cross-entropy alone")
{
    MatrixXd z(2, 3);
    z << 40, 0, 0, 0, 60, 0;
    const std::vector<int> two{0, 1};
    const std::vector<int> wrong{1, 1};
    const Elr elr;
    auto bank = elr.init<double>(2, 3);
    elr.observe(bank, two, z);
    MatrixXd g(2, 3);
    MatrixXd plain(2, 3);
    elr(bank, two, z, labels(wrong), into(g));
    SoftmaxCrossEntropy{}(z, labels(wrong), into(plain));
    CHECK(g.isApprox(plain, 1e-12));

    // However sure target and prediction are, three classes leave the logarithm 3e-4.
    for (int visit = 0; visit < 200; ++visit)
        elr.observe(bank, two, z);
    const MatrixXf zf = z.cast<float>();
    TargetBank<float> narrow(2, 3);
    for (std::size_t i = 0; i < 6; ++i)
        narrow.targets[i] = static_cast<float>(bank.targets[i]);
    const std::vector<int> right{0, 1};
    CHECK(elr(bank, two, z, labels(right)) == Approx(3 * std::log(3e-4)).epsilon(1e-2));
    CHECK(elr(narrow, two, zf, labels(right)) == Approx(3 * std::log(3e-4)).epsilon(1e-2));
}

TEST_CASE("the gradient of a wrong label dies out where the target says otherwise")
{
    // A sample that has been predicted as class 0 for long, and has the wrong label 1.
    MatrixXd z(1, 3);
    z << 3, 0, 0;
    const std::vector<int> one{0};
    const Elr elr;
    auto bank = elr.init<double>(1, 3);
    for (int visit = 0; visit < 50; ++visit)
        elr.observe(bank, one, z);
    MatrixXd g(1, 3);
    MatrixXd plain(1, 3);
    elr(bank, one, z, labels(std::vector<int>{1}), into(g));
    SoftmaxCrossEntropy{}(z, labels(std::vector<int>{1}), into(plain));
    CHECK(plain(0, 0) > 0.8); // cross-entropy takes the right class down
    CHECK(g(0, 0) < 0);       // with the term it goes up
}

TEST_CASE("without a term it is cross-entropy, and a bank of another type serves")
{
    const MatrixXd z = some_logits();
    const Elr off{.lambda = 0};
    auto bank = off.init(6, 3); // float
    off.observe(bank, ids, z);
    MatrixXd g(3, 3);
    MatrixXd plain(3, 3);
    CHECK(off(bank, ids, z, labels(y), into(g)) ==
          Approx(SoftmaxCrossEntropy{}(z, labels(y), into(plain))));
    CHECK(g.isApprox(plain, 1e-12));
    CHECK(rows_of(bank).row(4).cast<double>().isApprox(0.3 * softmax(z).row(0), 1e-6));

    const Elr elr;
    const MatrixXd zt = z.transpose();
    MatrixXd gt(3, 3);
    CHECK(in_columns(elr)(bank, ids, zt, labels(y), into(gt)) ==
          Approx(elr(bank, ids, z, labels(y), into(g))));
    CHECK(gt.isApprox(g.transpose(), 1e-12));
    auto turned = bank;
    elr.observe(bank, ids, z);
    in_columns(elr).observe(turned, ids, zt);
    CHECK(rows_of(turned).isApprox(rows_of(bank), 1e-6F));
}

TEST_CASE("banks are saved, and only what was observed changes")
{
    const Elr elr;
    auto bank = elr.init(6, 3);
    elr.observe(bank, ids, some_logits());
    const auto before = bank;
    elr(bank, ids, some_logits(), labels(y));
    CHECK(bank == before);
    auto loaded = elr.init(6, 3);
    load(loaded, save(bank));
    CHECK(loaded == bank);
    auto other = elr.init(6, 4);
    CHECK_THROWS_AS(load(other, save(bank)), FormatError);
}

TEST_CASE("mixed targets: of one partner, of the other, and ramped")
{
    const MatrixXd z = some_logits();
    ElrPlus plus{.beta = 0, .ramp_steps = 100};
    auto bank = plus.init<double>(6, 3);
    plus.observe(bank, ids, z);
    MatrixXd q(3, 3);
    MixPlan plan;
    plan.partner = {1, 2, 0};
    plan.lambda = plan.label_lambda = {1};
    plus.mixed_targets(bank, ids, plan, into(q));
    CHECK(q.isApprox(softmax(z), 1e-12));
    plan.label_lambda = {0};
    plus.mixed_targets(bank, ids, plan, into(q));
    CHECK(q.row(0).isApprox(softmax(z).row(1), 1e-12));

    CHECK(plus.at(0).lambda == Approx(3 * std::exp(-5)));
    CHECK(plus.at(100).lambda == Approx(3));
    CHECK(ElrPlus{}.at(0).lambda == 3); // no ramp

    // Labels that the targets contradict entirely stay as they are.
    plus.reweight_labels = true;
    bank.targets.assign(18, 0);
    MatrixXd t = MatrixXd::Zero(3, 3);
    t.col(1).setOnes();
    CHECK(plus(bank, ids, z, probabilities(t), plan) ==
          Approx(SoftmaxCrossEntropy{}(z, probabilities(t))));
}

TEST_CASE("progressive self-distillation: the first epoch is cross-entropy")
{
    const MatrixXd z = some_logits();
    const std::vector<int> all{0, 2, 1, 1, 1, 2};
    const PsKd kd;
    auto bank = kd.init<double>(labels(all), 3);
    CHECK(rows_of(bank)(1, 2) == 1);
    CHECK(rows_of(bank).sum() == 6);
    MatrixXd g(3, 3);
    MatrixXd plain(3, 3);
    CHECK(kd.at(0, 10)(bank, ids, z, labels(y), into(g)) ==
          Approx(SoftmaxCrossEntropy{}(z, labels(y), into(plain))));
    CHECK(g.isApprox(plain, 1e-12));

    // The gradient of the label is 1 - p_y - alpha (1 - past_y) in size.
    kd.observe(bank, ids, z);
    CHECK(rows_of(bank).row(4).isApprox(softmax(z).row(0), 1e-12));
    const MatrixXd later = 2 * z;
    const auto half = kd.at(4, 10);
    CHECK(half.alpha == Approx(0.4));
    half(bank, ids, later, labels(y), into(g));
    const double p = softmax(later)(0, 1);
    CHECK(-3 * g(0, 1) == Approx(1 - p - 0.4 * (1 - softmax(z)(0, 1))));
    CHECK(kd.at(0, 1).alpha == Approx(0.8));
    CHECK_THROWS_AS(kd.at(0, 0), RangeError);
}

TEST_CASE("what techniques with a bank refuse")
{
    const MatrixXd z = some_logits();
    const Elr elr;
    auto bank = elr.init<double>(6, 3);
    const auto untouched = bank;
    MatrixXd g = MatrixXd::Constant(3, 3, 7);
    CHECK(message([&] { elr.observe(bank, std::vector<int>{4, 6, 5}, z); }) ==
          "EarlyLearningRegularization: ids is 6 at 1, must be an integer from 0 to 5");
    CHECK(message([&] { Elr{.beta = 1.5}.observe(bank, ids, z); }) ==
          "EarlyLearningRegularization: beta is 1.5, must be from 0 to 1");
    CHECK(message([&] {
              elr(bank, ids, MatrixXd(z.leftCols(2)), labels(std::vector<int>{1, 0, 1}));
          }) ==
          "EarlyLearningRegularization: state.classes is 3, must be the number of columns of the "
          "logits");
    CHECK(message([&] { elr(bank, ids, z, labels(std::vector<int>{1, 0, 3}), into(g)); }) ==
          "EarlyLearningRegularization: labels is 3 at 2, must be an integer from 0 to 2");
    CHECK_THROWS_AS((Elr{.clamp = 0}(bank, ids, z, labels(y), into(g))), RangeError);
    CHECK_THROWS_AS((PsKd{.alpha = 2}(bank, ids, z, labels(y), into(g))), RangeError);
    MixPlan plan;
    plan.partner = {0, 1};
    plan.label_lambda = {0.5};
    CHECK_THROWS_AS(ElrPlus{}(bank, ids, z, probabilities(z), plan, into(g)), RangeError);
    plan.partner = {0, 1, 3};
    CHECK_THROWS_AS(ElrPlus{}(bank, ids, z, probabilities(z), plan, into(g)), RangeError);
    CHECK(bank == untouched);
    CHECK(g == MatrixXd::Constant(3, 3, 7));
}
