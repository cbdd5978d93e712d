// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/augment/lesion_mixup.hpp>
#include <temper/augment/policy_region.hpp>
#include <temper/augment/simplex_mix.hpp>
#include <temper/augment/smmix_regions.hpp>
#include <temper/layer/token_mask_pool.hpp>
#include <temper/loss/decoupled_mixup_cross_entropy.hpp>
#include <temper/loss/intrusion_loss.hpp>
#include <temper/loss/lesion_mixup_loss.hpp>
#include <temper/loss/semixup_consistency.hpp>
#include <temper/loss/smmix_loss.hpp>
#include <temper/loss/temperature_scaling.hpp>
#include <temper/metric/calibration_metrics.hpp>
#include <temper/metric/local_linearity.hpp>
#include <temper/metric/mixup_ufm_optimum.hpp>
#include <temper/metric/neural_collapse_metrics.hpp>
#include <temper/metric/simplex_plane_projection.hpp>
#include <temper/recipe/adamixup.hpp>
#include <temper/schedule/mixup_until.hpp>

#include <cmath>

using namespace temper;
using test::each;
using test::Inputs;
using test::Law;
using test::Make;
using test::Random;
using test::Register;
using test::Sizes;
using test::Tensor;

namespace {

const std::string by_case = "the case reads it, not the component";

/// Numbers of an input, one or many, as a plan holds them.
template <class C>
std::vector<double> numbers(C& c, std::string_view name)
{
    const auto v = c.tensor(name);
    std::vector<double> out;
    for (Index i = 0; i < v.size(); ++i)
        out.push_back(static_cast<double>(v.data[i * v.strides[0]]));
    return out;
}
template <class C>
std::vector<Index> rows(C& c, std::string_view name)
{
    const auto list = c.indices(name);
    return {list.begin(), list.end()};
}
template <class C>
MixPlan plan_of(C& c)
{
    return c.aside([&] {
        MixPlan plan;
        plan.partner = rows(c, "perm");
        plan.lambda = plan.label_lambda = numbers(c, "lambda");
        return plan;
    });
}
Inputs& with_plan(Inputs& in, const Sizes& s, Random& random, bool per_sample)
{
    return in.tensor("perm", random.integers({s.n}, s.n))
        .tensor("lambda", random.uniform({per_sample ? s.n : 1}, 0, 1));
}

// ---- plans -------------------------------------------------------------------------------------------

const Register mixup_until(
    {"mixup_until"},
    [](const Sizes& s, Random&) {
        Tensor steps{{s.n}, {}, test::Kind::integers};
        for (Index t = 0; t < s.n; ++t)
            steps.data.push_back(static_cast<double>(t));
        Inputs in;
        in.param("stop", 5).param("ramp", 3).param("probability", 0.8).tensor("steps", steps);
        return std::vector{in};
    },
    [](auto& c) {
        const MixupUntil until{c.integer("stop"), c.integer("ramp", 0), c.number("probability", 1)};
        std::vector<double> out =
            c.aside([&] { return std::vector<double>(c.indices("steps").size()); });
        for (std::size_t i = 0; i < out.size(); ++i)
            out[i] = until(static_cast<Index>(c.indices("steps")[i]));
        c.put("values", std::as_const(out));
    });

const Register simplex_mix(
    {"simplex_mix"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const Index m : {Index{1}, Index{3}}) {
            Inputs in;
            in.param("num_classes", s.k + 1)
                .tensor("x", random.normal({s.n, s.d}))
                .tensor("labels", random.integers({s.n}, s.k + 1))
                .tensor("index", random.integers({s.n, m}, s.n))
                .tensor("weights", random.probabilities(s.n, m))
                .tensor("cotangent", random.normal({s.n, s.d}));
            for (Index i = 0; i < s.n; ++i) // each sample is used
                in.find("index")->data[static_cast<std::size_t>(i * m)] = static_cast<double>(i);
            variants.push_back(in);
        }
        return variants;
    },
    [](auto& c) {
        const SimplexMix mix{};
        const SimplexPlan plan = c.aside([&] {
            SimplexPlan drawn;
            const auto weights = c.matrix("weights");
            drawn.order = weights.cols();
            drawn.index = rows(c, "index");
            for (Index i = 0; i < weights.rows(); ++i)
                for (Index j = 0; j < weights.cols(); ++j)
                    drawn.weight.push_back(static_cast<double>(weights(i, j)));
            return drawn;
        });
        const Index k = c.integer("num_classes");
        mix.apply(plan, c.tensor("x"), c.out("x_mix", c.shape("x")));
        mix.mix_labels(plan, labels(c.indices("labels")), k, c.out("y_mix", {plan.size(), k}));
        mix.pullback(plan, c.tensor("cotangent"), c.grad("x"));
        c.pair("x_mix", "cotangent");
    });

