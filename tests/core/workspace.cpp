// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/core/parallel.hpp>

#include <cmath>
#include <cstdint>

using namespace temper;

TEST_CASE("a workspace grows without moving blocks and is then steady", "[core]")
{
    Workspace workspace;
    const auto use = [&] {
        const Workspace::Frame outer(workspace);
        Workspace::Frame first(workspace);
        auto* a = first.take<double>(1000);
        a[999] = 7;
        {
            Workspace::Frame inner(workspace);
            auto* b = inner.take<float>(200000); // larger than the first chunk
            b[199999] = 1;
            CHECK(reinterpret_cast<std::uintptr_t>(b) % 64 == 0);
        }
        auto* c = first.take<char>(1);
        CHECK(reinterpret_cast<std::uintptr_t>(c) % 64 == 0);
        CHECK(a[999] == 7);
    };
    use();
    const std::size_t capacity = workspace.capacity();
    for (int i = 0; i < 5; ++i)
        use();
    CHECK(workspace.capacity() == capacity);
    workspace.release();
    CHECK(workspace.capacity() == 0);
}

TEST_CASE("a workspace that was released starts anew", "[core]")
{
    Workspace workspace;
    const auto use = [&] {
        Workspace::Frame frame(workspace);
        CHECK(frame.take<float>(0) != nullptr); // also of an empty one
        for (Index n = 1; n <= 1 << 20; n *= 4)
            frame.take<double>(n)[n - 1] = 1;
    };
    use();
    const std::size_t capacity = workspace.capacity();
    workspace.release();
    use();
    CHECK(workspace.capacity() == capacity);
}

TEST_CASE("the caller's workspace is used while it is chosen", "[core]")
{
    Workspace mine;
    {
        const Workspace::Use use(mine);
        CHECK(&Workspace::current() == &mine);
        Workspace::Frame frame;
        (void)frame.take<int>(10);
        CHECK(mine.capacity() > 0);
    }
    CHECK(&Workspace::current() != &mine);
}

TEST_CASE("frames give back what they took", "[core]")
{
    Workspace workspace;
    const void* first = nullptr;
    for (int i = 0; i < 3; ++i) {
        Workspace::Frame frame(workspace);
        const void* block = frame.take<double>(10);
        CHECK((first == nullptr || first == block));
        first = block;
    }
    Workspace::Frame frame(workspace);
    const auto* zeros = frame.take_zeros<double>(10);
    CHECK(zeros[0] + zeros[9] == 0);
}

TEST_CASE("sums do not depend on the number of threads", "[core]")
{
    const Blocks blocks{1000003, 4096};
    const auto body = [](Index begin, Index end) {
        double sum = 0;
        for (Index i = begin; i < end; ++i)
            sum += 1.0 / static_cast<double>(i + 1);
        return sum;
    };
    const double many = parallel_sum(blocks, blocks.n, body);
    CHECK(many == parallel_sum(blocks, 0, body)); // too little work for threads
    CHECK(many == Approx(std::log(1000003.0) + 0.5772156649).epsilon(1e-6));
    CHECK(parallel_sum(Blocks{0, 10}, 0, body) == 0);
}
