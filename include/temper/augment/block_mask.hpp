// SPDX-License-Identifier: BSL-1.0
#pragma once

// Block masking: squares of a grid are taken out of each image.
//
//   grid gh x gw = round(h / block) x round(w / block), at least 1 x 1 (half to even)
//   cell = 1 where u > ratio, else 0           u uniform for each cell of each image
//   M[i, j] = cell[floor(i gh / h), floor(j gw / w)]
//   apply y = x M, all channels alike          pullback gx = gy M
//
// ratio is the share taken out, on average; with exact_count round(ratio gh gw) cells of each image are
// taken, drawn without replacement. Nothing is rescaled by 1 / (1 - ratio). Mask AFTER standardising: what
// is out is then the mean of the data, as in the paper. Images are [n, c, h, w], [n, h, w], or rows of
// c h w entries when the plan was drawn for {h, w}. x and y may be the same memory. Throws ShapeError;
// RangeError for ratio outside [0, 1] and block < 1.
// Hoyer et al., MIC: Masked Image Consistency for Context-Enhanced Domain Adaptation (2023).

#include <temper/augment/images.hpp>
#include <temper/core/random.hpp>

#include <cmath>

namespace temper::inline TEMPER_ABI {

struct BlockMaskPlan {
    std::vector<unsigned char> cells; ///< [n, grid height, grid width], 1: stays
    ImageSize grid;
    ImageSize image;

    [[nodiscard]] Index size() const
    {
        const Index each = grid.height * grid.width;
        return each == 0 ? 0 : static_cast<Index>(cells.size()) / each;
    }
    /// Does pixel (i, j) of an image stay?
    [[nodiscard]] bool stays(Index n, Index i, Index j) const
    {
        const Index row = i * grid.height / image.height;
        const Index col = j * grid.width / image.width;
        return cells[static_cast<std::size_t>((n * grid.height + row) * grid.width + col)] != 0;
    }
    friend bool operator==(const BlockMaskPlan&, const BlockMaskPlan&) = default;
};

struct BlockMask {
    static constexpr std::string_view name = "BlockMask";
    double ratio = 0.7;
    Index block = 64;
    bool exact_count = false;

    [[nodiscard]] ImageSize grid(ImageSize image) const
    {
        require(ratio >= 0 && ratio <= 1, name, "ratio", ratio, "in [0, 1]");
        require(block >= 1, name, "block", static_cast<double>(block), "at least 1");
        const auto cells = [this](Index side) {
            return (std::max)(Index{1},
                              static_cast<Index>(std::nearbyint(static_cast<double>(side) /
                                                                static_cast<double>(block))));
        };
        return {cells(image.height), cells(image.width)};
    }
    template <class G>
    [[nodiscard]] BlockMaskPlan draw(G& rng, Index n, ImageSize image) const
    {
        BlockMaskPlan plan;
        draw(rng, n, image, plan);
        return plan;
    }
    template <class G>
    void draw(G& rng, Index n, ImageSize image, BlockMaskPlan& plan) const
    {
        plan.grid = grid(image);
        plan.image = image;
        const Index each = plan.grid.height * plan.grid.width;
        plan.cells.resize(static_cast<std::size_t>(n * each));
        Index left = 0; // to be taken out of the image's remaining cells
        Index rest = 0;
        for (auto& cell : plan.cells) {
            if (!exact_count) {
                cell = uniform(rng) > ratio ? 1 : 0;
                continue;
            }
            if (rest == 0) {
                rest = each;
                left = static_cast<Index>(std::nearbyint(ratio * static_cast<double>(each)));
            }
            const bool out = uniform_index(rng, rest--) < left;
            left -= out ? 1 : 0;
            cell = out ? 0 : 1;
        }
    }
    /// The plan of given uniform numbers [n, grid height, grid width].
    template <class U>
    [[nodiscard]] BlockMaskPlan plan(const U& uniforms, ImageSize image) const
    {
        using S = ScalarOf<const U>;
        const AnyView<const S> u(view(uniforms));
        BlockMaskPlan out{{}, grid(image), image};
        if (u.rank != 3 || u.extent(1) != out.grid.height || u.extent(2) != out.grid.width)
            fail<ShapeError>(name, "uniforms", joined({"has shape ", shape_text(u)}),
                             joined({"[n, ", text(out.grid.height), ", ", text(out.grid.width),
                                     "] as the grid of the images"}));
        const auto v = u.template as<3>();
        for (Index i = 0; i < v.extents[0]; ++i)
            for (Index r = 0; r < v.extents[1]; ++r)
                for (Index c = 0; c < v.extents[2]; ++c)
                    out.cells.push_back(static_cast<double>(v(i, r, c)) > ratio ? 1 : 0);
        return out;
    }
    /// (plan, x, into(y))
    template <class X, class D>
    void apply(const BlockMaskPlan& plan, const X& x, const D& out) const;
    /// (plan, gy, into(gx))
    template <class G, class D>
    void pullback(const BlockMaskPlan& plan, const G& gy, const D& gx) const
    {
        apply(plan, gy, gx);
    }
    /// M itself [n, h, w].
    template <class D>
    void mask(const BlockMaskPlan& plan, const D& out) const;

    friend bool operator==(const BlockMask&, const BlockMask&) = default;
};

namespace kernel {
template <class T>
struct BlockMask {
    /// x without data: the mask itself.
    static void run(const BlockMaskPlan& plan, View<const T, 4> x, const Destination<T, 4>& out);
};
} // namespace kernel

template <class X, class D>
void BlockMask::apply(const BlockMaskPlan& plan, const X& x, const D& out) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("images", x);
    const auto in = images(name, xs, plan.image);
    if (plan.size() != in.extents[0])
        fail<ShapeError>(name, "plan", joined({"is for ", text(plan.size()), " images"}),
                         text(in.extents[0]));
    const auto to = border.sample_gradient("images", xs, out, InPlace::allowed);
    if (to)
        kernel::BlockMask<T>::run(plan, in, {images(name, to.view, plan.image), to.scale, to.mode});
    border.finish();
}

template <class D>
void BlockMask::mask(const BlockMaskPlan& plan, const D& out) const
{
    if constexpr (!std::is_same_v<D, Discard>) {
        using T = typename detail::KernelScalar<typename decltype(out.view)::Scalar>::type;
        Border<T> border(name);
        const auto [h, w] = plan.image;
        const auto to = border.template output<3>("mask", out, {plan.size(), h, w});
        if (to) {
            const auto v = images(name, AnyView<T>(to.view), plan.image);
            kernel::BlockMask<T>::run(plan, {nullptr, v.extents, v.strides},
                                      {v, to.scale, to.mode});
        }
        border.finish();
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::BlockMask<T>::run(const BlockMaskPlan& plan, View<const T, 4> x,
                               const Destination<T, 4>& out)
{
    parallel_for(x.extents[0], x.size(), [&](Index i) {
        for (Index c = 0; c < x.extents[1]; ++c)
            for (Index r = 0; r < x.extents[2]; ++r)
                for (Index j = 0; j < x.extents[3]; ++j) {
                    const T pixel = x.data == nullptr ? T(1) : x(i, c, r, j);
                    out.put(out.view(i, c, r, j), plan.stays(i, r, j) ? pixel : T(0));
                }
    });
}

TEMPER_INSTANTIATE(kernel::BlockMask);

} // namespace temper::inline TEMPER_ABI
#endif
