// SPDX-License-Identifier: BSL-1.0

// Shares that add up to a budget, on numbers of all sizes and with ties.

#include <temper/core/budget.hpp>
#include <temper/core/random.hpp>

#include "support/catch.hpp"

#include <vector>

using namespace temper;

namespace {

std::vector<double> masses(Stream& bits, Index n)
{
    std::vector<double> m(static_cast<std::size_t>(n));
    for (double& x : m)
        x = bernoulli(bits, 0.2) ? 0 : bernoulli(bits, 0.3) ? 1 : std::exp(5 * normal(bits));
    return m;
}

} // namespace

TEST_CASE("the cap makes shares add up to the budget")
{
    Stream bits = stream(7, 0, "cap");
    for (int trial = 0; trial < 500; ++trial) {
        const auto m = masses(bits, 2 + uniform_index(bits, 40));
        const Index nonzero = count_nonzero(m);
        if (nonzero < 2)
            continue;
        const Index k = 1 + uniform_index(bits, nonzero - 1);
        const double t = cap_for_sum(m, k);
        double sum = 0;
        for (const double x : m)
            sum += (std::min)(1.0, x / t);
        CHECK(sum == Approx(static_cast<double>(k)).epsilon(1e-9));
    }
}

TEST_CASE("a cap is found though the smaller masses are next to nothing")
{
    const std::vector<double> m{1, 1e-300, 1e-300};
    CHECK(cap_for_sum(m, 1) == 1);
    const std::vector<double> equal{2, 2, 2, 2};
    CHECK(cap_for_sum(equal, 2) == 4);
}

TEST_CASE("eta makes ramps add up to the budget")
{
    Stream bits = stream(8, 0, "eta");
    for (int trial = 0; trial < 500; ++trial) {
        const auto m = masses(bits, 2 + uniform_index(bits, 40));
        const double step = bernoulli(bits, 0.1) ? 0 : std::exp(2 * normal(bits));
        const bool equal = bernoulli(bits, 0.3); // then knots coincide, too
        std::vector<Ramp> ramps;
        for (const double x : m)
            if (x > 0)
                ramps.push_back({x, equal ? step : step * uniform(bits)});
        const auto n = static_cast<Index>(ramps.size());
        if (n < 2)
            continue;
        const Index k = 1 + uniform_index(bits, n - 1);
        auto used = ramps;
        const double eta = eta_for_sum(used, k);
        double sum = 0;
        for (const Ramp& ramp : ramps)
            sum += ramp(eta);
        CHECK(sum == Approx(static_cast<double>(k)).epsilon(1e-9));
    }
}
