// SPDX-License-Identifier: BSL-1.0
#include <temper/adapt/ceres.hpp>

#include <temper/core/random.hpp>

#include <ceres/ceres.h>

#undef CHECK // of Ceres' logging
#include "support/catch.hpp"

#include <array>
#include <cmath>
#include <memory>
#include <vector>

using namespace temper;

namespace {

void agrees(const ceres::LossFunction& ours, const ceres::LossFunction& theirs)
{
    for (const double s : {0.0, 1e-8, 0.01, 0.24, 0.26, 1.0, 3.0, 25.0, 1e4, 1e9}) {
        std::array<double, 3> got{};
        std::array<double, 3> want{};
        ours.Evaluate(s, got.data());
        theirs.Evaluate(s, want.data());
        for (std::size_t i = 0; i < 3; ++i)
            CHECK(got[i] == Approx(want[i]).epsilon(1e-12).margin(1e-15));
    }
}

/// y = exp(m x + c), as in Ceres' own tutorial.
struct Residual {
    double x, y;
    template <class T>
    bool operator()(const T* m, const T* c, T* residual) const
    {
        residual[0] = y - exp(m[0] * x + c[0]);
        return true;
    }
};

/// m and c of a curve through points of which every eighth is far off; each point has a loss of its own.
template <class MakeLoss>
std::array<double, 2> fit(const MakeLoss& make_loss)
{
    auto rng = stream(5, 0, "points");
    std::array<double, 2> at{0, 0};
    ceres::Problem problem;
    for (int i = 0; i < 80; ++i) {
        const double x = 5.0 * i / 80;
        double y = std::exp(0.3 * x + 0.1) + 0.05 * normal(rng);
        if (i % 8 == 3)
            y += 20;
        problem.AddResidualBlock(
            new ceres::AutoDiffCostFunction<Residual, 1, 1, 1>(new Residual{x, y}), make_loss(),
            &at[0], &at[1]);
    }
    ceres::Solver::Options options;
    options.max_num_iterations = 100;
    options.function_tolerance = 1e-14;
    options.parameter_tolerance = 1e-12;
    options.linear_solver_type = ceres::DENSE_QR;
    options.logging_type = ceres::SILENT;
    ceres::Solver::Summary summary;
    ceres::Solve(options, &problem, &summary);
    REQUIRE(summary.IsSolutionUsable());
    return at;
}

void same(const std::array<double, 2>& a, const std::array<double, 2>& b)
{
    CHECK(a[0] == Approx(b[0]).epsilon(1e-9));
    CHECK(a[1] == Approx(b[1]).epsilon(1e-9));
}

} // namespace

TEST_CASE("kernels as Ceres' loss functions, and Ceres' own")
{
    for (const double a : {0.5, 1.0, 3.0}) {
        agrees(CeresLoss(Huber{a}, 2), ceres::HuberLoss(a));
        agrees(CeresLoss(PseudoHuberScaled{a}, 2), ceres::SoftLOneLoss(a));
        agrees(CeresLoss(Cauchy{a / std::sqrt(2)}, a * a), ceres::CauchyLoss(a));
        // The same family once more, by other names.
        agrees(CeresLoss(SmoothL1{a}, 2 * a), ceres::HuberLoss(a));
        agrees(CeresLoss(Barron{.alpha = 1, .c = a}, 2 * a * a), ceres::SoftLOneLoss(a));
        agrees(CeresLoss(Barron{.alpha = 0, .c = a / std::sqrt(2)}, a * a), ceres::CauchyLoss(a));
    }
    agrees(CeresLoss(HalfL2Residual{}, 2), ceres::TrivialLoss());
    agrees(CeresLoss(L2Residual{}), ceres::TrivialLoss());
}

TEST_CASE("a curve through points some of which are far off")
{
    constexpr double a = 0.5;
    const auto none = fit([] { return nullptr; });
    const auto cauchy = fit([] { return new CeresLoss(Cauchy{a / std::sqrt(2)}, a * a); });
    same(cauchy, fit([] { return new ceres::CauchyLoss(a); }));
    same(fit([] { return new CeresLoss(Huber{a}, 2); }),
         fit([] { return new ceres::HuberLoss(a); }));
    same(fit([] { return new CeresLoss(PseudoHuberScaled{a}, 2); }),
         fit([] { return new ceres::SoftLOneLoss(a); }));
    same(fit([] { return new CeresLoss(L2Residual{}); }), none);

    const auto error = [](const std::array<double, 2>& at) {
        return std::fabs(at[0] - 0.3) + std::fabs(at[1] - 0.1);
    };
    CHECK(error(cauchy) < 0.02);
    CHECK(error(none) > 0.2);
}

TEST_CASE("a kernel that Ceres does not have, and one written here")
{
    struct Tukey {
        double c;
        Rho<double> operator()(double s) const
        {
            const double t = std::fmax(1 - s / (c * c), 0);
            return {c * c / 3 * (1 - t * t * t), t * t, -2 * t / (c * c)};
        }
    };
    agrees(CeresLoss(Tukey{2}), ceres::TukeyLoss(2));

    // Welsch gives up on the points that are far off as soon as it starts near enough.
    const auto welsch = fit([] { return new CeresLoss(Welsch{1}, 2); });
    CHECK(std::fabs(welsch[0] - 0.3) < 0.01);
}

TEST_CASE("a residual of 0 under L1 pulls at nothing")
{
    const CeresLoss l1(L1Residual{});
    std::array<double, 3> rho{7, 7, 7};
    l1.Evaluate(0, rho.data());
    CHECK(rho == std::array<double, 3>{0, 0, 0});
    l1.Evaluate(4, rho.data());
    CHECK(rho == std::array<double, 3>{2, 0.25, -1.0 / 32});
}

TEST_CASE("what a loss function for Ceres refuses")
{
    CHECK_THROWS_AS(CeresLoss(Cauchy{-1}), RangeError);
    CHECK_THROWS_AS(CeresLoss(Cauchy{1}, 0), RangeError);
    CHECK_THROWS_AS(CeresLoss(L2Residual{}, std::nan("")), RangeError);
}