const Register smmix_regions =
    Register(
        {"smmix_regions"},
        [](const Sizes& s, Random& random) {
            const Index side = (std::min)(s.d, Index{4}) + 1;
            const Index patch = (std::min)(s.k, Index{2}) + 1;
            std::vector<Inputs> variants;
            for (const Index region : {side / 2, side, Index{0}}) {
                Inputs in;
                const test::Shape shape{s.n, 2, side * patch, side * patch};
                in.param("side", side)
                    .param("region", region)
                    .tensor("images", random.normal(shape))
                    .tensor("attention", random.uniform({s.n, side * side}, 0, 1))
                    .tensor("perm", random.integers({s.n}, s.n))
                    .tensor("cotangent", random.normal(shape));
                variants.push_back(in);
            }
            return variants;
        },
        [](auto& c) {
            const SmmixRegions<> mix{};
            const auto& shape = c.shape("images");
            const Index side = c.integer("side");
            const Index region = c.integer("region");
            MixPlan plan = c.aside([&] {
                MixPlan drawn;
                drawn.partner = rows(c, "perm");
                drawn.image = {shape[2], shape[3]};
                drawn.boxes.reserve(drawn.partner.size());
                drawn.sources.reserve(drawn.partner.size());
                drawn.lambda.reserve(1);
                drawn.label_lambda.reserve(1);
                return drawn;
            });
            mix.place(c.matrix("attention"), region, plan);
            mix.apply(plan, c.tensor("images"), c.out("output", shape));
            mix.source_mask(plan, side, c.out("source_mask", {plan.size(), side * side}));
            if (c.has("cotangent")) {
                mix.pullback(plan, c.tensor("cotangent"), c.grad("images"));
                c.pair("output", "cotangent");
            }
            c.put("lambda_effective", plan.lambda[0]);
            c.aside([&] {
                for (const auto& [name, boxes] : {std::pair{"target_corner", &plan.boxes},
                                                  std::pair{"source_corner", &plan.sources}}) {
                    Tensor corners{{plan.size(), 2}, {}, test::Kind::integers};
                    for (const Box& box : *boxes) {
                        corners.data.push_back(static_cast<double>(box.top * side / shape[2]));
                        corners.data.push_back(static_cast<double>(box.left * side / shape[3]));
                    }
                    c.put_tensor(name, corners);
                }
            });
        })
        .no_law(Law::nan, "images", "what is pasted over counts for nothing")
        .no_law(Law::nan, "attention", "decides where, not what");

const Register policy_region(
    {"policy_region"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("gate_logits", random.normal({s.n, 3}))
            .tensor("uniform", random.uniform({s.n}, 0, 1))
            .tensor("x1", random.normal({s.n, s.d}))
            .tensor("x2", random.normal({s.n, s.d}))
            .tensor("y1", random.probabilities(s.n, s.k + 1))
            .tensor("y2", random.probabilities(s.n, s.k + 1))
            .tensor("cotangent_x", random.normal({s.n, s.d}))
            .tensor("cotangent_y", random.normal({s.n, s.k + 1}));
        return std::vector{in};
    },
    [](auto& c) {
        const PolicyRegion policy{};
        PolicyPlan plan = c.aside([&] {
            PolicyPlan drawn;
            drawn.uniform = numbers(c, "uniform");
            const std::size_t n = drawn.uniform.size();
            drawn.partner.resize(n);
            for (auto* room :
                 {&drawn.start, &drawn.width, &drawn.slack, &drawn.lambda, &drawn.label_lambda})
                room->resize(n);
            return drawn;
        });
        const auto x1 = [&] { return c.tensor("x1"); };
        const auto x2 = [&] { return c.tensor("x2"); };
        const auto y1 = [&] { return probabilities(c.matrix("y1")); };
        const auto y2 = [&] { return probabilities(c.matrix("y2")); };
        policy.decide(c.matrix("gate_logits"), plan);
        policy.apply(plan, x1(), x2(), c.out("x_mix", c.shape("x1")));
        policy.mix_labels(plan, y1(), y2(), c.out("y_mix", c.shape("y1")));
        policy.pullback(plan, x1(), x2(), y1(), y2(), c.tensor("cotangent_x"),
                        c.matrix("cotangent_y"), c.grad("gate_logits"), c.grad("x1"), c.grad("x2"));
        c.put("region_start", plan.start);
        c.put("region_width", plan.width);
        c.put("lambda", plan.lambda);
        c.pair("x_mix", "cotangent_x");
        c.pair("y_mix", "cotangent_y");
    });

