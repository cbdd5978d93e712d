// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/augment/block_mask.hpp>
#include <temper/augment/cutout.hpp>
#include <temper/augment/rand_augment.hpp>
#include <temper/recipe/robust_mean_teacher.hpp>
#include <temper/representation/multiview_contrastive.hpp>
#include <temper/representation/nearest_prototype.hpp>

using namespace temper;
using test::batches;
using test::each;
using test::Inputs;
using test::Law;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

/// Images as they are, and as rows of their pixels.
std::vector<std::pair<test::Shape, ImageSize>> image_shapes(const Sizes& s)
{
    const ImageSize size{(std::min)(s.d, Index{14}) + 2, (std::min)(s.k, Index{5}) + 3};
    return {{{s.n, 2, size.height, size.width}, size},
            {{s.n, 3 * size.height * size.width}, size},
            {{s.n, size.height, size.width}, size}};
}
Inputs with_image(ImageSize size)
{
    Inputs in;
    return in.param("height", size.height).param("width", size.width);
}
template <class C>
ImageSize image_of(const C& c)
{
    const test::Shape& shape = c.shape("images");
    return {c.integer("height", shape[shape.size() - 2]),
            c.integer("width", shape[shape.size() - 1])};
}

const Register cutout =
    Register(
        {"cutout"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const auto& [shape, size] : image_shapes(s))
                variants.push_back(with_image(size)
                                       .param("size", 3)
                                       .param("fill", 0.5)
                                       .param("laws", true)
                                       .tensor("images", random.normal(shape))
                                       .tensor("centre", random.integers({2}, 3))
                                       .tensor("cotangent", random.normal(shape)));
            return variants;
        },
        [](auto& c) {
            const Cutout cut{.size = c.integer("size"), .fill = c.number("fill", 0)};
            const CutoutPlan plan = c.aside([&] {
                const auto at = c.indices("centre");
                const ImageSize size = image_of(c);
                return CutoutPlan{
                    {cut.around(static_cast<Index>(at[0]), static_cast<Index>(at[1]), size)}, size};
            });
            cut.apply(plan, c.tensor("images"), c.out("output", c.shape("images")));
            if (c.has("laws")) {
                // Filled with zeros the map is linear; only its slope comes back.
                cut.pullback(plan, c.tensor("cotangent"), c.grad("images"));
                c.pair("output", "cotangent");
            }
            c.aside([&] {
                const Box& box = plan.boxes[0];
                const std::array corners{
                    static_cast<double>(box.top), static_cast<double>(box.left),
                    static_cast<double>(box.bottom), static_cast<double>(box.right)};
                c.put("box", corners);
            });
        })
        .no_law(Law::shapes, "centre", "the case reads it, not the component")
        .no_law(Law::nan, "a pixel that is cut out counts for nothing");

const Register block_mask =
    Register(
        {"block_mask"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const auto& [shape, size] : image_shapes(s)) {
                const ImageSize grid = BlockMask{.block = 2}.grid(size);
                variants.push_back(
                    with_image(size)
                        .param("ratio", 0.6)
                        .param("block", 2)
                        .param("laws", true)
                        .tensor("uniform", random.uniform({s.n, grid.height, grid.width}, 0, 1))
                        .tensor("images", random.normal(shape))
                        .tensor("cotangent", random.normal(shape)));
            }
            return variants;
        },
        [](auto& c) {
            const BlockMask block{.ratio = c.number("ratio", 0.7), .block = c.integer("block", 64)};
            const auto uniforms = c.tensor("uniform");
            const BlockMaskPlan plan = c.aside([&] { return block.plan(uniforms, image_of(c)); });
            const auto [h, w] = plan.image;
            block.mask(plan, c.out("mask", {plan.size(), h, w}));
            block.apply(plan, c.tensor("images"), c.out("output", c.shape("images")));
            if (c.has("laws")) {
                block.pullback(plan, c.tensor("cotangent"), c.grad("images"));
                c.pair("output", "cotangent");
            }
        })
        .no_law(Law::nan, "a pixel that is masked counts for nothing")
        .no_law(Law::fuzz, "images without pixels have no grid");

AugmentOp op_of(const std::string& name)
{
    const std::array<std::string_view, augment_ops> names{
        "invert",       "brightness", "contrast",  "color",    "sharpness",
        "autocontrast", "equalize",   "posterize", "solarize", "translate_x",
        "translate_y",  "shear_x",    "shear_y",   "rotate",   "cutout"};
    for (std::size_t i = 0; i < names.size(); ++i)
        if (names[i] == name)
            return static_cast<AugmentOp>(i);
    throw test::CaseError("rand_augment_op of no known op: " + name);
}

