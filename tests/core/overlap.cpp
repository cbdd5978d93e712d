// SPDX-License-Identifier: BSL-1.0
// Overlap of windows, against counting addresses.
#include "support/catch.hpp"

#include <temper/core/overlap.hpp>
#include <temper/core/random.hpp>

#include <set>

using temper::Index;
using temper::View;

namespace {

std::set<const float*> addresses(const View<float, 2>& v)
{
    std::set<const float*> out;
    for (Index i = 0; i < v.rows(); ++i)
        for (Index j = 0; j < v.cols(); ++j)
            out.insert(&v(i, j));
    return out;
}

bool share(const View<float, 2>& a, const View<float, 2>& b)
{
    const auto of_a = addresses(a);
    for (const float* p : addresses(b))
        if (of_a.count(p) != 0)
            return true;
    return false;
}

} // namespace

TEST_CASE("blocks of one matrix are decided exactly", "[core]")
{
    std::array<float, 200> memory{};
    auto rng = temper::stream(7, 0, "overlap", 0);
    int sharing = 0;
    for (int trial = 0; trial < 4000; ++trial) {
        const auto whole = trial % 2 == 0 ? temper::view(memory.data(), {10, 12})
                                          : temper::view(memory.data(), {10, 12}, {1, 11});
        const auto block = [&] {
            const Index i = temper::uniform_index(rng, 8);
            const Index j = temper::uniform_index(rng, 8);
            const Index n = 2 + temper::uniform_index(rng, 9 - i);
            const Index d = 2 + temper::uniform_index(rng, 11 - j);
            return whole.block(i, j, (std::min)(n, 10 - i), (std::min)(d, 11 - j));
        };
        const auto a = block();
        const auto b = block();
        const bool said = temper::overlap(temper::Region(a), temper::Region(b));
        const bool truly = share(a, b);
        sharing += truly;
        REQUIRE(said == truly);
    }
    CHECK(sharing > 100);
    CHECK(sharing < 3900);
}

TEST_CASE("whatever is not decided counts as overlapping", "[core]")
{
    std::array<float, 64> memory{};
    auto rng = temper::stream(8, 0, "overlap", 0);
    for (int trial = 0; trial < 4000; ++trial) {
        const auto window = [&] {
            const Index offset = temper::uniform_index(rng, 10);
            const Index n = 1 + temper::uniform_index(rng, 3);
            const Index d = 1 + temper::uniform_index(rng, 3);
            const Index s0 = 1 + temper::uniform_index(rng, 12);
            const Index s1 = 1 + temper::uniform_index(rng, 12);
            return temper::view(memory.data() + offset, {n, d}, {s0, s1});
        };
        const auto a = window();
        const auto b = window();
        if (share(a, b))
            REQUIRE(temper::overlap(temper::Region(a), temper::Region(b)));
    }
}

TEST_CASE("disjoint, empty and equal windows", "[core]")
{
    std::array<float, 24> memory{};
    const auto m = temper::view(memory.data(), {4, 6});
    using temper::overlap;
    using temper::Region;
    CHECK(!overlap(Region(m.block(0, 0, 2, 6)), Region(m.block(2, 0, 2, 6))));
    CHECK(!overlap(Region(m.col(1)), Region(m.col(2))));
    CHECK(overlap(Region(m), Region(m.transposed())));
    CHECK(!overlap(Region(temper::view(memory.data(), {0, 6})), Region(m)));
    CHECK(Region(m).same(Region(m)));
    CHECK(!Region(m).same(Region(m.block(0, 0, 4, 5))));
}