const Register lesion(
    {"lesion_mixup"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("x", random.normal({s.n, s.d}))
            .tensor("groups", random.integers({s.n}, s.k + 1))
            .tensor("cotangent", random.normal({s.n, s.d}));
        return std::vector{in};
    },
    [](auto& c) {
        const LesionMixup mix = lesion_mixup(c.indices("groups"));
        const MixPlan plan = c.aside([&] {
            auto rng = stream(7, 0, "lesions");
            return mix.draw(rng, static_cast<Index>(c.indices("groups").size()));
        });
        mix.apply(plan, c.tensor("x"), c.out("x_mix", c.shape("x")));
        mix.pullback(plan, c.tensor("cotangent"), c.grad("x"));
        c.pair("x_mix", "cotangent");
        c.put("factor", plan.lambda);
    });

// ---- layers ------------------------------------------------------------------------------------------

Make tokens(bool masked)
{
    return [=](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("tokens", random.normal({s.n, s.k, s.d}))
            .tensor("mask",
                    masked ? random.integers({s.n, s.k}, 2) : random.uniform({s.n, s.k}, 0.1, 1))
            .tensor("cotangent", random.normal({s.n, s.d}));
        in.find("mask")->kind = test::Kind::fixed;
        return std::vector{in};
    };
}
const auto token_mask_pool_entry = [](auto& c) {
    const TokenMaskPool pool{};
    const auto& shape = c.shape("tokens");
    pool.forward(c.tensor("tokens"), c.matrix("mask"), c.out("output", {shape[0], shape[2]}));
    pool.pullback(c.matrix("mask"), c.matrix("cotangent"), c.grad("tokens"));
    c.pair("output", "cotangent");
};
const Register token_mask_pool({"token_mask_pool"}, tokens(false), token_mask_pool_entry);
const Register token_mask_pool_masked =
    Register({"token_mask_pool_masked"}, tokens(true), token_mask_pool_entry)
        .no_law(Law::nan, "a masked token counts for nothing");

// ---- losses ------------------------------------------------------------------------------------------

const Register decoupled_mixup_cross_entropy(
    {"decoupled_mixup_cross_entropy"},
    each(
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool per_sample : {true, false}) {
                Inputs in;
                in.param("eta_a", 0.1)
                    .param("eta_b", 0.3)
                    .param("power", per_sample ? 1.0 : 0.0)
                    .tensor("logits", random.normal({s.n, s.d}))
                    .tensor("labels_a", random.integers({s.n}, s.d))
                    .tensor("labels_b", random.integers({s.n}, s.d))
                    .tensor("lambda", random.uniform({per_sample ? s.n : 1}, 0, 1));
                if (per_sample)
                    in.tensor("sample_weights", random.positive({s.n})).param("reduction", "sum");
                variants.push_back(in);
            }
            return variants;
        },
        "mode", {"both", "less", "more"}),
    [](auto& c) {
        const std::string mode = c.text("mode", "both");
        const DecoupledMixupCrossEntropy loss{
            .eta_a = c.number("eta_a"),
            .eta_b = c.number("eta_b"),
            .power = c.number("power", 0),
            .terms = mode == "less"   ? DecoupledTerms::less
                     : mode == "more" ? DecoupledTerms::more
                                      : DecoupledTerms::both,
            .reduction = c.text("reduction", "mean") == "sum" ? Reduction::sum : Reduction::mean};
        const auto& shape = c.shape("logits");
        const auto run = [&](const auto&... weights) {
            c.value(loss(c.matrix("logits"), labels(c.indices("labels_a")),
                         labels(c.indices("labels_b")), c.tensor("lambda"), weights...,
                         c.grad("logits"), per_sample(c.out("per_sample", {shape[0]})),
                         curvature(c.out("curvature", shape))));
        };
        if (c.has("sample_weights"))
            run(sample_weights(c.vector("sample_weights")));
        else
            run();
    });

