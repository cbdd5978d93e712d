// SPDX-License-Identifier: BSL-1.0
#include "catalog/losses.hpp"

#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>
#include <temper/loss/distillation_kl.hpp>
#include <temper/loss/focal_loss.hpp>
#include <temper/loss/label_distributionally_robust_loss.hpp>
#include <temper/loss/label_smoothing.hpp>
#include <temper/loss/mean_squared_error.hpp>
#include <temper/loss/mixup_cross_entropy.hpp>
#include <temper/loss/robust_loss.hpp>
#include <temper/loss/sigmoid_focal_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/loss/stablemax_cross_entropy.hpp>

#include <limits>

using namespace temper;
using test::each;
using test::Inputs;
using test::Law;
using test::logits_and_labels;
using test::Make;
using test::Random;
using test::reduction_of;
using test::Register;
using test::Sizes;
using test::Tensor;
using test::with_sample_weights;

namespace {

/// f(sample_weights(...), class_weights(...)) with those that the case has.
template <class C, class F>
void with_weights(C& c, const F& f)
{
    const auto with_class_weights = [&](const auto&... rest) {
        if (c.has("class_weights"))
            f(rest..., class_weights(c.vector("class_weights")));
        else
            f(rest...);
    };
    if (c.has("sample_weights"))
        with_class_weights(sample_weights(c.vector("sample_weights")));
    else
        with_class_weights();
}
// ---- variants of inputs ----------------------------------------------------------------------------

Inputs logits(const Sizes& s, Random& random)
{
    Inputs inputs;
    inputs.tensor("logits", random.normal({s.n, s.d}));
    return inputs;
}

std::vector<Inputs> labelled(const Sizes& s, Random& random)
{
    return {logits_and_labels(s, random)};
}
/// Labels with and without weights.
std::vector<Inputs> classes(const Sizes& s, Random& random)
{
    return {logits_and_labels(s, random), logits_and_labels(s, random)
                                              .tensor("sample_weights", random.positive({s.n}))
                                              .tensor("class_weights", random.positive({s.d}))};
}
/// Classes 0 and 2 are ignored.
std::vector<Inputs> some_ignored(const Sizes& s, Random& random)
{
    std::vector<Inputs> variants = classes(s, random);
    for (Inputs& inputs : variants) {
        for (double& label : inputs.find("labels")->data)
            label = label == 2 ? 0 : label;
        inputs.param("ignore_index", 0);
    }
    return variants;
}
std::vector<Inputs> distributions(const Sizes& s, Random& random)
{
    return {logits(s, random).tensor("targets", random.probabilities(s.n, s.d)),
            logits(s, random)
                .tensor("targets", random.uniform({s.n, s.d}, 0, 2))
                .tensor("sample_weights", random.positive({s.n}))
                .tensor("class_weights", random.positive({s.d}))};
}
std::vector<Inputs> pairs(const Sizes& s, Random& random, const std::string& weights)
{
    Inputs plain;
    plain.tensor("x", random.normal({s.n, s.d})).tensor("y", random.normal({s.n, s.d}));
    Inputs weighted = plain;
    weighted.tensor(weights, random.positive({s.n}));
    return {plain, weighted};
}

Make both(const Make& a, const Make& b)
{
    return [=](const Sizes& s, Random& random) {
        std::vector<Inputs> all = a(s, random);
        for (Inputs& inputs : b(s, random))
            all.push_back(std::move(inputs));
        return all;
    };
}

const std::string unused_class = "the weight of a class that no sample has counts for nothing";

// ---- softmax cross-entropy ---------------------------------------------------------------------------

// The card's `mean` divides by n whatever the weights are; its `weighted_mean` is the library's mean.
const auto softmax_cross_entropy_entry = [](auto& c) {
    const std::string reduction = c.text("reduction", "mean");
    const bool weighted =
        c.has("sample_weights") || c.has("class_weights") || c.has("ignore_index");
    const bool over_n = reduction == "mean" && weighted;
    SoftmaxCrossEntropy loss{.label_smoothing = c.number("label_smoothing", 0),
                             .reduction = over_n ? Reduction::sum : reduction_of(reduction)};
    if (c.has("ignore_index"))
        loss.ignore_index = c.integer("ignore_index");
    const test::Shape& shape = c.shape("logits");
    const auto n = static_cast<double>(shape[0]);

    // The functions fetch what goes into a call.
    const auto call = [&](const auto& component, const auto& targets, const auto&... more) {
        double value = 0;
        with_weights(c, [&](const auto&... weights) {
            value = component(c.matrix("logits"), targets(), weights..., more()...);
        });
        return value;
    };
    const auto of_logits = [&] { return c.grad("logits"); };
    const auto of_targets = [&] { return c.grad("targets"); };
    const auto values = [&] { return per_sample(c.out("per_sample", {shape[0]})); };
    const auto second = [&] { return curvature(c.out("curvature", shape)); };
    const auto run = [&](const auto& targets, const auto&... gradients) {
        if (over_n) {
            c.value(call((n == 0 ? 0 : 1 / n) * loss, targets, gradients..., second));
            call(loss, targets, values);
        }
        else
            c.value(call(loss, targets, gradients..., values, second));
    };
    if (c.has("labels"))
        run([&] { return labels(c.indices("labels")); }, of_logits);
    else
        run([&] { return probabilities(c.matrix("targets")); }, of_logits, of_targets);
};

const Register softmax_cross_entropy =
    Register({"softmax_cross_entropy"},
             each(each(both(classes, distributions), "label_smoothing", {0, 0.1}), "reduction",
                  {"mean", "weighted_mean", "sum"}),
             softmax_cross_entropy_entry)
        .no_law(Law::nan, "class_weights", unused_class);

const Register softmax_cross_entropy_ignoring =
    Register({"softmax_cross_entropy_ignoring"},
             each(each(some_ignored, "label_smoothing", {0, 0.1}), "reduction",
                  {"mean", "weighted_mean", "sum"}),
             softmax_cross_entropy_entry)
        .no_law(Law::nan, "an ignored sample counts for nothing, whatever its numbers are");

const Register label_smoothing =
    Register({"label_smoothing"},
             each(each(labelled, "epsilon", {0, 0.1, 1}), "variant", {"all", "off_only"}),
             [](auto& c) {
                 const LabelSmoothing smoothing{.epsilon = c.number("epsilon", 0.1),
                                                .spread = c.text("variant", "all") == "off_only"
                                                              ? Spread::other_classes
                                                              : Spread::all_classes};
                 const test::Shape& shape = c.shape("logits");
                 smoothing.forward(labels(c.indices("labels")), shape[1], c.out("targets", shape));
                 if (smoothing.spread == Spread::all_classes)
                     c.value(SoftmaxCrossEntropy{.label_smoothing = smoothing.epsilon}(
                         c.matrix("logits"), labels(c.indices("labels")), c.grad("logits")));
             })
        .no_law(Law::shapes, "logits", "smoothing that spares the label has no logits")
        .no_law(Law::nan, "smoothing that spares the label has no logits");

// The card's eps counts in double only, where it is next to 1.
const auto stablemax_entry = [](auto& c) {
    StableMaxCrossEntropy loss{.epsilon = c.number("epsilon", 1e-30),
                               .reduction = reduction_of(c.text("reduction", "mean"))};
    if (c.has("ignore_index"))
        loss.ignore_index = c.integer("ignore_index");
    const test::Shape& shape = c.shape("logits");
    with_sample_weights(c, [&](const auto&... weights) {
        c.value(loss(c.matrix("logits"), labels(c.indices("labels")), weights..., c.grad("logits"),
                     per_sample(c.out("per_sample", {shape[0]})),
                     log_probabilities(c.out("log_probs", shape))));
    });
};
/// With and without weights of samples.
Make labelled_samples(const Make& make)
{
    return [=](const Sizes& s, Random& random) {
        std::vector<Inputs> all = make(s, random);
        all.push_back(make(s, random)[0].tensor("sample_weights", random.positive({s.n})));
        return all;
    };
}

const Register stablemax_cross_entropy(
    {"stablemax_cross_entropy"},
    each(each(labelled_samples(labelled), "epsilon", {1e-30, 0.01}), "reduction", {"mean", "sum"}),
    stablemax_entry);

const Register stablemax_cross_entropy_ignoring =
    Register(
        {"stablemax_cross_entropy_ignoring"},
        [](const Sizes& s, Random& random) { return std::vector{some_ignored(s, random)[0]}; },
        stablemax_entry)
        .no_law(Law::nan, "an ignored sample counts for nothing, whatever its numbers are");

// ---- distillation ------------------------------------------------------------------------------------

// The card's `batchmean` is the library's mean; its `mean` divides by the classes as well.
const Register distillation_kl(
    {"kd_kl"},
    each(each(
             [](const Sizes& s, Random& random) {
                 Inputs plain;
                 plain.tensor("student_logits", random.normal({s.n, s.d}))
                     .tensor("teacher_logits", random.normal({s.n, s.d}));
                 Inputs weighted = plain;
                 weighted.param("factor", 0.5).tensor("sample_weights", random.positive({s.n}));
                 return std::vector{plain, weighted};
             },
             "temperature", {1, 4}),
         "reduction", {"batchmean", "sum", "mean"}),
    [](auto& c) {
        const std::string reduction = c.text("reduction", "batchmean");
        const test::Shape& shape = c.shape("student_logits");
        const DistillationKl loss{.temperature = c.number("temperature", 4),
                                  .reduction = reduction_of(reduction)};
        const double factor =
            c.number("factor", 1) /
            (reduction == "mean" ? static_cast<double>((std::max)(shape[1], Index{1})) : 1);
        with_sample_weights(c, [&](const auto&... weights) {
            c.value((factor * loss)(
                c.matrix("student_logits"), teacher_logits(c.matrix("teacher_logits")), weights...,
                c.grad("student_logits"), c.grad("teacher_logits"),
                per_sample(c.out("per_sample", {shape[0]})), curvature(c.out("curvature", shape))));
        });
    });

// ---- mixup cross-entropy -----------------------------------------------------------------------------

std::vector<Inputs> pairs_of_labels(const Sizes& s, Random& random)
{
    std::vector<Inputs> variants;
    for (const Index m : {s.n, Index{1}})
        for (const bool weighted : {false, true}) {
            Inputs inputs = logits(s, random);
            inputs.tensor("labels_a", random.integers({s.n}, s.d))
                .tensor("labels_b", random.integers({s.n}, s.d))
                .tensor("lambda", random.uniform({m}, 0.1, 0.9));
            if (weighted)
                inputs.tensor("sample_weights", random.positive({s.n})).param("reduction", "sum");
            variants.push_back(inputs);
        }
    return variants;
}
std::vector<Inputs> pairs_with_everything(const Sizes& s, Random& random)
{
    std::vector<Inputs> variants = pairs_of_labels(s, random);
    for (Inputs& inputs : variants)
        inputs.tensor("class_weights", random.positive({s.d}))
            .param("label_smoothing", 0.1)
            .param("ignore_index", 0);
    return variants;
}
const auto mixup_cross_entropy_entry = [](auto& c) {
    MixupCrossEntropy loss{.label_smoothing = c.number("label_smoothing", 0),
                           .reduction = reduction_of(c.text("reduction", "mean"))};
    if (c.has("ignore_index"))
        loss.ignore_index = c.integer("ignore_index");
    const test::Shape& shape = c.shape("logits");
    with_weights(c, [&](const auto&... weights) {
        c.value(loss(
            c.matrix("logits"), labels(c.indices("labels_a")), labels(c.indices("labels_b")),
            c.vector("lambda"), weights..., c.grad("logits"), c.grad("lambda"),
            per_sample(c.out("per_sample", {shape[0]})), curvature(c.out("curvature", shape))));
    });
};

const Register mixup_cross_entropy({"mixup_cross_entropy"}, pairs_of_labels,
                                   mixup_cross_entropy_entry);
const Register mixup_cross_entropy_ignoring =
    Register({"mixup_cross_entropy_ignoring"}, pairs_with_everything, mixup_cross_entropy_entry)
        .no_law(Law::nan, "an ignored sample counts for nothing, whatever its numbers are");

// ---- focal loss ----------------------------------------------------------------------------------------

const auto focal_loss_entry = [](auto& c) {
    FocalLoss loss{.gamma = c.number("gamma", 2),
                   .reduction = reduction_of(c.text("reduction", "mean"))};
    if (c.has("ignore_index"))
        loss.ignore_index = c.integer("ignore_index");
    const test::Shape& shape = c.shape("logits");
    with_weights(c, [&](const auto&... weights) {
        c.value(loss(c.matrix("logits"), labels(c.indices("labels")), weights..., c.grad("logits"),
                     per_sample(c.out("per_sample", {shape[0]})),
                     curvature(c.out("curvature", shape))));
    });
};

const Register focal_loss =
    Register({"focal_loss"},
             each(each(classes, "gamma", {0, 0.5, 2}), "reduction", {"mean", "sum"}),
             focal_loss_entry)
        .no_law(Law::nan, "class_weights", unused_class);

const Register focal_loss_ignoring =
    Register({"focal_loss_ignoring"}, each(some_ignored, "gamma", {2}), focal_loss_entry)
        .no_law(Law::nan, "an ignored sample counts for nothing, whatever its numbers are");

const Register sigmoid_focal_loss(
    {"sigmoid_focal_loss"},
    each(
        [](const Sizes& s, Random& random) {
            Inputs binary = logits(s, random);
            binary.param("alpha", 0.25).tensor("targets", random.integers({s.n, s.d}, 2));
            binary.find("targets")->kind = test::Kind::fixed;
            Inputs soft = logits(s, random);
            soft.param("reduction", "sum")
                .tensor("targets", random.uniform({s.n, s.d}, 0.1, 0.9))
                .tensor("sample_weights", random.positive({s.n}));
            Inputs one;
            one.param("alpha", 0.75)
                .tensor("logits", random.normal({s.n, 1}))
                .tensor("labels", random.integers({s.n}, 2))
                .tensor("sample_weights", random.positive({s.n}));
            return std::vector{binary, soft, one};
        },
        "gamma", {0, 0.5, 2}),
    [](auto& c) {
        SigmoidFocalLoss loss{.gamma = c.number("gamma", 2),
                              .alpha = std::nullopt,
                              .reduction = reduction_of(c.text("reduction", "mean"))};
        if (c.has("alpha"))
            loss.alpha = c.number("alpha");
        const test::Shape& shape = c.shape("logits");
        with_sample_weights(c, [&](const auto&... weights) {
            if (c.has("labels"))
                c.value(loss(c.matrix("logits"), labels(c.indices("labels")), weights...,
                             c.grad("logits"), per_sample(c.out("per_sample", {shape[0]})),
                             curvature(c.out("curvature", shape))));
            else
                c.value(loss(c.matrix("logits"), probabilities(c.matrix("targets")), weights...,
                             c.grad("logits"), c.grad("targets"),
                             per_sample(c.out("per_sample", {shape[0]})),
                             curvature(c.out("curvature", shape))));
        });
    });

// ---- label-distributionally robust losses ---------------------------------------------------------------

LogitNormalisation normalisation_of(const std::string& name)
{
    return name == "none" ? LogitNormalisation::none
           : name == "l1" ? LogitNormalisation::l1
                          : LogitNormalisation::softplus_mean;
}

const Register
    ldr_kl({"ldr_kl"},
           each(each(
                    [](const Sizes& s, Random& random) {
                        return std::vector{logits_and_labels(s, random),
                                           logits_and_labels(s, random)
                                               .param("reduction", "sum")
                                               .tensor("sample_weights", random.positive({s.n}))};
                    },
                    "lambda", {0.3, 2}),
                "normalisation", {"none", "l1", "softplus_mean"}),
           [](auto& c) {
               const LabelDistributionallyRobustLoss loss{
                   .lambda = c.number("lambda"),
                   .margin = c.number("margin", 0.1),
                   .normalisation = normalisation_of(c.text("normalisation", "softplus_mean")),
                   .reduction = reduction_of(c.text("reduction", "mean"))};
               const test::Shape& shape = c.shape("logits");
               with_sample_weights(c, [&](const auto&... weights) {
                   c.value(loss(c.matrix("logits"), labels(c.indices("labels")), weights...,
                                c.grad("logits"), per_sample(c.out("per_sample", {shape[0]})),
                                curvature(c.out("curvature", shape))));
               });
           });

const Register aldr_kl =
    Register(
        {"aldr_kl"},
        [](const Sizes& s, Random& random) {
            // Gradients are those of a state that stands still: not observed, or not asked for.
            std::vector<Inputs> variants;
            for (const bool observe : {false, true})
                for (const bool softplus : {false, true}) {
                    Inputs inputs;
                    inputs.param("observe", observe).param("softplus", softplus);
                    inputs.param("lambda_0", softplus ? 2 : 0.5).param("alpha", softplus ? 2 : 1.5);
                    inputs.tensor("lambdas", random.uniform({s.n + 2}, 0.5, 1))
                        .tensor("index", random.permutation(s.n))
                        .tensor("logits", random.normal({s.n, s.d}))
                        .tensor("labels", random.integers({s.n}, s.d));
                    if (softplus)
                        inputs.param("reduction", "sum")
                            .tensor("sample_weights", random.positive({s.n}));
                    variants.push_back(inputs);
                }
            return variants;
        },
        [](auto& c) {
            const AdaptiveLabelDistributionallyRobustLoss loss{
                .lambda_0 = c.number("lambda_0"),
                .alpha = c.number("alpha", 2),
                .margin = c.number("margin", 0.1),
                .epsilon = c.number("eps", 1e-5),
                .normalisation = c.flag("softplus", false) ? LogitNormalisation::softplus_mean
                                                           : LogitNormalisation::l1,
                .reduction = reduction_of(c.text("reduction", "mean"))};
            auto state = c.aside([&] { return loss.init(0); });
            const auto lambdas = c.vector("lambdas");
            c.aside([&] {
                for (Index i = 0; i < lambdas.extents[0]; ++i)
                    state.lambda.push_back(static_cast<double>(lambdas(i)));
            });
            const bool given = c.has("observe"); // the files always observe, and want the gradient
            if (!given || c.flag("observe"))
                loss.observe(state, c.indices("index"), c.matrix("logits"));
            const test::Shape& shape = c.shape("logits");
            with_sample_weights(c, [&](const auto&... weights) {
                c.value(loss(state, c.indices("index"), c.matrix("logits"),
                             labels(c.indices("labels")), weights...,
                             given && c.flag("observe") ? c.out("slope", shape) : c.grad("logits"),
                             per_sample(c.out("per_sample", {shape[0]})),
                             curvature(c.out("curvature", shape))));
            });
            c.put("lambdas", state.lambda);
        })
        .no_law(Law::shapes, "lambdas", "a state may know more samples");

// ---- regression ------------------------------------------------------------------------------------------

const Register mean_squared_error(
    {"mean_squared_error"},
    each([](const Sizes& s, Random& random) { return pairs(s, random, "sample_weights"); },
         "reduction", {"mean", "sum"}),
    [](auto& c) {
        const MeanSquaredError loss{.reduction = reduction_of(c.text("reduction", "mean"))};
        const test::Shape& shape = c.shape("x");
        with_sample_weights(c, [&](const auto&... weights) {
            c.value(loss(c.matrix("x"), c.matrix("y"), weights..., c.grad("x"), c.grad("y"),
                         per_sample(c.out("per_sample", {shape[0]})),
                         curvature(c.out("curvature", shape))));
        });
    });

/// f(kernel) for the kernel that a case asks for.
template <class C, class F>
void with_kernel(C& c, const F& f)
{
    const std::string kind = c.text("kind");
    const double scale = c.number("c", 1);
    if (kind == "l2")
        f(L2Residual{});
    else if (kind == "half_l2")
        f(HalfL2Residual{});
    else if (kind == "l1")
        f(L1Residual{});
    else if (kind == "pseudo_huber")
        f(PseudoHuber{.c = scale});
    else if (kind == "pseudo_huber_scaled")
        f(PseudoHuberScaled{.c = scale});
    else if (kind == "charbonnier")
        f(Charbonnier{.c = scale});
    else if (kind == "cauchy")
        f(Cauchy{.c = scale});
    else if (kind == "huber")
        f(Huber{.c = scale});
    else if (kind == "smooth_l1")
        f(SmoothL1{.c = scale});
    else if (kind == "welsch")
        f(Welsch{.c = scale});
    else if (kind == "geman_mcclure")
        f(GemanMcClure{.c = scale});
    else if (kind == "barron")
        f(Barron{.alpha = c.number("alpha"), .c = scale});
    else
        throw test::CaseError("robust_loss of no known kind: " + kind);
}

// The card's `mean` divides by n (and d) whatever the weights are; its form `vector` is Form::sample.
const Register robust_loss = Register(
    {"robust_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const char* kind :
             {"l2", "half_l2", "l1", "pseudo_huber", "pseudo_huber_scaled", "charbonnier", "cauchy",
              "huber", "smooth_l1", "welsch", "geman_mcclure", "barron"})
            for (const char* form : {"element", "vector"}) {
                const bool weighted = variants.size() % 3 == 1;
                Inputs inputs = pairs(s, random, "weight")[weighted];
                inputs.param("kind", kind).param("form", form).param("c", 0.7);
                inputs.param("alpha", variants.size() % 2 == 0 ? 1.2 : -3);
                inputs.param("reduction", variants.size() % 4 == 3 ? "sum" : "mean");
                variants.push_back(inputs);
            }
        return variants;
    },
    [](auto& c) {
        const bool element = c.text("form", "element") == "element";
        const Reduction reduction = reduction_of(c.text("reduction", "mean"));
        const bool over_n = reduction == Reduction::mean && c.has("weight");
        const test::Shape& shape = c.shape("x");
        const auto n = static_cast<double>(element ? shape[0] * shape[1] : shape[0]);
        with_kernel(c, [&](const auto& kernel) {
            using Kernel = std::remove_cvref_t<decltype(kernel)>;
            const RobustLoss<Kernel> loss{.kernel = kernel,
                                          .form = element ? Form::element : Form::sample,
                                          .reduction = reduction};
            const RobustLoss<Kernel> total{kernel, loss.form, Reduction::sum};
            const auto second = [&] { return curvature(c.out("curvature", shape)); };
            if (over_n) {
                const double factor = n == 0 ? 0 : 1 / n;
                c.value((factor * total)(c.matrix("x"), c.matrix("y"), c.grad("x"), c.grad("y"),
                                         second(), sample_weights(c.vector("weight"))));
                loss(c.matrix("x"), c.matrix("y"), per_sample(c.out("per_sample", {shape[0]})));
            }
            else
                with_sample_weights(c, "weight", [&](const auto&... weights) {
                    c.value(loss(c.matrix("x"), c.matrix("y"), weights..., c.grad("x"), c.grad("y"),
                                 second(), per_sample(c.out("per_sample", {shape[0]}))));
                });
        });
    });

} // namespace
