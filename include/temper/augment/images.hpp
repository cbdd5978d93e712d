// SPDX-License-Identifier: BSL-1.0
#pragma once

// Images as augmentations see them: [n, c, h, w], [n, h, w] (one channel), or rows [n, c h w] of pixels
// when the plan knows {h, w}. Nothing is copied.

#include <temper/augment/mix_plan.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

/// The images of a batch as [n, c, h, w]; an error unless they have the size of the plan.
template <class T>
[[nodiscard]] View<T, 4> images(std::string_view component, const AnyView<T>& x, ImageSize image)
{
    const auto [h, w] = image;
    if (x.rank == 4 && x.extent(2) == h && x.extent(3) == w)
        return x.template as<4>();
    if (x.rank == 3 && x.extent(1) == h && x.extent(2) == w)
        return {x.data, {x.extent(0), 1, h, w}, {x.stride(0), 0, x.stride(1), x.stride(2)}};
    if (x.rank == 2 && h * w > 0 && x.extent(1) % (h * w) == 0) {
        const Index step = x.stride(1);
        return {x.data,
                {x.extent(0), x.extent(1) / (h * w), h, w},
                {x.stride(0), h * w * step, w * step, step}};
    }
    fail<ShapeError>(component, "images", joined({"has shape ", shape_text(x)}),
                     joined({"[n, c, h, w], [n, h, w] or [n, c h w] with {h, w} = {", text(h), ", ",
                             text(w), "} of the plan"}));
}

/// Height and width of images of rank 3 or 4.
template <class V>
[[nodiscard]] ImageSize size_of(const V& x)
{
    return x.rank < 3 ? ImageSize{} : ImageSize{x.extent(x.rank - 2), x.extent(x.rank - 1)};
}

} // namespace temper::inline TEMPER_ABI