const Register
    smmix_loss({"smmix_loss"},
               each(
                   [](const Sizes& s, Random& random) {
                       std::vector<Inputs> variants;
                       for (const bool per_sample : {true, false}) {
                           Inputs in;
                           for (const char* name : {"logits_mixed", "logits_target_tokens",
                                                    "logits_source_tokens", "logits_unmixed"})
                               in.tensor(name, random.normal({s.n, s.d}));
                           with_plan(in.tensor("labels", random.integers({s.n}, s.d)), s, random,
                                     per_sample);
                           variants.push_back(in);
                       }
                       return variants;
                   },
                   "smoothing", {0, 0.1}),
               [](auto& c) {
                   const SmmixLoss loss{.label_smoothing = c.number("smoothing", 0.1)};
                   const MixPlan plan = plan_of(c);
                   std::array<double, 3> parts{};
                   c.value(loss(c.matrix("logits_mixed"), c.matrix("logits_target_tokens"),
                                c.matrix("logits_source_tokens"), c.matrix("logits_unmixed"),
                                labels(c.indices("labels")), plan, c.grad("logits_mixed"),
                                c.grad("logits_target_tokens"), c.grad("logits_source_tokens"),
                                terms(into(parts))));
                   c.put("classification", parts[0]);
                   c.put("fine_grained", parts[1]);
                   c.put("consistency", parts[2]);
               });

const Register intrusion_loss(
    {"intrusion_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const Index columns : {2, 1}) {
            Inputs in;
            in.tensor("logits_real", random.normal({s.n, columns}))
                .tensor("logits_mixed", random.normal({s.k, columns}));
            variants.push_back(in);
        }
        return variants;
    },
    [](auto& c) {
        c.value(IntrusionLoss{}(c.matrix("logits_real"), c.matrix("logits_mixed"),
                                c.grad("logits_real"), c.grad("logits_mixed")));
    });

const Register adamixup(
    {"adamixup"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("mixed", random.normal({s.n, s.d}))
            .tensor("first", random.normal({s.n, s.d}))
            .tensor("targets", random.probabilities(s.n, s.d))
            .tensor("labels", random.integers({s.n}, s.d))
            .tensor("real", random.normal({2 * s.n, 2}))
            .tensor("fake", random.normal({s.n, 2}));
        return std::vector{in};
    },
    [](auto& c) {
        const AdaMixup ada{.intrusion_weight = c.number("intrusion_weight", 1)};
        const double classes = ada.classification(
            c.matrix("mixed"), probabilities(c.matrix("targets")), c.matrix("first"),
            labels(c.indices("labels")), c.grad("mixed"), c.grad("targets"), c.grad("first"));
        c.value(classes +
                ada.intrusion(c.matrix("real"), c.matrix("fake"), c.grad("real"), c.grad("fake")));
    });

const Register semixup_consistency =
    Register({"semixup_consistency"},
             each(
                 [](const Sizes& s, Random& random) {
                     std::vector<Inputs> variants;
                     for (const bool per_sample : {true, false}) {
                         Inputs in;
                         for (const char* name : {"logits_mixed", "logits", "logits_aug"})
                             in.tensor(name, random.normal({s.n, s.d}));
                         with_plan(in, s, random, per_sample);
                         variants.push_back(in);
                     }
                     return variants;
                 },
                 "kind", {"mse", "kl"}),
             [](auto& c) {
                 const SemixupConsistency loss{
                     .divergence = c.text("kind", "mse") == "kl" ? SemixupDivergence::kl
                                                                 : SemixupDivergence::mse,
                     .in_manifold = c.number("weight_in_manifold", 2),
                     .interpolation = c.number("weight_interpolation", 4),
                     .out_of_manifold = c.number("weight_out_of_manifold", 2)};
                 const MixPlan plan = plan_of(c);
                 c.value(loss(c.matrix("logits_mixed"), c.matrix("logits"), c.matrix("logits_aug"),
                              plan, c.grad("logits_mixed"), c.grad("logits"), c.grad("logits_aug"),
                              terms(c.out("terms", {3}))));
             })
        .float_range(0.1, 1e8, "the divergence of predictions that nearly agree is rounding");

