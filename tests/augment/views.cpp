// SPDX-License-Identifier: BSL-1.0

// Cutout, block masks and RandAugment: what is drawn, and what no golden case has.

#include <temper/augment/block_mask.hpp>
#include <temper/augment/rand_augment.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <array>
#include <cmath>

using namespace temper;
using Eigen::MatrixXf;

TEST_CASE("cutout: boxes, odd sizes and none")
{
    const ImageSize image{6, 8};
    CHECK(Cutout{.size = 3}.around(2, 2, image) == Box{1, 1, 3, 3});
    CHECK(Cutout{.size = 1}.around(2, 2, image).area() == 0);
    CHECK(Cutout{}.around(3, 4, image) == Box{2, 2, 4, 6}); // half of each side
    auto rng = stream(1, 0, "cutout");
    const Cutout cut{};
    const CutoutPlan plan = cut.draw(rng, 5, image);
    CHECK(plan.boxes.size() == 5);
    MatrixXf x = MatrixXf::Ones(5, 48);
    cut.apply(plan, x, into(x)); // in place
    for (int i = 0; i < 5; ++i)
        CHECK(x.row(i).sum() ==
              48 - static_cast<float>(plan.boxes[static_cast<std::size_t>(i)].area()));
    MatrixXf wrong(5, 47);
    CHECK_THROWS_AS(cut.apply(plan, wrong, into(wrong)), ShapeError);
}

TEST_CASE("block masks: shares, exact counts, and blocks larger than the image")
{
    const ImageSize image{8, 8};
    auto rng = stream(2, 0, "blocks");
    const BlockMask half{.ratio = 0.5, .block = 2};
    const BlockMaskPlan plan = half.draw(rng, 500, image);
    float left = 0;
    for (const auto cell : plan.cells)
        left += cell;
    CHECK(std::fabs(left / static_cast<float>(plan.cells.size()) - 0.5F) < 0.03F);
    const BlockMaskPlan exact =
        BlockMask{.ratio = 0.7, .block = 2, .exact_count = true}.draw(rng, 20, image);
    for (std::size_t i = 0; i < 20; ++i) {
        int stays = 0;
        for (std::size_t c = 0; c < 16; ++c)
            stays += exact.cells[16 * i + c];
        CHECK(stays == 5); // of 16, round(0.7 * 16) = 11 are out
    }
    CHECK(BlockMask{.block = 64}.grid(image) == ImageSize{1, 1});
    CHECK(BlockMask{.block = 4}.grid({10, 6}) == ImageSize{2, 2}); // 2.5 and 1.5, half to even
    const MatrixXf x = MatrixXf::Ones(500, 64);
    MatrixXf m(500, 64);
    half.apply(plan, x, into(m));
    CHECK(m.sum() == 4 * left);
    CHECK_THROWS_AS((BlockMask{.ratio = 1.5}.draw(rng, 1, image)), RangeError);
}

TEST_CASE("RandAugment: operations that leave an image as it is")
{
    const ImageSize image{5, 6};
    MatrixXf x(1, 30), y(1, 30);
    for (int i = 0; i < 30; ++i)
        x(0, i) = static_cast<float>(i % 7) / 8;
    const auto apply = [&](const AugmentRecord& record) {
        const RandAugmentPlan plan{{record}, {}, 1, image};
        RandAugment{}.apply(plan, x, into(y));
        return y;
    };
    for (const AugmentOp op : {AugmentOp::brightness, AugmentOp::contrast, AugmentOp::sharpness})
        CHECK(apply({.op = op, .magnitude = 5}).isApprox(x, 1e-6F)); // v = 1
    CHECK(apply({.op = AugmentOp::rotate, .magnitude = 0}) == x);
    CHECK(apply({.op = AugmentOp::translate_x, .magnitude = 1}) == x);
    CHECK(apply({.op = AugmentOp::invert, .applied = false}) == x);
    CHECK(apply({.op = AugmentOp::invert}).isApprox(MatrixXf(1 - x.array())));
    CHECK_THROWS_AS(apply({.op = AugmentOp::invert, .magnitude = 11}), RangeError);
}

TEST_CASE("equalising a flat histogram changes nothing")
{
    const ImageSize image{16, 32}; // each of 256 levels twice
    MatrixXf x(1, 512), y(1, 512);
    for (int i = 0; i < 512; ++i)
        x(0, i) = static_cast<float>(i / 2) / 255;
    const RandAugmentPlan plan{{{.op = AugmentOp::equalize}}, {}, 1, image};
    RandAugment{}.apply(plan, x, into(y));
    CHECK(y.isApprox(x, 1e-6F));
}

TEST_CASE("what RandAugment draws")
{
    auto rng = stream(3, 0, "rand augment");
    const RandAugmentPlan plan = RandAugment{}.draw(rng, 2000, {8, 8});
    CHECK(plan.records.size() == 4000);
    CHECK(plan.cutouts.size() == 2000);
    std::array<int, augment_ops> count{};
    int applied = 0;
    bool in_range = true;
    for (const AugmentRecord& record : plan.records) {
        ++count[static_cast<std::size_t>(record.op)];
        applied += record.applied ? 1 : 0;
        in_range = in_range && record.magnitude >= 1 && record.magnitude <= 9;
    }
    CHECK(in_range);
    for (const int n : count)
        CHECK(std::abs(n - 267) < 90);
    CHECK(std::abs(applied - 2000) < 160);
    auto again = stream(3, 0, "rand augment");
    CHECK(RandAugment{}.draw(again, 2000, {8, 8}) == plan);
}
