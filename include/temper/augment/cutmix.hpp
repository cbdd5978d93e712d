// SPDX-License-Identifier: BSL-1.0
#pragma once

// CutMix: a box of the partner's image is pasted into the image.
//
//   side ratio r = sqrt(1 - lambda), half sides floor(trunc(h r) / 2) and floor(trunc(w r) / 2) about a
//   centre drawn uniformly from the pixels, clipped at the borders;
//   lambda becomes 1 - (pasted area) / (h w), what was really cut: the labels must follow it.
//
// An odd side loses a pixel to the halving, as in the authors' code. lambda = 1 pastes nothing. One box
// serves the batch, or one for each sample with .per_sample. Images are [n, c, h, w], [n, h, w], or rows
// of c h w entries when the plan was drawn for {h, w}.
// Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features
// (2019).

#include <temper/augment/mixup.hpp>

namespace temper::inline TEMPER_ABI {

/// Draws boxes about uniform centres, and corrects lambda to what was cut.
struct CutBox {
    template <class G>
    void operator()(G& rng, MixPlan& plan) const
    {
        const auto [h, w] = plan.image;
        require(h > 0 && w > 0, "CutMix", "image height x width", static_cast<double>(h * w),
                "positive: draw(rng, n, {height, width})");
        plan.boxes.resize(plan.lambda.size());
        for (std::size_t i = 0; i < plan.boxes.size(); ++i) {
            const Index row = uniform_index(rng, h);
            const Index col = uniform_index(rng, w);
            plan.boxes[i] = around(row, col, plan.lambda[i], plan.image);
            plan.lambda[i] = remaining(plan.boxes[i], plan.image);
        }
    }

    /// The box of this lambda about a centre, clipped to the image.
    [[nodiscard]] static Box around(Index row, Index col, double lambda, ImageSize image)
    {
        const double side = std::sqrt((std::max)(0.0, 1 - lambda));
        const Index half_h = static_cast<Index>(static_cast<double>(image.height) * side) / 2;
        const Index half_w = static_cast<Index>(static_cast<double>(image.width) * side) / 2;
        return {(std::max)(Index{0}, row - half_h), (std::max)(Index{0}, col - half_w),
                (std::min)(image.height, row + half_h), (std::min)(image.width, col + half_w)};
    }
    /// The share of the image that is left.
    [[nodiscard]] static double remaining(const Box& box, ImageSize image)
    {
        return 1 -
               static_cast<double>(box.area()) / static_cast<double>(image.height * image.width);
    }
    friend bool operator==(const CutBox&, const CutBox&) = default;
};

template <class Coefficient = BetaCoefficient, class Pairing = ShuffledPairs,
          class LabelRule = SameLabels>
using CutMix = Mixup<Coefficient, Pairing, CutBox, LabelRule>;

} // namespace temper::inline TEMPER_ABI
