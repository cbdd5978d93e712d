// SPDX-License-Identifier: BSL-1.0
#pragma once

// What was drawn for mixing a batch, as plain data: who is mixed with whom, how much, and where.

#include <temper/core/error.hpp>

#include <array>
#include <vector>

namespace temper::inline TEMPER_ABI {

/// Height and width of images; 0 x 0 where samples are not images.
struct ImageSize {
    Index height = 0;
    Index width = 0;
    friend bool operator==(const ImageSize&, const ImageSize&) = default;
};

/// Rows [top, bottom) and columns [left, right) of an image.
struct Box {
    Index top = 0;
    Index left = 0;
    Index bottom = 0;
    Index right = 0;
    [[nodiscard]] Index area() const { return (bottom - top) * (right - left); }
    friend bool operator==(const Box&, const Box&) = default;
};

/// The four boxes that make up the rest of the image: above, below, left and right.
[[nodiscard]] inline std::array<Box, 4> outside(const Box& box, ImageSize image)
{
    return {{{0, 0, box.top, image.width},
             {box.bottom, 0, image.height, image.width},
             {box.top, 0, box.bottom, box.left},
             {box.top, box.right, box.bottom, image.width}}};
}

/// Row i is mixed with row partner[i], which may be any list of indices. lambda and label_lambda are the
/// weights of the row itself in inputs and labels, boxes (if there are any) where the partner is pasted
/// instead of blended in, and sources where in the partner that stands (empty: at the same place); each of
/// the four has one entry for the batch or one for each sample.
struct MixPlan {
    std::vector<Index> partner;
    std::vector<double> lambda;
    std::vector<double> label_lambda;
    std::vector<Box> boxes;
    std::vector<Box> sources{};
    ImageSize image;

    [[nodiscard]] Index size() const { return static_cast<Index>(partner.size()); }
    [[nodiscard]] double lambda_of(Index i) const { return of(lambda, i); }
    [[nodiscard]] double label_lambda_of(Index i) const { return of(label_lambda, i); }
    [[nodiscard]] const Box& box_of(Index i) const { return of(boxes, i); }
    [[nodiscard]] const Box& source_of(Index i) const
    {
        return sources.empty() ? of(boxes, i) : of(sources, i);
    }

    /// Throws unless partners and label_lambda serve a batch of n.
    void check(std::string_view component, Index n) const
    {
        const auto must = [&](bool ok, std::string_view argument, double value,
                              std::string_view must_be) {
            require(ok, component, argument, value, must_be);
        };
        must(size() == n, "plan", static_cast<double>(size()), "of the batch's size");
        must(label_lambda.size() == 1 || static_cast<Index>(label_lambda.size()) == n,
             "plan.label_lambda.size()", static_cast<double>(label_lambda.size()),
             "1 or the batch's size");
        for (const Index j : partner)
            must(j >= 0 && j < n, "plan.partner", static_cast<double>(j), "a row of the batch");
    }

    friend bool operator==(const MixPlan&, const MixPlan&) = default;

  private:
    template <class T>
    static const T& of(const std::vector<T>& values, Index i)
    {
        return values[values.size() == 1 ? 0 : static_cast<std::size_t>(i)];
    }
};

} // namespace temper::inline TEMPER_ABI
