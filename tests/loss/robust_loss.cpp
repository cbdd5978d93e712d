// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/robust_loss.hpp>

#include <temper/testing.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>
#include <Eigen/QR>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

/// f(kernel) for all kernels with a scale.
template <class F>
void each_kernel(double c, const F& f)
{
    f(Charbonnier{c});
    f(PseudoHuber{c});
    f(PseudoHuberScaled{c});
    f(Cauchy{c});
    f(Huber{c});
    f(SmoothL1{c});
    f(Welsch{c});
    f(GemanMcClure{c});
    for (const double alpha : {-infinity, -100.0, -2.0, 0.0, 1e-8, 1.0, 1.9, 2.0, 2.5, 4.0})
        f(Barron{.alpha = alpha, .c = c});
}

template <class A, class B>
void same(const A& a, const B& b, double factor = 1, double offset = 0, double tolerance = 1e-12)
{
    for (const double s : {0.0, 1e-6, 0.3, 1.0, 7.0, 1e3}) {
        const Rho<double> x = a(s);
        const Rho<double> y = b(s);
        CHECK(x.value == Approx(factor * y.value + offset).epsilon(tolerance).margin(tolerance));
        CHECK(x.first == Approx(factor * y.first).epsilon(tolerance).margin(tolerance));
        CHECK(x.second == Approx(factor * y.second).epsilon(tolerance).margin(tolerance));
    }
}

MatrixXd some_residuals()
{
    return (MatrixXd(3, 4) << 0.1, -0.4, 2, 0, 5, -3, 0.7, 0.02, -0.3, 0.9, -1.1, 12).finished();
}

template <class Kernel>
double slope_at(const Kernel& kernel, double residual)
{
    const VectorXd r = VectorXd::Constant(1, residual);
    const VectorXd zero = VectorXd::Zero(1);
    VectorXd g(1);
    RobustLoss<Kernel>{kernel}(r, zero, into(g));
    return g[0];
}

} // namespace

TEST_CASE("kernels and their derivatives, from 0 to where squares overflow")
{
    for (const double c : {0.01, 1.0, 30.0})
        each_kernel(c, [&](const auto& kernel) {
            CHECK(testing::check_robust_kernel(kernel, c).message == "");
            for (const double s : {0.0, 1e-300, 1e-12, 1e12, 1e30}) {
                const Rho<double> rho = kernel(s);
                CHECK(std::isfinite(rho.value));
                CHECK(rho.first >= 0);
                CHECK(std::isfinite(rho.first));
                CHECK(std::isfinite(rho.second));
            }
        });
    CHECK(testing::check_robust_kernel(L2Residual{}).message == "");
    CHECK(testing::check_robust_kernel(HalfL2Residual{}).message == "");
}

TEST_CASE("kernels are limits and multiples of each other")
{
    same(Huber{1e8}, HalfL2Residual{});
    same(SmoothL1{0.7}, Huber{0.7}, 1 / 0.7);
    same(PseudoHuberScaled{0.7}, PseudoHuber{0.7}, 0.7);
    same(Charbonnier{0.7}, PseudoHuber{0.7}, 1, 0.7);
    same(PseudoHuberScaled{1e8}, HalfL2Residual{}, 1, 0, 1e-9);
    for (const double s : {0.25, 1.0, 100.0})
        CHECK(PseudoHuber{1e-9}(s).value == Approx(std::sqrt(s)).epsilon(1e-8));

    same(Barron{.alpha = 2, .c = 0.7}, L2Residual{}, 0.5 / 0.49);
    same(Barron{.alpha = 1, .c = 0.7}, PseudoHuber{0.7}, 1 / 0.7);
    same(Barron{.alpha = 0, .c = 0.7}, Cauchy{0.7});
    same(Barron{.alpha = -2, .c = 0.7}, GemanMcClure{0.7}, 2);
    same(Barron{.alpha = -infinity, .c = 0.7}, Welsch{0.7});
    // Next to its special values the general formula goes over into them; the second derivative at 0 does
    // not at 2, where what bends is ever closer to 0.
    for (const double s : {0.0, 0.3, 1.0, 7.0}) {
        const Rho<double> near = Barron{.alpha = 2 - 1e-5, .c = 0.7}(s);
        CHECK(near.value == Approx(s / 0.98).epsilon(1e-3));
        CHECK(near.first == Approx(1 / 0.98).epsilon(1e-3));
    }
    same(Barron{.alpha = 1e-5, .c = 0.7}, Cauchy{0.7}, 1, 0, 1e-4);
    same(Barron{.alpha = -1e6, .c = 0.7}, Welsch{0.7}, 1, 0, 1e-4);
}

