// SPDX-License-Identifier: BSL-1.0
#include "catalog/losses.hpp"

#include <temper/loss/adawac.hpp>
#include <temper/loss/consistency.hpp>
#include <temper/loss/distribution_alignment.hpp>
#include <temper/loss/entropy_minimisation.hpp>
#include <temper/loss/masked_image_consistency.hpp>
#include <temper/loss/prediction_diversity.hpp>
#include <temper/loss/sharpen_distribution.hpp>
#include <temper/loss/shrink_match.hpp>
#include <temper/loss/soft_dice_loss.hpp>
#include <temper/loss/trimmed_loss.hpp>
#include <temper/loss/tsa_cross_entropy.hpp>
#include <temper/loss/uda_consistency.hpp>
#include <temper/mask/confidence_mask.hpp>
#include <temper/schedule/tsa_threshold.hpp>

using namespace temper;
using test::batches;
using test::each;
using test::Inputs;
using test::Law;
using test::Make;
using test::Random;
using test::reduction_of;
using test::Register;
using test::Sizes;
using test::with_sample_weights;

namespace {

const std::string left_out = "a sample that is left out counts for nothing, whatever is in it";
const std::string selects = "a selection jumps where a probability is next to the threshold";

// ---- the consistency core ------------------------------------------------------------------------

/// f(divergence) for the divergence that a case asks for.
template <class C, class F>
void with_divergence(C& c, const F& f)
{
    const std::string kind = c.text("kind", "kl");
    if (kind == "kl")
        f(KullbackLeibler{});
    else if (kind == "reverse_kl")
        f(ReverseKullbackLeibler{});
    else if (kind == "symmetric_kl")
        f(SymmetricKullbackLeibler{});
    else if (kind == "js")
        f(JensenShannon{});
    else if (kind == "mse")
        f(SquaredDistance{});
    else if (kind == "cross_entropy")
        f(TargetCrossEntropy{});
    else
        throw test::CaseError("consistency_divergence of no known kind: " + kind);
}

const std::vector<nlohmann::json> kinds{"kl", "reverse_kl", "symmetric_kl",
                                        "js", "mse",        "cross_entropy"};

constexpr auto vanishing =
    "of logits that are nearer the divergence is the square of their rounding; reverse divergences "
    "multiply logits";

std::vector<Inputs> two_views(const Sizes& s, Random& random)
{
    Inputs plain = batches({"target_logits", "logits"})(s, random)[0];
    Inputs tempered = batches({"target_logits", "logits"})(s, random)[0];
    tempered.param("temperature", 2)
        .param("scale_t2", true)
        .param("reduction", "sum")
        .tensor("sample_weights", random.positive({s.n}));
    return {plain, tempered};
}

const Register consistency =
    Register(
        {"consistency_divergence", "consistency"}, each(two_views, "kind", kinds),
        [](auto& c) {
            with_divergence(c, [&](const auto& divergence) {
                const double t = c.number("temperature", 1);
                const Consistency<std::remove_cvref_t<decltype(divergence)>> loss{
                    .divergence = divergence,
                    .target_temperature = t,
                    .temperature = t,
                    .scale_t2 = c.flag("scale_t2", false),
                    .reduction = reduction_of(c.text("reduction", "mean"))};
                const Index n = c.shape("logits")[0];
                const bool detached = c.flag("detach_target", false);
                with_sample_weights(c, [&](const auto&... weights) {
                    if (detached)
                        c.value(loss(c.matrix("logits"), target_logits(c.matrix("target_logits")),
                                     c.grad("logits"), weights...,
                                     per_sample(c.out("per_sample", {n}))));
                    else
                        c.value(loss(c.matrix("logits"), target_logits(c.matrix("target_logits")),
                                     c.grad("logits"), c.grad("target_logits"), weights...,
                                     per_sample(c.out("per_sample", {n}))));
                });
            });
        })
        .float_range(0.03, 1e6, vanishing)
        .double_range(1e-4, 1e12, vanishing);

const Register symmetric_cross_entropy(
    {"symmetric_cross_entropy"}, each(batches({"logits", "target_logits"}), "alpha", {0.5, 0, 0.8}),
    [](auto& c) {
        const Consistency<SymmetricCrossEntropy> loss{
            .divergence = {.alpha = c.number("alpha", 0.5)}};
        c.value(loss(c.matrix("logits"), target_logits(c.matrix("target_logits")), c.grad("logits"),
                     c.grad("target_logits")));
    });

const Register masked_consistency =
    Register(
        {"masked_consistency"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const double temperature : {0.0, 0.5, 1.0})
                for (const bool given : {false, true}) {
                    Inputs in;
                    in.param("temperature", temperature)
                        .param("threshold", 1.5 / static_cast<double>(s.d + 1))
                        .tensor("logits", random.normal({s.n, s.d}));
                    if (given)
                        in.tensor("probs", random.probabilities(s.n, s.d));
                    else
                        in.tensor("target_logits", random.normal({s.n, s.d}));
                    variants.push_back(in);
                }
            return variants;
        },
        [](auto& c) {
            const Consistency<TargetCrossEntropy> loss{
                .target_temperature = c.number("temperature"), .threshold = c.number("threshold")};
            const Index n = c.shape("logits")[0];
            if (c.has("probs"))
                c.value(loss(c.matrix("logits"), probabilities(c.matrix("probs")), c.grad("logits"),
                             kept(c.out("mask", {n}))));
            else
                c.value(loss(c.matrix("logits"), target_logits(c.matrix("target_logits")),
                             c.grad("logits"), c.grad("target_logits"), kept(c.out("mask", {n}))));
        })
        .no_law(Law::nan, "logits", left_out)
        .no_law(Law::fuzz, selects);

