// SPDX-License-Identifier: BSL-1.0
#include <temper/layer/sinkhorn.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <limits>
#include <string>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

using RowsF = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

MatrixXd some_cost(Index n, Index m)
{
    MatrixXd cost(n, m);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < m; ++j)
            cost(i, j) = std::abs(std::sin(static_cast<double>(3 * i + 7 * j + i * j)));
    return cost;
}
VectorXd some_histogram(Index n)
{
    const VectorXd masses = VectorXd::LinSpaced(n, 1, 3);
    return masses / masses.sum();
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

TEST_CASE("a plan has the histograms as its sums")
{
    for (const double epsilon : {1.0, 0.1, 0.02}) {
        const MatrixXd cost = some_cost(30, 50);
        const VectorXd a = some_histogram(30);
        const VectorXd b = some_histogram(50);
        MatrixXd plan(30, 50);
        const Sinkhorn matching{.epsilon = epsilon, .iterations = 3000};
        const double value = matching.forward(a, b, cost, into(plan));
        CHECK(plan.minCoeff() >= 0);
        CHECK((plan.rowwise().sum() - a).cwiseAbs().maxCoeff() < 1e-9);
        CHECK((plan.colwise().sum().transpose() - b).cwiseAbs().maxCoeff() < 1e-15);
        CHECK(value == Approx(plan.cwiseProduct(cost).sum()));
    }
}

TEST_CASE("no epsilon is too small for the kernel")
{
    // Costs of 1 over 1e-4: exp(-C / epsilon) is 0 in every precision, and so are whole columns of it.
    MatrixXd cost = some_cost(20, 20);
    cost.col(3).array() += 5;
    const VectorXd a = some_histogram(20);
    MatrixXd plan(20, 20);
    VectorXd f(20), g(20);
    const Sinkhorn matching{.epsilon = 1e-4, .iterations = 200};
    (void)matching.forward(a, a, cost, into(plan), into(f), into(g));
    CHECK(plan.allFinite());
    CHECK((plan.colwise().sum().transpose() - a).cwiseAbs().maxCoeff() < 1e-12);
    // The iteration as it is written, with logarithms throughout.
    VectorXd f_want(20), g_want = VectorXd::Zero(20);
    const auto log_sum = [](const Eigen::ArrayXd& x) {
        return x.maxCoeff() + std::log((x - x.maxCoeff()).exp().sum());
    };
    for (int step = 0; step < 200; ++step) {
        for (Index i = 0; i < 20; ++i)
            f_want(i) = 1e-4 * (std::log(a(i)) -
                                log_sum((g_want - cost.row(i).transpose()).array() / 1e-4));
        for (Index j = 0; j < 20; ++j)
            g_want(j) = 1e-4 * (std::log(a(j)) - log_sum((f_want - cost.col(j)).array() / 1e-4));
    }
    CHECK((f - f_want).cwiseAbs().maxCoeff() < 1e-12);
    CHECK((g - g_want).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("what may not be carried, and what has no mass")
{
    constexpr double infinity = std::numeric_limits<double>::infinity();
    MatrixXd cost = some_cost(3, 4);
    cost(0, 1) = cost(2, 3) = infinity;
    VectorXd a(3), b(4);
    a << 0.5, 0, 0.5;
    b << 0.35, 0.25, 0, 0.4;
    MatrixXd plan(3, 4);
    VectorXd f(3), g(4);
    const double value = Sinkhorn{.epsilon = 0.1, .iterations = 500}.forward(a, b, cost, into(plan),
                                                                             into(f), into(g));
    CHECK(std::isfinite(value));
    CHECK(plan.allFinite());
    CHECK(plan(0, 1) == 0);
    CHECK(plan(2, 3) == 0);
    CHECK(plan.row(1).isZero(0));
    CHECK(plan.col(2).isZero(0));
    CHECK(f(1) == -infinity);
    CHECK(g(2) == -infinity);
    CHECK((plan.rowwise().sum() - a).cwiseAbs().maxCoeff() < 1e-9);
}

TEST_CASE("a cost that is the same everywhere gives the product of the histograms")
{
    const VectorXd a = some_histogram(5);
    const VectorXd b = some_histogram(9);
    const MatrixXd cost = MatrixXd::Constant(5, 9, 1e6);
    MatrixXd plan(5, 9);
    CHECK(Sinkhorn{.epsilon = 0.01, .iterations = 1}.forward(a, b, cost, into(plan)) ==
          Approx(1e6));
    CHECK(plan.isApprox(a * b.transpose(), 1e-9));
}

TEST_CASE("large plans in float")
{
    const MatrixXd cost = some_cost(700, 300);
    const VectorXd a = some_histogram(700);
    const VectorXd b = some_histogram(300);
    const RowsF cost_f = cost.cast<float>();
    const Eigen::VectorXf a_f = a.cast<float>();
    const Eigen::VectorXf b_f = b.cast<float>();
    MatrixXd plan(700, 300);
    RowsF plan_f(700, 300);
    const Sinkhorn matching{.epsilon = 0.05, .iterations = 60};
    const double value = matching.forward(a, b, cost, into(plan));
    CHECK(matching.forward(a_f, b_f, cost_f, into(plan_f)) == Approx(value).epsilon(1e-5));
    CHECK((plan_f.cast<double>() - plan).cwiseAbs().maxCoeff() < 1e-5 * plan.maxCoeff());
}

TEST_CASE("nothing to carry")
{
    VectorXd f = VectorXd::Constant(3, 7);
    CHECK(Sinkhorn{.epsilon = 1}.forward(VectorXd(VectorXd::Zero(3)), VectorXd(0), MatrixXd(3, 0),
                                         discard, into(f)) == 0);
    CHECK(f.isZero(0));
}

TEST_CASE("what Sinkhorn says about bad input")
{
    const VectorXd a = some_histogram(3);
    MatrixXd plan = MatrixXd::Constant(3, 3, 7);
    const MatrixXd cost = some_cost(3, 3);
    const auto said = [&](const Sinkhorn& matching, const VectorXd& from, const VectorXd& to,
                          const MatrixXd& c) {
        return message([&] { (void)matching.forward(from, to, c, into(plan)); });
    };
    const Sinkhorn matching{.epsilon = 1};
    CHECK(said(matching, a, 2 * a, cost) ==
          "Sinkhorn: b sums to 2, must be of the same sum as a, 1");
    CHECK(said(matching, VectorXd::Constant(3, -1), a, cost) ==
          "Sinkhorn: a is -1, must be non-negative");
    CHECK(said(matching, a, a, some_cost(3, 4)) ==
          "Sinkhorn: cost has shape [3, 4], must be [3, 3] a row for each entry of a, a column for "
          "each of b");
    CHECK(said({.epsilon = 0}, a, a, cost) == "Sinkhorn: epsilon is 0, must be positive");
    CHECK(said({.epsilon = 1, .iterations = 0}, a, a, cost) ==
          "Sinkhorn: iterations is 0, must be 1 at least");
    CHECK(plan == MatrixXd::Constant(3, 3, 7));
}