TEST_CASE("small residuals keep their digits")
{
    // sqrt(s + c^2) - c is 0 here when it is computed as it is written.
    CHECK(PseudoHuber{1}(1e-20).value == Approx(0.5e-20).epsilon(1e-12));
    CHECK(Cauchy{1}(1e-20).value == Approx(0.5e-20).epsilon(1e-12));
    CHECK(Welsch{1}(1e-20).value == Approx(0.5e-20).epsilon(1e-12));
    CHECK(GemanMcClure{1}(1e-20).value == Approx(0.25e-20).epsilon(1e-12));
    CHECK(Barron{.alpha = 1.5, .c = 1}(1e-20).value == Approx(0.5e-20).epsilon(1e-12));
}

TEST_CASE("what a residual that is far off pulls at")
{
    // Squares without bound, Huber's at most c, those that redescend at nothing in the end.
    for (const double far : {1e2, 1e4, 1e6}) {
        CHECK(slope_at(L2Residual{}, far) == Approx(2 * far));
        CHECK(slope_at(L1Residual{}, far) == Approx(1));
        CHECK(slope_at(Huber{2}, far) == Approx(2));
        CHECK(slope_at(Huber{2}, -far) == Approx(-2));
        CHECK(slope_at(PseudoHuber{2}, far) == Approx(1).epsilon(1e-3));
        CHECK(slope_at(Cauchy{2}, far) == Approx(2 / far).epsilon(1e-2));
        CHECK(slope_at(GemanMcClure{2}, far) < 32 / (far * far * far));
        CHECK(slope_at(Welsch{2}, far) == 0);
    }
    // Most of all where its name says: the largest slope of Cauchy is at sqrt(2) c, of Welsch at c.
    CHECK(slope_at(Cauchy{2}, 2 * std::sqrt(2)) > slope_at(Cauchy{2}, 2.7));
    CHECK(slope_at(Cauchy{2}, 2 * std::sqrt(2)) > slope_at(Cauchy{2}, 3));
    CHECK(slope_at(Welsch{2}, 2) > slope_at(Welsch{2}, 1.9));
    CHECK(slope_at(Welsch{2}, 2) > slope_at(Welsch{2}, 2.1));
}

TEST_CASE("a residual of 0 pulls at nothing, whatever the kernel")
{
    const MatrixXd x = MatrixXd::Ones(2, 3);
    const auto check = [&](const auto& kernel) {
        for (const Form form : {Form::element, Form::sample}) {
            MatrixXd g = MatrixXd::Constant(2, 3, 7);
            MatrixXd h = g;
            const RobustLoss<std::remove_cvref_t<decltype(kernel)>> loss{kernel, form};
            CHECK(std::isfinite(loss(x, x, into(g), curvature(into(h)))));
            CHECK(g.isZero(0));
            CHECK(h.allFinite());
            CHECK((h.array() >= 0).all());
        }
    };
    each_kernel(0.5, check);
    check(L1Residual{});
    check(L2Residual{});
}

