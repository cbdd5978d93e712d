// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/layer/affine_bottleneck_quantizer.hpp>
#include <temper/loss/balanced_distillation.hpp>
#include <temper/loss/distillation_cross_entropy.hpp>
#include <temper/loss/distribution_regularized_cross_entropy.hpp>
#include <temper/loss/uncertainty_weighted_distillation.hpp>
#include <temper/mask/layer_importance.hpp>
#include <temper/mask/layer_knapsack.hpp>
#include <temper/recipe/entropic_student.hpp>
#include <temper/recipe/feature_bank.hpp>
#include <temper/recipe/hard_example_pool.hpp>
#include <temper/recipe/progressive_volume_distillation.hpp>
#include <temper/regularizer/factorized_prior_rate.hpp>
#include <temper/representation/class_means.hpp>
#include <temper/representation/feature_distance.hpp>
#include <temper/representation/layerwise_distillation.hpp>
#include <temper/representation/norm_direction.hpp>
#include <temper/representation/semantic_calibration.hpp>
#include <temper/representation/width_consistency.hpp>
#include <temper/schedule/reconstruction_block_weight.hpp>

using namespace temper;
using test::batches;
using test::each;
using test::Inputs;
using test::Law;
using test::Make;
using test::Random;
using test::Register;
using test::Sizes;
using test::Tensor;

