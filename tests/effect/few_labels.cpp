// SPDX-License-Identifier: BSL-1.0

// UDA, FixMatch, ShrinkMatch and Semixup on digits with four labels of each class and 500 images without.

#include "effect/semi_supervised.hpp"

#include "support/catch.hpp"

#include <iostream>

using namespace effect;

TEST_CASE("UDA, FixMatch, ShrinkMatch and Semixup with four labels a class", "[effect]")
{
    const std::vector<std::string> names{"supervised", "UDA", "FixMatch", "ShrinkMatch", "Semixup"};
    std::vector<std::vector<double>> accuracy(names.size()), carrying(names.size());
    for (std::uint64_t seed = 1; seed <= 6; ++seed)
        for (std::size_t arm = 0; arm < names.size(); ++arm) {
            const demo::FewLabelsRun run =
                demo::train_few_labels(digits(), static_cast<demo::LearnFrom>(arm), seed);
            accuracy[arm].push_back(run.accuracy);
            carrying[arm].push_back(run.carrying);
        }
    for (std::size_t arm = 0; arm < names.size(); ++arm) {
        std::cout << names[arm] << ": accuracy " << mean(accuracy[arm]) << " (";
        for (const double a : accuracy[arm])
            std::cout << ' ' << a;
        std::cout << " ), carrying a gradient " << mean(carrying[arm]) << '\n';
    }
    CHECK(mean(accuracy[1]) > mean(accuracy[0]) + 0.02);
    // ShrinkMatch learns from far more of the images than FixMatch; here that is worth as much, not more.
    CHECK(mean(carrying[3]) > mean(carrying[2]) + 0.3);
    CHECK(mean(accuracy[3]) > mean(accuracy[0]) + 0.015);
    CHECK(mean(accuracy[3]) > mean(accuracy[2]) - 0.01);
    CHECK(mean(accuracy[4]) > mean(accuracy[0]) + 0.005);
}
