// SPDX-License-Identifier: BSL-1.0

// Losses that weigh or choose samples: co-teaching, bias loss, loss-based reweighting, ensembles of losses,
// class counts, experts.

#include <temper/loss/bias_loss.hpp>
#include <temper/loss/co_teaching.hpp>
#include <temper/loss/ensemble_loss.hpp>
#include <temper/loss/loss_reweighting.hpp>
#include <temper/loss/more_diverse_experts.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN();

MatrixXd some_logits(Index n, Index k)
{
    auto rng = stream(3, 0, "logits");
    MatrixXd z(n, k);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < k; ++j)
            z(i, j) = 2 * normal(rng);
    return z;
}

} // namespace

TEST_CASE("co-teaching: the easiest rows, in order, NaN last")
{
    MatrixXd z(4, 2);
    z << 0, 1, not_a_number, 0, 3, 0, 3, 0;
    const std::vector<int> y{0, 0, 0, 0};
    CHECK(CoTeaching{.forget_rate = 0}.select(z, labels(y)).rows == std::vector<Index>{2, 3, 0, 1});
    CHECK(CoTeaching{.forget_rate = 0.25}.select(z, labels(y)).rows == std::vector<Index>{2, 3, 0});
    CHECK(CoTeaching{.forget_rate = 0.3}.select(z, labels(y)).rows.size() == 2);
    CHECK(CoTeaching{.forget_rate = 1}.select(z, labels(y)).rows.empty());
    CHECK_THROWS_AS((CoTeaching{.forget_rate = 1.1}.select(z, labels(y))), RangeError);
}

TEST_CASE("co-teaching: what was not chosen has no gradient, whatever it is")
{
    MatrixXd z = some_logits(4, 3);
    z.row(1).setConstant(not_a_number);
    const std::vector<int> y{0, 1, 2, 0};
    MatrixXd g = MatrixXd::Constant(4, 3, 5);
    const CoTeaching teach;
    const double value = teach(SmallLossPlan{{2, 0}}, z, labels(y), into(g));
    CHECK(g.row(1).isZero());
    CHECK(g.row(3).isZero());
    MatrixXd two(2, 3);
    two << z.row(2), z.row(0);
    MatrixXd g2(2, 3);
    CHECK(value == Approx(SoftmaxCrossEntropy{}(two, labels(std::vector<int>{2, 0}), into(g2))));
    CHECK(g.row(0).isApprox(g2.row(1), 1e-14));
    CHECK(teach(SmallLossPlan{}, z, labels(y), into(g)) == 0);
    CHECK(g.isZero());
    CHECK_THROWS_AS(teach(SmallLossPlan{{4}}, z, labels(y)), RangeError);
}

TEST_CASE("bias loss: without variety in the features a sample counts for alpha")
{
    MatrixXd f(3, 4);
    f << 1, 1, 1, 1, 1, 2, 3, 4, 0, 10, 0, 10;
    const MatrixXd z = some_logits(3, 3);
    const std::vector<int> y{0, 1, 2};
    MatrixXd g(3, 3);
    MatrixXd plain(3, 3);
    SoftmaxCrossEntropy{}(z, labels(y), into(plain));
    BiasLoss{}(f, z, labels(y), into(g));
    CHECK(g.row(0).isApprox(0.3 * plain.row(0), 1e-12));
    CHECK(g.row(2).isApprox((std::exp(0.3) - 0.7) * plain.row(2), 1e-12));
    // The paper's weight is the code's and 0.4 more, at the defaults.
    MatrixXd paper(3, 3);
    BiasLoss{.paper_weight = true}(f, z, labels(y), into(paper));
    CHECK(paper.isApprox(g + 0.4 * plain, 1e-12));
    // All alike: u = 0 and not 0/0; one feature has no variance.
    BiasLoss{}(MatrixXd::Constant(3, 4, 2).eval(), z, labels(y), into(g));
    CHECK(g.isApprox(0.3 * plain, 1e-12));
    BiasLoss{}(MatrixXd(f.col(3)), z, labels(y), into(g));
    CHECK(g.isApprox(0.3 * plain, 1e-12));
}

TEST_CASE("bias loss: the least variance so far")
{
    MatrixXd f(2, 2);
    f << 0, 2, 0, 4; // variances 2 and 8
    auto state = BiasLoss::init();
    CHECK(state.least == 1e5);
    const BiasLoss loss;
    loss.observe(state, f);
    CHECK(state.least == Approx(2));
    loss.observe(state, MatrixXd(2 * f));
    CHECK(state.least == Approx(2));
    const MatrixXd z = some_logits(2, 3);
    const std::vector<int> y{0, 1};
    CHECK(loss(state, f, z, labels(y)) == Approx(loss(f, z, labels(y))));
    state.least = 0; // u may exceed 1
    CHECK(loss(state, f, z, labels(y)) > loss(f, z, labels(y)));
}