const Register uda =
    Register({"uda_consistency"},
             each(with(batches({"logits_original", "logits_augmented"}), "threshold", 0.3),
                  "temperature", {0.4, -1}),
             [](auto& c) {
                 // The published code says "none" as -1.
                 const double t = c.number("temperature", 0.4);
                 const UdaConsistency loss{.temperature = t < 0 ? 1 : t,
                                           .threshold = c.number("threshold", 0.8)};
                 c.value(loss(c.matrix("logits_augmented"),
                              target_logits(c.matrix("logits_original")),
                              c.grad("logits_augmented"),
                              kept(c.out("mask", {c.shape("logits_original")[0]}))));
             })
        .no_law(Law::nan, "logits_augmented", left_out)
        .no_law(Law::fuzz, selects);

const Register masked_image_consistency =
    Register(
        {"masked_image_consistency"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const char* kind : {"batch_fraction", "max_prob"}) {
                for (const bool images : {false, true}) {
                    const Index n = images ? (std::min)(s.n, Index{20}) : s.n;
                    const test::Shape shape =
                        images ? test::Shape{n, s.d, s.k, 5} : test::Shape{n, s.d};
                    Inputs in;
                    in.param("threshold", 0.4)
                        .param("weight", 2)
                        .param("quality", kind)
                        .tensor("teacher_logits", random.normal(shape))
                        .tensor("masked_logits", random.normal(shape))
                        .tensor("sample_weights", random.positive({images ? n * s.k * 5 : n}));
                    variants.push_back(in);
                }
            }
            return variants;
        },
        [](auto& c) {
            using Quality = MaskedImageConsistency::Quality;
            const MaskedImageConsistency loss{.threshold = c.number("threshold", 0.968),
                                              .weight = c.number("weight", 1),
                                              .quality =
                                                  c.text("quality", "batch_fraction") == "max_prob"
                                                      ? Quality::confidence
                                                      : Quality::batch_fraction};
            const test::Shape labels = c.aside([&] {
                test::Shape shape = c.shape("teacher_logits");
                shape.erase(shape.begin() + 1);
                return shape;
            });
            with_sample_weights(c, [&](const auto&... weights) {
                c.value(loss(c.tensor("masked_logits"), target_logits(c.tensor("teacher_logits")),
                             c.grad("masked_logits"), weights...,
                             temper::quality(c.out("quality", test::Shape{})),
                             pseudo_labels(c.out_indices("pseudo_labels", labels))));
            });
        })
        .no_law(Law::nan, "masked_logits", left_out)
        .no_law(Law::fuzz, selects);

// ---- entropies, targets and masks -----------------------------------------------------------------

