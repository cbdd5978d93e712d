// SPDX-License-Identifier: BSL-1.0
#include "catalog/losses.hpp"

#include <temper/augment/beta_noise_policy.hpp>
#include <temper/augment/influence_guided_augmentation.hpp>
#include <temper/augment/noise_mask.hpp>
#include <temper/layer/nested_dropout.hpp>
#include <temper/loss/bias_loss.hpp>
#include <temper/loss/co_teaching.hpp>
#include <temper/loss/early_learning_mixup.hpp>
#include <temper/loss/early_learning_regularization.hpp>
#include <temper/loss/ensemble_loss.hpp>
#include <temper/loss/label_correction.hpp>
#include <temper/loss/logit_adjusted_cross_entropy.hpp>
#include <temper/loss/loss_reweighting.hpp>
#include <temper/loss/more_diverse_experts.hpp>
#include <temper/loss/multiscale_consistency.hpp>
#include <temper/loss/progressive_self_distillation.hpp>
#include <temper/loss/weighted_jensen_shannon.hpp>
#include <temper/metric/learning_curve.hpp>
#include <temper/metric/memorization_onset.hpp>
#include <temper/schedule/ramp_schedule.hpp>

using namespace temper;
using test::each;
using test::Inputs;
using test::Law;
using test::logits_and_labels;
using test::Random;
using test::reduction_of;
using test::Register;
using test::Sizes;
using test::Tensor;
using test::with_sample_weights;

