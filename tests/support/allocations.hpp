// SPDX-License-Identifier: BSL-1.0
#pragma once

// Counts the allocations of a program, on all threads: whatever ends in malloc, calloc, realloc,
// memalign, aligned_alloc or posix_memalign, as every operator new does.
//
//   const AllocationCounter counter;
//   ...
//   CHECK(counter.count() == 0);
//
// What the OpenMP runtime allocates for itself is left out: libomp does so in every parallel region.
//
// Where nothing is counted (another C library than glibc; a sanitizer that replaces the allocator),
// allocations_counted is false and every count is 0.

#include <cstdlib> // defines __GLIBC__

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) ||                         \
    __has_feature(thread_sanitizer) || __has_feature(leak_sanitizer)
#define TEMPER_TEST_ALLOCATOR_REPLACED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEMPER_TEST_ALLOCATOR_REPLACED
#endif

#if defined(__GLIBC__) && !defined(TEMPER_TEST_ALLOCATOR_REPLACED)
inline constexpr bool allocations_counted = true;
#else
inline constexpr bool allocations_counted = false;
#endif

/// Allocations since the program began.
long allocations_so_far();

/// Allocations since it was made.
class AllocationCounter {
  public:
    [[nodiscard]] long count() const { return allocations_so_far() - before_; }

  private:
    long before_ = allocations_so_far();
};
