// SPDX-License-Identifier: BSL-1.0
#pragma once

// Ranks in one process, one after the other: a rank runs until it has given what the next round sums, and
// is run anew when the sum is there. So every round before the last is also a test that nothing has been
// written yet when the caller's all_reduce throws.

#include <temper/core/ranks.hpp>

#include "support/catch.hpp"

#include <cstring>
#include <exception>
#include <span>
#include <vector>

namespace test {

/// The rows of each rank, and where they begin.
struct Shares {
    std::vector<temper::Index> rows;

    [[nodiscard]] temper::Index world() const { return static_cast<temper::Index>(rows.size()); }
    [[nodiscard]] temper::Index of(temper::Index rank) const
    {
        return rows[static_cast<std::size_t>(rank)];
    }
    [[nodiscard]] temper::Index before(temper::Index rank) const
    {
        temper::Index sum = 0;
        for (temper::Index r = 0; r < rank; ++r)
            sum += of(r);
        return sum;
    }
    [[nodiscard]] temper::Share share(temper::Index rank) const
    {
        return {.offset = before(rank), .n_global = before(world())};
    }
};

/// Runs call(rank, all_reduce) on `world` ranks, and gives back the bytes of each round. The numbers of a
/// round, over all ranks, are divided by `divisor`.
template <class Call>
std::vector<std::size_t> on_ranks(temper::Index world, const Call& call, double divisor = 1)
{
    struct Waits : std::exception {}; // libtorch passes on no others
    std::vector<std::vector<std::byte>> rounds;
    for (temper::Index done = 0; done == 0;) {
        std::vector<std::byte> sum;
        for (temper::Index rank = 0; rank < world; ++rank) {
            std::size_t round = 0;
            const auto all_reduce = [&](auto numbers) {
                using S = typename decltype(numbers)::value_type;
                const auto bytes = std::as_writable_bytes(numbers);
                if (round < rounds.size()) {
                    REQUIRE(bytes.size() == rounds[round].size());
                    std::memcpy(bytes.data(), rounds[round++].data(), bytes.size());
                    return;
                }
                if (rank == 0)
                    sum.resize(bytes.size());
                REQUIRE(bytes.size() == sum.size());
                for (std::size_t i = 0; i < numbers.size(); ++i) {
                    S total = 0;
                    if (rank > 0)
                        std::memcpy(&total, sum.data() + i * sizeof(S), sizeof(S));
                    total += numbers[i] / static_cast<S>(divisor);
                    std::memcpy(sum.data() + i * sizeof(S), &total, sizeof(S));
                }
                throw Waits{};
            };
            try {
                call(rank, all_reduce);
                ++done;
            }
            catch (const Waits&) {
            }
        }
        REQUIRE((done == 0 || done == world)); // all ranks have the same rounds
        if (done == 0)
            rounds.push_back(sum);
    }
    std::vector<std::size_t> sizes;
    for (const auto& round : rounds)
        sizes.push_back(round.size());
    return sizes;
}

} // namespace test
