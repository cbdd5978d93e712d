// SPDX-License-Identifier: BSL-1.0

// The allocation functions of glibc, each with a counter in front. Definitions in the program go before
// those of shared libraries, whose own calls, as operator new's, arrive here too.

#include "support/allocations.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace {

constinit std::atomic<long> allocations = 0;

} // namespace

long allocations_so_far() { return allocations.load(std::memory_order_relaxed); }

#if defined(__GLIBC__) && !defined(TEMPER_TEST_ALLOCATOR_REPLACED)

#include <link.h>

namespace {

/// Where the code of the OpenMP runtime lies, if it is a shared library.
constinit std::uintptr_t runtime_begin = 0;
constinit std::uintptr_t runtime_end = 0;

int look_at_library(dl_phdr_info* library, std::size_t, void*)
{
    for (const char* name : {"libomp", "libgomp", "libiomp"})
        if (std::strstr(library->dlpi_name, name) != nullptr)
            for (int i = 0; i < library->dlpi_phnum; ++i) {
                const auto& segment = library->dlpi_phdr[i];
                if (segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0) {
                    runtime_begin = library->dlpi_addr + segment.p_vaddr;
                    runtime_end = runtime_begin + segment.p_memsz;
                    return 1;
                }
            }
    return 0;
}

[[gnu::constructor]] void find_runtime() { dl_iterate_phdr(look_at_library, nullptr); }

void count(const void* caller)
{
    const auto address = reinterpret_cast<std::uintptr_t>(caller);
    if (address < runtime_begin || address >= runtime_end)
        allocations.fetch_add(1, std::memory_order_relaxed);
}

} // namespace

extern "C" {

void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t n, std::size_t size);
void* __libc_realloc(void* p, std::size_t size);
void* __libc_memalign(std::size_t alignment, std::size_t size);

void* malloc(std::size_t size) noexcept
{
    count(__builtin_return_address(0));
    return __libc_malloc(size);
}

void* calloc(std::size_t n, std::size_t size) noexcept
{
    count(__builtin_return_address(0));
    return __libc_calloc(n, size);
}

void* realloc(void* p, std::size_t size) noexcept
{
    count(__builtin_return_address(0));
    return __libc_realloc(p, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept
{
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept
{
    count(__builtin_return_address(0));
    return __libc_memalign(alignment, size);
}

int posix_memalign(void** p, std::size_t alignment, std::size_t size) noexcept
{
    count(__builtin_return_address(0));
    *p = __libc_memalign(alignment, size);
    return *p == nullptr ? ENOMEM : 0;
}

} // extern "C"

#endif
