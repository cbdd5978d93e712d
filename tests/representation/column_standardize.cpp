// SPDX-License-Identifier: BSL-1.0
#include <temper/representation/column_standardize.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;

namespace {

using MatrixD = Eigen::MatrixXd;
using MatrixF = Eigen::MatrixXf;

MatrixD noise(Index n, Index d)
{
    MatrixD x(n, d);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j)
            x(i, j) =
                std::sin(12.9898 * static_cast<double>(i) + 78.233 * static_cast<double>(j * j));
    return x;
}

} // namespace

TEST_CASE("standardised columns of data far from zero keep their digits")
{
    // 1000 standard deviations from zero, where the sum of squares has no digit of the variance left.
    const MatrixF x = (noise(300, 37).array() + 700.0).matrix().cast<float>();
    const MatrixD exact = x.cast<double>();
    const MatrixF gy = noise(37, 300).transpose().cast<float>();
    MatrixD y(300, 37), gx(300, 37);
    MatrixF y32(300, 37), gx32(300, 37);
    for (const EpsilonPlacement placement : {EpsilonPlacement::inside, EpsilonPlacement::outside}) {
        const ColumnStandardize standard{.placement = placement};
        standard.forward(exact, into(y));
        standard.forward(x, into(y32));
        CHECK((y - y32.cast<double>()).cwiseAbs().maxCoeff() < 2e-6);
        CHECK(y.colwise().sum().cwiseAbs().maxCoeff() < 1e-10);
        CHECK(y.colwise().squaredNorm().maxCoeff() <= 300 * (1 + 1e-10));
        CHECK(y.colwise().squaredNorm().minCoeff() > 299.9);
        standard.pullback(exact, gy.cast<double>().eval(), into(gx));
        standard.pullback(x, gy, into(gx32));
        CHECK((gx - gx32.cast<double>()).cwiseAbs().maxCoeff() < 2e-5);
    }
}

TEST_CASE("a column of equal numbers standardises to exactly zero")
{
    for (const Index n : {1, 2, 7, 1000})
        for (const float number : {0.1F, -3e7F, 1e-20F, 0.0F}) {
            const MatrixF x = MatrixF::Constant(n, 3, number);
            MatrixF y = MatrixF::Constant(n, 3, 9);
            MatrixF gx = y;
            const MatrixF gy = noise(n, 3).cast<float>();
            for (const EpsilonPlacement placement :
                 {EpsilonPlacement::inside, EpsilonPlacement::outside}) {
                const ColumnStandardize none{
                    .epsilon = 0, .variance = Variance::unbiased, .placement = placement};
                none.forward(x, into(y));
                none.pullback(x, gy, into(gx));
                CHECK(y.isZero(0));
                CHECK(gx.isZero(0));
            }
            const ColumnStandardize some{.epsilon = 0.25};
            some.forward(x, into(y));
            some.pullback(x, gy, into(gx));
            CHECK(y.isZero(0));
            const MatrixF centered = gy.rowwise() - gy.colwise().mean();
            CHECK((gx - 2 * centered).cwiseAbs().maxCoeff() < 1e-5F);
        }
}

TEST_CASE("standardising one column, one row and two rows")
{
    const ColumnStandardize standard{.epsilon = 0};
    const std::vector<double> column{1, 3};
    std::vector<double> y(2), gx(2);
    standard.forward(column, into(y));
    CHECK(y == std::vector<double>{-1, 1});
    standard.pullback(column, std::vector<double>{5, -2}, into(gx));
    CHECK(gx[0] == Approx(0).margin(1e-15));
    CHECK(gx[1] == Approx(0).margin(1e-15));

    const double row[1][3] = {{4, 5, 6}};
    double out[1][3] = {{7, 7, 7}};
    standard.forward(row, into(out));
    CHECK(out[0][0] == 0);
    CHECK(out[0][2] == 0);
}

TEST_CASE("standardising says what is wrong")
{
    MatrixD x(4, 3), y(3, 4);
    CHECK_THROWS_WITH(ColumnStandardize{.epsilon = -1}.forward(x, into(y)),
                      "ColumnStandardize: epsilon is -1, must be non-negative");
    CHECK_THROWS_AS(ColumnStandardize{}.forward(x, into(y)), ShapeError);
}
