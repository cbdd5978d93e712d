// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>

#include <temper/core/random.hpp>
#include <temper/core/state.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

using Loss = AdaptiveLabelDistributionallyRobustLoss;

const std::vector<int> y{2, 0, 1, 1};
const std::vector<int> ids{4, 0, 5, 2};

MatrixXd some_logits()
{
    MatrixXd z(4, 3);
    z << 0.5, -1, 2, 1.5, 0, 0.25, -2, 0.75, 1, 3, -0.5, 0;
    return z;
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

TEST_CASE("before anything was observed it is the loss of one lambda")
{
    const MatrixXd z = some_logits();
    const Loss loss{.lambda_0 = 0.6, .normalisation = LogitNormalisation::softplus_mean};
    const auto state = loss.init(6);
    MatrixXd g(4, 3);
    MatrixXd h(4, 3);
    MatrixXd g1(4, 3);
    MatrixXd h1(4, 3);
    CHECK(loss(state, ids, z, labels(y), into(g), curvature(into(h))) ==
          LabelDistributionallyRobustLoss{.lambda = 0.6}(z, labels(y), into(g1),
                                                         curvature(into(h1))));
    CHECK(g == g1);
    CHECK(h == h1);
}

TEST_CASE("each sample has the loss of its own lambda, and pays for being away from lambda_0")
{
    const MatrixXd z = some_logits();
    const Loss loss{.lambda_0 = 0.6, .alpha = 3};
    auto state = loss.init(6);
    loss.observe(state, ids, z);
    MatrixXd g(4, 3);
    VectorXd each(4);
    loss(state, ids, z, labels(y), into(g), per_sample(into(each)));
    for (Index i = 0; i < 4; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double lambda = state.lambda[static_cast<std::size_t>(ids[at])];
        CHECK(lambda < 0.6);
        const LabelDistributionallyRobustLoss one{.lambda = lambda,
                                                  .normalisation = LogitNormalisation::l1};
        MatrixXd row = z.row(i);
        MatrixXd g1(1, 3);
        const double value = one(row, labels(std::vector<int>{y[at]}), into(g1));
        CHECK(each[i] == Approx(value - 3 * std::log(3) / 1.2 * (lambda - 0.6) * (lambda - 0.6)));
        CHECK(g.row(i).isApprox(g1 / 4, 1e-12));
    }
}

TEST_CASE("how sure a prediction is says what lambda becomes")
{
    MatrixXd z(3, 4);
    z << 1, 1, 1, 1,     // all alike
        1e3, 0, 0, 0,    // sure: u = (4, 0, 0, 0)
        0.5, 0.4, -1, 0; // between
    const std::vector<int> three{0, 1, 2};
    const Loss loss{.lambda_0 = 0.1, .alpha = 2, .epsilon = 0};
    auto state = loss.init(3);
    loss.observe(state, three, z);
    CHECK(state.lambda[0] == Approx(0.1));
    CHECK(state.lambda[1] == Approx(0.05)); // lambda_0 (1 - 1 / alpha), not below
    CHECK(state.lambda[2] > 0.05);
    CHECK(state.lambda[2] < 0.1);

    // The second step starts from what the first one left; with the published epsilon a sure row stays
    // above the bound.
    const double before = state.lambda[2];
    loss.observe(state, three, z);
    CHECK(state.lambda[2] != before);
    Loss published = loss;
    published.epsilon = 1e-5;
    published.observe(state, three, z);
    CHECK(state.lambda[1] > 0.0500001);
    CHECK(state.lambda[1] < 0.0501);

    // One class: nothing to be sure of.
    auto single = loss.init(2);
    loss.observe(single, std::vector<int>{1, 0}, MatrixXd::Ones(2, 1).eval());
    CHECK(single.lambda == std::vector<double>{0.1, 0.1});
}

TEST_CASE("only what was observed changes, and calls change nothing")
{
    const MatrixXd z = some_logits();
    const Loss loss;
    auto state = loss.init(6);
    loss.observe(state, ids, z);
    CHECK(state.lambda[1] == 1);
    CHECK(state.lambda[3] == 1);
    CHECK(state.lambda[4] < 1);
    const auto before = state;
    loss(state, ids, z, labels(y));
    CHECK(state == before);

    // Of an id that occurs twice the last row counts, and both start from the same lambda.
    auto twice = loss.init(6);
    loss.observe(twice, std::vector<int>{4, 4, 4, 5}, z);
    auto once = loss.init(6);
    loss.observe(once, std::vector<int>{0, 1, 4, 5}, z);
    CHECK(twice.lambda[4] == once.lambda[4]);

    auto loaded = loss.init(6);
    load(loaded, save(state));
    CHECK(loaded == state);
}

TEST_CASE("samples in columns, observed and called")
{
    const MatrixXd z = some_logits();
    const MatrixXd zt = z.transpose();
    const Loss loss;
    auto state = loss.init(6);
    auto turned = state;
    loss.observe(state, ids, z);
    in_columns(loss).observe(turned, ids, zt);
    for (std::size_t i = 0; i < 6; ++i)
        CHECK(turned.lambda[i] == Approx(state.lambda[i]).epsilon(1e-13));
    MatrixXd g(4, 3);
    MatrixXd gt(3, 4);
    CHECK(in_columns(loss)(state, ids, zt, labels(y), into(gt)) ==
          Approx(loss(state, ids, z, labels(y), into(g))));
    CHECK(gt.isApprox(g.transpose(), 1e-13));
}

TEST_CASE("samples of noisy labels get a larger lambda")
{
    // A model that has learned how often labels are wrong where: a logit for each class and region. In
    // one region 40 % of the labels are any label.
    constexpr Index n = 400;
    constexpr Index k = 4;
    auto rng = stream(4, 0, "noise");
    MatrixXd x = MatrixXd::Zero(n, 2 * k);
    std::vector<int> given(n);
    std::vector<Index> all(n);
    std::iota(all.begin(), all.end(), Index{0});
    for (Index i = 0; i < n; ++i) {
        const Index truth = i % k;
        const bool noisy = i >= n / 2;
        x(i, noisy ? k + truth : truth) = 1;
        given[static_cast<std::size_t>(i)] =
            static_cast<int>(noisy && uniform(rng) < 0.4 ? uniform_index(rng, k) : truth);
    }
    const Loss loss{.normalisation = LogitNormalisation::softplus_mean};
    auto state = loss.init(n);
    MatrixXd w = MatrixXd::Zero(2 * k, k);
    MatrixXd g(n, k);
    for (int step = 0; step < 200; ++step) {
        const MatrixXd z = x * w;
        loss.observe(state, all, z);
        loss(state, all, z, labels(given), into(g));
        w -= 2 * x.transpose() * g;
    }
    const auto mean = [&](Index from) {
        return Eigen::Map<const VectorXd>(state.lambda.data() + from, n / 2).mean();
    };
    CHECK(mean(n / 2) > mean(0) + 0.02);
    CHECK(mean(0) < 0.9);
}

TEST_CASE("what an adaptive label-distributionally robust loss refuses")
{
    const MatrixXd z = some_logits();
    const Loss loss;
    auto state = loss.init(6);
    const auto untouched = state;
    MatrixXd g = MatrixXd::Constant(4, 3, 7);
    const std::vector<int> outside{4, 0, 6, 2};
    CHECK(message([&] { loss.observe(state, outside, z); }) ==
          "AdaptiveLabelDistributionallyRobustLoss: ids is 6 at 2, must be an integer from 0 to 5");
    CHECK(message([&] { loss(state, outside, z, labels(y), into(g)); }) ==
          "AdaptiveLabelDistributionallyRobustLoss: ids is 6 at 2, must be an integer from 0 to 5");
    CHECK(message([&] { Loss{.alpha = 1}.observe(state, ids, z); }) ==
          "AdaptiveLabelDistributionallyRobustLoss: alpha is 1, must be above 1");
    CHECK(message([&] { loss(state, ids, z, labels(std::vector<int>{0, 3, 1, 1}), into(g)); }) ==
          "AdaptiveLabelDistributionallyRobustLoss: labels is 3 at 1, must be an integer from 0 to "
          "2");
    CHECK(state == untouched);
    state.lambda[5] = 0;
    CHECK(message([&] { loss(state, ids, z, labels(y), into(g)); }) ==
          "AdaptiveLabelDistributionallyRobustLoss: state.lambda is 0, must be positive");
    CHECK(g == MatrixXd::Constant(4, 3, 7));
}