Make lesions(bool padded)
{
    return [=](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("logits", random.normal({s.n, s.d}))
            .tensor("labels", random.integers({s.n, s.d}, padded ? 3 : 2))
            .tensor("partner_labels", random.integers({s.n, s.d}, padded ? 3 : 2))
            .tensor("factor", random.uniform({s.n}, 0.1, 0.9))
            .tensor("positive_weight", random.positive({s.d}));
        in.find("positive_weight")->kind = test::Kind::nonnegative;
        for (const char* name : {"labels", "partner_labels"})
            for (double& label : in.find(name)->data)
                label = label == 2 ? -100 : label;
        return std::vector{in};
    };
}
const auto lesion_mixup_loss_entry = [](auto& c) {
    const LesionMixupLoss loss{.mode = c.text("mode", "paired") == "official" ? LesionMode::official
                                                                              : LesionMode::paired};
    c.value(loss(c.matrix("logits"), labels(c.index_tensor("labels")),
                 labels(c.index_tensor("partner_labels")), c.vector("factor"),
                 positive_weight(c.vector("positive_weight")), c.grad("logits")));
};
const Register lesion_mixup_loss =
    Register({"lesion_mixup_loss"}, each(lesions(false), "mode", {"paired", "official"}),
             lesion_mixup_loss_entry)
        .no_law(Law::nan, "positive_weight", "a column without a yes has no use for it");
const Register lesion_mixup_loss_padded =
    Register({"lesion_mixup_loss_padded"}, each(lesions(true), "mode", {"paired", "official"}),
             lesion_mixup_loss_entry)
        .no_law(Law::nan, "padding counts for nothing, whatever its logit is");

const Register temperature_scaling =
    Register(
        {"temperature_scaling"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool as_loss : {true, false}) {
                Inputs in;
                in.tensor("logits", random.normal({s.n, s.d}))
                    .tensor("labels", random.integers({s.n}, s.d));
                for (std::size_t i = 0; i < static_cast<std::size_t>(s.n) && s.d > 0;
                     ++i) // not all wrong
                    in.find("logits")->data[i * static_cast<std::size_t>(s.d) +
                                            static_cast<std::size_t>(in.find("labels")->data[i])] +=
                        0.7;
                if (as_loss)
                    in.tensor("temperature", Tensor{{}, {1.7}, test::Kind::fixed});
                variants.push_back(in);
            }
            return variants;
        },
        [](auto& c) {
            const TemperatureScaling scaling{.least = c.number("beta_min", 1e-3),
                                             .most = c.number("beta_max", 1e3)};
            if (c.has("temperature")) {
                const double t = static_cast<double>(c.scalar("temperature"));
                c.value(scaling(c.matrix("logits"), labels(c.indices("labels")), t,
                                c.grad("logits"), c.grad("temperature")));
                scaling.forward(c.matrix("logits"), t, c.out("scaled", c.shape("logits")));
                return;
            }
            const TemperatureFit fit = scaling.fit(c.matrix("logits"), labels(c.indices("labels")));
            c.put("temperature", fit.temperature);
            c.put("nll_before", fit.nll_before);
            c.put("nll_after", fit.nll_after);
        })
        .no_law(Law::shapes, "logits", "of the fit: a column more is a class without samples");

// ---- metrics -----------------------------------------------------------------------------------------

const Register calibration_metrics(
    {"calibration_metrics"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.param("bins", 4)
            .tensor("probs", random.probabilities(s.n, s.d))
            .tensor("labels", random.integers({s.n}, s.d));
        return std::vector{in};
    },
    [](auto& c) {
        const Calibration m = CalibrationMetrics{.bins = c.integer("bins", 15)}(
            probabilities(c.matrix("probs")), labels(c.indices("labels")));
        c.put("ece", m.ece);
        c.put("mce", m.mce);
        c.put("overconfidence", m.overconfidence);
        c.put("adaptive_ece", m.adaptive_ece);
        c.put("ace", m.ace);
        c.put("nll", m.nll);
        c.put("brier", m.brier);
        c.put("accuracy", m.accuracy);
        c.put("aurc", m.aurc);
        c.put("mean_confidence", m.mean_confidence);
    });

