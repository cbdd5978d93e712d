// SPDX-License-Identifier: BSL-1.0
#pragma once

// Class indices of the pixels of images, at the border: labels(y) of any rank.

#include <temper/core/border.hpp>

namespace temper::inline TEMPER_ABI {

/// Dense in row-major order, each checked to be in [0, k) or `ignored`, which becomes -1.
template <class T, class L>
[[nodiscard]] const std::int64_t* label_map(Border<T>& border, std::string_view name,
                                            const L& argument, std::initializer_list<Index> extents,
                                            Index k, const std::optional<std::int64_t>& ignored)
{
    static_assert(is_labels<L>, "temper: class indices are said as labels(y)");
    using S = std::remove_const_t<typename decltype(argument.view)::Scalar>;
    const AnyView<const S> v(argument.view);
    if (v.rank != static_cast<int>(extents.size()) ||
        !std::equal(extents.begin(), extents.end(), v.extents.begin()))
        fail<ShapeError>(
            border.component(), name, joined({"has shape ", shape_text(v)}),
            joined({extents_text(extents.begin(), extents.size()), ", a label for each pixel"}));
    auto* dense = border.scratch().template take<S>(v.size());
    std::array<Index, max_rank> index{};
    for (Index i = 0; i < v.size(); ++i) {
        Index offset = 0;
        for (int d = 0; d < v.rank; ++d)
            offset += index[place(d)] * v.strides[place(d)];
        dense[i] = v.data[offset];
        for (int d = v.rank - 1; d >= 0 && ++index[place(d)] == v.extents[place(d)]; --d)
            index[place(d)] = 0;
    }
    const VectorView<const S> flat{dense, {v.size()}, {1}};
    return border.labels(name, Labels<VectorView<const S>>{flat}, v.size(), k, ignored);
}

} // namespace temper::inline TEMPER_ABI
