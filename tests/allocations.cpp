// SPDX-License-Identifier: BSL-1.0
#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <new>
#include <thread>

TEST_CASE("allocations are counted, on every thread")
{
    const auto counted = [](const auto& allocate) {
        const AllocationCounter counter;
        void* volatile p = allocate(); // volatile: not to be optimised away
        const long n = counter.count();
        std::free(p);
        return n;
    };
    constexpr long one = allocations_counted ? 1 : 0;
    CHECK(counted([]() -> void* { return nullptr; }) == 0);
    CHECK(counted([] { return std::malloc(10); }) == one);
    CHECK(counted([] { return std::calloc(10, 2); }) == one);
    CHECK(counted([] { return std::realloc(nullptr, 10); }) == one);
    CHECK(counted([] { return std::aligned_alloc(64, 128); }) == one);

    const auto counted_new = [](std::align_val_t alignment) {
        const AllocationCounter counter;
        void* volatile p = ::operator new(100, alignment);
        const long n = counter.count();
        ::operator delete(p, alignment);
        return n;
    };
    CHECK(counted_new(std::align_val_t{64}) == one);

    const AllocationCounter counter;
    std::thread([] {
        int* volatile p = new int(3);
        delete p;
    }).join();
    CHECK(counter.count() >= one);
}