namespace {

const std::string steep = "exponentials of the scales";

Reduction reduction_of(const std::string& name)
{
    return name == "sum" ? Reduction::sum : Reduction::mean;
}

MeanOver rate_mean(const std::string& name)
{
    return name == "sum"    ? MeanOver::nothing
           : name == "mean" ? MeanOver::entries
                            : MeanOver::samples;
}

template <class C, class F>
void with_sample_weights(C& c, const F& f)
{
    if (c.has("sample_weights"))
        f(sample_weights(c.vector("sample_weights")));
    else
        f();
}

/// A vector that lives as long as the thread: what a case keeps between component calls.
template <class T, class C>
std::vector<T>& room(C& c, Index size)
{
    return c.aside([&]() -> std::vector<T>& {
        static thread_local std::vector<T> numbers;
        numbers.assign(static_cast<std::size_t>(size), T{});
        return numbers;
    });
}

// ---- predictions ---------------------------------------------------------------------------------

std::vector<Inputs> two_networks(const Sizes& s, Random& random)
{
    Inputs plain;
    plain.tensor("student_logits", random.normal({s.n, s.d}))
        .tensor("teacher_logits", random.normal({s.n, s.d}));
    Inputs weighted = plain;
    weighted.param("reduction", "sum").tensor("sample_weights", random.positive({s.n}));
    return {plain, weighted};
}

const Register kd_ce_mix =
    Register({"kd_ce_mix"},
             each(each(
                      [](const Sizes& s, Random& random) {
                          auto variants = two_networks(s, random);
                          for (Inputs& inputs : variants)
                              inputs.tensor("labels", random.integers({s.n}, s.d));
                          return variants;
                      },
                      "alpha", {0.3, 0, 1}),
                  "temperature", {1, 4}),
             [](auto& c) {
                 const DistillationCrossEntropy loss{.alpha = c.number("alpha", 0.5),
                                                     .temperature = c.number("temperature", 1),
                                                     .reduction =
                                                         reduction_of(c.text("reduction", "mean"))};
                 with_sample_weights(c, [&](const auto&... weights) {
                     c.value(loss(c.matrix("student_logits"), labels(c.indices("labels")),
                                  teacher_logits(c.matrix("teacher_logits")), weights...,
                                  c.grad("student_logits"), terms(c.out("terms", {2}))));
                 });
             })
        .no_law(Law::nan, "teacher_logits", "an alpha of 1 leaves the teacher out");

const Register bd_kd =
    Register(
        {"bd_kd"}, each(each(two_networks, "temperature", {1, 4}), "invert", {false, true}),
        [](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const BalancedDistillation loss{.temperature = c.number("temperature", 4),
                                            .high = c.number("w_high", 2),
                                            .low = c.number("w_low", 1),
                                            .invert = c.flag("invert", false),
                                            .reduction = reduction_of(c.text("reduction", "mean"))};
            const Index n = c.shape("student_logits")[0];
            auto& used = room<T>(c, 2 * n);
            loss(c.matrix("student_logits"), teacher_logits(c.matrix("teacher_logits")),
                 used_weights(into(view(used.data(), {n, 2}))));
            c.put("w_forward", View<const T, 1>{used.data(), {n}, {2}});
            c.put("w_reverse", View<const T, 1>{used.data() + 1, {n}, {2}});
            with_sample_weights(c, [&](const auto&... weights) {
                c.value(loss(c.matrix("student_logits"), teacher_logits(c.matrix("teacher_logits")),
                             weights..., c.grad("student_logits"),
                             forward_divergence(c.out("forward_kl", {n})),
                             reverse_divergence(c.out("reverse_kl", {n})),
                             per_sample(c.out("per_sample", {n}))));
                c.put("teacher_value",
                      loss.teacher()(c.matrix("student_logits"),
                                     teacher_logits(c.matrix("teacher_logits")), weights...,
                                     discard, c.grad("teacher_logits")));
            });
        })
        .no_law(Law::gradient, "teacher_logits", "the teacher's gradient is that of its own term")
        .float_range(1e-3, 1e3, "what large logits differ by has few digits");

const Register uncertainty_weighted_kd =
    Register({"uncertainty_weighted_kd"},
             each(
                 [](const Sizes& s, Random& random) {
                     std::vector<Inputs> variants;
                     for (const Index passes : {Index{1}, Index{5}}) {
                         Inputs inputs;
                         inputs.param("reduction", passes == 1 ? "sum" : "mean")
                             .tensor("student_logits", random.normal({s.n, s.d}))
                             .tensor("teacher_logits", random.normal({passes, s.n, s.d}));
                         variants.push_back(inputs);
                     }
                     return variants;
                 },
                 "temperature", {1, 2.5}),
             [](auto& c) {
                 const UncertaintyWeightedDistillation loss{
                     .temperature = c.number("temperature", 1),
                     .reduction = reduction_of(c.text("reduction", "mean"))};
                 const test::Shape& shape = c.shape("student_logits");
                 c.value(loss(c.matrix("student_logits"),
                              teacher_logits(c.tensor("teacher_logits")), c.grad("student_logits"),
                              per_sample(c.out("per_sample", {shape[0]})),
                              used_weights(c.out("weight", {shape[0]})),
                              teacher_mean(c.out("teacher_mean", shape))));
             })
        .no_law(Law::shapes, "teacher_logits", "a teacher may be asked any number of times")
        .float_range(0.01, 1e3, "divergences of equal rows are what rounding left")
        .double_range(0.01, 1e6, "divergences of equal rows are what rounding left");

const Register distribution_regularized_ce(
    {"distribution_regularized_ce"},
    each(
        [](const Sizes& s, Random& random) {
            const Index k = s.k + 2;
            std::vector<Inputs> variants;
            for (const Index rows : {s.n + 3, Index{0}}) {
                Inputs inputs;
                inputs.tensor("features", random.normal({s.n, s.d}))
                    .tensor("labels", random.integers({s.n}, k))
                    .tensor("weight", random.normal({k, s.d}))
                    .tensor("bias", random.normal({k}))
                    .tensor("bank", random.normal({rows, s.d}))
                    .tensor("bank_labels", random.integers({rows}, k));
                variants.push_back(inputs);
            }
            return variants;
        },
        "balance", {"joint_mean", "sum_of_means"}),
    [](auto& c) {
        using Balance = DistributionRegularizedCrossEntropy::Balance;
        const DistributionRegularizedCrossEntropy loss{
            .balance = c.text("balance", "joint_mean") == "joint_mean" ? Balance::joint_mean
                                                                       : Balance::sum_of_means};
        c.value(loss(c.matrix("features"), labels(c.indices("labels")), c.matrix("weight"),
                     c.vector("bias"), c.matrix("bank"), labels(c.indices("bank_labels")),
                     c.grad("features"), c.grad("weight"), c.grad("bias"),
                     terms(c.out("terms", {2}))));
    });

// ---- features ------------------------------------------------------------------------------------

const Register nd_loss =
    Register(
        {"nd_loss"},
        [](const Sizes& s, Random& random) {
            Inputs plain;
            plain.tensor("student", random.normal({s.n, s.d}))
                .tensor("labels", random.integers({s.n}, s.k + 1))
                .tensor("teacher", random.normal({s.n, s.d}))
                .tensor("centers", random.normal({s.k + 1, s.d}));
            Inputs weighted = plain;
            weighted.param("factor", 2)
                .param("reduction", "sum")
                .tensor("sample_weights", random.positive({s.n}));
            return std::vector{plain, weighted};
        },
        [](auto& c) {
            const NormDirection loss{.reduction = reduction_of(c.text("reduction", "mean"))};
            with_sample_weights(c, [&](const auto&... weights) {
                c.value((c.number("factor", 1) * loss)(
                    c.matrix("student"), labels(c.indices("labels")), c.matrix("teacher"),
                    c.matrix("centers"), weights..., c.grad("student"),
                    per_sample(c.out("per_sample", {c.shape("student")[0]}))));
            });
        })
        .no_law(Law::shapes, "centers", "there may be classes without samples")
        .no_law(Law::nan, "centers", "a class without samples is not looked at");

/// Layers of several shapes.
std::vector<Inputs> layers(const Sizes& s, Random& random)
{
    Inputs inputs;
    const std::vector<test::Shape> shapes{{s.n, s.d}, {s.n, s.k + 1, 3}, {s.n, 2}};
    for (std::size_t l = 0; l < shapes.size(); ++l)
        inputs.tensor("student_" + std::to_string(l), random.normal(shapes[l]))
            .tensor("teacher_" + std::to_string(l), random.normal(shapes[l]));
    return {inputs};
}

template <class C>
void layerwise(C& c, const LayerwiseDistillation& loss)
{
    const auto student = c.tensors("student_");
    const auto count = static_cast<Index>(student.size());
    const auto run = [&](const auto&... given) {
        c.value(loss(student, c.tensors("teacher_"), c.grads("student_"), given...,
                     used_weights(c.out("alpha", {count})), terms(c.out("terms", {count}))));
    };
    if (c.has("layer_weights"))
        run(layer_weights(c.vector("layer_weights")));
    else
        run();
}

const Register normalized_feature_kd =
    Register({"normalized_feature_kd"},
             each(
                 [](const Sizes& s, Random& random) {
                     auto variants = layers(s, random);
                     variants.push_back(variants[0]);
                     variants.back().tensor("layer_weights", random.positive({3}));
                     return variants;
                 },
                 "power", {1, 2}),
             [](auto& c) { layerwise(c, LayerwiseDistillation{.power = c.number("power", 1)}); })
        .float_range(1e-3, 1e3, "squares of ratios of sizes overflow")
        .double_range(1e-20, 1e20, "squares of ratios of sizes overflow");

const Register momentum_consistency_entry({"momentum_consistency"}, layers,
                                          [](auto& c) { layerwise(c, momentum_consistency); });

const Register ghnd_loss({"ghnd_loss"},
                         each([](const Sizes& s, Random& random) { return layers(s, random); },
                              "samples", {false, true}),
                         [](auto& c) {
                             LayerwiseDistillation loss = ghnd;
                             if (c.flag("samples", false))
                                 loss.mean_over = MeanOver::samples;
                             layerwise(c, loss);
                         });

const Register layer_importance(
    {"layer_importance_additive"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        return std::vector{inputs.tensor("full", random.normal({s.n, s.d}))
                               .tensor("without_0", random.normal({s.n, s.d}))
                               .tensor("without_1", random.normal({s.n, s.d}))};
    },
    [](auto& c) {
        const auto without = c.tensors("without_");
        LayerImportance{}.apply(c.tensor("full"), without,
                                c.out("importance", {static_cast<Index>(without.size())}));
    });

FeatureDistance::Kind kind_of(const std::string& name)
{
    using Kind = FeatureDistance::Kind;
    return name == "normL2"   ? Kind::norm_l2
           : name == "normL1" ? Kind::norm_l1
           : name == "L2"     ? Kind::l2
                              : Kind::smooth_l1;
}

const Register
    pvd_loss({"pvd_loss"},
             each(batches({"pred", "target"}), "kind", {"normL2", "normL1", "L2", "smoothL1"}),
             [](auto& c) {
                 const FeatureDistance distance{.kind = kind_of(c.text("kind", "normL2")),
                                                .beta = c.number("beta", 0.05)};
                 c.value(distance(c.tensor("pred"), c.tensor("target"), c.grad("pred")));
             });

const Register pvd_objective =
    Register({"pvd_objective"},
             each(each(
                      [](const Sizes& s, Random& random) {
                          Inputs inputs;
                          for (const char* of : {"_s", "_t"})
                              inputs.tensor(std::string("log_sigma") + of, random.normal({s.n}))
                                  .tensor(std::string("feat") + of, random.normal({s.n, s.d}))
                                  .tensor(std::string("color") + of, random.normal({s.n, 3}))
                                  .tensor(std::string("rgb") + of, random.normal({s.k, 3}));
                          return std::vector{inputs};
                      },
                      "step", {3, 3000, 6000}),
                  "kind", {"normL2", "smoothL1"}),
             [](auto& c) {
                 using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
                 const auto pvd =
                     ProgressiveVolumeDistillation{.first_end = c.integer("stage1_end", 2000),
                                                   .second_end = c.integer("stage2_end", 5000),
                                                   .feature = c.number("w_feature", 0.002),
                                                   .decay = c.number("feature_decay", 0.995),
                                                   .color = c.number("w_color", 0.002),
                                                   .density = c.number("w_sigma", 0.002),
                                                   .rgb = c.number("w_rgb", 1),
                                                   .low = c.number("clip_min", -2),
                                                   .high = c.number("clip_max", 7),
                                                   .kind = kind_of(c.text("kind", "normL2"))}
                         .at(c.integer("step"));
                 const ProgressiveVolumeDistillation::Fields<T> student{
                     c.vector("log_sigma_s"), c.matrix("feat_s"), c.matrix("color_s"),
                     c.matrix("rgb_s")};
                 const ProgressiveVolumeDistillation::Fields<T> teacher{
                     c.vector("log_sigma_t"), c.matrix("feat_t"), c.matrix("color_t"),
                     c.matrix("rgb_t")};
                 c.value(pvd(student, teacher,
                             ProgressiveVolumeDistillation::Gradients<T>{
                                 c.grad("log_sigma_s"), c.grad("feat_s"), c.grad("color_s"),
                                 c.grad("rgb_s")},
                             terms(c.out("terms", {4}))));
                 c.put("stage", pvd.stage());
             })
        .no_law(Law::nan, "a stage does not look at everything");

const Register ci_kd({"ci_kd"},
                     each(
                         [](const Sizes& s, Random& random) {
                             Inputs inputs;
                             return std::vector{inputs.tensor("slim", random.normal({3, s.n, s.d}))
                                                    .tensor("full", random.normal({s.n, s.d}))};
                         },
                         "kind", {"mse", "cosine"}),
                     [](auto& c) {
                         using Distance = WidthConsistency::Distance;
                         const WidthConsistency loss{.distance = c.text("kind", "mse") == "mse"
                                                                     ? Distance::squared
                                                                     : Distance::cosine};
                         c.value(
                             loss(c.tensor("slim"), c.matrix("full"), c.grad("slim"),
                                  per_configuration(c.out("per_config", {c.shape("slim")[0]}))));
                     });

const Register class_means(
    {"class_means"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        return std::vector{inputs.param("classes", 4)
                               .tensor("features", random.normal({s.n, s.d}))
                               .tensor("labels", random.integers({s.n}, 3))};
    },
    [](auto& c) {
        const ClassMeans means;
        const test::Shape& shape = c.shape("features");
        const Index k = c.integer("classes");
        auto state = c.aside([&] { return means.init(k, shape[1]); });
        means.observe(state, c.matrix("features"), labels(c.indices("labels")));
        means.means(state, c.out("means", {k, shape[1]}));
        c.put("counts", state.counts);
    });

const Register semantic_calibration =
    Register({"semantic_calibration"},
             each(
                 [](const Sizes& s, Random& random) {
                     const Index d = (std::min)(s.d, Index{6});
                     const Index n = s.n + 4 * d;
                     Inputs inputs;
                     return std::vector{inputs.tensor("pretrained_bank", random.normal({n, d}))
                                            .tensor("downstream_bank", random.normal({n, d}))
                                            .tensor("bank_labels", random.integers({n}, 3))
                                            .tensor("class_weights", random.normal({3, d}))
                                            .tensor("batch_features", random.normal({s.n + 1, d}))};
                 },
                 "rotate", {1, 0}),
             [](auto& c) {
                 const SemanticCalibration calibration{.rotate = c.integer("rotate", 1) != 0};
                 calibration.forward(c.matrix("pretrained_bank"), c.matrix("downstream_bank"),
                                     labels(c.indices("bank_labels")), c.matrix("class_weights"),
                                     c.matrix("batch_features"),
                                     c.out("calibrated", c.shape("pretrained_bank")));
             })
        .no_law(Law::nan, "class_weights", "a class without members is passed over")
        .no_law(Law::shapes, "batch_features", "a batch may have any number of rows")
        .no_law(Law::shapes, "class_weights", "there may be classes without members")
        .float_tolerance(1e-3, "a rotation by singular vectors");

// ---- rates ---------------------------------------------------------------------------------------

const Register affine_bottleneck_quantizer =
    Register({"affine_bottleneck_quantizer"}, each(batches({"x", "cotangent"}), "bits", {3, 8}),
             [](auto& c) {
                 const AffineBottleneckQuantizer quantizer{
                     .bits = static_cast<int>(c.integer("bits", 8))};
                 const test::Shape& shape = c.shape("x");
                 const auto range = quantizer.forward(c.tensor("x"), c.out("dequantized", shape),
                                                      codes(c.out("codes", shape)));
                 c.put("scale", range.scale);
                 c.put("offset", range.offset);
                 if (c.has("cotangent"))
                     quantizer.pullback(c.tensor("cotangent"), c.grad("x"));
             })
        .no_law(Law::gradient, "straight through")
        .no_law(Law::precision, "rounding jumps")
        .no_law(Law::shapes, "a tensor of any shape is quantised");

const Register logistic_rate =
    Register({"logistic_rate"},
             each(
                 [](const Sizes& s, Random& random) {
                     Inputs inputs;
                     return std::vector{inputs.tensor("z", random.normal({s.n, s.d}))
                                            .tensor("mean", random.normal({s.d}))
                                            .tensor("log_scale", random.normal({s.d}))};
                 },
                 "reduction", {"batchmean", "sum", "mean"}),
             [](auto& c) {
                 const LogisticRate rate{.mean_over = rate_mean(c.text("reduction", "batchmean")),
                                         .bound = c.number("likelihood_bound", 1e-9)};
                 c.value(rate(c.matrix("z"), c.vector("mean"), c.vector("log_scale"), c.grad("z"),
                              c.grad("mean"), c.grad("log_scale"),
                              bits(c.out("bits", c.shape("z")))));
             })
        .float_range(0.02, 10, steep)
        .double_range(0.02, 10, steep);

const Register factorized_prior_rate =
    Register(
        {"factorized_prior_rate"},
        each(
            [](const Sizes& s, Random& random) {
                const Index d = (std::min)(s.d, Index{5});
                Inputs inputs;
                return std::vector{
                    inputs.tensor("z", random.normal({s.n, d}))
                        .tensor("parameters", random.uniform({d, 58}, -1, 1, test::Kind::real))};
            },
            "reduction", {"batchmean", "sum"}),
        [](auto& c) {
            const FactorizedPriorRate rate{.mean_over =
                                               rate_mean(c.text("reduction", "batchmean"))};
            c.value(rate(c.matrix("z"), c.matrix("parameters"), c.grad("z"), c.grad("parameters"),
                         bits(c.out("bits", c.shape("z")))));
        })
        .float_range(0.02, 10, steep)
        .double_range(0.02, 10, steep);

const Register entropic_student =
    Register({"entropic_student"},
             each(
                 [](const Sizes& s, Random& random) {
                     auto variants = layers(s, random);
                     variants[0]
                         .tensor("z", random.normal({s.n, s.d}))
                         .tensor("noise", random.uniform({s.n, s.d}, -0.5, 0.5))
                         .tensor("mean", random.normal({s.d}))
                         .tensor("log_scale", random.normal({s.d}));
                     return variants;
                 },
                 "beta", {0.08, 0}),
             [](auto& c) {
                 using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
                 const EntropicStudent student{.beta = c.number("beta", 0.08)};
                 const test::Shape& shape = c.shape("z");
                 const auto noise = c.matrix("noise");
                 const auto plan = c.aside([&] {
                     RoundingNoise drawn{{}, noise.cols()};
                     for (Index i = 0; i < noise.rows(); ++i)
                         for (Index j = 0; j < noise.cols(); ++j)
                             drawn.noise.push_back(static_cast<double>(noise(i, j)));
                     return drawn;
                 });
                 auto& code = room<T>(c, shape[0] * shape[1]);
                 const auto noisy = view(code.data(), {shape[0], shape[1]});
                 student.noisy(c.matrix("z"), plan, into(noisy));
                 const MatrixView<const T> zn = noisy;
                 c.value(student(c.tensors("student_"), c.tensors("teacher_"), zn, c.vector("mean"),
                                 c.vector("log_scale"), c.grads("student_"), c.grad("z"),
                                 c.grad("mean"), c.grad("log_scale")));
                 c.put("distortion", ghnd(c.tensors("student_"), c.tensors("teacher_")));
                 c.put("rate_bits", LogisticRate{.mean_over = MeanOver::nothing}(
                                        zn, c.vector("mean"), c.vector("log_scale")));
             })
        .float_range(0.02, 10, steep)
        .double_range(0.02, 10, steep);

// ---- what is chosen, what is remembered ------------------------------------------------------------

const Register layer_knapsack =
    Register(
        {"layer_knapsack"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const Index layers : {(std::min)(s.n, Index{9}), Index{25}}) {
                Tensor params = random.integers({layers}, 40);
                double sum = 0;
                for (const double size : params.data)
                    sum += size;
                for (const double share : {0.0, 0.5, 1.0}) {
                    Inputs inputs;
                    inputs.param("min_removed", static_cast<Index>(share * sum))
                        .tensor("importance", random.normal({layers}))
                        .tensor("params", params);
                    variants.push_back(inputs);
                }
            }
            return variants;
        },
        [](auto& c) {
            const auto removed = LayerKnapsack{}.apply(
                c.vector("importance"), c.indices("params"), c.integer("min_removed"),
                c.out_indices("removed", c.shape("importance")));
            c.put("total_importance", removed.importance);
            c.put("removed_params", static_cast<double>(removed.params));
        })
        .no_law(Law::fuzz, "how much must go is a number of the case, the layers' sizes are drawn");