const Register entropy_minimisation(
    {"entropy_minimisation"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all = batches({"logits"})(s, random);
        all.push_back(all[0]);
        all[1].param("reduction", "sum").tensor("sample_weights", random.positive({s.n}));
        return all;
    },
    [](auto& c) {
        const EntropyMinimisation loss{.reduction = reduction_of(c.text("reduction", "mean"))};
        with_sample_weights(c, [&](const auto&... weights) {
            if (c.text("variant", "") == "mean_entropy_of_mean")
                c.value(PredictionDiversity{}(c.matrix("logits"), weights..., c.grad("logits")));
            else
                c.value(loss(c.matrix("logits"), weights..., c.grad("logits"),
                             per_sample(c.out("per_sample", {c.shape("logits")[0]}))));
        });
    });

const Register prediction_diversity(
    {"prediction_diversity"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all = batches({"logits"})(s, random);
        all.push_back(all[0]);
        all[1].tensor("sample_weights", random.positive({s.n}));
        return all;
    },
    [](auto& c) {
        with_sample_weights(c, [&](const auto&... weights) {
            c.value(PredictionDiversity{}(c.matrix("logits"), weights..., c.grad("logits")));
        });
    });

const Register confidence_mask =
    Register({"confidence_mask"},
             each(
                 [](const Sizes& s, Random& random) {
                     Inputs given;
                     given.param("threshold", 0.3).tensor("probs", random.probabilities(s.n, s.d));
                     Inputs logits;
                     logits.param("threshold", 0.3).tensor("logits", random.normal({s.n, s.d}));
                     return std::vector{given, logits};
                 },
                 "strict", {false, true}),
             [](auto& c) {
                 const ConfidenceMask mask{.threshold = c.number("threshold", 0.95),
                                           .strict = c.flag("strict", false)};
                 const Index n = c.shape(c.has("probs") ? "probs" : "logits")[0];
                 if (c.has("probs"))
                     c.put("kept_fraction",
                           mask.apply(probabilities(c.matrix("probs")), c.out("mask", {n}),
                                      pseudo_labels(c.out_indices("pseudo_labels", {n}))));
                 else
                     c.put("kept_fraction",
                           mask.apply(target_logits(c.matrix("logits")), c.out("mask", {n}),
                                      pseudo_labels(c.out_indices("pseudo_labels", {n}))));
             })
        .no_law(Law::nan, "a selection is 0 or 1 whatever the numbers are")
        .no_law(Law::shapes, "probs", "it is the only input, and may have any number of columns")
        .no_law(Law::shapes, "logits", "it is the only input, and may have any number of columns")
        .no_law(Law::fuzz, selects);

const Register sharpen_distribution(
    {"sharpen_distribution"},
    each(
        [](const Sizes& s, Random& random) {
            Inputs in;
            in.tensor("probs", random.probabilities(s.n, s.d))
                .tensor("cotangent", random.normal({s.n, s.d}));
            return std::vector{in};
        },
        "temperature", {0.4, 1, 2}),
    [](auto& c) {
        const SharpenDistribution sharpen{.temperature = c.number("temperature", 0.4)};
        sharpen.forward(probabilities(c.matrix("probs")), c.out("output", c.shape("probs")));
        sharpen.pullback(probabilities(c.matrix("probs")), c.matrix("cotangent"), c.grad("probs"));
        c.pair("output", "cotangent");
    });

const Register distribution_alignment =
    Register(
        {"distribution_alignment"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool wanted : {false, true}) {
                Inputs in;
                in.param("length", s.k)
                    .param("pointer", s.k - 1)
                    .tensor("probs", random.probabilities(s.n, s.d))
                    .tensor("queue", random.probabilities(s.k, s.d));
                if (wanted)
                    in.tensor("wanted", random.uniform({s.d}, 0.5, 1.5));
                variants.push_back(in);
            }
            return variants;
        },
        [](auto& c) {
            const DistributionAlignment align{.length = c.integer("length", 32)};
            const auto queue = c.matrix("queue");
            auto state = c.aside([&] {
                auto made = align.init(queue.cols());
                made.queue.clear();
                for (Index i = 0; i < queue.size(); ++i)
                    made.queue.push_back(static_cast<double>(
                        testing::entry(AnyView<const typename decltype(queue)::Scalar>(queue), i)));
                made.pointer = c.integer("pointer");
                return made;
            });
            align.observe(state, probabilities(c.matrix("probs")));
            const auto aligned = [&](const auto&... wanted) {
                align.forward(state, probabilities(c.matrix("probs")),
                              c.out("output", c.shape("probs")), wanted...);
            };
            // The files say "uniform", or a list.
            if (c.has("wanted"))
                aligned(class_weights(c.vector("wanted")));
            else if (c.has("target") && c.param("target").is_array())
                c.aside([&] {
                    const std::vector<double> wanted = c.list("target");
                    aligned(class_weights(wanted));
                });
            else
                aligned();
            c.put("queue", view(state.queue.data(), {align.length, state.classes}));
            c.put("pointer", static_cast<double>(state.pointer));
        })
        .no_law(Law::shapes, "queue", "the case reads it, not the component")
        .no_law(Law::nan, "queue", "the oldest batch is overwritten");

