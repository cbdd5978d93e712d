// SPDX-License-Identifier: BSL-1.0
#pragma once

// Groups of weights, shared by all penalties on groups: what a group is, and how much it counts.
//
//   Rows{}             each row of the matrix as it is stored (logically: the first index)
//   Columns{}          each column
//   BlocksOf{r, c}     tiles of r x c, numbered row by row; tiles at the edges may be smaller
//   group_ids(g)       said with the call, in place of these: g[i] in [0, G) is the group of entry i,
//                      entries counted row by row; a group need not be contiguous, and may be empty
//   group_weights(d)   said with the call: d_g >= 0 for each group [G], where the default is not meant;
//                      the penalty does not see a group of weight 0
//
// What rows and columns are:
//
//   layer                        W is stored as    a row                    a column
//   y = W x, samples in columns  [out, in]         makes one output unit    reads one input
//   Y = X W, samples in rows     [in, out]         reads one input          makes one output unit
//   libtorch's Linear (x W' + b) [out, in]         makes one output unit    reads one input
//   Conv2d [out, in, kh, kw], seen as the matrix
//   view(p, {out, in * kh * kw}) [out, in kh kw]   is one filter            (BlocksOf{out, kh * kw}: reads
//                                                                           one input channel)
//
// A unit vanishes from the network when the group that makes it and its bias are zero.

#include <temper/core/border.hpp>
#include <temper/core/parallel.hpp>

#include <algorithm>
#include <cmath>
#include <variant>

