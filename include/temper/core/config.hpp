// SPDX-License-Identifier: BSL-1.0
#pragma once

// Version, compilation modes, and the name of the namespace that everything lives in.
//
// Two translation units compiled with different instruction sets and linked together share one weak
// symbol per inline function, so that a baseline unit may end up running AVX code. All of temper
// therefore lives in an inline namespace whose name spells whatever compiler flags change; a temper
// type in a signature between units of different flags is then a link error and never silent.
//
//   TEMPER_NO_SIMD        write all loops with scalars (also chosen where xsimd is not installed)
//   TEMPER_NO_EXCEPTIONS  errors go to a handler that does not return (see error.hpp)
//   TEMPER_COMPILED       1: kernels are declared here and linked from a library
//   TEMPER_LIBRARY        set by the CMake target temper::compiled, whose kernels pick the instruction
//                         set at run time

#include <cstddef>

#define TEMPER_VERSION_MAJOR 0
#define TEMPER_VERSION_MINOR 1
#define TEMPER_VERSION_PATCH 0

#ifndef TEMPER_COMPILED
#define TEMPER_COMPILED 0
#endif

#if !defined(TEMPER_NO_EXCEPTIONS) && !defined(__cpp_exceptions) && !defined(_CPPUNWIND)
#define TEMPER_NO_EXCEPTIONS 1
#endif

#ifndef TEMPER_NO_SIMD // in two steps: a header that is only asked for is listed as a dependency
#if !__has_include(<xsimd/xsimd.hpp>)
#define TEMPER_NO_SIMD 1
#endif
#endif

#ifdef TEMPER_ABI_ISA // the library names its levels itself
#elif defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__) &&                    \
    defined(__AVX512VL__)
#define TEMPER_ABI_ISA avx512
#elif defined(__AVX512F__)
#define TEMPER_ABI_ISA avx512f
#elif defined(__AVX2__) && defined(__FMA__)
#define TEMPER_ABI_ISA avx2fma
#elif defined(__AVX2__)
#define TEMPER_ABI_ISA avx2
#elif defined(__AVX__) && defined(__FMA__)
#define TEMPER_ABI_ISA avxfma
#elif defined(__AVX__)
#define TEMPER_ABI_ISA avx
#elif defined(__SSE4_2__)
#define TEMPER_ABI_ISA sse42
#elif defined(__SSE4_1__)
#define TEMPER_ABI_ISA sse41
#elif defined(__SSSE3__)
#define TEMPER_ABI_ISA ssse3
#elif defined(__SSE2__) || defined(_M_X64)
#define TEMPER_ABI_ISA sse2
#elif defined(__ARM_FEATURE_SVE)
#define TEMPER_ABI_ISA sve
#elif defined(__ARM_NEON)
#define TEMPER_ABI_ISA neon
#else
#define TEMPER_ABI_ISA generic
#endif

#ifdef _OPENMP
#define TEMPER_ABI_THREADS omp
#else
#define TEMPER_ABI_THREADS serial
#endif

#ifdef TEMPER_LIBRARY
#define TEMPER_ABI_LOOPS library
#elif defined(TEMPER_NO_SIMD)
#define TEMPER_ABI_LOOPS scalar
#else
#define TEMPER_ABI_LOOPS simd
#endif

#ifdef TEMPER_NO_EXCEPTIONS
#define TEMPER_ABI_ERRORS abort
#else
#define TEMPER_ABI_ERRORS throw
#endif

#define TEMPER_ABI_JOIN_(a, b, c, d, e, f) v##a##_##b##_##c##_##d##_##e##_##f
#define TEMPER_ABI_JOIN(a, b, c, d, e, f) TEMPER_ABI_JOIN_(a, b, c, d, e, f)
#define TEMPER_ABI                                                                                 \
    TEMPER_ABI_JOIN(TEMPER_VERSION_MAJOR, TEMPER_VERSION_MINOR, TEMPER_ABI_ISA,                    \
                    TEMPER_ABI_THREADS, TEMPER_ABI_LOOPS, TEMPER_ABI_ERRORS)

// The last line of a component header: where the library of kernels is built, it makes the kernels of
// the component for both scalar types; everywhere else it is nothing.
#ifdef TEMPER_BUILD_KERNELS
#define TEMPER_INSTANTIATE(Kernel)                                                                 \
    template struct Kernel<float>;                                                                 \
    template struct Kernel<double>
#else
#define TEMPER_INSTANTIATE(Kernel) static_assert(true)
#endif

namespace temper::inline TEMPER_ABI {

/// Every extent, stride and index. Signed, as Eigen's and xtensor's strides are.
using Index = std::ptrdiff_t;

} // namespace temper::inline TEMPER_ABI
