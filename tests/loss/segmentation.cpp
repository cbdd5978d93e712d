// SPDX-License-Identifier: BSL-1.0

// Correction of segmentation labels, several scales, and the Jensen-Shannon divergence.

#include <temper/core/random.hpp>
#include <temper/loss/label_correction.hpp>
#include <temper/loss/multiscale_consistency.hpp>
#include <temper/loss/weighted_jensen_shannon.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;

namespace {

/// Two images of 1 x 4 pixels, and three classes.
struct Images {
    std::vector<std::int64_t> y{1, 0, 2, 1, 0, 0, 2, 2};
    // [n, c, h, w]: sure of class 1, sure of the background, unsure, sure of class 2
    std::vector<float> p{0.05F, 0.97F, 0.4F, 0.05F, 0.9F,  0.02F, 0.3F, 0.05F,
                         0.05F, 0.01F, 0.3F, 0.9F,  0.05F, 0.97F, 0.4F, 0.05F,
                         0.9F,  0.02F, 0.3F, 0.05F, 0.05F, 0.01F, 0.3F, 0.9F};
    [[nodiscard]] auto labels_view() const { return view(y.data(), {2, 1, 4}); }
    [[nodiscard]] auto probs_view() const { return view(p.data(), {2, 3, 1, 4}); }
    auto in_place() { return into(view(y.data(), {2, 1, 4})); }
};

} // namespace

TEST_CASE("labels are corrected where the prediction is sure and its class is flagged")
{
    Images images;
    const LabelCorrection rule;
    const std::vector<int> nothing{0, 0, 0};
    CHECK(rule.apply(labels(images.labels_view()), images.probs_view(), nothing,
                     images.in_place()) == 0);
    CHECK(images.y == std::vector<std::int64_t>{1, 0, 2, 1, 0, 0, 2, 2});

    // Class 2 flagged: the first image's last pixel is of class 1 and stays, the second's first becomes 1
    // only if 1 is flagged and present, which it is not.
    const std::vector<int> second{0, 0, 1};
    CHECK(rule.apply(labels(images.labels_view()), images.probs_view(), second,
                     images.in_place()) == 0);
    const std::vector<int> both{0, 1, 1};
    CHECK(rule.apply(labels(images.labels_view()), images.probs_view(), both, images.in_place()) ==
          1);
    CHECK(images.y == std::vector<std::int64_t>{1, 0, 2, 2, 0, 0, 2, 2});

    // Without the constraint class 1 may come into the second image.
    Images again;
    LabelCorrection free = rule;
    free.class_constraint = false;
    CHECK(free.apply(labels(again.labels_view()), again.probs_view(), both, again.in_place()) == 2);
    CHECK(again.y == std::vector<std::int64_t>{1, 0, 2, 2, 1, 0, 2, 2});
}

TEST_CASE("an image without a flagged label stays as it is, and the ignored label's rule")
{
    Images images;
    images.y = {0, 0, 0, 0, 2, 2, 255, 2};
    const std::vector<int> second{0, 0, 1};
    LabelCorrection rule{.ignored = 255};
    rule.apply(labels(images.labels_view()), images.probs_view(), second, images.in_place());
    // The second image: pixel 1 is predicted as background, so its label 2 becomes the ignored one.
    CHECK(images.y == std::vector<std::int64_t>{0, 0, 0, 0, 2, 255, 255, 2});
    rule.ignored = std::nullopt;
    CHECK_THROWS_AS(
        rule.apply(labels(images.labels_view()), images.probs_view(), second, images.in_place()),
        RangeError);
}

TEST_CASE("scales: no sure image, no consistency; equal scales agree; ignored pixels")
{
    auto rng = stream(5, 0, "scales");
    std::vector<double> z(2 * 3 * 2 * 2);
    for (double& x : z)
        x = normal(rng);
    const AnyView<const double> v(view(std::as_const(z).data(), {2, 3, 2, 2}));
    std::vector<std::int64_t> y{0, 1, 2, 0, 1, 1, 2, 255};
    const auto targets = view(y.data(), {2, 2, 2});
    const std::array scales{v, v, v};
    const std::vector<double> a{1, 1, 1};
    std::vector<double> ga(3);
    CHECK(MultiscaleConsistency{.threshold = 0.9999}(a, scales, labels(targets), into(ga)) == 0);
    CHECK(ga == std::vector<double>{0, 0, 0});
    CHECK(MultiscaleConsistency{.threshold = 0, .floor = 0}(a, scales, labels(targets)) ==
          Approx(0).margin(1e-12));
    const double with = MultiscaleCrossEntropy{}(a, scales, labels(targets));
    y[7] = 0;
    CHECK(MultiscaleCrossEntropy{}(a, scales, labels(targets)) > with);
    y[7] = 3;
    CHECK_THROWS_AS(MultiscaleCrossEntropy{}(a, scales, labels(targets)), RangeError);
}

TEST_CASE("the Jensen-Shannon divergence is 0 for equal members and at most the weights' entropy")
{
    MatrixXd a(2, 2);
    a << 800, 0, 0, 0;
    MatrixXd b(2, 2);
    b << 0, 800, 0, 0;
    const std::vector<double> half{0.5, 0.5};
    const std::vector<double> uneven{0.25, 0.75};
    Eigen::VectorXd each(2);
    CHECK(WeightedJensenShannon{}(tensors(a, b), half, per_sample(into(each))) ==
          Approx(std::log(2) / 2));
    CHECK(each[0] == Approx(std::log(2)));
    CHECK(each[1] == Approx(0).margin(1e-15));
    CHECK(WeightedJensenShannon{.reduction = Reduction::sum}(tensors(a, b), uneven) ==
          Approx(-0.25 * std::log(0.25) - 0.75 * std::log(0.75)));
    // A member without weight has nothing to say.
    MatrixXd g(2, 2);
    MatrixXd unused(2, 2);
    CHECK(WeightedJensenShannon{}(tensors(a, b), std::vector<double>{1, 0},
                                  into(tensors(g, unused))) == Approx(0).margin(1e-15));
    CHECK(g.isZero());
    CHECK(unused.isZero());
    CHECK_THROWS_AS(WeightedJensenShannon{}(tensors(a, b), std::vector<double>{0.5, 0.6}),
                    RangeError);
    CHECK_THROWS_AS(WeightedJensenShannon{}(tensors(a, b), std::vector<double>{-0.5, 1.5}),
                    RangeError);
    CHECK_THROWS_AS(WeightedJensenShannon{}(tensors(a, b), std::vector<double>{1}), ShapeError);
}
