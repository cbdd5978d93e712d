// SPDX-License-Identifier: BSL-1.0
#pragma once

// Selection of the k largest scores, in linear time: what masks by score have in common.

#include <temper/core/workspace.hpp>

#include <algorithm>
#include <functional>
#include <limits>
#include <span>

namespace temper::inline TEMPER_ABI {

/// The cut of a selection: scores above `threshold` live, and of those equal to it the first `ties` in
/// the order of the entries.
template <class T>
struct TopK {
    T threshold{};
    Index ties = 0;

    /// Does the next entry live? Entries are asked in order.
    [[nodiscard]] bool keeps(T score)
    {
        if (score > threshold)
            return true;
        return score == threshold && ties-- > 0;
    }
};

/// The cut that keeps the k largest of the scores (0 <= k <= size), none of which is NaN.
template <class T>
[[nodiscard]] TopK<T> top_k(std::span<const T> scores, Index k)
{
    if (k == 0)
        return {std::numeric_limits<T>::infinity(), 0};
    Workspace::Frame frame;
    const auto n = static_cast<Index>(scores.size());
    T* order = frame.take<T>(n);
    std::copy(scores.begin(), scores.end(), order);
    std::nth_element(order, order + (k - 1), order + n, std::greater<>());
    TopK<T> cut{order[k - 1], k};
    for (const T score : scores)
        cut.ties -= score > cut.threshold ? 1 : 0;
    return cut;
}

} // namespace temper::inline TEMPER_ABI
