// SPDX-License-Identifier: BSL-1.0

#include <temper/core/random.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/regularizer/wgsef.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;
using Eigen::MatrixXd;

namespace {

MatrixXd random_matrix(Index rows, Index cols)
{
    Stream bits = stream(5, 0, "wgsef");
    MatrixXd w(rows, cols);
    for (double& x : w.reshaped())
        x = normal(bits);
    return w;
}

Index live_rows(const MatrixXd& w) { return (w.rowwise().squaredNorm().array() != 0).count(); }

} // namespace

TEST_CASE("the envelope lies between squared group lasso and ridge")
{
    const MatrixXd w = random_matrix(9, 4);
    const double lasso = w.rowwise().norm().sum();
    CHECK(Wgsef{.k = 1}(w) == Approx(lasso * lasso / 2));
    CHECK(Wgsef{.k = 9}(w) == Approx(w.squaredNorm() / 2));
    CHECK(Wgsef{.k = 1000}(w) == Approx(w.squaredNorm() / 2));
    double before = Wgsef{.k = 1}(w);
    for (Index k = 2; k <= 9; ++k) {
        const double value = Wgsef{.k = k}(w);
        CHECK(value <= before);
        before = value;
    }
}

TEST_CASE("at points with at most k groups the envelope is ridge")
{
    MatrixXd w = random_matrix(9, 4);
    MatrixXd kept(9, 4);
    const Wgsef three{.k = 3};
    three.hard_projection(w, into(kept));
    CHECK(live_rows(kept) == 3);
    CHECK(three(kept) == Approx(kept.squaredNorm() / 2));
    three.hard_projection(w, into(w));
    CHECK((w.array() == kept.array()).all());
}

TEST_CASE("the stronger the prox, the fewer groups are left, but never fewer than k")
{
    MatrixXd target = random_matrix(20, 6);
    for (Index i = 0; i < 5; ++i)
        target.row(i) *= 3;
    MatrixXd w(20, 6);
    Index before = 20;
    for (const double step : {0.5, 1.0, 2.0, 4.0, 8.0, 1e6}) {
        Wgsef{.k = 5}.prox(target, step, into(w));
        CHECK(live_rows(w) <= before);
        CHECK(live_rows(w) >= 5);
        before = live_rows(w);
    }
    CHECK(before == 5);
    // Group lasso at its strongest leaves none.
    GroupLasso{}.prox(target, 1e6, into(w));
    CHECK(live_rows(w) == 0);
}

TEST_CASE("a prox of step 0 changes nothing, and in place is no different")
{
    MatrixXd w = random_matrix(9, 4);
    MatrixXd out(9, 4);
    std::vector<double> u(9);
    Wgsef{.k = 2}.prox(w, 0, into(out), selection(into(u)));
    CHECK((w.array() == out.array()).all());
    double sum = 0;
    for (const double x : u)
        sum += x;
    CHECK(sum == Approx(2));
    Wgsef{.k = 2}.prox(w, 0.7, into(out));
    Wgsef{.k = 2}.prox(w, 0.7, into(w));
    CHECK((w.array() == out.array()).all());
}

TEST_CASE("k must be said, and weights must be positive")
{
    const MatrixXd w = random_matrix(3, 2);
    CHECK_THROWS_AS(Wgsef{}(w), RangeError);
    CHECK_THROWS_AS(Wgsef{.k = 1}(w, group_weights(std::vector<double>{1, 0, 1})), RangeError);
    CHECK_THROWS_AS(Wgsef{.k = 1}(w, selection(into(std::vector<double>(2)))), ShapeError);
}
