// SPDX-License-Identifier: BSL-1.0

// What is made of unit rows: rows of any length, rows that have no direction, rows that are nearly equal.

#include <temper/representation/cosine_alignment.hpp>
#include <temper/representation/cosine_similarity.hpp>
#include <temper/representation/l2_alignment.hpp>
#include <temper/representation/row_l2_normalize.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <array>
#include <cmath>
#include <vector>

using namespace temper;

namespace {

using MatrixD = Eigen::MatrixXd;
using MatrixF = Eigen::MatrixXf;
using RowsF = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class M>
void check_lengths()
{
    for (const Index d : {1, 2, 5, 100})
        for (const float size : {1e38F, 1e30F, 1e20F, 1e-18F, 1e-25F, 1e-36F}) {
            M x = M::Constant(40, d, size / static_cast<float>(d));
            x.row(1) = -x.row(0);
            x.row(2).setZero();
            M y(40, d), gx(40, d);
            const RowL2Normalize unit{.epsilon = 0};
            unit.forward(x, into(y));
            const float entry = 1 / std::sqrt(static_cast<float>(d));
            CHECK(y(0, 0) == Approx(entry).epsilon(1e-5));
            CHECK(y(1, d - 1) == Approx(-entry).epsilon(1e-5));
            CHECK(y(39, d - 1) == Approx(entry).epsilon(1e-5));
            CHECK(y.row(2).isZero(0));
            unit.pullback(x, M::Ones(40, d).eval(), into(gx)); // ones point along the rows
            CHECK(gx.allFinite());
            CHECK(gx.row(2).isZero(0));
        }
}

} // namespace

TEST_CASE("rows of any length become unit rows")
{
    check_lengths<MatrixF>();
    check_lengths<RowsF>();
}

TEST_CASE("rows no longer than epsilon are divided by it and send nothing back")
{
    const double x[2][2] = {{3e-7, 4e-7}, {3, 4}};
    const double gy[2][2] = {{1, 0}, {1, 0}};
    double y[2][2], gx[2][2];
    const RowL2Normalize unit{.epsilon = 1e-6};
    unit.forward(x, into(y));
    unit.pullback(x, gy, into(gx));
    CHECK(y[0][0] == Approx(0.3));
    CHECK(y[1][1] == Approx(0.8));
    CHECK(gx[0][0] == 0);
    CHECK(gx[0][1] == 0);
    CHECK(gx[1][0] == Approx(0.64 / 5));
    CHECK(gx[1][1] == Approx(-0.48 / 5));
}

TEST_CASE("one minus a cosine of floats keeps its digits next to one")
{
    for (const double angle : {1e-2, 1e-3, 1e-4}) {
        const std::array<float, 2> sides{static_cast<float>(std::cos(angle)),
                                         static_cast<float>(std::sin(angle))};
        const float x[1][2] = {{3, 0}};
        const float t[1][2] = {{2 * sides[0], 2 * sides[1]}};
        float g[1][2];
        const double value = CosineAlignment{.form = CosineForm::distance}(x, t, into(g));
        CHECK(value == Approx(angle * angle / 2).epsilon(1e-2));
        CHECK(g[0][1] == Approx(-std::sin(angle) / 3).epsilon(1e-3));
        CHECK(std::fabs(g[0][0]) < 1e-7F * std::fabs(g[0][1]) + 1e-10F);
    }
}

TEST_CASE("rows without a direction have cosine zero with everything")
{
    const double x[3][2] = {{0, 0}, {3, 4}, {0, 0}};
    const double t[3][2] = {{3, 4}, {0, 0}, {0, 0}};
    double gx[3][2], gt[3][2], each[3];
    for (const auto& [form, nothing] :
         {std::pair{CosineForm::negative, 0.0}, std::pair{CosineForm::distance, 1.0},
          std::pair{CosineForm::squared_distance, 2.0}}) {
        CHECK(CosineAlignment{.form = form}(x, t, into(gx), into(gt), per_sample(into(each))) ==
              nothing);
        for (int i = 0; i < 3; ++i) {
            CHECK(each[i] == nothing);
            for (int j = 0; j < 2; ++j) {
                CHECK(std::fabs(gx[i][j]) < 1e-15);
                CHECK(std::fabs(gt[i][j]) < 1e-15);
            }
        }
    }
    CHECK(L2Alignment{.mean_over = MeanOver::nothing, .directions = true}(x, t) == Approx(2));
    double s[3][3];
    CosineSimilarity{}.forward(x, t, into(s));
    CHECK(s[0][0] == 0);
    CHECK(s[1][0] == Approx(1));
    CHECK(s[1][1] == 0);
}

TEST_CASE("in one dimension there is nothing to turn")
{
    const std::vector<float> x{0.3F, -7, 1e-3F}, t{5, 2, 0.1F};
    std::vector<float> g(3, 1);
    CHECK(CosineAlignment{.form = CosineForm::distance}(x, t, into(g)) == Approx(2.0 / 3));
    for (const float entry : g)
        CHECK(std::fabs(entry) < 1e-9F);
    RowL2Normalize{}.pullback(t, x, into(g));
    for (const float entry : g)
        CHECK(std::fabs(entry) < 1e-5F);
}

TEST_CASE("a batch's cosines with itself have the sum of both gradients")
{
    MatrixD x(4, 3), gs(4, 4), g(4, 3);
    x << 1, 2, 3, -1, 0.5, 2, 0, 1, -1, 4, 4, 1;
    gs.setRandom();
    const CosineSimilarity cosines;
    cosines.pullback(x, x, gs, into(g), add_to(g));
    const auto value = [&](const MatrixD& at) {
        MatrixD s(4, 4);
        cosines.forward(at, at, into(s));
        return s.cwiseProduct(gs).sum();
    };
    for (Index i = 0; i < 4; ++i)
        for (Index j = 0; j < 3; ++j) {
            MatrixD up = x, down = x;
            up(i, j) += 1e-6;
            down(i, j) -= 1e-6;
            CHECK(g(i, j) == Approx((value(up) - value(down)) / 2e-6).epsilon(1e-6).margin(1e-8));
        }
}

TEST_CASE("alignments say what is wrong")
{
    const MatrixD x(4, 3), t(3, 4);
    CHECK_THROWS_WITH(
        CosineAlignment{}(x, t),
        "CosineAlignment: t has shape [3, 4], must be [4, 3] as x; samples in columns? "
        "say in_columns(...)");
    CHECK_THROWS_AS(L2Alignment{.epsilon = -1}(x, x), RangeError);
    MatrixD s(4, 4);
    CHECK_THROWS_AS(CosineSimilarity{}.forward(x, t, into(s)), ShapeError);
}
