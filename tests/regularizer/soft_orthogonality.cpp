// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/core/random.hpp>
#include <temper/regularizer/double_soft_orthogonality.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>

#include <Eigen/Dense>

using namespace temper;

namespace {

using Norm = SoftOrthogonality::Norm;

Eigen::MatrixXd random_matrix(Index m, Index n, double scale)
{
    auto rng = stream(3, m * 100 + n, "soft orthogonality");
    return Eigen::MatrixXd::NullaryExpr(m, n, [&] { return scale * normal(rng); });
}

/// Orthonormal rows, up to rounding in T.
template <class T>
auto orthonormal_rows(Index m, Index n)
{
    const Eigen::HouseholderQR<Eigen::MatrixXd> qr(random_matrix(n, m, 1));
    const Eigen::MatrixXd q = qr.householderQ() * Eigen::MatrixXd::Identity(n, m);
    return Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>(q.transpose().template cast<T>());
}

} // namespace

TEST_CASE("soft orthogonality: the root has no direction where only rounding is left",
          "[regularizer]")
{
    const SoftOrthogonality root{.norm = Norm::frobenius};
    const auto check = [&](auto w) {
        auto g = w;
        for (const double value : {root(w, into(g)), SoftOrthogonality{}(w)}) {
            CHECK(value >= 0);
            CHECK(value < 1e-4);
        }
        CHECK(g.isZero(0));
        w(0, 0) += 0.01F; // and where there is more, the direction is there
        (void)root(w, into(g));
        CHECK(g.norm() == Approx(2).epsilon(0.1));
    };
    check(orthonormal_rows<float>(8, 20));
    check(orthonormal_rows<float>(128, 300));
    check(orthonormal_rows<double>(128, 128));
}

TEST_CASE("soft orthogonality: sides differ by a constant, and share the gradient", "[regularizer]")
{
    const Eigen::MatrixXd w = random_matrix(7, 4, 0.5);
    Eigen::MatrixXd by_rows(7, 4), by_columns(7, 4), twice(7, 4);
    const double rows = SoftOrthogonality{.side = GramSide::rows}(w, into(by_rows));
    const double columns = SoftOrthogonality{.side = GramSide::columns}(w, into(by_columns));
    CHECK(rows - columns == Approx(3));
    CHECK(by_rows == by_columns);
    CHECK(columns == Approx((w.transpose() * w - Eigen::MatrixXd::Identity(4, 4)).squaredNorm()));
    CHECK(DoubleSoftOrthogonality{}(w, into(twice)) == Approx(rows + columns));
    CHECK(twice.isApprox(by_rows + by_columns, 1e-14));

    const Eigen::MatrixXd q = orthonormal_rows<double>(4, 7);
    CHECK(SoftOrthogonality{.side = GramSide::columns}(q) == Approx(3));
    CHECK(SoftOrthogonality{.side = GramSide::columns, .norm = Norm::frobenius}(q) ==
          Approx(std::sqrt(3.0)));
    CHECK(DoubleSoftOrthogonality{}(q) == Approx(3));
    CHECK(SoftOrthogonality{}(Eigen::MatrixXd(0, 3)) == 0);
    CHECK(SoftOrthogonality{.side = GramSide::columns}(Eigen::MatrixXd(0, 3)) == 0);
    CHECK(DoubleSoftOrthogonality{}(Eigen::MatrixXd(0, 3)) == 0);
}

TEST_CASE("soft orthogonality: gradient descent brings all singular values to 1", "[regularizer]")
{
    Eigen::MatrixXd w = random_matrix(8, 20, std::sqrt(1.0 / 20));
    const Eigen::VectorXd before = w.jacobiSvd().singularValues();
    REQUIRE(before(0) / before(7) > 2);
    for (int step = 0; step < 60; ++step) {
        const Eigen::MatrixXd at = w;
        (void)SoftOrthogonality{}(at, add_to(w, -0.05));
    }
    const Eigen::VectorXd after = w.jacobiSvd().singularValues();
    CHECK(std::abs(after(0) - 1) < 1e-3);
    CHECK(std::abs(after(7) - 1) < 1e-3);
}
