// SPDX-License-Identifier: BSL-1.0
#pragma once

// Parallel loops that give the same bits for any number of threads: work is cut into blocks by size,
// never by thread count, and partial sums are added in block order. OpenMP where the user compiles
// with it; one thread inside somebody else's parallel region and below a size worth it.
//
// The body must not throw and must not call user code.

#include <temper/core/workspace.hpp>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace temper::inline TEMPER_ABI {

/// Elements touched by a loop below which starting threads costs more than it saves.
inline constexpr Index worth_threads = Index{1} << 15;

/// Threads that a loop over this many elements may use.
[[nodiscard]] inline int threads_for([[maybe_unused]] Index work)
{
#ifdef _OPENMP
    if (work >= worth_threads && !omp_in_parallel())
        return omp_get_max_threads();
#endif
    return 1;
}

/// Calls body(i) for i in [0, n), in parallel if `work` elements in all are worth it.
template <class Body>
void parallel_for(Index n, [[maybe_unused]] Index work, const Body& body)
{
#ifdef _OPENMP
    const int threads = n > 1 ? threads_for(work) : 1;
    if (threads > 1) {
#pragma omp parallel for schedule(static) num_threads(threads)
        for (Index i = 0; i < n; ++i)
            body(i);
        return;
    }
#endif
    for (Index i = 0; i < n; ++i)
        body(i);
}

/// n things in blocks of at most `size`.
struct Blocks {
    Index n = 0;
    Index size = 1;
    [[nodiscard]] Index count() const { return (n + size - 1) / size; }
    [[nodiscard]] Index begin(Index block) const { return block * size; }
    [[nodiscard]] Index end(Index block) const { return (std::min)(n, (block + 1) * size); }
};

/// Folds body(begin, end) over blocks, in block order.
template <class R, class Body, class Fold>
[[nodiscard]] R parallel_fold(const Blocks& blocks, Index work, R initial, const Body& body,
                              const Fold& fold)
{
    const Index count = blocks.count();
    if (count == 0)
        return initial;
    if (count == 1)
        return body(Index{0}, blocks.n);
    Workspace::Frame frame;
    R* partial = frame.take<R>(count);
    parallel_for(count, work, [&](Index b) { partial[b] = body(blocks.begin(b), blocks.end(b)); });
    for (Index b = 0; b < count; ++b)
        initial = fold(initial, partial[b]);
    return initial;
}

/// Sum over blocks of body(begin, end) -> double, added in block order.
template <class Body>
[[nodiscard]] double parallel_sum(const Blocks& blocks, Index work, const Body& body)
{
    return parallel_fold(blocks, work, 0.0, body, [](double a, double b) { return a + b; });
}

/// Calls body(i, j) once for every pair i <= j < n, in rounds: within a round, in parallel, no index is in
/// two pairs, so that the body may add to what belongs to i and to what belongs to j. What is added to one
/// index comes in the same order for any number of threads. The rounds are those of a tournament: index
/// `last` stays, the others move around a circle, and those opposite each other meet.
template <class Body>
void parallel_pairs(Index n, Index work, const Body& body)
{
    parallel_for(n, work, [&](Index i) { body(i, i); });
    const Index last = n % 2 == 0 ? n - 1 : n; // n is nobody
    for (Index round = 0; round < last; ++round)
        parallel_for((last + 1) / 2, work, [&](Index k) {
            const Index i = (round + k) % last;
            const Index j = k == 0 ? last : (round + last - k) % last;
            if (j < n)
                body((std::min)(i, j), (std::max)(i, j));
        });
}

} // namespace temper::inline TEMPER_ABI