TEST_CASE("weights by losses: easy samples count for less, hard ones alike")
{
    const std::vector<double> l{0, 0.5, 1, 1.5, 2};
    std::vector<double> w(5);
    std::vector<double> g(5);
    const LossReweighting loss;
    const double value = loss(l, into(g), used_weights(into(w)));
    CHECK(std::accumulate(w.begin(), w.end(), 0.0) == Approx(1));
    CHECK(w[0] < w[1]);
    CHECK(w[1] < w[2]);
    CHECK(w[2] == Approx(w[3]));
    CHECK(w[3] == Approx(w[4]));
    CHECK(w[0] / w[2] == Approx(std::exp(-1 / 0.4)));
    CHECK(g == w);
    CHECK(value == Approx(std::inner_product(l.begin(), l.end(), w.begin(), 0.0)));

    loss.at(999)(l, used_weights(into(w)));
    CHECK(w == std::vector<double>(5, 0.2));
    CHECK(loss.at(1000) == loss);
    loss(std::vector<double>(5, 1.3), used_weights(into(w)));
    CHECK(w[0] == Approx(0.2));
    std::vector<double> one(1);
    CHECK(loss(std::vector<double>{7}, used_weights(into(one))) == 7);
    CHECK(loss(std::vector<double>{}) == 0);
    // Longer samples count for more: with equal losses it is the mean over tokens.
    CHECK(LossReweighting{.strategy = LossReweighting::Strategy::uniform}(
              l, sample_weights(std::vector<double>{1, 0, 0, 0, 3})) == Approx(6.0 / 4));
    CHECK_THROWS_AS((LossReweighting{.r = 0}(l)), RangeError);
}

TEST_CASE("an ensemble of losses: derivatives are negative, and grow with the margin up to 1")
{
    constexpr Index n = 400;
    auto rng = stream(1, 0, "ensemble");
    VectorXd s(n);
    std::vector<int> y(n);
    for (Index i = 0; i < n; ++i) {
        s[i] = 1.5 * normal(rng);
        y[static_cast<std::size_t>(i)] = i % 3 == 0 ? 1 : 0;
    }
    const EnsLoss loss{.reduction = Reduction::sum};
    for (int trial = 0; trial < 20; ++trial) {
        const auto plan = loss.draw(rng, n, loss.draw_lambda(rng));
        CHECK(std::abs(plan.lambda) <= 1);
        VectorXd g(n);
        loss(s, labels(y), plan, into(g));
        std::vector<std::pair<double, double>> by_margin;
        for (Index i = 0; i < n; ++i) {
            const double t = y[static_cast<std::size_t>(i)] == 1 ? 1 : -1;
            by_margin.emplace_back(t * s[i], t * g[i]);
        }
        std::sort(by_margin.begin(), by_margin.end());
        for (std::size_t i = 0; i < by_margin.size(); ++i) {
            CHECK(by_margin[i].second < 0);
            CHECK(by_margin[i].second >= -1 - 2e-6);
            if (i > 0 && by_margin[i].first <= 1)
                CHECK(by_margin[i].second >= by_margin[i - 1].second);
        }
    }
    CHECK_THROWS_AS(loss(s, labels(y), EnsembleLossPlan{{1, 2}, 0}), RangeError);
    CHECK_THROWS_AS(loss(s, labels(y), EnsembleLossPlan{std::vector<double>(n), 1.5}), RangeError);
}

TEST_CASE("class counts: a shift of the logits, and none at tau 0")
{
    const MatrixXd z = some_logits(4, 3);
    const std::vector<int> y{0, 1, 2, 1};
    const std::vector<double> counts{100, 10, 1};
    MatrixXd shifted = z;
    for (Index j = 0; j < 3; ++j)
        shifted.col(j).array() += 2 * std::log(counts[static_cast<std::size_t>(j)]);
    MatrixXd g(4, 3);
    MatrixXd want(4, 3);
    const LogitAdjustedCrossEntropy loss{.tau = 2, .cross_entropy = {.label_smoothing = 0.1}};
    CHECK(loss(z, labels(y), counts, into(g)) ==
          Approx(SoftmaxCrossEntropy{.label_smoothing = 0.1}(shifted, labels(y), into(want))));
    CHECK(g.isApprox(want, 1e-7));
    CHECK(LogitAdjustedCrossEntropy{.tau = 0}(z, labels(y), counts) ==
          Approx(SoftmaxCrossEntropy{}(z, labels(y))));
    const std::vector<double> none{100, 10, 0};
    CHECK(std::isfinite(LogitAdjustedCrossEntropy{.tau = 1}(z, labels(y), none)));
    CHECK_THROWS_AS((LogitAdjustedCrossEntropy{.tau = -0.5}(z, labels(y), none)), RangeError);
    const MatrixXd zt = z.transpose();
    CHECK(in_columns(loss)(zt, labels(y), counts) == Approx(loss(z, labels(y), counts)));
}

TEST_CASE("diverse experts: nobody right, nothing to distil; the first epoch has no distillation")
{
    const std::vector<double> counts{8, 4, 2};
    const std::vector<int> y{0, 1};
    MatrixXd wrong(4, 3);
    wrong << 0, 0, 90, 0, 0, 90, 1, 2, 3, 3, 2, 1;
    std::vector<std::int64_t> count(3);
    const Mdcs loss;
    const double all = loss(tensors(wrong, wrong, wrong), labels(y), counts, selected(into(count)));
    CHECK(count == std::vector<std::int64_t>{0, 0, 0});
    CHECK(all == Approx(loss.at(0)(tensors(wrong, wrong, wrong), labels(y), counts)));

    MatrixXd right = wrong;
    right.topRows(2) << 90, 0, 0, 0, 90, 0;
    const double with =
        loss(tensors(right, wrong, wrong), labels(y), counts, selected(into(count)));
    CHECK(count == std::vector<std::int64_t>{2, 0, 0});
    CHECK(with > loss.at(0)(tensors(right, wrong, wrong), labels(y), counts));
    CHECK(loss.at(10).distillation == Approx(0.3));
    CHECK(loss.at(99).distillation == Approx(0.6));
    CHECK_THROWS_AS(loss(tensors(right, wrong), labels(y), counts), RangeError);
    const MatrixXd odd = right.topRows(3);
    CHECK_THROWS_AS(loss(tensors(odd, odd, odd), labels(std::vector<int>{0}), counts), ShapeError);
}
