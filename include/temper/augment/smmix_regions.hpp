// SPDX-License-Identifier: BSL-1.0
#pragma once

// SMMix: the partner's most attended square of patches is pasted over the image's least attended one.
//
//   A_i[u, v]   the attention in the r x r window at (u, v), of S x S patches
//   target_i = argmin A_i       source_i = argmax A_p(i)       lambda = (S^2 - r^2) / S^2
//   image_i, but the partner's patches at source_i stand in its window at target_i
//
// Attention [n, S S] comes from the unmixed forward pass, averaged over the heads and the query tokens of
// the last layer, without the class token; it has no gradient. Images are [n, c, h, w], h and w multiples
// of S, or rows of c h w entries. The plan is one of Mixup's with boxes and sources, so that apply,
// pullback and mix_labels are Mixup's. lambda is the target's share, as in the authors' code (the paper's is
// the other one). Of windows that tie the first, row by row, is taken. r = S: the image becomes its
// partner and lambda is 0; r = 0 pastes nothing.
// Paper: r uniform from floor(S / 4) to floor(3 S / 4), partners the batch reversed (of an odd batch the
// middle image meets itself), and every other batch (probability 1/2) is mixed by Mixup instead.
// Throws ShapeError; RangeError for an attention that is not of S S patches, a region outside [0, S],
// images that are not a multiple of S, smallest or largest outside 0 <= smallest <= largest <= 1.
// Chen et al., SMMix: Self-Motivated Image Mixing for Vision Transformers (2023).

#include <temper/augment/mixup.hpp>

namespace temper::inline TEMPER_ABI {

template <MixPairing Pairing = ReversedPairs>
struct SmmixRegions {
    static constexpr std::string_view name = "SmmixRegions";
    double smallest = 0.25; ///< side of the region, of the image's
    double largest = 0.75;
    Pairing pairing{};

    /// (rng, attention, {h, w}): partners and a side of the region are drawn.
    template <class G, class A>
    [[nodiscard]] MixPlan draw(G& rng, const A& attention, ImageSize image) const
    {
        MixPlan plan;
        draw(rng, attention, image, plan);
        return plan;
    }
    /// The same into a plan of former use.
    template <class G, class A>
    void draw(G& rng, const A& attention, ImageSize image, MixPlan& plan) const;
    /// Boxes, sources and lambda of a plan that has partners and an image, for a region of r x r patches.
    template <class A>
    void place(const A& attention, Index region, MixPlan& plan) const;

    /// (plan, x, into(m))
    template <class X, class D>
    void apply(const MixPlan& plan, const X& x, const D& out) const
    {
        mixing::apply(name, plan, x, x, out);
    }
    /// (plan, gm, into(gx))
    template <class Gm, class D>
    void pullback(const MixPlan& plan, const Gm& gm, const D& gx) const
    {
        mixing::pullback(name, plan, gm, false, gx);
    }
    /// (plan, labels(y) or probabilities(p), k, into(t))
    template <class Y, class D>
    void mix_labels(const MixPlan& plan, const Y& y, Index k, const D& out) const
    {
        mixing::mix_labels(name, plan, y, k, out);
    }
    /// 1 where a patch comes from the partner, [n, S S]; 1 minus it is the mask of the image's own.
    template <class D>
    void source_mask(const MixPlan& plan, Index side, const D& out) const;

    friend bool operator==(const SmmixRegions&, const SmmixRegions&) = default;

