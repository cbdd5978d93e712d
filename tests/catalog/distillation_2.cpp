// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/diffusion/cache_router.hpp>
#include <temper/diffusion/denoising_policy_gradient.hpp>
#include <temper/diffusion/iepo_loss.hpp>
#include <temper/diffusion/masked_denoising_loss.hpp>
#include <temper/diffusion/score_identity_generator_loss.hpp>
#include <temper/layer/left_modulation_conv.hpp>
#include <temper/layer/left_modulation_linear.hpp>
#include <temper/regularizer/anchor_l2.hpp>
#include <temper/regularizer/parameter_repulsion.hpp>
#include <temper/representation/clusterwise_mode_seeking.hpp>
#include <temper/schedule/stepwise_embedding_index.hpp>

using namespace temper;
using test::batches;
using test::each;
using test::Inputs;
using test::Law;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

// ---- modulated weights -----------------------------------------------------------------------------

const Register left_modulation_fc = Register(
    {"left_modulation_fc"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const bool add : {true, false}) {
            Inputs inputs;
            inputs.param("use_add", add ? 1 : 0)
                .tensor("weight", random.normal({s.n, s.d}))
                .tensor("upstream", random.normal({s.n, s.d}))
                .tensor("w_mul_in_dim", random.normal({s.d, 2}))
                .tensor("w_mul_out_dim", random.normal({s.n, 2}));
            if (add)
                inputs.tensor("w_add_in_dim", random.normal({s.d, 3}))
                    .tensor("w_add_out_dim", random.normal({s.n, 3}));
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
        const LeftModulationLinear left;
        LeftModulationLinear::Factors<T> factors{.out = c.matrix("w_mul_out_dim"),
                                                 .in = c.matrix("w_mul_in_dim")};
        const bool adds = c.integer("use_add", 1) != 0;
        if (adds) {
            factors.add_out = c.matrix("w_add_out_dim");
            factors.add_in = c.matrix("w_add_in_dim");
        }
        left.forward(c.matrix("weight"), factors, c.out("modulated", c.shape("weight")));
        LeftModulationLinear::Gradients<T> out{.out = c.grad("w_mul_out_dim"),
                                               .in = c.grad("w_mul_in_dim")};
        if (adds) {
            out.add_out = c.grad("w_add_out_dim");
            out.add_in = c.grad("w_add_in_dim");
        }
        left.pullback(c.matrix("weight"), factors, c.matrix("upstream"), out);
        c.pair("modulated", "upstream");
    });

const Register left_modulation_conv =
    Register(
        {"left_modulation_conv"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool rich : {true, false}) {
                const Index out = (std::min)(s.n, Index{9});
                const Index in = (std::min)(s.d, Index{7});
                const test::Shape shape{out, in, 2, 3};
                Inputs inputs;
                inputs.param("use_act", rich ? 1 : 0)
                    .param("use_add", rich ? 1 : 0)
                    .tensor("weight", random.normal(shape))
                    .tensor("upstream", random.normal(shape))
                    .tensor("w_mul1_out_channel_wise", random.normal({out, 2}))
                    .tensor("w_mul1_instance_wise", random.normal({2, 2, 6}))
                    .tensor("w_mul2_in_channel_wise", random.normal({in, 2}));
                if (rich)
                    inputs.tensor("w_add1_out_channel_bias", random.normal({out, 2}))
                        .tensor("w_add1_instance_bias", random.normal({6, 2}))
                        .tensor("w_add2_in_channel_bias", random.normal({in, 3}))
                        .tensor("w_add2_instance_bias", random.normal({6, 3}));
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const LeftModulationConv left{.relu = c.integer("use_act", 1) != 0};
            const bool adds = c.integer("use_add", 1) != 0;
            LeftModulationConv::Factors<T> factors;
            factors.out = c.matrix("w_mul1_out_channel_wise");
            factors.core = c.tensor("w_mul1_instance_wise").template as<3>();
            factors.in = c.matrix("w_mul2_in_channel_wise");
            if (adds) {
                factors.add_out = c.matrix("w_add1_out_channel_bias");
                factors.add_place = c.matrix("w_add1_instance_bias");
                factors.late_in = c.matrix("w_add2_in_channel_bias");
                factors.late_place = c.matrix("w_add2_instance_bias");
            }
            left.forward(c.tensor("weight"), factors, c.out("modulated", c.shape("weight")));
            LeftModulationConv::Gradients<T> out;
            out.out = c.grad("w_mul1_out_channel_wise");
            out.core = c.grad("w_mul1_instance_wise");
            out.in = c.grad("w_mul2_in_channel_wise");
            if (adds) {
                out.add_out = c.grad("w_add1_out_channel_bias");
                out.add_place = c.grad("w_add1_instance_bias");
                out.late_in = c.grad("w_add2_in_channel_bias");
                out.late_place = c.grad("w_add2_instance_bias");
            }
            left.pullback(c.tensor("weight"), factors, c.tensor("upstream"), out);
            c.pair("modulated", "upstream");
        })
        .no_law(Law::shapes, "weight", "a window of another shape has as many places")
        .no_law(Law::shapes, "upstream", "a window of another shape has as many places")
        .float_range(1e-6, 1e6, "products of six factors")
        .double_range(1e-30, 1e30, "products of six factors");

