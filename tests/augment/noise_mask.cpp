// SPDX-License-Identifier: BSL-1.0

// The noise policy's masks: how they are drawn, scored and laid over images.

#include <temper/augment/beta_noise_policy.hpp>
#include <temper/augment/noise_mask.hpp>
#include <temper/core/special.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;

namespace {

auto images(std::vector<double>& x) { return view(x.data(), {2, 8, 8}); }

} // namespace

TEST_CASE("digamma and log gamma")
{
    CHECK(log_gamma(1) == Approx(0).margin(1e-13));
    CHECK(log_gamma(0.5) == Approx(0.5 * std::log(std::acos(-1.0))));
    CHECK(log_gamma(11) == Approx(std::log(3628800.0)));
    CHECK(log_gamma(1e-250) == Approx(250 * std::log(10.0)));
    CHECK(digamma(1) == Approx(-0.57721566490153286));
    CHECK(digamma(0.5) == Approx(-0.57721566490153286 - 2 * std::log(2.0)));
    for (const double x : {0.01, 0.7, 3.0, 12.0, 500.0}) {
        CHECK(digamma(x + 1) == Approx(digamma(x) + 1 / x));
        const double h = 1e-5 * x;
        CHECK((log_gamma(x + h) - log_gamma(x - h)) / (2 * h) == Approx(digamma(x)).epsilon(1e-6));
    }
}

TEST_CASE("masks are drawn from the policy, and the score has mean 0")
{
    auto rng = stream(1, 0, "masks");
    constexpr Index n = 20000;
    const MatrixXd a = MatrixXd::Constant(n, 1, std::log(2.0));
    const MatrixXd b = MatrixXd::Constant(n, 1, std::log(6.0));
    MatrixXd m(n, 1);
    const BetaNoisePolicy policy;
    policy.draw(rng, a, b, into(m));
    CHECK(m.mean() == Approx(0.25).margin(0.005));
    MatrixXd ga(n, 1);
    MatrixXd gb(n, 1);
    policy(a, b, m, Eigen::VectorXd::Constant(n, static_cast<double>(n)).eval(), into(ga),
           into(gb));
    CHECK(ga.mean() == Approx(0).margin(0.03));
    CHECK(gb.mean() == Approx(0).margin(0.03));
}

TEST_CASE("masks at the ends of their range have a finite density")
{
    MatrixXd a = MatrixXd::Zero(1, 2);
    MatrixXd m(1, 2);
    m << 0, 1;
    MatrixXd ga(1, 2);
    for (const auto form : {BetaNoisePolicy::Form::reinforce, BetaNoisePolicy::Form::published})
        CHECK(std::isfinite(BetaNoisePolicy{form}(a, a, m, std::vector<double>{1}, into(ga))));
    CHECK(ga.allFinite());
}

TEST_CASE("the published form's factor on the classifier's loss may have either sign")
{
    // Densities above 1 in total raise the loss's weight above 0; a cell where the density is low, below.
    MatrixXd a = MatrixXd::Constant(1, 1, std::log(8.0));
    MatrixXd b = MatrixXd::Zero(1, 1);
    std::vector<double> gl(1);
    const BetaNoisePolicy published{BetaNoisePolicy::Form::published};
    published(a, b, MatrixXd::Constant(1, 1, 0.95).eval(), std::vector<double>{1}, discard, discard,
              into(gl));
    CHECK(gl[0] > 0);
    published(a, b, MatrixXd::Constant(1, 1, 0.3).eval(), std::vector<double>{1}, discard, discard,
              into(gl));
    CHECK(gl[0] < 0);
}

TEST_CASE("the base is a slow average, and parameters are near it")
{
    const BetaNoiseBase smooth;
    auto state = BetaNoiseBase::init(2);
    MatrixXd net(2, 2);
    net << 1, 2, 3, 6;
    smooth.observe(state, net);
    CHECK(state.base[0] == Approx(0.02));
    CHECK(state.base[1] == Approx(0.04));
    MatrixXd raw(2, 2);
    smooth.forward(state, net, into(raw));
    CHECK(raw(1, 1) == Approx(0.9 * 0.04 + 0.1 * 6));
    CHECK_THROWS_AS(smooth.observe(state, MatrixXd::Zero(2, 3).eval()), ShapeError);
}

TEST_CASE("a mask of ones changes nothing, a cell lies over its part of the image")
{
    std::vector<double> x(2 * 8 * 8, 1.0);
    std::vector<double> y(x.size());
    const auto from = images(x);
    const auto to = images(y);
    NoiseMask{.kernel = 5, .sigma = 2}.forward(MatrixXd::Ones(2, 4).eval(), from, into(to));
    for (const double v : y)
        CHECK(v == Approx(1));
    MatrixXd m = MatrixXd::Zero(2, 4);
    m(0, 1) = 1; // the upper right quarter of the first image
    NoiseMask{.kernel = 1}.forward(m, from, into(to));
    CHECK(to.data[0] == 0);
    CHECK(to.data[4] == 1);
    CHECK(to.data[4 * 8 + 4] == 0);
    NoiseMask{.kernel = 3, .sigma = 1}.forward(m, from, into(to));
    CHECK(to.data[4] > 0.5);
    CHECK(to.data[4] < 1);
    CHECK(to.data[7] == Approx(1));
    CHECK_THROWS_AS((NoiseMask{.kernel = 4}.forward(m, from, into(to))), RangeError);
    CHECK_THROWS_AS((NoiseMask{.kernel = 17}.forward(m, from, into(to))), RangeError);
    CHECK_THROWS_AS(NoiseMask{.kernel = 3}.forward(MatrixXd::Zero(2, 3).eval(), from, into(to)),
                    ShapeError);
}