const Register rand_augment =
    Register({"rand_augment_op", "rand_augment"},
             each(each(
                      [](const Sizes& s, Random& random) {
                          std::vector<Inputs> variants;
                          for (const auto& [shape, size] : image_shapes(s))
                              variants.push_back(
                                  with_image(size)
                                      .param("sign", -1)
                                      .tensor("images", random.uniform(shape, 0, 1)));
                          return variants;
                      },
                      "op",
                      {"invert", "brightness", "contrast", "color", "sharpness", "autocontrast",
                       "equalize", "posterize", "solarize", "translate_x", "translate_y", "shear_x",
                       "shear_y", "rotate", "cutout"}),
                  "magnitude", {2, 8}),
             [](auto& c) {
                 const RandAugment augment{.operations = 1, .cutout = 0};
                 const RandAugmentPlan plan = c.aside([&] {
                     RandAugmentPlan made;
                     made.images = c.shape("images")[0];
                     made.image = image_of(c);
                     made.records.assign(static_cast<std::size_t>(made.images),
                                         {.op = op_of(c.text("op")),
                                          .magnitude = static_cast<int>(c.integer("magnitude")),
                                          .sign = static_cast<int>(c.integer("sign", 1)),
                                          .row = made.image.height / 2,
                                          .col = made.image.width / 2});
                     return made;
                 });
                 augment.apply(plan, c.tensor("images"), c.out("output", c.shape("images")));
             })
        .no_law(Law::nan, "what is cut out, moved out or rounded to bits is not NaN")
        .no_law(Law::shapes, "images", "the case reads it, not the component");

// ---- features ------------------------------------------------------------------------------------

const Register multiview_contrastive(
    {"multiview_contrastive"},
    [](const Sizes& s, Random& random) {
        const Index n = (std::min)(s.n, Index{20});
        Inputs samples;
        samples.param("temperature", 0.5)
            .param("base_temperature", 0.7)
            .tensor("features", random.normal({n, s.k, s.d}));
        Inputs classes = samples;
        classes.tensor("labels", random.integers({n}, 3));
        return std::vector{samples, classes};
    },
    [](auto& c) {
        const double t = c.number("temperature", 0.1);
        const MultiviewContrastive loss{.temperature = t,
                                        .base_temperature = c.number("base_temperature", t)};
        if (c.has("labels"))
            c.value(loss(c.tensor("features"), labels(c.indices("labels")), c.grad("features")));
        else
            c.value(loss(c.tensor("features"), c.grad("features")));
    });

const Register nearest_prototype =
    Register(
        {"nearest_prototype"},
        [](const Sizes& s, Random& random) {
            Inputs in;
            in.tensor("prototypes", random.normal({s.k, s.d}))
                .tensor("features", random.normal({s.n, s.d}))
                .tensor("labels", random.integers({s.n}, s.k));
            return std::vector{in};
        },
        [](auto& c) {
            const NearestPrototype nearest{};
            const Index n = c.shape("features")[0];
            const test::Shape& shape = c.shape("prototypes");
            nearest.forward(c.matrix("prototypes"), c.matrix("features"),
                            c.out_indices("index", {n}), c.out("similarity", {n, shape[0]}));
            if (c.has("labels"))
                nearest.build(c.matrix("features"), labels(c.indices("labels")), shape[0],
                              c.out("means", shape));
        })
        .no_law(Law::fuzz, "the nearest of almost equal ones is a matter of rounding");

const Register robust_mean_teacher(
    {"robust_mean_teacher"},
    [](const Sizes& s, Random& random) {
        Inputs in = batches({"logits", "augmented", "teacher"})(s, random)[0];
        Inputs logits_only = in;
        in.param("contrastive", 0.7).param("target", 2);
        const Index n = s.n;
        for (const char* name : {"prototypes", "features", "augmented_features"})
            in.tensor(name, random.normal({n, s.k + 1}));
        return std::vector{in, logits_only};
    },
    [](auto& c) {
        using T = typename std::remove_reference_t<decltype(c)>::Scalar;
        const RobustMeanTeacher rmt{.target = c.number("target", 1),
                                    .contrastive = c.number("contrastive", 0),
                                    .temperature = 0.5};
        const typename RobustMeanTeacher::Inputs<T> logits{.logits = c.matrix("logits"),
                                                           .augmented = c.matrix("augmented"),
                                                           .teacher = c.matrix("teacher")};
        if (rmt.contrastive == 0) {
            c.value(rmt(logits, {.logits = c.grad("logits"), .augmented = c.grad("augmented")}));
            return;
        }
        auto all = logits;
        all.prototypes = c.matrix("prototypes");
        all.features = c.matrix("features");
        all.augmented_features = c.matrix("augmented_features");
        c.value(rmt(all, {.logits = c.grad("logits"),
                          .augmented = c.grad("augmented"),
                          .prototypes = c.grad("prototypes"),
                          .features = c.grad("features"),
                          .augmented_features = c.grad("augmented_features")}));
        rmt.predict(c.matrix("logits"), c.matrix("teacher"),
                    c.out("prediction", c.shape("logits")));
    });

} // namespace