const Register shrink_match =
    Register(
        {"shrink_match"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const double threshold : {0.3, 0.6, 0.95}) {
                Inputs in;
                in.param("threshold", threshold)
                    .tensor("probs_weak", random.probabilities(s.n, s.d))
                    .tensor("logits_strong", random.normal({s.n, s.d}));
                if (threshold == 0.6)
                    in.param("reduction", "sum").tensor("sample_weights", random.positive({s.n}));
                variants.push_back(in);
            }
            return variants;
        },
        [](auto& c) {
            const ShrinkMatch loss{.threshold = c.number("threshold", 0.95),
                                   .reduction = reduction_of(c.text("reduction", "mean"))};
            const Index n = c.shape("probs_weak")[0];
            // The files leave the state's factor to the trainer.
            const ShrinkMatch::State state{.sure = 1, .batches = 1};
            const auto c_of =
                c.aside([&] { return std::vector<std::int64_t>(static_cast<std::size_t>(n)); });
            auto& ranks = const_cast<std::vector<std::int64_t>&>(c_of);
            with_sample_weights(c, [&](const auto&... weights) {
                c.value(loss(state, c.matrix("logits_strong"),
                             probabilities(c.matrix("probs_weak")), c.grad("logits_strong"),
                             weights..., per_sample(c.out("per_sample", {n})),
                             kept(c.out("kept", {n})), removed(into(ranks))));
            });
            auto seen = loss.init();
            c.put("certain_fraction", loss.observe(seen, probabilities(c.matrix("probs_weak"))));
            c.aside([&] {
                std::erase(ranks, 0);
                c.put("removed_class_idx", ranks);
            });
        })
        .no_law(Law::nan, "logits_strong", left_out)
        .no_law(Law::fuzz, selects);

// ---- signal annealing ------------------------------------------------------------------------------

const Register
    tsa_threshold({"tsa_threshold"},
                  each(
                      [](const Sizes& s, Random& random) {
                          Inputs in;
                          in.param("num_classes", 10).param("total_steps", 100);
                          in.tensor("step", random.integers({s.n}, 120));
                          return std::vector{in};
                      },
                      "schedule", {"linear", "exp", "log"}),
                  [](auto& c) {
                      using Shape = TsaThreshold::Shape;
                      const std::string kind = c.text("schedule", "linear");
                      const TsaThreshold schedule{.classes = c.integer("num_classes"),
                                                  .steps = c.integer("total_steps"),
                                                  .shape = kind == "exp"   ? Shape::exponential
                                                           : kind == "log" ? Shape::logarithmic
                                                                           : Shape::linear,
                                                  .end = c.number("end", 1),
                                                  .scale = c.number("scale", 5)};
                      std::vector<double> out =
                          c.aside([&] { return std::vector<double>(c.indices("step").size()); });
                      std::size_t i = 0;
                      for (const std::int64_t t : c.indices("step"))
                          out[i++] = schedule(static_cast<Index>(t));
                      c.put("threshold", std::as_const(out));
                  });

const Register tsa_cross_entropy =
    Register({"tsa_cross_entropy"},
             each(each(
                      [](const Sizes& s, Random& random) {
                          Inputs in;
                          in.tensor("logits", random.normal({s.n, s.d}))
                              .tensor("labels", random.integers({s.n}, s.d));
                          return std::vector{in};
                      },
                      "threshold", {0.35, 1}),
                  "reduction", {"mean", "sum"}),
             [](auto& c) {
                 const TsaCrossEntropy loss{.threshold = c.number("threshold"),
                                            .reduction = reduction_of(c.text("reduction", "mean"))};
                 const Index n = c.shape("logits")[0];
                 c.value(loss(c.matrix("logits"), labels(c.indices("labels")), c.grad("logits"),
                              per_sample(c.out("per_sample", {n})), kept(c.out("mask", {n}))));
             })
        .no_law(Law::fuzz, selects);