const Register clusterwise_mode_seeking =
    Register({"clusterwise_mode_seeking"},
             each(
                 [](const Sizes& s, Random& random) {
                     const Index n = (std::min)(s.n, Index{30});
                     Inputs inputs;
                     return std::vector{inputs.tensor("z", random.normal({n, s.k + 1}))
                                            .tensor("w", random.normal({n, s.k + 2}))
                                            .tensor("images", random.normal({n, s.d}))
                                            .tensor("cluster", random.integers({n}, 3))};
                 },
                 "eps", {1e-5, 0.1}),
             [](auto& c) {
                 using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
                 const ClusterwiseModeSeeking loss{.epsilon = c.number("eps", 1e-5)};
                 const Into<T> g = c.grad("images");
                 const std::array views{g.view};
                 c.value(loss(c.matrix("z"), c.matrix("w"), tensors(c.matrix("images")),
                              labels(c.indices("cluster")), c.grad("w"),
                              IntoList<T>{views, g.scale, g.mode}));
             })
        .no_law(Law::shapes, "z", "codes may have any number of columns")
        .no_law(Law::nan, "who is alone in a cluster counts for nothing");

// ---- diffusion -------------------------------------------------------------------------------------

const Register denoising_policy_gradient(
    {"denoising_policy_gradient"},
    each(
        [](const Sizes& s, Random& random) {
            const test::Shape shape{s.n, s.k + 1, s.d};
            Inputs inputs;
            return std::vector{inputs.tensor("mean", random.normal(shape))
                                   .tensor("reference_mean", random.normal(shape))
                                   .tensor("sample", random.normal(shape))
                                   .tensor("sigma", random.uniform({s.k + 1}, 0.5, 2))
                                   .tensor("reward", random.normal({s.n}))};
        },
        "kl_weight", {0, 0.2}),
    [](auto& c) {
        const DenoisingPolicyGradient loss{.kl_weight = c.number("kl_weight", 0.2),
                                           .std_epsilon = c.number("std_eps", 1e-8)};
        const test::Shape& shape = c.shape("mean");
        c.value(loss(c.tensor("mean"), c.tensor("reference_mean"), c.tensor("sample"),
                     c.vector("sigma"), c.vector("reward"), c.grad("mean"),
                     advantage(c.out("advantage", {shape[0]})),
                     log_probability(c.out("log_prob", {shape[0], shape[1]})),
                     reference_divergence(c.out("kl", {shape[0], shape[1]}))));
    });

const Register cache_router(
    {"cache_router"},
    each(
        [](const Sizes& s, Random& random) {
            const test::Shape shape{s.k + 1, s.n, s.d};
            Inputs inputs;
            return std::vector{inputs.tensor("router_logits", random.normal({s.k + 1}))
                                   .tensor("computed", random.normal(shape))
                                   .tensor("cached", random.normal(shape))
                                   .tensor("upstream", random.normal(shape))};
        },
        "threshold", {0.1, 0.5}),
    [](auto& c) {
        const CacheRouter router{.threshold = c.number("threshold", 0.1)};
        const test::Shape& shape = c.shape("computed");
        router.forward(c.vector("router_logits"), c.tensor("computed"), c.tensor("cached"),
                       c.out("mixed", shape));
        router.refresh(c.vector("router_logits"), c.out_indices("refresh", {shape[0]}));
        for (const char* name : {"hard_output", "cache_new"})
            router.advance(c.vector("router_logits"), c.tensor("computed"), c.tensor("cached"),
                           c.out(name, shape));
        router.pullback(c.vector("router_logits"), c.tensor("computed"), c.tensor("cached"),
                        c.tensor("upstream"), c.grad("router_logits"), c.grad("computed"));
        c.pair("mixed", "upstream");
    });

const Register iepo_loss(
    {"iepo_loss"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        return std::vector{inputs.param("lambda_t", 0.7)
                               .param("beta", 0.1)
                               .tensor("cached_output", random.normal({s.n, s.d}))
                               .tensor("full_output", random.normal({s.n, s.d}))
                               .tensor("router_logits", random.normal({s.k + 1}))};
    },
    [](auto& c) {
        const IepoLoss loss{.beta = c.number("beta")};
        c.value(loss(c.tensor("cached_output"), c.tensor("full_output"), c.vector("router_logits"),
                     c.number("lambda_t"), c.grad("cached_output"), c.grad("router_logits"),
                     terms(c.out("terms", {2}))));
    });