  private:
    [[nodiscard]] static Index side_of(Index patches)
    {
        const auto side = static_cast<Index>(std::lround(std::sqrt(static_cast<double>(patches))));
        require(side > 0 && side * side == patches, name, "attention's columns",
                static_cast<double>(patches), "a square number of patches");
        return side;
    }
};

namespace kernel {
template <class T>
struct SmmixRegions {
    /// The corner (row, column) of the window with the least or the most attention.
    static std::array<Index, 2> window(VectorView<const T> attention, Index side, Index region,
                                       bool most);
};
} // namespace kernel

template <MixPairing Pairing>
template <class G, class A>
void SmmixRegions<Pairing>::draw(G& rng, const A& attention, ImageSize image, MixPlan& plan) const
{
    using T = KernelScalarOf<A>;
    Border<T> border(name);
    border.require(smallest >= 0 && smallest <= largest && largest <= 1, "smallest", smallest,
                   "from 0 to largest, which is at most 1");
    const auto a = border.samples("attention", attention);
    const auto side = static_cast<double>(side_of(a.cols()));
    const auto least = static_cast<Index>(smallest * side);
    const auto most = static_cast<Index>(largest * side);
    const Index region = least + uniform_index(rng, most - least + 1);
    plan.image = image;
    plan.partner.resize(static_cast<std::size_t>(a.rows()));
    pairing(rng, std::span<Index>(plan.partner));
    place(attention, region, plan);
}

template <MixPairing Pairing>
template <class A>
void SmmixRegions<Pairing>::place(const A& attention, Index region, MixPlan& plan) const
{
    using T = KernelScalarOf<A>;
    Border<T> border(name);
    const auto a = border.samples("attention", attention);
    const Index n = a.rows();
    const Index side = side_of(a.cols());
    border.require(plan.size() == n, "plan", static_cast<double>(plan.size()),
                   "of the batch's size");
    for (const Index partner : plan.partner)
        border.require(partner >= 0 && partner < n, "plan.partner", static_cast<double>(partner),
                       "a row of the batch");
    border.require(region >= 0 && region <= side, "region", static_cast<double>(region),
                   "from 0 to the patches of a side");
    const auto [h, w] = plan.image;
    border.require(h > 0 && h % side == 0, "image height", static_cast<double>(h),
                   "a multiple of the patches of a side");
    border.require(w > 0 && w % side == 0, "image width", static_cast<double>(w),
                   "a multiple of the patches of a side");
    const auto box_at = [&](std::array<Index, 2> corner) {
        const Index patch_h = h / side;
        const Index patch_w = w / side;
        return Box{corner[0] * patch_h, corner[1] * patch_w, (corner[0] + region) * patch_h,
                   (corner[1] + region) * patch_w};
    };
    plan.boxes.resize(static_cast<std::size_t>(n));
    plan.sources.resize(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        plan.boxes[at] = box_at(kernel::SmmixRegions<T>::window(a.row(i), side, region, false));
        plan.sources[at] =
            box_at(kernel::SmmixRegions<T>::window(a.row(plan.partner[at]), side, region, true));
    }
    plan.lambda.assign(1,
                       1 - static_cast<double>(region * region) / static_cast<double>(side * side));
    plan.label_lambda = plan.lambda;
}

template <MixPairing Pairing>
template <class D>
void SmmixRegions<Pairing>::source_mask(const MixPlan& plan, Index side, const D& out) const
{
    static_assert(is_destination<D>, "temper: a mask needs a destination");
    if constexpr (!std::is_same_v<D, Discard>) {
        using T =
            typename detail::KernelScalar<std::remove_pointer_t<decltype(out.view.data)>>::type;
        Border<T> border(name);
        border.require(side > 0 && plan.image.height % side == 0 && plan.image.width % side == 0,
                       "side", static_cast<double>(side), "of patches that fill the plan's image");
        border.require(static_cast<Index>(plan.boxes.size()) == plan.size(), "plan.boxes.size()",
                       static_cast<double>(plan.boxes.size()), "one for each sample");
        const Index patch_h = plan.image.height / side;
        const Index patch_w = plan.image.width / side;
        const auto mask = border.template output<2>("source_mask", out, {plan.size(), side * side});
        for (Index i = 0; mask && i < plan.size(); ++i)
            for (Index patch = 0; patch < side * side; ++patch) {
                const Box& box = plan.box_of(i);
                const Index row = patch / side * patch_h;
                const Index col = patch % side * patch_w;
                const bool inside =
                    row >= box.top && row < box.bottom && col >= box.left && col < box.right;
                mask.put(mask.view(i, patch), inside ? T(1) : T(0));
            }
        border.finish();
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
std::array<Index, 2> kernel::SmmixRegions<T>::window(VectorView<const T> attention, Index side,
                                                     Index region, bool most)
{
    // Sums over the columns of a window, then over its rows: equal windows have equal sums to the bit.
    Workspace::Frame frame;
    const Index places = side - region + 1;
    const MatrixView<double> part = frame.matrix<double>(side, places);
    for (Index row = 0; row < side; ++row)
        for (Index v = 0; v < places; ++v) {
            double sum = 0;
            for (Index col = v; col < v + region; ++col)
                sum += static_cast<double>(attention(row * side + col));
            part(row, v) = sum;
        }
    std::array<Index, 2> best{0, 0};
    double best_sum = 0;
    for (Index u = 0; u < places; ++u)
        for (Index v = 0; v < places; ++v) {
            double sum = 0;
            for (Index row = u; row < u + region; ++row)
                sum += part(row, v);
            if ((u == 0 && v == 0) || (most ? sum > best_sum : sum < best_sum)) {
                best = {u, v};
                best_sum = sum;
            }
        }
    return best;
}

TEMPER_INSTANTIATE(kernel::SmmixRegions);

} // namespace temper::inline TEMPER_ABI
#endif