const Register local_linearity(
    {"local_linearity"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("mixed", random.normal({s.n, s.d})).tensor("plain", random.normal({s.n, s.d}));
        with_plan(in, s, random, true);
        return std::vector{in};
    },
    [](auto& c) {
        const MixPlan plan = plan_of(c);
        c.value(LocalLinearity{}(c.matrix("mixed"), c.matrix("plain"), plan));
    });

Make collapsing(std::string classifier, bool biased)
{
    return [=](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("features", random.normal({s.n, s.d}))
            .tensor("labels", random.integers({s.n}, s.k))
            .tensor(classifier, random.normal({s.k, s.d}));
        if (biased)
            in.tensor("classifier_bias", random.normal({s.k}));
        return std::vector{in};
    };
}
const Register neural_collapse_metrics =
    Register({"neural_collapse_metrics"}, collapsing("classifier_weight", true),
             [](auto& c) {
                 const NeuralCollapse m = NeuralCollapseMetrics{}(
                     c.matrix("features"), labels(c.indices("labels")),
                     c.matrix("classifier_weight"), c.vector("classifier_bias"));
                 c.put("nc1", m.nc1);
                 c.put("nc2_equinorm_means", m.nc2_equinorm_means);
                 c.put("nc2_equinorm_classifier", m.nc2_equinorm_classifier);
                 c.put("nc2_etf_means", m.nc2_etf_means);
                 c.put("nc2_etf_classifier", m.nc2_etf_classifier);
                 c.put("nc2_equiangle_means", m.nc2_equiangle_means);
                 c.put("nc2_equiangle_classifier", m.nc2_equiangle_classifier);
                 c.put("nc3_duality", m.nc3_duality);
                 c.put("nc3_alignment", m.nc3_alignment);
                 c.put("nc4_disagreement", m.nc4_disagreement);
             })
        .no_law(Law::nan, "classifier_weight", "the row of a class without samples is left out")
        .no_law(Law::nan, "classifier_bias", "decides between classes, and NaN wins nothing");

const Register class_collapse_metrics =
    Register({"class_collapse_metrics"}, collapsing("classifier", false),
             [](auto& c) {
                 const NeuralCollapse m = NeuralCollapseMetrics{}(
                     c.matrix("features"), labels(c.indices("labels")), c.matrix("classifier"));
                 c.put("nc1", m.nc1);
                 c.put("nc1_ratio", m.nc1_ratio);
                 c.put("nc2", m.nc2_etf_means);
                 c.put("nc3", m.nc3);
             })
        .no_law(Law::shapes, "classifier", "a row more is a class without samples")
        .no_law(Law::nan, "classifier", "the row of a class without samples is left out");

const Register simplex_plane_projection(
    {"simplex_plane_projection"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("features", random.normal({s.n, s.d}))
            .tensor("classifier_rows", random.normal({3, s.d}));
        return std::vector{in};
    },
    [](auto& c) {
        SimplexPlaneProjection{}(c.matrix("features"), c.matrix("classifier_rows"),
                                 c.out("output", {c.shape("features")[0], 2}));
    });

const Register mixup_ufm_optimum(
    {"mixup_ufm_optimum"},
    [](const Sizes& s, Random& random) {
        const Index k = s.k + 2;
        const Index d = k + s.d;
        Tensor frame{{k, d}, {}, test::Kind::fixed};
        for (Index i = 0; i < k; ++i)
            for (Index j = 0; j < d; ++j)
                frame.data.push_back(j < k ? (i == j) - 1 / static_cast<double>(k) : 0);
        std::vector<Inputs> variants;
        for (const double mu : {0.05, 1e-4}) {
            Inputs in;
            in.param("mu", mu)
                .tensor("classifier_weight", frame)
                .tensor("labels_a", random.integers({s.n}, k))
                .tensor("labels_b", random.integers({s.n}, k))
                .tensor("lambda", random.uniform({s.n}, 0, 1));
            variants.push_back(in);
        }
        return variants;
    },
    [](auto& c) {
        const MixupUfmOptimum optimum{.mu = c.number("mu")};
        const auto& w = c.shape("classifier_weight");
        const Index q = static_cast<Index>(c.indices("labels_a").size());
        optimum(c.matrix("classifier_weight"), labels(c.indices("labels_a")),
                labels(c.indices("labels_b")), c.tensor("lambda"), c.out("features", {q, w[1]}),
                c.out("logits", {q, w[0]}), c.out("probs", {q, w[0]}));
    });

} // namespace