namespace temper::inline TEMPER_ABI {

struct Rows {
    friend bool operator==(const Rows&, const Rows&) = default;
};
struct Columns {
    friend bool operator==(const Columns&, const Columns&) = default;
};
struct BlocksOf {
    Index rows;
    Index cols;
    friend bool operator==(const BlocksOf&, const BlocksOf&) = default;
};
using Groups = std::variant<Rows, Columns, BlocksOf>;

template <class V>
struct GroupIds {
    V view;
};
template <class V>
struct GroupWeights {
    V view;
};
template <class O>
[[nodiscard]] auto group_ids(const O& owner)
{
    return GroupIds<detail::ConstViewOf<O>>{view(owner)};
}
template <class O>
[[nodiscard]] auto group_weights(const O& owner)
{
    return GroupWeights<detail::ConstViewOf<O>>{view(owner)};
}

/// What a group weighs if nothing is said.
enum class GroupWeight { one, root_of_size };

/// Groups as kernels see them: blocks of rows x cols, numbered row by row, or an id for each entry.
struct GroupLayout {
    Index rows = 1;
    Index cols = 1;
    Index across = 1; ///< blocks side by side
    Index count = 0;
    const std::int64_t* ids = nullptr;
    const double* weights = nullptr; ///< [count]
};

namespace detail {

/// A vector as a matrix of one column.
template <class T>
[[nodiscard]] MatrixView<T> as_matrix(std::string_view component, const AnyView<T>& w)
{
    if (w.rank != 1 && w.rank != 2)
        fail<ShapeError>(component, "w", joined({"has shape ", shape_text(w)}),
                         "a matrix or a vector");
    return {w.data, {w.extents[0], w.extents[1]}, {w.strides[0], w.rank == 2 ? w.strides[1] : 1}};
}

/// The blocks of w that `groups` says.
template <class T>
[[nodiscard]] GroupLayout block_layout(const Border<T>& border, MatrixView<const T> w,
                                       const Groups& groups)
{
    if (std::holds_alternative<Rows>(groups))
        return {1, (std::max)(w.cols(), Index{1}), 1, w.rows()};
    if (std::holds_alternative<Columns>(groups))
        return {(std::max)(w.rows(), Index{1}), 1, w.cols(), w.cols()};
    const auto [rows, cols] = std::get<BlocksOf>(groups);
    border.require(rows >= 1, "groups.rows", static_cast<double>(rows), "at least 1");
    border.require(cols >= 1, "groups.cols", static_cast<double>(cols), "at least 1");
    const Blocks down{w.rows(), (std::min)(rows, (std::max)(w.rows(), Index{1}))};
    const Blocks across{w.cols(), (std::min)(cols, (std::max)(w.cols(), Index{1}))};
    return {down.size, across.size, across.count(), down.count() * across.count()};
}

/// How many entries each group of w has.
template <class T>
void count_entries(const GroupLayout& layout, MatrixView<const T> w, double* counts)
{
    if (layout.ids != nullptr) {
        std::fill(counts, counts + layout.count, 0.0);
        for (Index i = 0; i < w.size(); ++i)
            counts[layout.ids[i]] += 1;
        return;
    }
    for (Index g = 0; g < layout.count; ++g) {
        const Index below = w.rows() - g / layout.across * layout.rows;
        const Index right = w.cols() - g % layout.across * layout.cols;
        counts[g] =
            static_cast<double>((std::min)(layout.rows, below) * (std::min)(layout.cols, right));
    }
}

/// Which entries of w are a group, and its weight: those of group_weights, or else 1 or the root of the
/// group's size.
template <class T, class... Rest>
[[nodiscard]] GroupLayout group_layout(Border<T>& border, MatrixView<const T> w,
                                       const Groups& groups, GroupWeight otherwise,
                                       const Rest&... rest)
{
    const auto ids = named<GroupIds>(rest...);
    const auto given = named<GroupWeights>(rest...);
    constexpr bool has_weights = !std::is_same_v<decltype(given), const Absent>;

    VectorView<const T> d;
    if constexpr (has_weights)
        d = border.vector("group_weights", given.view);
    GroupLayout layout;
    if constexpr (std::is_same_v<decltype(ids), const Absent>)
        layout = block_layout(border, w, groups);
    else {
        const Index n = w.size();
        layout.count = has_weights ? d.extents[0] : n;
        layout.ids = border.indices("group_ids", ids.view, n, layout.count);
        if (!has_weights)
            layout.count = n == 0 ? 0 : *std::max_element(layout.ids, layout.ids + n) + 1;
    }

    auto* weights = border.scratch().template take<double>(layout.count);
    layout.weights = weights;
    if constexpr (has_weights) {
        if (d.extents[0] != layout.count)
            fail<ShapeError>(border.component(), "group_weights",
                             joined({"has shape ", shape_text(d)}),
                             joined({"[", text(layout.count), "], a number for each group"}));
        for (Index g = 0; g < layout.count; ++g) {
            weights[g] = static_cast<double>(d(g));
            border.require(weights[g] >= 0, "group_weights", weights[g], "non-negative");
        }
    }
    else if (otherwise == GroupWeight::one)
        std::fill(weights, weights + layout.count, 1.0);
    else {
        count_entries(layout, w, weights);
        std::transform(weights, weights + layout.count, weights,
                       [](double n) { return std::sqrt(n); });
    }
    return layout;
}

} // namespace detail

/// A penalty's weights, groups and destination, as kernels see them.
template <class T>
struct GroupedWeights {
    MatrixView<const T> w;
    GroupLayout groups;
    Destination<T, 2> out;
};

/// Takes w, and from the arguments after it group_ids, group_weights and the destination.
template <class T, class W, class... Rest>
[[nodiscard]] GroupedWeights<T> grouped_weights(Border<T>& border, const W& w, const Groups& groups,
                                                GroupWeight otherwise, InPlace in_place,
                                                const Rest&... rest)
{
    const auto v = border.tensor("w", w);
    GroupedWeights<T> all{detail::as_matrix(border.component(), v), {}, {}};
    all.groups = detail::group_layout(border, all.w, groups, otherwise, rest...);
    if (const auto to = border.gradient("w", v, positional<0>(rest...), in_place))
        all.out = {detail::as_matrix(border.component(), to.view), to.scale, to.mode};
    return all;
}

} // namespace temper::inline TEMPER_ABI
