// SPDX-License-Identifier: BSL-1.0
#pragma once

// Cutout: a square of each image is filled with one number.
//
//   rows max(0, r - size / 2) ... min(h, r + size / 2), columns likewise, about a centre (r, c) that is
//   drawn uniformly from the pixels; y = fill there, y = x elsewhere
//   pullback: gx = 0 there, gy elsewhere
//
// Halves are of integers: an odd size loses a pixel, and sizes 0 and 1 cut nothing. Without a size it is
// half of each side. fill is 0, the mean of standardised images. Images are [n, c, h, w], [n, h, w], or
// rows of c h w entries when the plan was drawn for {h, w}; all channels are cut. One box serves the batch
// if the plan has one, else each image has its own. x and y may be the same memory. Throws ShapeError;
// RangeError for a negative size.
// DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout (2017); as in
// Xie et al., Unsupervised Data Augmentation for Consistency Training (2020).

#include <temper/augment/images.hpp>
#include <temper/core/random.hpp>

namespace temper::inline TEMPER_ABI {

struct CutoutPlan {
    std::vector<Box> boxes;
    ImageSize image;
    friend bool operator==(const CutoutPlan&, const CutoutPlan&) = default;
};

struct Cutout {
    static constexpr std::string_view name = "Cutout";
    std::optional<Index> size = std::nullopt;
    double fill = 0;

    /// The box about a centre, clipped to the image.
    [[nodiscard]] Box around(Index row, Index col, ImageSize image) const
    {
        require(size.value_or(0) >= 0, name, "size", static_cast<double>(size.value_or(0)),
                "non-negative");
        const Index half_h = size.value_or(image.height / 2) / 2;
        const Index half_w = size.value_or(image.width / 2) / 2;
        return {(std::max)(Index{0}, row - half_h), (std::max)(Index{0}, col - half_w),
                (std::min)(image.height, row + half_h), (std::min)(image.width, col + half_w)};
    }
    template <class G>
    [[nodiscard]] CutoutPlan draw(G& rng, Index n, ImageSize image) const
    {
        CutoutPlan plan;
        draw(rng, n, image, plan);
        return plan;
    }
    template <class G>
    void draw(G& rng, Index n, ImageSize image, CutoutPlan& plan) const
    {
        plan.image = image;
        plan.boxes.resize(static_cast<std::size_t>(n));
        for (Box& box : plan.boxes) {
            const Index row = uniform_index(rng, image.height);
            box = around(row, uniform_index(rng, image.width), image);
        }
    }
    /// (plan, x, into(y))
    template <class X, class D>
    void apply(const CutoutPlan& plan, const X& x, const D& out) const
    {
        run(plan, x, fill, out);
    }
    /// (plan, gy, into(gx))
    template <class G, class D>
    void pullback(const CutoutPlan& plan, const G& gy, const D& gx) const
    {
        run(plan, gy, 0, gx);
    }
    friend bool operator==(const Cutout&, const Cutout&) = default;

  private:
    template <class X, class D>
    static void run(const CutoutPlan& plan, const X& x, double number, const D& out);
};

namespace kernel {
template <class T>
struct Cutout {
    static void run(const std::vector<Box>& boxes, double fill, View<const T, 4> x,
                    const Destination<T, 4>& out);
};
} // namespace kernel

template <class X, class D>
void Cutout::run(const CutoutPlan& plan, const X& x, double number, const D& out)
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("images", x);
    const auto in = images(name, xs, plan.image);
    const auto n = static_cast<Index>(plan.boxes.size());
    if (n != 1 && n != in.extents[0])
        fail<ShapeError>(name, "plan", joined({"has ", text(n), " boxes"}),
                         joined({"1, or ", text(in.extents[0]), " as there are images"}));
    const auto to = border.sample_gradient("images", xs, out, InPlace::allowed);
    if (to)
        kernel::Cutout<T>::run(plan.boxes, number, in,
                               {images(name, to.view, plan.image), to.scale, to.mode});
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Cutout<T>::run(const std::vector<Box>& boxes, double fill, View<const T, 4> x,
                            const Destination<T, 4>& out)
{
    parallel_for(x.extents[0], x.size(), [&](Index i) {
        const Box& box = boxes[boxes.size() == 1 ? 0 : static_cast<std::size_t>(i)];
        for (Index c = 0; c < x.extents[1]; ++c)
            for (Index r = 0; r < x.extents[2]; ++r) {
                const bool cut = r >= box.top && r < box.bottom;
                for (Index j = 0; j < x.extents[3]; ++j)
                    out.put(out.view(i, c, r, j), cut && j >= box.left && j < box.right
                                                      ? static_cast<T>(fill)
                                                      : x(i, c, r, j));
            }
    });
}

TEMPER_INSTANTIATE(kernel::Cutout);

} // namespace temper::inline TEMPER_ABI
#endif