const Register hard_example_pool =
    Register(
        {"hard_example_pool"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool full : {false, true}) {
                Inputs inputs;
                Tensor slots = random.permutation(s.n);
                slots.data.resize(
                    static_cast<std::size_t>(HardExamplePool{.ratio = 0.3}.count(s.n)));
                slots.shape = {static_cast<Index>(slots.data.size())};
                inputs.param("ratio", 0.3)
                    .param("capacity", s.n + 1)
                    .param("is_full", full)
                    .tensor("loss", random.normal({s.n}))
                    .tensor("pool_ids", random.integers({s.n}, 100))
                    .tensor("slots", slots);
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            const HardExamplePool pool{.ratio = c.number("ratio"),
                                       .capacity = c.integer("capacity")};
            auto& [state, plan] = c.aside([&]() -> std::pair<HardExamplePool::State, PoolPlan>& {
                static thread_local std::pair<HardExamplePool::State, PoolPlan> kept;
                const auto ids = c.indices("pool_ids");
                const auto slots = c.indices("slots");
                const Index n = c.shape("loss")[0];
                kept.first.ids.reserve(ids.size() + static_cast<std::size_t>(n));
                kept.first.ids.assign(ids.begin(), ids.end());
                kept.first.full = c.number("is_full") != 0;
                kept.second.slots.assign(slots.begin(), slots.end());
                return kept;
            });
            pool.select(c.vector("loss"),
                        c.out_indices("selected", {pool.count(c.shape("loss")[0])}));
            pool.observe(state, c.vector("loss"), plan);
            c.put("pool_ids_new", state.ids);
            c.put("is_full_new", state.full ? 1 : 0);
        })
        .no_law(Law::nan, "what is not a number is not hard")
        .no_law(Law::shapes, "loss", "batches may be of any size")
        .no_law(Law::shapes, "pool_ids", "a pool may have any size")
        .no_law(Law::shapes, "slots", "a pool that is not full needs none");

