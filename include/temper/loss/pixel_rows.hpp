// SPDX-License-Identifier: BSL-1.0
#pragma once

// Segmentation for losses over rows: logits [n, k, ...] are the rows [k] of n times ... pixels, in the
// order in which labels [n, ...] are stored by rows. Nothing is copied.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

/// How many rows there are, 0 of a rank below 2.
template <class V>
[[nodiscard]] Index pixel_count(const V& logits)
{
    Index n = logits.extent(0);
    for (int d = 2; d < logits.rank; ++d)
        n *= logits.extent(d);
    return n;
}

/// f(first row, matrices [rows, k]...) over tensors [n, k, ...] of one shape, for as many rows at a time
/// as all tensors have at equal distances.
template <class F, class First, class... V>
void pixel_blocks(const F& f, const First& first, const V&... rest)
{
    const int last = first.rank - 1;
    if (first.size() == 0)
        return;
    if (last == 1)
        return f(Index{0}, first.template as<2>(), rest.template as<2>()...);
    const auto joins = [](const auto& v, int d) {
        return v.stride(d) == v.stride(d + 1) * v.extent(d + 1);
    };
    int inner = last;
    Index rows = first.extent(last);
    while (inner > 2 && joins(first, inner - 1) && (joins(rest, inner - 1) && ...))
        rows *= first.extent(--inner);

    std::array<Index, max_rank> index{};
    for (Index row = 0;; row += rows) {
        const auto window = [&](const auto& v) {
            Index offset = 0;
            for (int d = 0; d < inner; ++d)
                offset += index[place(d)] * v.stride(d);
            using E = std::remove_pointer_t<decltype(v.data)>;
            return MatrixView<E>{
                v.data + offset, {rows, v.extent(1)}, {v.stride(last), v.stride(1)}};
        };
        f(row, window(first), window(rest)...);
        int d = inner - 1; // the next place, of all dimensions but the classes'
        while (d >= 0 && (d == 1 || ++index[place(d)] == first.extent(d)))
            index[place(d--)] = 0;
        if (d < 0)
            return;
    }
}

/// labels(y) of pixels, dense in row-major order, each checked to be in [0, k) or `ignored`, which
/// becomes -1.
template <class T, class L>
[[nodiscard]] const std::int64_t*
pixel_labels(Border<T>& border, std::string_view name, const L& labels,
             std::span<const Index> extents, Index k,
             const std::optional<std::int64_t>& ignored = std::nullopt)
{
    static_assert(is_labels<L>, "temper: class indices are said as labels(y)");
    using S = std::remove_const_t<typename decltype(labels.view)::Scalar>;
    const AnyView<const S> y(labels.view);
    if (y.rank != static_cast<int>(extents.size()) ||
        !std::equal(extents.begin(), extents.end(), y.extents.begin()))
        fail<ShapeError>(
            border.component(), name, joined({"has shape ", shape_text(y)}),
            joined({extents_text(extents.data(), extents.size()), ", a label for each pixel"}));
    auto* dense = border.scratch().template take<S>(y.size());
    std::array<Index, max_rank> index{};
    for (Index i = 0; i < y.size(); ++i) {
        Index offset = 0;
        for (int d = 0; d < y.rank; ++d)
            offset += index[place(d)] * y.stride(d);
        dense[i] = y.data[offset];
        for (int d = y.rank - 1; d >= 0 && ++index[place(d)] == y.extent(d); --d)
            index[place(d)] = 0;
    }
    const VectorView<const S> flat{dense, {y.size()}, {1}};
    return border.labels(name, Labels<VectorView<const S>>{flat}, y.size(), k, ignored);
}
/// Those of logits [n, k, ...].
template <class T, class L>
[[nodiscard]] const std::int64_t*
pixel_labels(Border<T>& border, std::string_view name, const L& labels,
             const AnyView<const T>& logits,
             const std::optional<std::int64_t>& ignored = std::nullopt)
{
    std::array<Index, max_rank> extents{logits.extent(0)};
    for (int d = 2; d < logits.rank; ++d)
        extents[place(d - 1)] = logits.extent(d);
    return pixel_labels(border, name, labels,
                        std::span<const Index>(extents.data(), place(logits.rank - 1)),
                        logits.extent(1), ignored);
}

} // namespace temper::inline TEMPER_ABI