namespace {

/// A bank that holds an input's numbers.
template <class T>
TargetBank<T> bank_of(test::Case<T>& c, std::string_view name)
{
    const auto rows = c.matrix(name);
    return c.aside([&] {
        TargetBank<T> bank(rows.rows(), rows.cols());
        for (Index i = 0; i < rows.rows(); ++i)
            for (Index j = 0; j < rows.cols(); ++j)
                bank.targets[static_cast<std::size_t>(i * rows.cols() + j)] = rows(i, j);
        return bank;
    });
}

const std::string more_samples = "a state may know more samples";
const std::string unvisited = "what is remembered of samples that are not in the batch";

// ---- targets that are remembered -------------------------------------------------------------------

const Register elr =
    Register(
        {"elr"},
        [](const Sizes& s, Random& random) {
            // Gradients are those of a state that stands still: not observed, or not asked for.
            std::vector<Inputs> variants;
            for (const bool observe : {false, true})
                for (const bool weighted : {false, true}) {
                    Inputs inputs = logits_and_labels(s, random);
                    inputs.param("observe", observe).param("beta", 0.7).param("lambda", 3);
                    inputs.tensor("targets", random.probabilities(s.n + 2, s.d))
                        .tensor("index", random.permutation(s.n));
                    if (weighted)
                        inputs.param("reduction", "sum")
                            .tensor("sample_weights", random.positive({s.n}));
                    variants.push_back(inputs);
                }
            return variants;
        },
        [](auto& c) {
            const EarlyLearningRegularization loss{.beta = c.number("beta", 0.7),
                                                   .lambda = c.number("lambda", 3),
                                                   .clamp = c.number("clamp", 1e-4),
                                                   .reduction =
                                                       reduction_of(c.text("reduction", "mean"))};
            auto bank = bank_of(c, "targets");
            const bool given = c.has("observe"); // the files always observe, and want the gradient
            if (!given || c.flag("observe"))
                loss.observe(bank, c.indices("index"), c.matrix("logits"));
            const test::Shape& shape = c.shape("logits");
            with_sample_weights(c, [&](const auto&... weights) {
                c.value(loss(bank, c.indices("index"), c.matrix("logits"),
                             labels(c.indices("labels")), weights...,
                             given && c.flag("observe") ? c.out("slope", shape) : c.grad("logits"),
                             per_sample(c.out("per_sample", {shape[0]}))));
            });
            c.put("targets", bank.view());
        })
        .no_law(Law::shapes, "targets", more_samples);

const Register elr_plus =
    Register(
        {"elr_plus"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool reweight : {false, true}) {
                Inputs inputs;
                inputs.param("beta", 0.7)
                    .param("lambda", 3)
                    .param("rampup", 100)
                    .param("iteration", 40)
                    .param("mix_lambda", 0.7)
                    .param("reweight_labels", reweight)
                    .tensor("history", random.probabilities(s.n + 1, s.d))
                    .tensor("index", random.permutation(s.n))
                    .tensor("logits_teacher", random.normal({s.n, s.d}))
                    .tensor("mix_index", random.permutation(s.n))
                    .tensor("logits", random.normal({s.n, s.d}))
                    .tensor("targets", random.probabilities(s.n, s.d));
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            const EarlyLearningMixup loss{.beta = c.number("beta", 0.7),
                                          .lambda = c.number("lambda", 3),
                                          .clamp = c.number("clamp", 1e-4),
                                          .ramp_steps = c.integer("rampup", 0),
                                          .reweight_labels = c.flag("reweight_labels", false)};
            auto bank = bank_of(c, "history");
            loss.observe(bank, c.indices("index"), c.matrix("logits_teacher"));
            const MixPlan plan = c.aside([&] {
                MixPlan mix;
                for (const auto i : c.indices("mix_index"))
                    mix.partner.push_back(static_cast<Index>(i));
                mix.label_lambda = mix.lambda = {c.number("mix_lambda")};
                return mix;
            });
            c.value(loss.at(c.integer("iteration"))(
                bank, c.indices("index"), c.matrix("logits"), probabilities(c.matrix("targets")),
                plan, c.grad("logits"), per_sample(c.out("per_sample", {c.shape("logits")[0]}))));
            loss.mixed_targets(bank, c.indices("index"), plan,
                               c.out("mixed_target", c.shape("logits")));
            c.put("history", bank.view());
        })
        .no_law(Law::shapes, "history", more_samples);

const Register ps_kd =
    Register(
        {"ps_kd"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const Index epoch : {Index{0}, Index{7}}) {
                Inputs inputs = logits_and_labels(s, random);
                inputs.param("alpha_T", 0.8)
                    .param("epoch", epoch)
                    .param("total_epochs", 10)
                    .tensor("past_probs", random.probabilities(s.n, s.d));
                if (epoch > 0)
                    inputs.tensor("sample_weights", random.positive({s.n}));
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            const auto loss = ProgressiveSelfDistillation{.alpha = c.number("alpha_T", 0.8)}.at(
                c.integer("epoch"), c.integer("total_epochs"));
            auto bank = bank_of(c, "past_probs");
            const test::Shape& shape = c.shape("logits");
            const auto ids = c.aside([&] {
                std::vector<std::int64_t> all;
                for (Index i = 0; i < shape[0]; ++i)
                    all.push_back(i);
                return all;
            });
            c.put("alpha", loss.alpha);
            with_sample_weights(c, [&](const auto&... weights) {
                c.value(loss(bank, ids, c.matrix("logits"), labels(c.indices("labels")), weights...,
                             c.grad("logits"), per_sample(c.out("per_sample", {shape[0]})),
                             curvature(c.out("curvature", shape))));
            });
            loss.targets(bank, ids, labels(c.indices("labels")), c.out("targets", shape));
            loss.observe(bank, ids, c.matrix("logits"));
            c.put("bank", bank.view());
        })
        .no_law(Law::shapes, "past_probs", more_samples);

const Register ramp_schedule(
    {"ramp_schedule"},
    each(
        [](const Sizes& s, Random&) {
            Inputs inputs;
            Tensor steps{{s.n}, {}, test::Kind::integers};
            for (Index t = 0; t < s.n; ++t)
                steps.data.push_back(static_cast<double>(t));
            return std::vector{inputs.param("length", 3).tensor("step", steps)};
        },
        "kind",
        {"sigmoid_rampup", "sigmoid_rampdown", "linear_rampup", "linear_rampdown", "cosine_rampup",
         "cosine_rampdown"}),
    [](auto& c) {
        using Shape = RampSchedule::Shape;
        const std::string kind = c.text("kind");
        const RampSchedule ramp{kind == "sigmoid_rampup"     ? Shape::sigmoid_up
                                : kind == "sigmoid_rampdown" ? Shape::sigmoid_down
                                : kind == "linear_rampup"    ? Shape::linear_up
                                : kind == "linear_rampdown"
                                    ? Shape::linear_jump // the cases are the published code's
                                : kind == "cosine_rampup" ? Shape::cosine_up
                                                          : Shape::cosine_down,
                                c.integer("length")};
        c.aside([&] {
            std::vector<double> values;
            for (const auto t :
                 c.vector("step").size() == 0 ? std::span<const std::int64_t>{} : c.indices("step"))
                values.push_back(ramp(static_cast<Index>(t)));
            c.put("value", values);
        });
    });

// ---- segmentation: when labels are corrected, and scales ---------------------------------------------

Inputs curve_inputs()
{
    Inputs inputs;
    return inputs.param("a", 0.6).param("b", 0.7).param("c", 1.5);
}
template <class C>
LearningCurve curve_of(const C& c)
{
    return {c.number("a"), c.number("b"), c.number("c")};
}
template <class C>
std::vector<double> numbers_of(C& c, std::string_view name)
{
    const auto v = c.vector(name);
    std::vector<double> out;
    for (Index i = 0; i < v.size(); ++i)
        out.push_back(static_cast<double>(v(i)));
    return out;
}

const Register iou_curve =
    Register(
        {"iou_curve"},
        [](const Sizes& s, Random& random) {
            return std::vector{curve_inputs().tensor("t", random.positive({s.n}))};
        },
        [](auto& c) {
            const LearningCurve curve = curve_of(c);
            c.aside([&] {
                std::vector<double> value;
                std::vector<double> derivative;
                for (const double t : numbers_of(c, "t")) {
                    value.push_back(curve(t));
                    derivative.push_back(curve.derivative(t));
                }
                c.put("value", value);
                c.put("derivative", derivative);
            });
        })
        .no_law(Law::precision, "a function of a number, in double");

const Register iou_curve_fit =
    Register(
        {"iou_curve_fit"},
        [](const Sizes& s, Random& random) {
            const Index m = (std::min)(s.n, Index{12}) + 3;
            Tensor x{{m}, {}, test::Kind::fixed};
            Tensor y = x;
            for (Index i = 0; i < m; ++i) {
                x.data.push_back(static_cast<double>(i));
                y.data.push_back(LearningCurve{0.6, 0.7, 2}(x.data.back()) +
                                 random.number(-0.01, 0.01));
            }
            Inputs inputs;
            return std::vector{inputs.tensor("x", x).tensor("y", y)};
        },
        [](auto& c) {
            const auto x = c.aside([&] { return numbers_of(c, "x"); });
            const auto y = c.aside([&] { return numbers_of(c, "y"); });
            const LearningCurve curve = LearningCurve::fit(x, y);
            c.put("a", curve.a);
            c.put("b", curve.b);
            c.put("c", curve.c);
            c.put("weighted_sse", curve.error(x, y));
        })
        .no_law(Law::nan, "a measurement that is not there has no curve");

const Register memorization_onset(
    {"memorization_onset"},
    [](const Sizes&, Random&) {
        return std::vector{curve_inputs().param("num_epochs", 16).param("threshold", 0.9)};
    },
    [](auto& c) {
        const MemorizationOnset onset{.epochs = c.integer("num_epochs"),
                                      .threshold = c.number("threshold", 0.9)};
        const LearningCurve curve = curve_of(c);
        c.put("update_epoch", static_cast<double>(onset(curve)));
        c.aside([&] {
            std::vector<double> r;
            for (Index e = 1; e < onset.epochs; ++e)
                r.push_back(onset.relative_change(curve, e));
            c.put("relative_change", r);
        });
    });

const Register label_correction =
    Register(
        {"label_correction"},
        [](const Sizes& s, Random& random) {
            const Index k = (std::min)(s.k, Index{4}) + 1;
            Tensor probs{{k, s.n, s.d}, {}, test::Kind::fixed};
            const Tensor rows = random.probabilities(s.n * s.d, k);
            for (Index j = 0; j < k; ++j)
                for (Index i = 0; i < s.n * s.d; ++i)
                    probs.data.push_back(rows.data[static_cast<std::size_t>(i * k + j)]);
            Inputs inputs;
            inputs.param("threshold", 0.5)
                .param("threshold_background", 0.6)
                .tensor("labels", random.integers({s.n, s.d}, k))
                .tensor("probs", probs)
                .tensor("correct_class", random.integers({k}, 2));
            return std::vector{inputs};
        },
        [](auto& c) {
            const LabelCorrection rule{.threshold = c.number("threshold", 0.8),
                                       .background_threshold =
                                           c.number("threshold_background", 0.95),
                                       .class_constraint = c.flag("class_constraint", true)};
            rule.apply(labels(c.index_tensor("labels")), c.tensor("probs"),
                       c.indices("correct_class"), c.out_indices("labels", c.shape("labels")));
        })
        .no_law(Law::nan, "labels are integers");

template <class C>
std::array<AnyView<const typename C::Scalar>, 3> three_scales(C& c)
{
    return {c.tensor("logits_1"), c.tensor("logits_2"), c.tensor("logits_3")};
}
template <class C>
IntoList<typename C::Scalar> into_scales(C& c, std::string_view prefix)
{
    return c.outs(prefix, "logits_");
}

const Register adele_multiscale = Register(
    {"adele_multiscale"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const char* part : {"cross_entropy", "consistency"}) {
            const test::Shape shape{2, (std::min)(s.d, Index{6}) + 1, (std::min)(s.n, Index{30}),
                                    (std::min)(s.k, Index{7})};
            Inputs inputs;
            inputs.param("part", part)
                .param("threshold", 0.5)
                .tensor("scale_logits", random.normal({3}))
                .tensor("logits_1", random.normal(shape))
                .tensor("logits_2", random.normal(shape))
                .tensor("logits_3", random.normal(shape))
                .tensor("labels", random.integers({shape[0], shape[2], shape[3]}, shape[1]));
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        const MultiscaleCrossEntropy entropy{.ignore_index = c.integer("ignore", 255)};
        const MultiscaleConsistency consistency{.threshold = c.number("threshold", 0.8),
                                                .ignore_index = c.integer("ignore", 255)};
        const auto call = [&](const auto& loss, const auto&... gradients) {
            const auto z = three_scales(c);
            return loss(c.vector("scale_logits"), z, labels(c.index_tensor("labels")),
                        gradients()...);
        };
        const auto none = [&] { return discard; };
        if (!c.has("part")) {
            c.put("cross_entropy",
                  call(entropy, none, [&] { return into_scales(c, "grad_ce_logits_"); }));
            c.put("consistency", call(consistency, none,
                                      [&] { return into_scales(c, "grad_consistency_logits_"); }));
            return;
        }
        const auto of_scales = [&] { return c.grad("scale_logits"); };
        const auto of_logits = [&] { return c.grads("logits_"); };
        c.value(c.text("part") == "consistency" ? call(consistency, of_scales, of_logits)
                                                : call(entropy, of_scales, of_logits));
    });

const Register weighted_js =
    Register({"weighted_js"},
             each(
                 [](const Sizes& s, Random& random) {
                     Inputs inputs;
                     return std::vector{inputs.param("weights", {0.2, 0.3, 0.5})
                                            .tensor("logits_1", random.normal({s.n, s.d}))
                                            .tensor("logits_2", random.normal({s.n, s.d}))
                                            .tensor("logits_3", random.normal({s.n, s.d}))};
                 },
                 "reduction", {"mean", "sum"}),
             [](auto& c) {
                 const WeightedJensenShannon loss{.reduction =
                                                      reduction_of(c.text("reduction", "mean"))};
                 const auto weights = c.aside([&] { return c.list("weights"); });
                 const auto members = c.tensors("logits_");
                 c.value(loss(members, weights, c.grads("logits_"),
                              per_sample(c.out("per_sample", {c.shape("logits_1")[0]}))));
             })
        .float_tolerance(3e-4, "differences of nearly equal logarithms");

// ---- two networks, and the features of one -----------------------------------------------------------

const Register nested_dropout =
    Register(
        {"nested_dropout"},
        [](const Sizes& s, Random& random) {
            Inputs inputs;
            return std::vector{inputs.param("mu", 1.5)
                                   .param("std", 4)
                                   .param("keep", (s.d + 1) / 2)
                                   .tensor("x", random.normal({s.n, s.d}))
                                   .tensor("cotangent", random.normal({s.n, s.d}))};
        },
        [](auto& c) {
            const NestedDropout drop{.deviation = c.number("std"), .mu = c.number("mu", 0)};
            const PrefixPlan plan{c.integer("keep")};
            const test::Shape& shape = c.shape("x");
            drop.distribution(c.out("distribution", {shape[1]}));
            drop.forward(plan, c.matrix("x"), c.out("output", shape));
            drop.pullback(plan, c.matrix("cotangent"), c.grad("x"));
            c.pair("output", "cotangent");
        })
        .no_law(Law::nan, "what is dropped is gone")
        .no_law(Law::shapes, "what is dropped may be of any size");

const Register co_teaching =
    Register(
        {"co_teaching"},
        [](const Sizes& s, Random& random) {
            Inputs inputs;
            return std::vector{inputs.param("forget_rate", 0.3)
                                   .param("of", "value_1")
                                   .tensor("logits_1", random.normal({s.n, s.d}))
                                   .tensor("logits_2", random.normal({s.n, s.d}))
                                   .tensor("labels", random.integers({s.n}, s.d))};
        },
        [](auto& c) {
            const CoTeaching teach{.forget_rate = c.number("forget_rate")};
            auto& plans = c.aside([&]() -> std::array<SmallLossPlan, 2>& {
                static thread_local std::array<SmallLossPlan, 2> room;
                return room;
            });
            teach.select(c.matrix("logits_1"), labels(c.indices("labels")), plans[0]);
            teach.select(c.matrix("logits_2"), labels(c.indices("labels")), plans[1]);
            const double first = teach(plans[1], c.matrix("logits_1"), labels(c.indices("labels")),
                                       c.grad("logits_1"));
            const double second = teach(plans[0], c.matrix("logits_2"), labels(c.indices("labels")),
                                        c.grad("logits_2"));
            c.put("value_1", first);
            c.put("value_2", second);
            c.value(first + second);
            c.put("index_1", plans[0].rows);
            c.put("index_2", plans[1].rows);
        })
        .no_law(Law::nan, "a loss that is NaN is a sample to forget")
        .no_law(Law::precision, "a selection jumps where two losses are close");

// ---- weights of samples --------------------------------------------------------------------------------

const Register ens_loss =
    Register({"ens_loss"},
             each(
                 [](const Sizes& s, Random& random) {
                     Inputs inputs;
                     return std::vector{inputs.tensor("noise", random.normal({s.n}))
                                            .tensor("scores", random.normal({s.n}))
                                            .tensor("labels", random.integers({s.n}, 2))};
                 },
                 "lambda", {0, 0.5, -0.7}),
             [](auto& c) {
                 const EnsembleLoss loss;
                 const auto plan = c.aside(
                     [&] { return EnsembleLossPlan{numbers_of(c, "noise"), c.number("lambda")}; });
                 c.value(
                     loss(c.vector("scores"), labels(c.indices("labels")), plan, c.grad("scores")));
             })
        .no_law(Law::gradient,
                "the derivatives are drawn, and held still where they depend on scores")
        .no_law(Law::nan, "noise", "a number that is not one is an infinite one: g = -1");

const Register bias_loss =
    Register(
        {"bias_loss"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const char* mode : {"local", "global"}) {
                Inputs inputs = logits_and_labels(s, random);
                inputs.param("mode", mode)
                    .param("global_min", 0.05)
                    .tensor("features", random.normal({s.n, s.k + 1}));
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            const BiasLoss loss{.alpha = c.number("alpha", 0.3), .beta = c.number("beta", 0.3)};
            const test::Shape& shape = c.shape("logits");
            if (c.text("mode") == "local") {
                c.value(loss(c.matrix("features"), c.matrix("logits"), labels(c.indices("labels")),
                             c.grad("logits"), per_sample(c.out("per_sample", {shape[0]})),
                             curvature(c.out("curvature", shape))));
                return;
            }
            BiasLoss::State state{c.number("global_min", 1e5)};
            loss.observe(state, c.matrix("features"));
            c.value(loss(state, c.matrix("features"), c.matrix("logits"),
                         labels(c.indices("labels")), c.grad("logits")));
            c.put("global_min", state.least);
        })
        .no_law(Law::shapes, "features", "features may be as many as they like")
        .no_law(Law::fuzz, "squares and exponentials of the largest features overflow");

const Register loss_reweighting =
    Register({"loss_reweighting"},
             each(
                 [](const Sizes& s, Random& random) {
                     Inputs plain;
                     plain.tensor("losses", random.positive({s.n}));
                     Inputs weighted = plain;
                     weighted.tensor("sample_weights", random.positive({s.n}));
                     return std::vector{plain, weighted};
                 },
                 "strategy", {"linupper", "mid", "upper", "extremes", "uniform"}),
             [](auto& c) {
                 using Strategy = LossReweighting::Strategy;
                 const std::string strategy = c.text("strategy");
                 const LossReweighting loss{.strategy = strategy == "linupper" ? Strategy::lin_upper
                                                        : strategy == "mid"    ? Strategy::middle
                                                        : strategy == "upper"  ? Strategy::upper
                                                        : strategy == "extremes"
                                                            ? Strategy::extremes
                                                            : Strategy::uniform,
                                            .r = c.number("r", 0.4)};
                 with_sample_weights(c, [&](const auto&... sizes) {
                     c.value(loss(c.vector("losses"), sizes..., c.grad("losses"),
                                  used_weights(c.out("weights", c.shape("losses")))));
                 });
             })
        .no_law(Law::gradient, "the weights are held still");

const Register logit_adjusted_cross_entropy =
    Register({"logit_adjusted_cross_entropy"},
             each(
                 [](const Sizes& s, Random& random) {
                     return std::vector{logits_and_labels(s, random).tensor(
                         "class_counts", random.uniform({s.d}, 1, 100))};
                 },
                 "tau", {-0.5, 0, 1, 2.5}),
             [](auto& c) {
                 const LogitAdjustedCrossEntropy loss{.tau = c.number("tau", 1),
                                                      .epsilon = c.number("eps", 1e-9)};
                 const test::Shape& shape = c.shape("logits");
                 c.value(loss(c.matrix("logits"), labels(c.indices("labels")),
                              c.vector("class_counts"), c.grad("logits"),
                              per_sample(c.out("per_sample", {shape[0]})),
                              curvature(c.out("curvature", shape))));
             })
        .no_law(Law::nan, "class_counts", "whatever to the power of 0 is 1");

const Register mdcs =
    Register({"mdcs"},
             each(
                 [](const Sizes& s, Random& random) {
                     // Gradients flow through the strong views only where the term is: its teacher,
                     // the weak view, is held still.
                     Inputs inputs;
                     return std::vector{inputs.param("warmup_epochs", 20)
                                            .tensor("class_counts", random.uniform({s.d}, 1, 100))
                                            .tensor("logits_1", random.normal({2 * s.n, s.d}))
                                            .tensor("logits_2", random.normal({2 * s.n, s.d}))
                                            .tensor("logits_3", random.normal({2 * s.n, s.d}))
                                            .tensor("labels", random.integers({s.n}, s.d))};
                 },
                 "epoch", {0, 10, 50}),
             [](auto& c) {
                 const auto loss =
                     MoreDiverseExperts{.distillation = c.number("distill_weight", 0.6),
                                        .warm_up = c.integer("warmup_epochs", 20)}
                         .at(c.integer("epoch"));
                 const auto experts = c.tensors("logits_");
                 const bool still = c.integer("epoch") > 0 && !c.has("distill_weight");
                 c.value(loss(experts, labels(c.indices("labels")), c.vector("class_counts"),
                              still ? c.outs("slope_", "logits_") : c.grads("logits_"),
                              selected(c.out_indices("selected", {3}))));
             });

// ---- what augmentation is worth ------------------------------------------------------------------------

const Register influence_importance =
    Register(
        {"influence_importance"},
        [](const Sizes& s, Random& random) {
            const Index n = (std::min)(s.n, Index{40});
            const Index d = (std::min)(s.d, Index{20});
            Tensor train{{n}, {}, test::Kind::integers};
            Tensor validation{{2}, {}, test::Kind::integers};
            for (Index i = 0; i < n; ++i)
                train.data.push_back(static_cast<double>(i));
            validation.data = {static_cast<double>(n), static_cast<double>(n + 1)};
            Inputs inputs;
            return std::vector{inputs.param("dims", {4, 3})
                                   .tensor("checkpoint_gradients", random.normal({2, n + 2, d}))
                                   .tensor("train_index", train)
                                   .tensor("validation_index", validation)
                                   .tensor("coordinates", random.integers({n, 2}, 3))};
        },
        [](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const InfluenceGuidedAugmentation dain;
            const Index n = c.shape("train_index")[0];
            auto& cells = c.aside([&]() -> std::vector<T>& {
                static thread_local std::vector<T> room;
                room.resize(static_cast<std::size_t>(n));
                return room;
            });
            const auto dims = c.aside([&] { return c.integers("dims"); });
            dain.cell_importance(c.tensor("checkpoint_gradients"), c.indices("train_index"),
                                 c.indices("validation_index"), into(cells));
            dain.cell_importance(c.tensor("checkpoint_gradients"), c.indices("train_index"),
                                 c.indices("validation_index"), c.out("cell_importance", {n}));
            for (std::size_t mode = 0; mode < dims.size(); ++mode) {
                const std::string name =
                    c.aside([&] { return "entity_importance_" + std::to_string(mode); });
                const auto all = c.index_tensor("coordinates");
                const VectorView<const std::int64_t> of_mode{all.data + static_cast<Index>(mode) *
                                                                            all.stride(1),
                                                             {all.extent(0)},
                                                             {all.stride(0)}};
                dain.entity_importance(cells, of_mode, c.out(name, {dims[mode]}));
            }
        })
        .no_law(Law::shapes, "a part of the cells, of any number of features, is an input, too")
        .no_law(Law::fuzz, "products of the largest gradients overflow")
        .no_law(Law::precision, "a sum of products of either sign may be small");

const Register beta_noise_policy =
    Register(
        {"beta_noise_policy"},
        each(
            [](const Sizes& s, Random& random) {
                Inputs inputs;
                return std::vector{inputs.tensor("mask", random.uniform({s.n, s.d}, 0.05, 0.95))
                                       .tensor("raw_alpha", random.normal({s.n, s.d}))
                                       .tensor("raw_beta", random.normal({s.n, s.d}))
                                       .tensor("losses", random.positive({s.n}))};
            },
            "mode", {"reinforce", "official"}),
        [](auto& c) {
            const bool reinforce = c.text("mode") == "reinforce";
            const BetaNoisePolicy policy{.form = reinforce ? BetaNoisePolicy::Form::reinforce
                                                           : BetaNoisePolicy::Form::published};
            const auto density = [&] { return log_density(c.out("log_prob", c.shape("mask"))); };
            if (reinforce)
                c.value(policy(c.matrix("raw_alpha"), c.matrix("raw_beta"), c.matrix("mask"),
                               c.vector("losses"), c.grad("raw_alpha"), c.grad("raw_beta"),
                               density()));
            else
                c.value(policy(c.matrix("raw_alpha"), c.matrix("raw_beta"), c.matrix("mask"),
                               c.vector("losses"), c.grad("raw_alpha"), c.grad("raw_beta"),
                               c.grad("losses"), density()));
        })
        .float_range(0.02, 10, "exponentials of the parameters")
        .double_range(0.02, 10, "exponentials of the parameters");

const Register noise_mask =
    Register(
        {"noise_mask"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool channels : {false, true}) {
                const Index n = (std::min)(s.n, Index{8});
                const test::Shape shape = channels ? test::Shape{n, 2, 5, 7} : test::Shape{n, 6, 4};
                Inputs inputs;
                inputs.tensor("mask", random.uniform({n, 9}, 0, 1))
                    .tensor("x", random.normal(shape))
                    .tensor("cotangent", random.normal(shape));
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            const NoiseMask noise{.kernel = 3, .sigma = 1.5};
            noise.forward(c.matrix("mask"), c.tensor("x"), c.out("output", c.shape("x")));
            noise.pullback(c.matrix("mask"), c.tensor("cotangent"), c.grad("x"));
            c.pair("output", "cotangent");
        })
        .no_law(Law::shapes, "x", "images may be of any size")
        .no_law(Law::shapes, "cotangent", "images may be of any size")
        .no_law(Law::nan, "mask", "cells that no pixel is near to");

} // namespace