const Register masked_denoising_loss =
    Register(
        {"masked_denoising_loss"},
        each(
            [](const Sizes& s, Random& random) {
                std::vector<Inputs> variants;
                for (const bool soft : {false, true}) {
                    Inputs inputs;
                    inputs.tensor("pred", random.normal({s.n, s.d}))
                        .tensor("noise", random.normal({s.n, s.d}));
                    if (soft)
                        inputs.tensor("mask", random.uniform({s.n, s.d}, 0.1, 1));
                    else
                        inputs.tensor("mask", random.integers({s.n, s.d}, 2));
                    variants.push_back(inputs);
                }
                for (Inputs& inputs : variants)
                    inputs.find("mask")->kind = test::Kind::fixed;
                return variants;
            },
            "normalize", {"all_entries", "valid_entries"}),
        [](auto& c) {
            using Normalize = MaskedDenoisingLoss::Normalize;
            const MaskedDenoisingLoss loss{.normalize =
                                               c.text("normalize", "all_entries") == "all_entries"
                                                   ? Normalize::all_entries
                                                   : Normalize::valid_entries};
            c.value(loss(c.tensor("pred"), c.tensor("noise"), c.tensor("mask"), c.grad("pred")));
        })
        .no_law(Law::nan, "where the mask is 0 nothing is looked at");

const Register score_identity_generator_loss =
    Register(
        {"score_identity_generator_loss"},
        each(
            [](const Sizes& s, Random& random) {
                Inputs plain;
                plain.tensor("generated", random.normal({s.n, s.d}))
                    .tensor("teacher_x0", random.normal({s.n, s.d}))
                    .tensor("fake_x0", random.normal({s.n, s.d}));
                Inputs weighted = plain;
                weighted.param("reduction", "sum").tensor("sample_weights", random.positive({s.n}));
                return std::vector{plain, weighted};
            },
            "alpha", {1, 1.2}),
        [](auto& c) {
            const ScoreIdentityGeneratorLoss loss{.alpha = c.number("alpha", 1.2),
                                                  .floor = c.number("omega_floor", 1e-5),
                                                  .reduction = c.text("reduction", "mean") == "sum"
                                                                   ? Reduction::sum
                                                                   : Reduction::mean};
            const auto run = [&](const auto&... weights) {
                c.value(loss(c.matrix("generated"), c.matrix("teacher_x0"), c.matrix("fake_x0"),
                             weights..., c.grad("generated"), c.grad("teacher_x0"),
                             c.grad("fake_x0"),
                             per_sample(c.out("per_sample", {c.shape("generated")[0]}))));
            };
            if (c.has("sample_weights"))
                run(sample_weights(c.vector("sample_weights")));
            else
                run();
        })
        .no_law(Law::gradient, "generated", "what divides a sample's loss is held still")
        .no_law(Law::gradient, "teacher_x0", "what divides a sample's loss is held still");

// ---- parameters ------------------------------------------------------------------------------------

const Register anchor_l2(
    {"anchor_l2"},
    [](const Sizes& s, Random& random) {
        Inputs plain;
        plain.param("step", 0.3)
            .tensor("theta", random.normal({s.n, s.d}))
            .tensor("anchor", random.normal({s.n, s.d}));
        Inputs weighted = plain;
        weighted.tensor("weight", random.positive({s.n, s.d}));
        return std::vector{plain, weighted};
    },
    [](auto& c) {
        const AnchorL2 anchor;
        const auto run = [&](const auto&... weights) {
            c.value(anchor(c.tensor("theta"), c.tensor("anchor"), c.grad("theta"), weights...));
            if (c.has("step"))
                anchor.prox(c.tensor("theta"), c.tensor("anchor"), c.number("step"),
                            c.out("prox", c.shape("theta")), weights...);
        };
        if (c.has("weight"))
            run(entry_weights(c.tensor("weight")));
        else
            run();
    });

const Register parameter_repulsion = Register(
    {"parameter_repulsion"},
    each(each(batches({"theta", "adapted"}), "kind", {"inverse", "negative", "exponential"}),
         "distance", {"sum", "mean_of_tensor_means"}),
    [](auto& c) {
        using Kind = ParameterRepulsion::Kind;
        using Distance = ParameterRepulsion::Distance;
        const std::string kind = c.text("kind");
        const ParameterRepulsion loss{.gamma = c.number("gamma", 0.01),
                                      .kind = kind == "inverse"    ? Kind::inverse
                                              : kind == "negative" ? Kind::negative
                                                                   : Kind::exponential,
                                      .distance = c.text("distance", "sum") == "sum"
                                                      ? Distance::sum
                                                      : Distance::mean_of_tensor_means};
        c.value(loss(c.tensor("theta"), c.tensor("adapted"), c.grad("theta"),
                     squared_distance(c.out("sq_distance", test::Shape{}))));
    });

const Register stepwise_embedding_index(
    {"stepwise_embedding_index"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        return std::vector{inputs.param("n_steps", 50)
                               .param("n_stages", 4)
                               .tensor("t", random.integers({s.n}, 50))};
    },
    [](auto& c) {
        const StepwiseEmbeddingIndex index{.steps = c.integer("n_steps"),
                                           .stages = c.integer("n_stages")};
        c.aside([&] {
            std::vector<std::int64_t> all;
            for (const std::int64_t t : c.indices("t"))
                all.push_back(index(t));
            c.put("index", all);
        });
    });

} // namespace
