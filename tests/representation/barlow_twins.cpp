// SPDX-License-Identifier: BSL-1.0
#include <temper/representation/barlow_twins.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <vector>

using namespace temper;

namespace {

using MatrixD = Eigen::MatrixXd;
using MatrixF = Eigen::MatrixXf;

MatrixD features(Index n, Index d, double phase)
{
    MatrixD z(n, d);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j)
            z(i, j) = std::sin(phase + 1.7 * static_cast<double>(i * i) +
                               0.9 * static_cast<double>(j) + 0.3 * static_cast<double>(i * j));
    return z;
}

/// The equation, in double, as one would write it down.
double by_definition(const MatrixD& z_a, const MatrixD& z_b, double lambda, double epsilon)
{
    const auto standard = [&](const MatrixD& z) {
        MatrixD y = z.rowwise() - z.colwise().mean();
        for (Index j = 0; j < y.cols(); ++j)
            y.col(j) /= std::sqrt(y.col(j).squaredNorm() / static_cast<double>(z.rows()) + epsilon);
        return y;
    };
    const MatrixD c = standard(z_a).transpose() * standard(z_b) / static_cast<double>(z_a.rows());
    double value = 0;
    for (Index j = 0; j < c.rows(); ++j)
        for (Index k = 0; k < c.cols(); ++k)
            value += j == k ? (c(j, k) - 1) * (c(j, k) - 1) : lambda * c(j, k) * c(j, k);
    return value;
}

} // namespace

TEST_CASE("both forms of Barlow Twins are the equation, on either side of n = d")
{
    for (const auto& [n, d] : {std::pair<Index, Index>{20, 21},
                               {21, 21},
                               {22, 21},
                               {65, 130},
                               {130, 65},
                               {2, 1},
                               {2, 3},
                               {300, 2}}) {
        const MatrixD a = features(n, d, 0);
        const MatrixD b = a + 0.5 * features(n, d, 2);
        const BarlowTwins barlow{.lambda = 0.2};
        MatrixD ga(n, d), gb(n, d);
        CHECK(barlow(a, b, into(ga), into(gb)) == Approx(by_definition(a, b, 0.2, 1e-5)));
        for (int direction = 0; direction < 3; ++direction) {
            const MatrixD da = features(n, d, 5 + direction);
            const MatrixD db = features(n, d, 9 + direction);
            const double h = 1e-6;
            const double slope = (by_definition(a + h * da, b + h * db, 0.2, 1e-5) -
                                  by_definition(a - h * da, b - h * db, 0.2, 1e-5)) /
                                 (2 * h);
            CHECK(ga.cwiseProduct(da).sum() + gb.cwiseProduct(db).sum() ==
                  Approx(slope).epsilon(1e-5).margin(1e-7));
        }
    }
}

TEST_CASE("Barlow Twins of floats a thousand standard deviations from zero")
{
    for (const auto& [n, d] : {std::pair<Index, Index>{40, 100}, {100, 40}}) {
        const MatrixF a = (features(n, d, 0).array() + 700.0).matrix().cast<float>();
        const MatrixF b = (features(n, d, 0.4).array() - 700.0).matrix().cast<float>();
        MatrixD ga(n, d), gb(n, d);
        MatrixF ga32(n, d), gb32(n, d);
        const double value =
            BarlowTwins{}(a.cast<double>().eval(), b.cast<double>().eval(), into(ga), into(gb));
        CHECK(BarlowTwins{}(a, b, into(ga32), into(gb32)) == Approx(value).epsilon(1e-5));
        CHECK((ga - ga32.cast<double>()).norm() < 1e-4 * ga.norm());
        CHECK((gb - gb32.cast<double>()).norm() < 1e-4 * gb.norm());
    }
}

TEST_CASE("Barlow Twins of next to nothing")
{
    MatrixD g(1, 4);
    CHECK(BarlowTwins{}(MatrixD::Ones(1, 4).eval(), MatrixD::Ones(1, 4).eval(), into(g)) == 4);
    CHECK(g.isZero(0));
    const std::vector<double> one{3};
    CHECK(BarlowTwins{}(one, one) == 1);
    const MatrixD none(0, 4);
    CHECK(BarlowTwins{}(none, none) == 0);
    const MatrixD no_columns(4, 0);
    CHECK(BarlowTwins{}(no_columns, no_columns) == 0);
}

TEST_CASE("without an epsilon constant columns are zero, not NaN")
{
    for (const Index d : {3, 9}) {
        MatrixD a = features(6, d, 0);
        const MatrixD b = features(6, d, 1);
        a.col(1).setConstant(0.1);
        MatrixD ga(6, d), gb(6, d);
        const double value = BarlowTwins{.epsilon = 0}(a, b, into(ga), into(gb));
        CHECK(std::isfinite(value));
        CHECK(ga.allFinite());
        CHECK(ga.col(1).isZero(0));
        CHECK(gb.allFinite());
    }
}

TEST_CASE("Barlow Twins of samples in columns")
{
    const MatrixD a = features(5, 9, 0), b = features(5, 9, 1);
    const MatrixD at = a.transpose(), bt = b.transpose();
    MatrixD ga(5, 9), gt(9, 5);
    CHECK(in_columns(BarlowTwins{})(at, bt, into(gt)) == Approx(BarlowTwins{}(a, b, into(ga))));
    CHECK((gt.transpose() - ga).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("Barlow Twins says what is wrong")
{
    const MatrixD a(6, 5), b(8, 5);
    CHECK_THROWS_WITH(BarlowTwins{}(a, b),
                      "BarlowTwins: z_b has shape [8, 5], must be [6, 5] as z_a");
    CHECK_THROWS_AS(BarlowTwins{.lambda = -1}(a, a), RangeError);
    CHECK_THROWS_AS(BarlowTwins{.epsilon = std::nan("")}(a, a), RangeError);
}
