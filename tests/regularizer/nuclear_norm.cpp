// SPDX-License-Identifier: BSL-1.0

#include <temper/core/random.hpp>
#include <temper/regularizer/nuclear_norm.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

namespace {

MatrixXd random_matrix(Index rows, Index cols, int seed)
{
    Stream bits = stream(static_cast<std::uint64_t>(seed), 0, "nuclear norm");
    MatrixXd w(rows, cols);
    for (double& x : w.reshaped())
        x = normal(bits);
    return w;
}

} // namespace

TEST_CASE("thresholding finds the rank under noise, where shrinking all alike does not")
{
    const MatrixXd low = random_matrix(30, 2, 1) * random_matrix(2, 20, 2);
    const MatrixXd noisy = low + 0.05 * random_matrix(30, 20, 3);
    MatrixXd out(30, 20);
    std::vector<double> s(20);
    CHECK(NuclearNorm{}.prox(noisy, 1, into(out), singular_values(into(s))) == 2);
    CHECK(s[1] > 0);
    CHECK(s[2] == 0);
    CHECK((out - low).norm() < 0.2 * low.norm());
    CHECK(NuclearNorm{}.prox(noisy, 0, into(out)) == 20);
    CHECK((out.array() == noisy.array()).all());
}

TEST_CASE("the gradient of a matrix of low rank is the subgradient of least norm")
{
    const auto check = [](const auto& w, double tolerance) {
        auto g = w;
        const double value = NuclearNorm{}(w, into(g));
        CHECK(value == Approx((w.array() * g.array()).sum()).epsilon(tolerance));
        CHECK(g.squaredNorm() == Approx(2).epsilon(tolerance)); // the rank
    };
    const MatrixXd low = random_matrix(12, 2, 4) * random_matrix(2, 9, 5);
    check(low, 1e-10);
    const MatrixXf single = low.cast<float>();
    check(single, 1e-4);
}

TEST_CASE("a projection in place ends on the ball of the nuclear norm")
{
    MatrixXd w = random_matrix(12, 9, 6);
    const MatrixXd before = w;
    const NuclearNorm norm;
    norm.project(w, 2 * norm(w), into(w));
    CHECK((w.array() == before.array()).all());
    norm.project(w, 5, into(w));
    CHECK(norm(w) == Approx(5));
    CHECK((before.array() * w.array()).sum() <= norm.dual_norm(before) * norm(w));
}
