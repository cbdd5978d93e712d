// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/core/random.hpp>
#include <temper/regularizer/srip.hpp>

#include <Eigen/Dense>

#include <limits>
#include <string>

using namespace temper;

namespace {

Eigen::MatrixXd random_matrix(Index m, Index n, double scale)
{
    auto rng = stream(5, m * 100 + n, "srip");
    return Eigen::MatrixXd::NullaryExpr(m, n, [&] { return scale * normal(rng); });
}

} // namespace

TEST_CASE("SRIP: power iteration climbs to the exact value and its gradient", "[regularizer]")
{
    for (const double scale : {0.1, 0.5}) { // the largest |s^2 - 1| is below 1, above 1
        const Eigen::MatrixXd w = random_matrix(9, 5, scale);
        Srip srip{.squared = false, .through = false};
        auto rng = stream(1, 0, "start");
        const auto plan = srip.draw(rng, w.rows(), w.cols());
        REQUIRE(plan.start.size() == 5);

        const Eigen::VectorXd s = w.jacobiSvd().singularValues();
        const double sigma = (std::max)(std::abs(s(0) * s(0) - 1), std::abs(s(4) * s(4) - 1));
        Eigen::MatrixXd exact(9, 5), estimated(9, 5);
        CHECK(srip(w, into(exact)) == Approx(sigma).epsilon(1e-12));
        double before = 0;
        for (const Index iterations : {1, 2, 4, 4000}) {
            srip.iterations = iterations;
            const double value = srip(w, plan, into(estimated));
            CHECK(value >= before * (1 - 1e-12));
            CHECK(value <= sigma * (1 + 1e-12));
            before = value;
        }
        CHECK(before == Approx(sigma).epsilon(1e-9));
        CHECK(estimated.isApprox(exact, 1e-5));
    }
}

TEST_CASE("SRIP: corner values", "[regularizer]")
{
    Srip srip{.squared = false};
    auto rng = stream(2, 0, "start");
    const Eigen::MatrixXd zero = Eigen::MatrixXd::Zero(4, 3);
    const auto plan = srip.draw(rng, 4, 3);
    Eigen::MatrixXd g = zero;
    CHECK(srip(zero, plan, into(g)) == Approx(1));
    CHECK(g.isZero(0));
    CHECK(srip(zero, into(g)) == Approx(1));
    CHECK(g.isZero(0));

    // Orthonormal columns up to rounding; that their sigma is not 0 says nothing.
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(random_matrix(4, 3, 1));
    const Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(4, 3);
    const Eigen::MatrixXf single = q.cast<float>();
    Eigen::MatrixXf gf(4, 3);
    CHECK(srip(single, plan, into(gf)) < 1e-6);
    CHECK(gf.isZero(0));
    CHECK(srip(single, into(gf)) < 1e-6);
    CHECK(gf.isZero(0));
    CHECK(srip(q, plan, into(g)) < 1e-14);
    CHECK(g.isZero(0));

    // More columns than rows: some column of W is a mix of others, and sigma is 1 at least.
    CHECK(srip(Eigen::MatrixXd(q.transpose()), into(g.transpose())) == Approx(1));
    srip.side = GramSide::automatic;
    CHECK(srip(Eigen::MatrixXd(q.transpose())) < 1e-14);

    const Srip::Plan nowhere{std::vector<double>(3, 0.0)};
    CHECK(srip(zero, nowhere, into(g)) == 0);
    CHECK(g.isZero(0));
    Eigen::MatrixXd broken = q;
    broken(1, 1) = std::numeric_limits<double>::quiet_NaN();
    CHECK(std::isnan(srip(broken)));
    CHECK(srip(Eigen::MatrixXd(0, 3), srip.draw(rng, 0, 3)) == 0);
}

TEST_CASE("SRIP: draws, weights and errors", "[regularizer]")
{
    Srip srip{};
    const Eigen::MatrixXd w = random_matrix(4, 6, 1);
    auto rng = stream(3, 0, "start");
    auto plan = srip.draw(rng, 4, 6);
    CHECK(plan.start.size() == 6);
    const auto* place = plan.start.data();
    const auto first = plan;
    srip.draw(rng, 4, 6, plan);
    CHECK(plan.start.data() == place);
    CHECK_FALSE(plan == first);

    Eigen::MatrixXd g(4, 6), scaled(4, 6);
    const double value = srip(w, plan, into(g));
    CHECK((0.1 * srip)(w, plan, into(scaled)) == Approx(0.1 * value));
    CHECK(scaled.isApprox(0.1 * g));

    const auto message_of = [&](const Srip& with, const Srip::Plan& start) -> std::string {
        try {
            (void)with(w, start);
        }
        catch (const Error& error) {
            return error.what();
        }
        return "no error";
    };
    CHECK(message_of(srip, srip.draw(rng, 4, 5)) ==
          "Srip: plan.start has shape [5], must be [6] as w has vectors");
    CHECK(message_of({.iterations = 0}, plan) == "Srip: iterations is 0, must be positive");
    CHECK(message_of({.epsilon = 0}, plan) == "Srip: epsilon is 0, must be positive");
}
