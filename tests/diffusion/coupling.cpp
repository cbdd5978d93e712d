// SPDX-License-Identifier: BSL-1.0

// The assignment problem against all permutations, and what the coupling of a batch is for.

#include <temper/core/random.hpp>
#include <temper/diffusion/minibatch_ot_coupling.hpp>
#include <temper/linalg/assignment.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;

namespace {

/// Costs whose rows are as far apart as the solver wants them.
struct Costs {
    Index n;
    Index stride = linalg::assignment_stride(n);
    std::vector<double> data = std::vector<double>(static_cast<std::size_t>(n * stride));

    double& operator()(Index i, Index j) { return data[static_cast<std::size_t>(i * stride + j)]; }
    /// Of a copy: the solver may write behind the columns.
    [[nodiscard]] std::vector<std::int64_t> solve() const
    {
        std::vector<double> copy = data;
        std::vector<std::int64_t> columns(static_cast<std::size_t>(n));
        linalg::assign({copy.data(), {n, n}, {stride, 1}}, columns.data());
        return columns;
    }
    template <class P>
    [[nodiscard]] double of(const P& columns)
    {
        double sum = 0;
        for (Index i = 0; i < n; ++i)
            sum += (*this)(i, static_cast<Index>(columns[static_cast<std::size_t>(i)]));
        return sum;
    }
};

bool is_permutation(std::vector<std::int64_t> p)
{
    std::sort(p.begin(), p.end());
    for (std::size_t i = 0; i < p.size(); ++i)
        if (p[i] != static_cast<std::int64_t>(i))
            return false;
    return true;
}

MatrixXd normals(Index n, Index d, std::uint64_t seed)
{
    auto rng = stream(seed, 0, "matrix");
    MatrixXd x(n, d);
    for (double& each : x.reshaped())
        each = normal(rng);
    return x;
}

} // namespace

TEST_CASE("assignments are the best of all permutations")
{
    auto rng = stream(1, 0, "costs");
    for (int trial = 0; trial < 400; ++trial) {
        Costs costs{1 + trial % 7};
        for (Index i = 0; i < costs.n; ++i)
            for (Index j = 0; j < costs.n; ++j) // with many equal ones, and negative ones
                costs(i, j) = trial % 3 == 0   ? static_cast<double>(uniform_index(rng, 3))
                              : trial % 3 == 1 ? normal(rng)
                                               : 1e6 * normal(rng) - 1e7;
        const auto found = costs.solve();
        REQUIRE(is_permutation(found));
        std::vector<Index> p(static_cast<std::size_t>(costs.n));
        std::iota(p.begin(), p.end(), Index{0});
        double best = costs.of(p);
        while (std::next_permutation(p.begin(), p.end()))
            best = (std::min)(best, costs.of(p));
        CHECK(costs.of(found) == Approx(best).epsilon(1e-12));
    }
}

TEST_CASE("large assignments are found where they are known")
{
    auto rng = stream(2, 0, "costs");
    for (const Index n : {Index{100}, Index{257}}) {
        // c_ij = a_i + b_j + e_ij with e >= 0 and zeros on a hidden permutation: that one is best.
        std::vector<Index> hidden(static_cast<std::size_t>(n));
        permutation(rng, std::span(hidden));
        Costs costs{n};
        std::vector<double> b(static_cast<std::size_t>(n));
        for (double& each : b)
            each = normal(rng);
        for (Index i = 0; i < n; ++i) {
            const double a = 10 * normal(rng);
            for (Index j = 0; j < n; ++j)
                costs(i, j) = a + b[static_cast<std::size_t>(j)] +
                              (hidden[static_cast<std::size_t>(i)] == j ? 0 : 0.01 + uniform(rng));
        }
        const auto found = costs.solve();
        CHECK(std::equal(found.begin(), found.end(), hidden.begin()));
        // All equal: any, and an end.
        std::fill(costs.data.begin(), costs.data.end(), 0.1);
        CHECK(is_permutation(costs.solve()));
        // NaN and infinity: some permutation, and an end.
        costs(3, 5) = std::numeric_limits<double>::quiet_NaN();
        costs(4, 4) = std::numeric_limits<double>::infinity();
        CHECK(is_permutation(costs.solve()));
    }
}

TEST_CASE("coupled noise is the drawn noise, nearer to the data")
{
    const MatrixXd x = normals(64, 5, 1), z = normals(64, 5, 2);
    const Coupling plan = MinibatchOtCoupling{}.couple(x, z);
    CHECK(is_permutation(plan.partner));
    CHECK(plan.cost < 0.8 * plan.identity_cost);
    CHECK(plan.identity_cost == Approx((x - z).squaredNorm()));
    MatrixXd y(64, 5);
    MinibatchOtCoupling::apply(plan, z, into(y));
    CHECK(plan.cost == Approx((x - y).squaredNorm()));
    // Scaled noise, equal partners; no exchange of two makes it better.
    CHECK(MinibatchOtCoupling{}.couple(x, MatrixXd(80 * z)).partner == plan.partner);
    for (Index i = 0; i < 64; ++i)
        for (Index j = 0; j < i; ++j)
            CHECK((x.row(i) - x.row(j)).dot(y.row(i) - y.row(j)) >= -1e-12);
    CHECK(MinibatchOtCoupling{}.couple(x.topRows(1).eval(), z.topRows(1).eval()).partner ==
          std::vector<std::int64_t>{0});
    CHECK(MinibatchOtCoupling{}.couple(MatrixXd(0, 3), MatrixXd(0, 3)).partner.empty());
    CHECK_THROWS_AS(MinibatchOtCoupling{}.couple(x, normals(63, 5, 1)), ShapeError);
    Coupling twice = plan;
    twice.partner[0] = twice.partner[1];
    CHECK_THROWS_AS(MinibatchOtCoupling::apply(twice, z, into(y)), RangeError);
    // The cost of a pair falls with the size of the batch.
    double before = std::numeric_limits<double>::infinity();
    for (const Index n : {8, 32, 128}) {
        double sum = 0;
        for (std::uint64_t seed = 1; seed <= 6; ++seed)
            sum += MinibatchOtCoupling{}.couple(normals(n, 2, seed), normals(n, 2, seed + 50)).cost;
        CHECK(sum / static_cast<double>(n) < before);
        before = sum / static_cast<double>(n);
    }
}
