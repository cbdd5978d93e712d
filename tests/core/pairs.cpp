// SPDX-License-Identifier: BSL-1.0

// Loops over pairs: each pair once, and no index in two pairs at a time.

#include <temper/core/parallel.hpp>

#include "support/catch.hpp"

#include <atomic>
#include <vector>

using namespace temper;

namespace {

/// Is any index in two bodies at once?
class Busy {
  public:
    explicit Busy(Index n) : of_(static_cast<std::size_t>(n)) {}
    void enter(Index i) { clash = clash || of_[static_cast<std::size_t>(i)].exchange(true); }
    void leave(Index i) { of_[static_cast<std::size_t>(i)] = false; }
    std::atomic<bool> clash = false;

  private:
    std::vector<std::atomic<bool>> of_;
};

} // namespace

TEST_CASE("every pair meets once")
{
    for (Index n = 0; n < 12; ++n) {
        std::vector<int> met(static_cast<std::size_t>(n * n));
        Busy busy(n);
        parallel_pairs(n, worth_threads, [&](Index i, Index j) {
            busy.enter(i);
            if (j != i)
                busy.enter(j);
            ++met[static_cast<std::size_t>(i * n + j)];
            busy.leave(i);
            busy.leave(j);
        });
        CHECK(!busy.clash);
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < n; ++j)
                CHECK(met[static_cast<std::size_t>(i * n + j)] == (i <= j ? 1 : 0));
    }
}
