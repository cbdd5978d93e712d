// SPDX-License-Identifier: BSL-1.0
#pragma once

// Do two windows share an entry? Decided exactly for disjoint address ranges and for windows of equal
// strides (blocks of one matrix); anything else that might overlap counts as overlapping.

#include <temper/core/view.hpp>

#include <cstdint>

namespace temper::inline TEMPER_ABI {

/// A window's place in memory, in bytes, dimensions of extent 1 left out, longest stride first.
struct Region {
    std::intptr_t begin = 0;
    std::intptr_t end = 0; ///< one past the last byte
    int rank = 0;
    Index entry = 0; ///< bytes of one entry
    std::array<Index, max_rank> extents{};
    std::array<Index, max_rank> strides{};

    template <class V>
    explicit Region(const V& v)
        : begin(reinterpret_cast<std::intptr_t>(v.data)),
          entry(static_cast<Index>(sizeof(typename V::Scalar)))
    {
        end = begin + entry;
        for (int i = 0; i < v.rank; ++i) {
            const Index extent = v.extents[place(i)];
            const Index stride = v.strides[place(i)] * entry;
            if (extent == 0)
                end = begin = 0, entry = 0;
            if (extent <= 1 || entry == 0)
                continue;
            (stride < 0 ? begin : end) += stride * (extent - 1);
            int at = rank++;
            for (; at > 0 && size(strides[place(at - 1)]) < size(stride); --at) {
                strides[place(at)] = strides[place(at - 1)];
                extents[place(at)] = extents[place(at - 1)];
            }
            strides[place(at)] = stride;
            extents[place(at)] = extent;
        }
        merge();
    }

    [[nodiscard]] bool empty() const { return entry == 0; }
    /// The same entries in the same order.
    [[nodiscard]] bool same(const Region& other) const
    {
        if (begin != other.begin || entry != other.entry || rank != other.rank)
            return false;
        for (int i = 0; i < rank; ++i)
            if (extents[place(i)] != other.extents[place(i)] ||
                strides[place(i)] != other.strides[place(i)])
                return false;
        return true;
    }

    static Index size(Index stride) { return stride < 0 ? -stride : stride; }

  private:
    void merge()
    {
        int kept = 0;
        for (int i = 0; i < rank; ++i) {
            if (kept > 0 && strides[place(kept - 1)] == strides[place(i)] * extents[place(i)]) {
                extents[place(kept - 1)] *= extents[place(i)];
                strides[place(kept - 1)] = strides[place(i)];
                continue;
            }
            extents[place(kept)] = extents[place(i)];
            strides[place(kept)] = strides[place(i)];
            ++kept;
        }
        rank = kept;
    }
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
} // namespace detail

/// False only if the windows certainly share no entry.
[[nodiscard]] inline bool overlap(const Region& a, const Region& b)
{
    if (a.empty() || b.empty() || a.end <= b.begin || b.end <= a.begin)
        return false;
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
    return offset % a.entry == 0 && detail::reachable(offset, a, b, 0);
}

} // namespace temper::inline TEMPER_ABI
