// SPDX-License-Identifier: BSL-1.0
#include <temper/augment/mixup.hpp>
#include <temper/representation/mixed_barlow_regularizer.hpp>
#include <temper/representation/mixed_barlow_twins.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <vector>

using namespace temper;

namespace {

using MatrixD = Eigen::MatrixXd;

MatrixD features(Index n, Index d, double phase)
{
    MatrixD z(n, d);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j)
            z(i, j) =
                std::sin(phase + 2.3 * static_cast<double>(i * i) + 1.1 * static_cast<double>(j));
    return z;
}

const std::vector<int> order{3, 0, 4, 1, 2};

} // namespace

TEST_CASE("the mixed objective is its two terms on one standardisation, in both forms")
{
    for (const Index d : {3, 8}) {
        const MatrixD a = features(5, d, 0), b = features(5, d, 1), m = features(5, d, 2);
        const MixedBarlowTwins whole{.lambda = 0.1, .scale = 3};
        const MixedBarlowTwins plain{.lambda = 0.1, .scale = 0};
        const MixedBarlowRegularizer term{.lambda = 0.1, .scale = 3};
        MatrixD g(5, d), sum(5, d), gm(5, d), gm_term(5, d);
        const double value = whole(a, b, m, order, 0.3, discard, into(g), into(gm));
        const double parts = plain(a, b, m, order, 0.3, discard, into(sum)) +
                             term(a, b, m, order, 0.3, discard, add_to(sum), into(gm_term));
        CHECK(value == Approx(parts));
        CHECK((g - sum).cwiseAbs().maxCoeff() < 1e-12);
        CHECK((gm - gm_term).cwiseAbs().maxCoeff() < 1e-12);

        // The plain loss of the other paper is another function: biased variance.
        const double other = BarlowTwins{.lambda = 0.1, .epsilon = 0}(a, b);
        CHECK(std::fabs(plain(a, b, m, order, 0.3) - other) > 1e-3);
    }
}

TEST_CASE("a mixture whose features are those of its one part costs nothing")
{
    for (const Index d : {3, 8}) {
        const MatrixD a = features(5, d, 0), b = features(5, d, 1);
        MatrixD permuted(5, d);
        for (Index i = 0; i < 5; ++i)
            permuted.row(i) = b.row(order[static_cast<std::size_t>(i)]);
        CHECK(MixedBarlowRegularizer{}(a, b, a, order, 1) == Approx(0).margin(1e-20));
        CHECK(MixedBarlowRegularizer{}(a, b, permuted, order, 0) == Approx(0).margin(1e-20));
        CHECK(MixedBarlowRegularizer{}(a, b, a, order, 0.5) > 1e-3);
    }
}

TEST_CASE("the mixed objective takes what mixup drew")
{
    auto bits = stream(1, 0, "mixed");
    const auto plan = Mixup<>{}.draw(bits, 5);
    const MatrixD a = features(5, 3, 0);
    const double value = MixedBarlowTwins{}(a, a, a, plan.partner, plan.lambda[0]);
    CHECK(std::isfinite(value));
}

TEST_CASE("constant columns of the mixed objective are zero, not NaN")
{
    for (const Index d : {3, 8}) {
        MatrixD a = features(5, d, 0), b = features(5, d, 1), m = features(5, d, 2);
        a.col(0).setConstant(0.1);
        m.col(2).setConstant(-0.7);
        MatrixD ga(5, d), gb(5, d), gm(5, d);
        const double value = MixedBarlowTwins{}(a, b, m, order, 0.4, into(ga), into(gb), into(gm));
        CHECK(std::isfinite(value));
        CHECK(ga.allFinite());
        CHECK(gb.allFinite());
        CHECK(gm.allFinite());
        CHECK(ga.col(0).isZero(0));
        CHECK(gm.col(2).isZero(0));
    }
    const MatrixD one = features(1, 3, 0);
    CHECK(MixedBarlowTwins{}(one, one, one, std::vector<int>{0}, 0.5) == 3);
    CHECK(MixedBarlowRegularizer{}(one, one, one, std::vector<int>{0}, 0.5) == 0);
}

TEST_CASE("the mixed objective of samples in columns")
{
    const MatrixD a = features(5, 3, 0), b = features(5, 3, 1), m = features(5, 3, 2);
    const MatrixD at = a.transpose(), bt = b.transpose(), mt = m.transpose();
    MatrixD g(5, 3), gt(3, 5);
    CHECK(in_columns(MixedBarlowTwins{})(at, bt, mt, order, 0.3, into(gt)) ==
          Approx(MixedBarlowTwins{}(a, b, m, order, 0.3, into(g))));
    CHECK((gt.transpose() - g).cwiseAbs().maxCoeff() < 1e-12);
}

TEST_CASE("the mixed objective says what is wrong")
{
    const MatrixD a = features(5, 3, 0);
    const auto call = [&](const std::vector<int>& index, double alpha) {
        return MixedBarlowTwins{}(a, a, a, index, alpha);
    };
    CHECK_THROWS_WITH(call({0, 1, 2, 1, 4}, 0.5),
                      "MixedBarlowTwins: index has 1 twice, must be a permutation");
    CHECK_THROWS_AS(call({0, 1, 2, 3, 5}, 0.5), RangeError);
    CHECK_THROWS_AS(call({0, 1, 2}, 0.5), ShapeError);
    CHECK_THROWS_WITH(call(order, 1.5), "MixedBarlowTwins: alpha is 1.5, must be from 0 to 1");
    CHECK_THROWS_AS(call(order, std::nan("")), RangeError);
    CHECK_THROWS_AS(MixedBarlowRegularizer{.scale = -1}(a, a, a, order, 0.5), RangeError);
}