const Register reconstruction_block_weight(
    {"reconstruction_block_weight"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        return std::vector{inputs.tensor("psnr", random.uniform({s.n}, 15, 35))
                               .tensor("ssim", random.uniform({s.n}, 0, 1))
                               .tensor("psnr_state", random.uniform({s.n}, 15, 35))
                               .tensor("ssim_state", random.uniform({s.n}, 0, 1))};
    },
    [](auto& c) {
        const ReconstructionBlockWeight weight{.momentum = c.number("ema", 0.9),
                                               .ssim_scale = c.number("ssim_scale", 10),
                                               .sigma = c.number("sigma", 10)};
        const auto psnr = c.vector("psnr_state");
        const auto ssim = c.vector("ssim_state");
        auto state = c.aside([&] {
            const auto numbers = [](const auto& v) {
                std::vector<double> out;
                for (Index i = 0; i < v.size(); ++i)
                    out.push_back(static_cast<double>(v(i)));
                return out;
            };
            return ReconstructionBlockWeight::State{numbers(psnr), numbers(ssim)};
        });
        weight.observe(state, c.vector("psnr"), c.vector("ssim"));
        c.put("psnr_state_new", state.psnr);
        c.put("ssim_state_new", state.ssim);
        weight.weights(state, c.out("weight", {c.shape("psnr")[0]}));
    });

const Register feature_bank =
    Register(
        {"feature_bank"},
        [](const Sizes& s, Random& random) {
            Inputs inputs;
            return std::vector{inputs.param("rows", s.n / 2 + 3)
                                   .tensor("downstream", random.normal({s.n, s.d}))
                                   .tensor("pretrained", random.normal({s.n, s.d}))
                                   .tensor("labels", random.integers({s.n}, 5))};
        },
        [](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const FeatureBank bank{.rows = c.integer("rows")};
            auto state = c.aside([&] { return bank.template init<T>(c.shape("downstream")[1]); });
            bank.observe(state, c.matrix("downstream"), c.matrix("pretrained"),
                         labels(c.indices("labels")));
            bank.observe(state, c.matrix("pretrained"), c.matrix("downstream"),
                         labels(c.indices("labels")));
            c.put("bank_downstream", state.downstream());
            c.put("bank_pretrained", state.pretrained());
            c.put("bank_labels", state.labels());
        })
        .no_law(Law::nan, "what has left the queue is gone");

} // namespace