TEST_CASE("of an element and of a sample")
{
    const MatrixXd x = some_residuals();
    const MatrixXd zero = MatrixXd::Zero(3, 4);
    MatrixXd g(3, 4);
    VectorXd each(3);

    // By the definition.
    const Cauchy kernel{.c = 0.7};
    double sum = 0;
    for (Index i = 0; i < 3; ++i)
        for (Index j = 0; j < 4; ++j)
            sum += std::log1p(x(i, j) * x(i, j) / 0.98);
    CHECK(RobustLoss<Cauchy>{kernel}(x, zero) == Approx(sum / 12));
    CHECK(RobustLoss<Cauchy>{kernel, Form::element, Reduction::sum}(x, zero) == Approx(sum));
    const RobustLoss<Cauchy> whole{kernel, Form::sample};
    const double value = whole(x, zero, into(g), per_sample(into(each)));
    CHECK(value == Approx((x.rowwise().squaredNorm() / 0.98).array().log1p().mean()));
    CHECK(value == Approx(each.mean()));

    // All entries of a sample shrink together: its gradient has its residual's direction.
    for (Index i = 0; i < 3; ++i)
        CHECK(g.row(i).normalized().isApprox(x.row(i).normalized(), 1e-12));

    // So a rotation of the features changes nothing, which it does entry by entry.
    const MatrixXd turn = Eigen::HouseholderQR<MatrixXd>(MatrixXd::Random(4, 4)).householderQ();
    const MatrixXd turned = x * turn;
    CHECK(whole(turned, zero) == Approx(value));
    CHECK(RobustLoss<Cauchy>{kernel}(turned, zero) !=
          Approx(RobustLoss<Cauchy>{kernel}(x, zero)).epsilon(1e-3));

    // A sample of one entry is an element.
    const MatrixXd column = x.col(2);
    const MatrixXd none = MatrixXd::Zero(3, 1);
    each_kernel(0.7, [&](const auto& k) {
        using Kernel = std::remove_cvref_t<decltype(k)>;
        MatrixXd ge(3, 1);
        MatrixXd gs(3, 1);
        MatrixXd he(3, 1);
        MatrixXd hs(3, 1);
        CHECK(RobustLoss<Kernel>{k, Form::element}(column, none, into(ge), curvature(into(he))) ==
              Approx(RobustLoss<Kernel>{k, Form::sample}(column, none, into(gs),
                                                         curvature(into(hs)))));
        CHECK(ge.isApprox(gs, 1e-12));
        CHECK(he.isApprox(hs, 1e-12));
    });
}

TEST_CASE("the curvature of robust losses")
{
    const MatrixXd x = some_residuals();
    const MatrixXd zero = MatrixXd::Zero(3, 4);
    for (const Form form : {Form::element, Form::sample})
        each_kernel(0.7, [&](const auto& kernel) {
            const RobustLoss<std::remove_cvref_t<decltype(kernel)>> loss{kernel, form,
                                                                         Reduction::sum};
            MatrixXd at = x;
            MatrixXd h(3, 4);
            MatrixXd up(3, 4);
            MatrixXd down(3, 4);
            loss(x, zero, curvature(into(h)));
            CHECK((h.array() >= 0).all());
            for (Index i = 0; i < 3; ++i) {
                const double whole = x.row(i).squaredNorm();
                for (Index j = 0; j < 4; ++j) {
                    const double step = 1e-5 * (1 + std::fabs(x(i, j)));
                    at(i, j) = x(i, j) + step;
                    loss(at, zero, into(up));
                    at(i, j) = x(i, j) - step;
                    loss(at, zero, into(down));
                    at(i, j) = x(i, j);
                    const double second = (up(i, j) - down(i, j)) / (2 * step);
                    const double s = form == Form::element ? x(i, j) * x(i, j) : whole;
                    const double gauss_newton = 2 * kernel(s).first;
                    CHECK(h(i, j) ==
                          Approx((std::max)(second, gauss_newton)).epsilon(1e-5).margin(1e-7));
                }
            }
        });
}

TEST_CASE("Pseudo-Huber for samples of d entries")
{
    CHECK(PseudoHuber::for_entries(4 * 32 * 32).c == Approx(0.00054 * 64));
}

TEST_CASE("what a robust loss refuses")
{
    const MatrixXd x = some_residuals();
    const auto message = [&](const auto& kernel) {
        try {
            RobustLoss<std::remove_cvref_t<decltype(kernel)>>{kernel}(x, x);
        }
        catch (const RangeError& thrown) {
            return std::string(thrown.what());
        }
        return std::string("nothing thrown");
    };
    CHECK(message(Cauchy{0}) == "RobustLoss: c is 0, must be positive and finite");
    CHECK(message(Huber{-1}) == "RobustLoss: c is -1, must be positive and finite");
    CHECK(message(Welsch{infinity}) == "RobustLoss: c is inf, must be positive and finite");
    CHECK(message(Barron{.alpha = infinity, .c = 1}) ==
          "RobustLoss: alpha is inf, must be below infinity");
    CHECK_THROWS_AS(RobustLoss<L2Residual>{}(x, MatrixXd(4, 3)), ShapeError);
}
