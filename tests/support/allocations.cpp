// SPDX-License-Identifier: BSL-1.0

// The allocation functions of glibc, each with a counter in front. Definitions in the program go before
// those of shared libraries, whose own calls (operator new's, the OpenMP runtime's) arrive here too.

#include "support/allocations.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>

namespace {

constinit std::atomic<long> allocations = 0;

} // namespace

long allocations_so_far() { return allocations.load(std::memory_order_relaxed); }

#if defined(__GLIBC__) && !defined(TEMPER_TEST_ALLOCATOR_REPLACED)

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t n, std::size_t size);
void* __libc_realloc(void* p, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept
{
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_malloc(size);
}

void* calloc(std::size_t n, std::size_t size) noexcept
{
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_calloc(n, size);
}

void* realloc(void* p, std::size_t size) noexcept
{
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_realloc(p, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept
{
    allocations.fetch_add(1, std::memory_order_relaxed);
    return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept
{
    return memalign(alignment, size);
}

int posix_memalign(void** p, std::size_t alignment, std::size_t size) noexcept
{
    *p = memalign(alignment, size);
    return *p == nullptr ? ENOMEM : 0;
}

} // extern "C"

#endif
