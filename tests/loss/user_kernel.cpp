// SPDX-License-Identifier: BSL-1.0

// A robust kernel of a user's own, as robust_kernels.hpp says how to write one, from its check to a fit.

#include <temper/loss/robust_loss.hpp>

#include <temper/core/random.hpp>
#include <temper/testing.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>
#include <Eigen/LU>

#include <cmath>
#include <string>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using Eigen::VectorXd;

namespace {

struct Tukey {
    temper::Required c;

    template <class V>
    temper::Rho<V> operator()(V s) const
    {
        using namespace temper::math;
        const V t = max(V(1) - s / V(c * c), V(0));
        return {V(1) - t * t * t, V(3 / (c * c)) * t * t, V(-6 / (c * c * c * c)) * t};
    }
    void check(std::string_view component) const
    {
        temper::require(c > 0, component, "c of Tukey", c, "positive");
    }
    friend bool operator==(const Tukey&, const Tukey&) = default;
};

/// One for plain numbers: log cosh r. With neither c nor check.
struct LogCosh {
    Rho<double> operator()(double s) const
    {
        const double r = std::sqrt(s);
        if (r < 1e-2) // by its series
            return {s / 2 - s * s / 12, 0.5 - s / 6, -1.0 / 6};
        const double t = std::tanh(r);
        return {r + std::log1p(std::exp(-2 * r)) - std::log(2), t / (2 * r),
                (1 - t * t) / (4 * s) - t / (4 * s * r)};
    }
};

} // namespace

TEST_CASE("kernels of a user's own pass the check")
{
    static_assert(RobustKernel<Tukey> && RobustKernel<LogCosh>);
    CHECK(testing::check_robust_kernel(Tukey{.c = 4.7}, 4.7).message == "");
    CHECK(testing::check_robust_kernel(Tukey{.c = 1e-3}, 1e-3).message == "");
    CHECK(testing::check_robust_kernel(LogCosh{}).message == "");
}

TEST_CASE("a kernel of a user's own is one among the others")
{
    const RobustLoss<Tukey> loss{.kernel = {.c = 2}};
    CHECK(loss == RobustLoss<Tukey>{.kernel = {.c = 2}});
    MatrixXd x(3, 5);
    x << 0.1, -0.4, 2, 0, 5, -3, 0.7, 0.02, -0.3, 0.9, -1.1, 1.9, 1.2, -0.8, 0.5;
    const MatrixXd y = MatrixXd::Zero(3, 5);
    for (const Form form : {Form::element, Form::sample}) {
        const RobustLoss<Tukey> of_form{{.c = 2}, form};
        const auto at = [&](const auto& a, const auto&... out) { return of_form(a, y, out...); };
        CHECK(testing::check_gradient(at, x).message == "");
        CHECK(testing::check_modes(at, x).message == "");
        CHECK(testing::check_repeat(at, x).message == "");
    }
    const auto log_cosh = [&](const auto& a, const auto&... out) {
        return RobustLoss<LogCosh>{}(a, y, out...);
    };
    CHECK(testing::check_gradient(log_cosh, x).message == "");
    CHECK(log_cosh(x) == Approx(x.array().cosh().log().mean()));
    const MatrixXf xf = x.cast<float>();
    CHECK(RobustLoss<LogCosh>{}(xf, MatrixXf::Zero(3, 5).eval()) ==
          Approx(log_cosh(x)).epsilon(1e-6));
    CHECK((0.5 * loss)(x, y) == Approx(0.5 * loss(x, y)));
}

TEST_CASE("the check of a kernel of a user's own is called")
{
    const MatrixXd x = MatrixXd::Zero(2, 2);
    try {
        RobustLoss<Tukey>{.kernel = {.c = -1}}(x, x);
        CHECK(false);
    }
    catch (const RangeError& thrown) {
        CHECK(thrown.what() == std::string("RobustLoss: c of Tukey is -1, must be positive"));
    }
}

TEST_CASE("a line by reweighted least squares, from gradient and curvature")
{
    // The curvature's Gauss-Newton part is the weight of a residual: Newton's step with it is the
    // reweighted least-squares step.
    constexpr Index n = 60;
    auto rng = stream(1, 0, "line");
    MatrixXd a(n, 2);
    VectorXd y(n);
    for (Index i = 0; i < n; ++i) {
        a.row(i) << uniform(rng), 1;
        y[i] = 3 * a(i, 0) - 1 + 0.01 * normal(rng) + (i % 5 == 0 ? 4 : 0);
    }
    const auto fit = [&](const auto& kernel, Eigen::Vector2d w) {
        const RobustLoss<std::remove_cvref_t<decltype(kernel)>> loss{.kernel = kernel};
        VectorXd g(n);
        VectorXd h(n);
        for (int step = 0; step < 30; ++step) {
            const VectorXd predicted = a * w;
            loss(predicted, y, into(g), curvature(into(h)));
            const Eigen::Matrix2d normal = a.transpose() * h.asDiagonal() * a;
            w -= normal.inverse() * (a.transpose() * g);
        }
        return w;
    };
    const Eigen::Vector2d truth(3, -1);
    const Eigen::Vector2d squares = fit(L2Residual{}, Eigen::Vector2d::Zero());
    CHECK((squares - truth).norm() > 0.3);
    CHECK((fit(Tukey{.c = 2}, squares) - truth).norm() < 0.03);
}
