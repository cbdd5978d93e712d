// SPDX-License-Identifier: BSL-1.0
#pragma once

// Do two windows share an entry? Decided exactly for disjoint address ranges and for windows of equal
// strides (blocks of one matrix); anything else that might overlap counts as overlapping.

#include <temper/core/view.hpp>

#include <cstdint>
#include <utility>

namespace temper::inline TEMPER_ABI {

/// A window's place in memory, in bytes, dimensions of extent 1 left out. Most windows lie apart, so what
/// only close ones need is settled when it is asked for.
struct Region {
    std::intptr_t begin = 0;
    std::intptr_t end = 0; ///< one past the last byte
    Index entry = 0;       ///< bytes of one entry, 0 if there are none
    int rank = 0;
    std::array<Index, max_rank> extents; ///< of `rank` dimensions
    std::array<Index, max_rank> strides;

    template <class V>
    explicit Region(const V& v)
        : begin(reinterpret_cast<std::intptr_t>(v.data)),
          entry(static_cast<Index>(sizeof(typename V::Scalar)))
    {
        end = begin + entry;
        for (int i = 0; i < v.rank; ++i) {
            const Index extent = v.extents[place(i)];
            const Index stride = v.strides[place(i)] * entry;
            if (extent == 1)
                continue;
            if (extent == 0) {
                begin = end = entry = rank = 0;
                return;
            }
            (stride < 0 ? begin : end) += stride * (extent - 1);
            extents[place(rank)] = extent;
            strides[place(rank++)] = stride;
        }
    }

    [[nodiscard]] bool empty() const { return entry == 0; }
    /// The same entries in the same order.
    [[nodiscard]] bool same(const Region& other) const
    {
        if (begin != other.begin || end != other.end || entry != other.entry)
            return false;
        const Region a = merged();
        const Region b = other.merged();
        return a.rank == b.rank &&
               std::equal(a.extents.begin(), a.extents.begin() + a.rank, b.extents.begin()) &&
               std::equal(a.strides.begin(), a.strides.begin() + a.rank, b.strides.begin());
    }
    /// Longest stride first, and one dimension where two are walked like one.
    [[nodiscard, gnu::noinline]] Region merged() const
    {
        Region sorted = *this;
        for (int i = 1; i < rank; ++i)
            for (int at = i;
                 at > 0 && size(sorted.strides[place(at - 1)]) < size(sorted.strides[place(at)]);
                 --at) {
                std::swap(sorted.strides[place(at - 1)], sorted.strides[place(at)]);
                std::swap(sorted.extents[place(at - 1)], sorted.extents[place(at)]);
            }
        Region out = sorted;
        out.rank = 0;
        for (int i = 0; i < rank; ++i) {
            const Index extent = sorted.extents[place(i)];
            const Index stride = sorted.strides[place(i)];
            if (out.rank > 0 && out.strides[place(out.rank - 1)] == stride * extent)
                out.extents[place(out.rank - 1)] *= extent;
            else
                out.extents[place(out.rank++)] = extent;
            out.strides[place(out.rank - 1)] = stride;
        }
        return out;
    }
    static Index size(Index stride) { return stride < 0 ? -stride : stride; }
};

namespace detail {
/// Is `offset` = sum of k_i stride_i for some k_i in (-extent_b, extent_a), strides being nested (each
/// longer than the reach of those after it), as those of a window that does not overlap itself are?
inline bool reachable(Index offset, const Region& a, const Region& b, int dimension)
{
    if (dimension == a.rank)
        return offset == 0;
    const std::size_t d = place(dimension);
    const Index stride = a.strides[d];
    const Index nearest = offset / stride;
    for (Index k = nearest - 1; k <= nearest + 1; ++k)
        if (k < a.extents[d] && -k < b.extents[d] &&
            reachable(offset - k * stride, a, b, dimension + 1))
            return true;
    return false;
}
/// Of two whose bytes are not apart.
[[nodiscard, gnu::noinline]] inline bool close_overlap(const Region& a, const Region& b)
{
    // Merging hides a stride where one window spans whole rows and the other does not, so strides are
    // compared only where both kept the same ones.
    if (a.entry != b.entry || a.rank != b.rank ||
        !std::equal(a.strides.begin(), a.strides.begin() + a.rank, b.strides.begin()))
        return true;
    for (int i = 0; i + 1 < a.rank; ++i) {
        const std::size_t d = place(i);
        const std::size_t next = place(i + 1);
        const Index reach =
            (std::max)(a.extents[next], b.extents[next]) * Region::size(a.strides[next]);
        if (Region::size(a.strides[d]) < reach)
            return true;
    }
    const Index offset = b.begin - a.begin;
    return offset % a.entry == 0 && reachable(offset, a, b, 0);
}
} // namespace detail

/// Do all bytes of one come before those of the other?
[[nodiscard]] inline bool apart(const Region& a, const Region& b)
{
    return a.empty() || b.empty() || a.end <= b.begin || b.end <= a.begin;
}

/// False only if the windows certainly share no entry.
[[nodiscard]] inline bool overlap(const Region& a, const Region& b)
{
    if (apart(a, b)) [[likely]]
        return false;
    return detail::close_overlap(a.merged(), b.merged());
}

} // namespace temper::inline TEMPER_ABI