// ---- weights of samples, segmentation ----------------------------------------------------------------

const Register adawac =
    Register({"adawac"},
             each(
                 [](const Sizes& s, Random& random) {
                     Inputs in;
                     in.param("observe", false)
                         .tensor("weights", random.probabilities(s.n + 2, 2))
                         .tensor("index", random.permutation(s.n))
                         .tensor("loss_supervised", random.positive({s.n}))
                         .tensor("loss_consistency", random.positive({s.n}));
                     Inputs observed = in;
                     observed.param("observe", true);
                     return std::vector{in, observed};
                 },
                 "eta", {1, 0.2}),
             [](auto& c) {
                 const Adawac loss{.eta = c.number("eta", 1)};
                 auto state = c.aside([&] { return loss.init(0); });
                 const auto weights = c.matrix("weights");
                 c.aside([&] {
                     for (Index i = 0; i < weights.rows(); ++i)
                         state.supervised.push_back(static_cast<double>(weights(i, Index{0})));
                 });
                 // Gradients are those of a state that stands still; the files always observe.
                 const bool given = c.has("observe");
                 const bool observed = !given || c.flag("observe");
                 if (observed)
                     loss.observe(state, c.indices("index"), c.vector("loss_supervised"),
                                  c.vector("loss_consistency"));
                 const auto run = [&](const auto& gs, const auto& gc) {
                     c.value(loss(state, c.indices("index"), c.vector("loss_supervised"),
                                  c.vector("loss_consistency"), gs, gc));
                 };
                 const test::Shape& n = c.shape("loss_supervised");
                 if (given && observed)
                     run(c.out("slope_supervised", n), c.out("slope_consistency", n));
                 else
                     run(c.grad("loss_supervised"), c.grad("loss_consistency"));
                 c.aside([&] {
                     std::vector<double> both;
                     for (const double b : state.supervised)
                         both.insert(both.end(), {b, 1 - b});
                     c.put("weights",
                           view(both.data(), {static_cast<Index>(state.supervised.size()), 2}));
                 });
             })
        .no_law(Law::shapes, "weights", "a state may know more samples")
        .no_law(Law::nan, "weights", "the other column is what the first leaves of 1");

const Register soft_dice_loss(
    {"soft_dice_loss"},
    [](const Sizes& s, Random& random) {
        const Index n = (std::min)(s.n, Index{20});
        Inputs images;
        images.tensor("logits", random.normal({n, s.d, s.k, 5}))
            .tensor("labels", random.integers({n, s.k, 5}, s.d));
        Inputs rows;
        rows.param("smooth", 0.5)
            .tensor("logits", random.normal({s.n, s.d}))
            .tensor("labels", random.integers({s.n}, s.d));
        return std::vector{images, rows};
    },
    [](auto& c) {
        const SoftDiceLoss loss{.smooth = c.number("smooth", 1e-5)};
        c.value(loss(c.tensor("logits"), labels(c.index_tensor("labels")), c.grad("logits")));
    });

const Register trimmed_loss =
    Register(
        {"trimmed_loss"},
        [](const Sizes& s, Random& random) {
            Inputs quantile;
            quantile.param("ratio", 0.4).tensor("losses", random.positive({s.n}));
            Inputs foreground;
            foreground.tensor("losses", random.positive({s.n}))
                .tensor("labels", random.integers({s.n, s.k}, 2));
            return std::vector{quantile, foreground};
        },
        [](auto& c) {
            const TrimmedLoss loss{.ratio = c.number("ratio", 1 - 1280.0 / 2211.0)};
            const Index n = c.shape("losses")[0];
            if (c.has("labels"))
                c.value(loss(c.vector("losses"), labels(c.index_tensor("labels")), c.grad("losses"),
                             kept(c.out("mask", {n}))));
            else
                c.value(loss(c.vector("losses"), c.grad("losses"), kept(c.out("mask", {n}))));
        })
        .no_law(Law::nan, left_out)
        .no_law(Law::shapes, "labels", "the axes after the first may be anything");

} // namespace
