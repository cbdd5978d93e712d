// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/diffusion/adaptive_projected_guidance.hpp>
#include <temper/diffusion/consistency_loss.hpp>
#include <temper/diffusion/consistency_renoise.hpp>
#include <temper/diffusion/consistency_scalings.hpp>
#include <temper/diffusion/ddcm_step.hpp>
#include <temper/diffusion/ddim_step.hpp>
#include <temper/diffusion/early_diffusion_loss.hpp>
#include <temper/diffusion/edm_loss.hpp>
#include <temper/diffusion/edm_preconditioning.hpp>
#include <temper/diffusion/interpolant_velocity_loss.hpp>
#include <temper/diffusion/inverse_gap_weight.hpp>
#include <temper/diffusion/karras_sigmas.hpp>
#include <temper/diffusion/logit_normal_time_sampler.hpp>
#include <temper/diffusion/lognormal_index_sampler.hpp>
#include <temper/diffusion/lognormal_time_sampler.hpp>
#include <temper/diffusion/low_pass_guidance.hpp>
#include <temper/diffusion/minibatch_ot_coupling.hpp>
#include <temper/diffusion/preconditioned.hpp>
#include <temper/diffusion/red_diff_loss.hpp>
#include <temper/layer/entropy_attention_scale.hpp>
#include <temper/layer/non_scaling_layer_norm.hpp>
#include <temper/layer/spatial_softmax_aggregate.hpp>
#include <temper/recipe/consistency.hpp>
#include <temper/schedule/trajectory_stitch.hpp>

using namespace temper;
using test::batches;
using test::each;
using test::Inputs;
using test::Kind;
using test::Law;
using test::Random;
using test::Register;
using test::Sizes;
using test::Tensor;
using test::with;

namespace {

const std::string any_grid = "a grid has any number of levels";
const test::Make no_inputs = [](const Sizes&, Random&) { return std::vector{Inputs{}}; };

/// An input's numbers as doubles.
template <class C>
std::vector<double> numbers(C& c, std::string_view name)
{
    const auto v = c.vector(name);
    return c.aside([&] {
        std::vector<double> out;
        for (Index i = 0; i < v.extents[0]; ++i)
            out.push_back(static_cast<double>(v(i)));
        return out;
    });
}
/// f of each number of an input.
template <class C, class F>
void put_each(C& c, std::string_view input, std::string_view output, const F& f)
{
    auto out = numbers(c, input);
    for (double& x : out)
        x = f(x);
    c.put(output, std::as_const(out));
}
template <class C>
NoisePairs pairs_of(C& c)
{
    const auto sigmas = numbers(c, "sigmas");
    const auto index = c.indices("index");
    return c.aside([&] { return NoisePairs::of(sigmas, index); });
}
/// The same where only the number of levels is known.
template <class C>
NoisePairs indices_of(C& c)
{
    const auto index = c.indices("index");
    return c.aside([&] {
        NoisePairs pairs{.low = std::vector<double>(index.size(), 1),
                         .high = std::vector<double>(index.size(), 2),
                         .index = {index.begin(), index.end()},
                         .levels = c.integer("n_scales")};
        return pairs;
    });
}
Tensor grid(Index levels) { return {{levels}, KarrasSigmas{}.ascending(levels), Kind::fixed}; }
Tensor levels(const Sizes& s, Random& random) { return random.uniform({s.n}, 0.1, 3); }

template <class C>
KarrasSigmas grid_of(const C& c)
{
    return {.sigma_min = c.number("sigma_min", 0.002),
            .sigma_max = c.number("sigma_max", 80),
            .rho = c.number("rho", 7)};
}
template <class C>
ConsistencyScalings scalings_of(const C& c)
{
    return {.sigma_data = c.number("sigma_data", 0.5), .sigma_min = c.number("sigma_min", 0.002)};
}

// ---- levels ----------------------------------------------------------------------------------------

const Register karras_sigmas({"karras_sigmas"}, each(no_inputs, "n", {1, 2, 5}), [](auto& c) {
    c.aside([&] {
        const KarrasSigmas sigmas = grid_of(c);
        c.put("ascending", sigmas.ascending(c.integer("n")));
        c.put("descending_with_zero", sigmas.descending(c.integer("n")));
    });
});

const Register lognormal_index_sampler =
    Register(
        {"lognormal_index_sampler"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const Index n : {Index{2}, Index{11}}) {
                Inputs inputs;
                inputs.tensor("sigmas", grid(n)).tensor("u", random.uniform({s.n}, 0, 1));
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            const LognormalIndexSampler sampler{.p_mean = c.number("p_mean", -1.1),
                                                .p_std = c.number("p_std", 2)};
            const auto sigmas = numbers(c, "sigmas");
            const auto pmf = c.aside([&] { return sampler.pmf(sigmas); });
            const auto table = c.aside([&] { return IndexTable(pmf); });
            c.put("pmf", pmf);
            put_each(c, "u", "index", [&](double x) { return static_cast<double>(table(x)); });
        })
        .no_law(Law::shapes, "sigmas", any_grid)
        .no_law(Law::shapes, "u", "as many indices as there are numbers")
        .no_law(Law::nan, "u", "chooses an index");

const Register uniform_index_sampler =
    Register(
        {"uniform_index_sampler"},
        [](const Sizes&, Random&) {
            Inputs inputs;
            inputs.tensor("sigmas", grid(6));
            return std::vector{inputs};
        },
        [](auto& c) {
            const auto sigmas = numbers(c, "sigmas");
            c.put("pmf", c.aside([&] { return UniformIndexSampler{}.pmf(sigmas); }));
        })
        .no_law(Law::nan, "sigmas", "all levels are alike");

const Register inverse_gap_weight(
    {"inverse_gap_weight"},
    [](const Sizes&, Random&) {
        Inputs inputs;
        inputs.tensor("sigmas", grid(6));
        return std::vector{inputs};
    },
    [](auto& c) {
        const auto sigmas = numbers(c, "sigmas");
        c.aside([&] {
            std::vector<double> out;
            for (std::size_t i = 0; i + 1 < sigmas.size(); ++i)
                out.push_back(InverseGapWeight{}(sigmas[i], sigmas[i + 1]));
            c.put("weight", std::as_const(out));
        });
    });

const test::Make normal_numbers = [](const Sizes& s, Random& random) {
    Inputs inputs;
    inputs.tensor("u_normal", random.uniform({s.n}, -2, 2));
    return std::vector{inputs};
};

const Register lognormal_time_sampler(
    {"lognormal_time_sampler"}, each(normal_numbers, "path", {"linear", "cosine"}), [](auto& c) {
        const LognormalTimeSampler sampler{.p_mean = c.number("p_mean", -1.2),
                                           .p_std = c.number("p_std", 1.2),
                                           .path = c.text("path") == "cosine" ? NoisePath::cosine
                                                                              : NoisePath::linear};
        put_each(c, "u_normal", "sigma", [&](double u) { return sampler.sigma(u); });
        put_each(c, "u_normal", "t", sampler);
    });

const Register
    logit_normal_time_sampler({"logit_normal_time_sampler"}, normal_numbers, [](auto& c) {
        const LogitNormalTimeSampler sampler{.mean = c.number("mean", 0),
                                             .deviation = c.number("std", 1),
                                             .t0 = c.number("t0", 0),
                                             .t1 = c.number("t1", 1)};
        put_each(c, "u_normal", "t", sampler);
    });

// ---- scalings --------------------------------------------------------------------------------------

const test::Make one_level_each = [](const Sizes& s, Random& random) {
    Inputs inputs;
    inputs.tensor("sigma", levels(s, random));
    return std::vector{inputs};
};
template <class C, class S>
void put_scalings(C& c, const S& scalings)
{
    put_each(c, "sigma", "c_skip", [&](double s) { return scalings(s).skip; });
    put_each(c, "sigma", "c_out", [&](double s) { return scalings(s).out; });
    put_each(c, "sigma", "c_in", [&](double s) { return scalings(s).in; });
}

const Register edm_preconditioning({"edm_preconditioning"}, one_level_each, [](auto& c) {
    const EdmPreconditioning scalings{.sigma_data = c.number("sigma_data", 0.5)};
    put_scalings(c, scalings);
    put_each(c, "sigma", "c_noise", [&](double s) { return scalings.noise(s); });
    put_each(c, "sigma", "loss_weight", [&](double s) { return scalings.weight(s); });
});

const Register consistency_scalings({"consistency_scalings"}, one_level_each,
                                    [](auto& c) { put_scalings(c, scalings_of(c)); });

const Register preconditioned(
    {"preconditioned"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        inputs.tensor("x", random.normal({s.n, s.d}))
            .tensor("raw", random.normal({s.n, s.d}))
            .tensor("upstream", random.normal({s.n, s.d}))
            .tensor("sigma", levels(s, random));
        return std::vector{inputs};
    },
    [](auto& c) {
        const Preconditioned<ConsistencyScalings> model{scalings_of(c)};
        const test::Shape& shape = c.shape("x");
        model.input(c.matrix("x"), c.vector("sigma"), c.out("input", shape));
        model.forward(c.matrix("x"), c.vector("sigma"), c.matrix("raw"), c.out("f", shape));
        model.pullback(c.vector("sigma"), c.matrix("upstream"), c.grad("raw"), c.grad("x"));
        c.pair("f", "upstream");
    });

// ---- losses ----------------------------------------------------------------------------------------

const Register edm_loss(
    {"edm_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const char* reduction : {"mean", "sum"}) {
            Inputs inputs;
            inputs.param("reduction", reduction)
                .tensor("x", random.normal({s.n, s.d}))
                .tensor("noise", random.normal({s.n, s.d}))
                .tensor("sigma", levels(s, random))
                .tensor("raw", random.normal({s.n, s.d}));
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        const EdmLoss loss{.preconditioning = {.sigma_data = c.number("sigma_data", 0.5)},
                           .reduction = c.text("reduction", "mean") == "sum" ? Reduction::sum
                                                                             : Reduction::mean};
        const test::Shape& shape = c.shape("x");
        loss.noised(c.matrix("x"), c.matrix("noise"), c.vector("sigma"), c.out("x_noisy", shape));
        c.value(loss(c.matrix("x"), c.matrix("noise"), c.vector("sigma"), c.matrix("raw"),
                     c.grad("raw"), per_sample(c.out("per_sample", {shape[0]}))));
    });

const std::string data_and_noise = "data, noise and the lower output are held still";
Inputs between_levels(const Sizes& s, Random& random, Index n = 11)
{
    Inputs inputs;
    return inputs.tensor("x", random.normal({s.n, s.d}))
        .tensor("noise", random.normal({s.n, s.d}))
        .tensor("sigmas", grid(n))
        .tensor("index", random.integers({s.n}, n - 1))
        .tensor("raw_hi", random.normal({s.n, s.d}))
        .tensor("raw_lo", random.normal({s.n, s.d}));
}

template <class C, class Kernel, class Weight>
void ict(C& c, const Kernel& kernel, const Weight& weight)
{
    using T = typename C::Scalar;
    const ConsistencyLoss<Kernel, Weight> loss{
        .kernel = kernel, .weight = weight, .scalings = scalings_of(c)};
    const NoisePairs pairs = pairs_of(c);
    const test::Shape& shape = c.shape("x");
    c.value(loss(c.matrix("x"), c.matrix("noise"), pairs, c.matrix("raw_hi"), c.matrix("raw_lo"),
                 c.grad("raw_hi"), per_sample(c.out("per_sample", {shape[0]}))));
    loss.pair(c.matrix("x"), c.matrix("noise"), pairs, c.out("x_hi", shape), c.out("x_lo", shape));
    c.aside([&] {
        std::vector<double> weights;
        for (std::size_t i = 0; i < pairs.index.size(); ++i)
            weights.push_back(weight(pairs.low[i], pairs.high[i]));
        c.put("weight", std::as_const(weights));
    });
    std::vector<T> memory =
        c.aside([&] { return std::vector<T>(static_cast<std::size_t>(2 * test::count(shape))); });
    const auto hi = view(memory.data(), {shape[0], shape[1]});
    const auto lo = view(memory.data() + test::count(shape), {shape[0], shape[1]});
    c.aside([&] { loss.pair(c.matrix("x"), c.matrix("noise"), pairs, into(hi), into(lo)); });
    const Preconditioned<ConsistencyScalings> model{loss.scalings};
    model.forward(hi, pairs.high, c.matrix("raw_hi"), c.out("f_hi", shape));
    model.forward(lo, pairs.low, c.matrix("raw_lo"), c.out("f_lo", shape));
}

const Register ict_loss =
    Register(
        {"ict_loss"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const char* kind : {"pseudo_huber", "l2", "cauchy"}) {
                Inputs inputs = between_levels(s, random);
                inputs.param("kind", kind).param("c", 0.3).param("weighted", kind[0] != 'l');
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            const std::string kind = c.text("kind", "pseudo_huber");
            const auto weigh = [&](const auto& kernel) {
                if (c.flag("weighted", true))
                    ict(c, kernel, InverseGapWeight{});
                else
                    ict(c, kernel, UnitWeight{});
            };
            const double scale = c.number("c", 1);
            if (kind == "l2")
                weigh(L2Residual{});
            else if (kind == "cauchy")
                weigh(Cauchy{.c = scale});
            else if (kind == "pseudo_huber")
                weigh(PseudoHuber{.c = scale});
            else
                throw test::CaseError("ict_loss of no known kind: " + kind);
        })
        .no_law(Law::shapes, "sigmas", any_grid);

const Register early_diffusion_loss(
    {"early_diffusion_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const double ratio : {0.0, 0.5, 1.0}) {
            Inputs inputs;
            inputs.param("ratio", ratio)
                .param("n_scales", 11)
                .tensor("f_hi", random.normal({s.n, s.d}))
                .tensor("x0", random.normal({s.n, s.d}))
                .tensor("index", random.integers({s.n}, 10));
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        const EarlyDiffusionLoss<> loss{.ratio = c.number("ratio", 0.25)};
        const NoisePairs pairs = indices_of(c);
        const Index n = c.shape("f_hi")[0];
        c.value(loss(c.matrix("f_hi"), c.matrix("x0"), pairs, c.grad("f_hi"),
                     per_sample(c.out("per_sample", {n})), kept(c.out("mask", {n}))));
    });

const Register slct_objective =
    Register(
        {"slct_objective"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const double ratio : {0.5, 1.0}) {
                Inputs inputs = between_levels(s, random);
                inputs.param("c", 0.3)
                    .param("ratio", ratio)
                    .param("diffusion_weight", 2)
                    .tensor("permutation", random.permutation(s.n));
                variants.push_back(inputs);
            }
            return variants;
        },
        [](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const LatentConsistencyLoss<> loss{
                .consistency = {.kernel = {.c = c.number("c")}, .scalings = scalings_of(c)},
                .early = {.ratio = c.number("ratio", 0.25)},
                .diffusion_weight = c.number("diffusion_weight", 1)};
            const NoisePairs pairs = pairs_of(c);
            const test::Shape& shape = c.shape("noise");
            std::vector<T> memory = c.aside(
                [&] { return std::vector<T>(static_cast<std::size_t>(test::count(shape))); });
            const auto noise = view(memory.data(), {shape[0], shape[1]});
            c.aside([&] {
                const auto partner = c.indices("permutation");
                MinibatchOtCoupling::apply({.partner = {partner.begin(), partner.end()}},
                                           c.matrix("noise"), into(noise));
            });
            std::array<double, 2> both{};
            c.value(loss(c.matrix("x"), noise, pairs, c.matrix("raw_hi"), c.matrix("raw_lo"),
                         c.grad("raw_hi"), per_sample(c.out("per_sample", {shape[0]})),
                         terms(c.out("terms", {2}))));
            c.aside([&] {
                (void)loss(c.matrix("x"), noise, pairs, c.matrix("raw_hi"), c.matrix("raw_lo"),
                           terms(into(both)));
            });
            c.put("consistency", both[0]);
        })
        .no_law(Law::shapes, "sigmas", any_grid);

const Register interpolant_velocity_loss(
    {"interpolant_velocity_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const char* path : {"linear", "cosine"}) {
            const test::Shape shape =
                path[0] == 'l' ? test::Shape{s.n, s.d} : test::Shape{s.n, 2, s.d, s.k};
            Inputs inputs;
            inputs.param("path", path)
                .param("time_convention",
                       path[0] == 'l' ? "t=0 noise, t=1 data" : "t=0 data, t=1 noise")
                .tensor("x0", random.normal(shape))
                .tensor("noise", random.normal(shape))
                .tensor("t", random.uniform({s.n}, 0, 1))
                .tensor("pred", random.normal(shape));
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        const InterpolantVelocityLoss loss{
            .path_kind =
                c.text("path", "linear") == "cosine" ? NoisePath::cosine : NoisePath::linear,
            .data_at_one =
                c.text("time_convention", "t=0 data, t=1 noise").starts_with("t=0 noise")};
        const test::Shape& shape = c.shape("x0");
        loss.path(c.tensor("x0"), c.tensor("noise"), c.vector("t"), c.out("x_t", shape),
                  c.out("target", shape));
        c.value(loss(c.tensor("x0"), c.tensor("noise"), c.vector("t"), c.tensor("pred"),
                     c.grad("pred"), per_sample(c.out("per_sample", {shape[0]}))));
    });

// ---- coupling, samplers ----------------------------------------------------------------------------

const Register
    minibatch_ot_coupling({"minibatch_ot_coupling"}, batches({"x", "noise"}), [](auto& c) {
        Coupling plan;
        const test::Shape& shape = c.shape("x");
        c.aside([&] { plan.partner.reserve(static_cast<std::size_t>(shape[0])); });
        MinibatchOtCoupling{}.couple(c.matrix("x"), c.matrix("noise"), plan);
        c.put("cost", plan.cost);
        c.put("identity_cost", plan.identity_cost);
        c.aside([&] {
            c.put("permutation", std::vector<double>(plan.partner.begin(), plan.partner.end()));
        });
        MinibatchOtCoupling::apply(plan, c.matrix("noise"), c.out("coupled_noise", shape));
    });

const Register consistency_renoise(
    {"consistency_renoise"}, each(batches({"x0", "noise"}), "tau", {0.821, 0.002}), [](auto& c) {
        const ConsistencyRenoise renoise{.sigma_min = c.number("sigma_min", 0.002)};
        renoise(c.matrix("x0"), c.matrix("noise"), c.number("tau"), c.out("x_tau", c.shape("x0")));
    });

const Register
    ddim_step({"ddim_step"}, each(batches({"x", "x0", "noise"}), "eta", {0, 0.7}), [](auto& c) {
        const DdimStep step{.eta = c.number("eta", 0)};
        const double a = c.number("alpha_bar", 0.3);
        const double next = c.number("alpha_bar_prev", 0.6);
        const test::Shape& shape = c.shape("x");
        step(c.matrix("x"), c.matrix("x0"), c.matrix("noise"), a, next, c.out("x_prev", shape));
        DdimStep::data_of(c.matrix("x"), c.matrix("noise"), a, c.out("x0_of_noise", shape));
    });

const Register ddcm_step(
    {"ddcm_step"},
    each(each(batches({"x_source", "x_target", "eps_source", "eps_target", "x0_source", "noise"}),
              "eta", {1, 0.4}),
         "n_steps", {4, 1}),
    [](auto& c) {
        using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
        const test::Shape& shape = c.shape("x_source");
        DdcmStep{.eta = c.number("eta", 1)}(
            DdcmStep::Inputs<T>{.source = c.matrix("x_source"),
                                .target = c.matrix("x_target"),
                                .source_noise = c.matrix("eps_source"),
                                .target_noise = c.matrix("eps_target"),
                                .data = c.matrix("x0_source"),
                                .noise = c.matrix("noise")},
            c.number("alpha_bar", 0.3), c.number("alpha_bar_prev", 0.6), c.integer("n_steps") == 1,
            DdcmStep::Outputs<T>{.source = c.out("x_source_prev", shape),
                                 .target = c.out("x_target_prev", shape),
                                 .data = c.out("x0_target", shape)});
    });

const Register adaptive_projected_guidance(
    {"adaptive_projected_guidance"},
    each(batches({"cond", "uncond", "average"}), "norm_threshold", {0, 0.5}), [](auto& c) {
        const AdaptiveProjectedGuidance apg{.scale = c.number("scale", 7.5),
                                            .eta = c.number("eta", 0.3),
                                            .radius = c.number("norm_threshold"),
                                            .momentum = c.number("momentum", -0.5)};
        const test::Shape& shape = c.shape("cond");
        apg.forward(c.matrix("average"), c.matrix("cond"), c.matrix("uncond"),
                    c.out("guided", shape), c.out("average_new", shape),
                    parallel(c.out("parallel", shape)), orthogonal(c.out("orthogonal", shape)));
    });

const Register low_pass_guidance(
    {"low_pass_guidance"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const bool channels : {false, true}) {
            const test::Shape shape = channels ? test::Shape{s.n, 2, 2 * s.d, 2 * s.k}
                                               : test::Shape{s.n, 2 * s.d, 2 * s.k};
            Inputs inputs;
            inputs.param("block", 2)
                .tensor("x", random.normal(shape))
                .tensor("reference", random.normal(shape));
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        LowPassGuidance{.block = c.integer("block")}.forward(c.tensor("x"), c.tensor("reference"),
                                                             c.out("y", c.shape("x")));
    });

const Register trajectory_stitch(
    {"trajectory_stitch"},
    [](const Sizes&, Random&) {
        std::vector<Inputs> variants;
        for (const auto& shares : {std::vector<double>{0.4}, std::vector<double>{0.2, 0.3}, {}}) {
            Inputs inputs;
            inputs.param("n_steps", 10).param("fractions", shares);
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        c.aside([&] {
            const TrajectoryStitch stitch{.steps = c.integer("n_steps"),
                                          .shares = c.list("fractions")};
            std::vector<double> out;
            for (Index i = 0; i < stitch.steps; ++i)
                out.push_back(static_cast<double>(stitch(i)));
            c.put("model_index", std::as_const(out));
        });
    });

RedDiffLoss::Weight red_diff_weight(const std::string& kind)
{
    using W = RedDiffLoss::Weight;
    for (const auto& [name, weight] : {std::pair{"linear", W::linear},
                                       {"sqrt", W::root},
                                       {"square", W::square},
                                       {"log", W::logarithm},
                                       {"trunc_linear", W::truncated_linear},
                                       {"power2over3", W::two_thirds},
                                       {"const", W::constant}})
        if (kind == name)
            return weight;
    throw test::CaseError("red_diff_loss of no known weight: " + kind);
}

const Register red_diff_loss(
    {"red_diff_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const char* kind :
             {"linear", "sqrt", "square", "log", "trunc_linear", "power2over3", "const"}) {
            Inputs inputs;
            inputs.param("weight_kind", kind)
                .param("alpha_bar", 0.4)
                .tensor("mu", random.normal({s.n, s.d}))
                .tensor("operator", random.normal({s.k, s.d}))
                .tensor("measurement", random.normal({s.n, s.k}))
                .tensor("noise", random.normal({s.n, s.d}))
                .tensor("eps_pred", random.normal({s.n, s.d}));
            variants.push_back(inputs);
        }
        return variants;
    },
    [](auto& c) {
        const RedDiffLoss loss{.prior_weight = c.number("prior_weight", 0.25),
                               .data_weight = c.number("obs_weight", 1),
                               .weight = red_diff_weight(c.text("weight_kind", "linear"))};
        const double a = c.number("alpha_bar");
        std::array<double, 2> both{};
        RedDiffLoss::noised(c.matrix("mu"), c.matrix("noise"), a, c.out("x_t", c.shape("mu")));
        c.put("weight", loss.prior(a));
        c.value(loss(c.matrix("mu"), c.matrix("noise"), c.matrix("eps_pred"), c.matrix("operator"),
                     c.matrix("measurement"), a, c.grad("mu")));
        (void)loss(c.matrix("mu"), c.matrix("noise"), c.matrix("eps_pred"), c.matrix("operator"),
                   c.matrix("measurement"), a, terms(into(both)));
        c.put("data_term", loss.data_weight == 0 ? 0 : both[1] / loss.data_weight);
    });

// ---- layers ----------------------------------------------------------------------------------------

const Register non_scaling_layernorm(
    {"non_scaling_layernorm"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        inputs.tensor("x", random.normal({s.n, s.d}))
            .tensor("bias", random.normal({s.d}))
            .tensor("upstream", random.normal({s.n, s.d}));
        return std::vector{inputs};
    },
    [](auto& c) {
        const NonScalingLayerNorm norm{.epsilon = c.number("eps", 1e-6)};
        norm.forward(c.matrix("x"), c.vector("bias"), c.out("y", c.shape("x")));
        norm.pullback(c.matrix("x"), c.matrix("upstream"), c.grad("x"), c.grad("bias"));
        c.pair("y", "upstream");
    });

const Register spatial_softmax_aggregate(
    {"spatial_softmax_aggregate"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        inputs.tensor("features", random.normal({s.k, s.n, 3, s.d, 2}))
            .tensor("attention_logits", random.normal({s.k, s.n, s.d, 2}))
            .tensor("upstream", random.normal({s.n, 3, s.d, 2}));
        return std::vector{inputs};
    },
    [](auto& c) {
        const SpatialSoftmaxAggregate aggregate{};
        const test::Shape& f = c.shape("features");
        aggregate.forward(c.tensor("features"), c.tensor("attention_logits"),
                          c.out("y", {f.at(1), f.at(2), f.at(3), f.at(4)}),
                          attention(c.out("attention", c.shape("attention_logits"))));
        aggregate.pullback(c.tensor("features"), c.tensor("attention_logits"), c.tensor("upstream"),
                           c.grad("features"), c.grad("attention_logits"));
        c.pair("y", "upstream");
    });

const Register entropy_attention_scale(
    {"entropy_attention_scale"},
    [](const Sizes& s, Random& random) {
        Inputs inputs;
        inputs.param("train_tokens", 4)
            .tensor("q", random.normal({s.n, s.d + 1}))
            .tensor("k", random.normal({s.k + 1, s.d + 1}));
        return std::vector{inputs};
    },
    [](auto& c) {
        const EntropyAttentionScale scaled{.train_tokens = c.integer("train_tokens")};
        const Index keys = c.shape("k")[0];
        const Index d = c.shape("k")[1];
        c.put("scale", scaled.scale(keys, d));
        c.put("entropy",
              scaled(c.matrix("q"), c.matrix("k"), c.out("attention", {c.shape("q")[0], keys})));
        c.put("entropy_default_scale",
              EntropyAttentionScale::with_scale(1 / std::sqrt(static_cast<double>(d)),
                                                c.matrix("q"), c.matrix("k")));
    });

// ---- recipes ---------------------------------------------------------------------------------------

/// One step with the network F(x, s) = tanh(x / sqrt(s^2 + 1/4) W') + log(s) / 4 b.
template <class C, class Recipe>
void one_step(C& c, const Recipe& recipe)
{
    using T = typename C::Scalar;
    const auto x = c.matrix("x");
    const auto w = c.matrix("W");
    const auto b = c.vector("b");
    const Index n = x.rows();
    const Index d = x.cols();
    const Index step = c.integer("step");
    typename Recipe::template Plan<T> plan;
    std::vector<T> memory;
    c.aside([&] {
        plan.u = numbers(c, "u");
        const auto noise = c.matrix("noise");
        for (Index i = 0; i < noise.rows(); ++i)
            for (Index j = 0; j < noise.cols(); ++j)
                plan.drawn.push_back(noise(i, j));
        recipe.arrange(step, x, plan); // the first step makes room
        memory.resize(static_cast<std::size_t>(5 * n * d));
    });
    const auto matrix = [&](Index which) { return view(memory.data() + which * n * d, {n, d}); };
    const auto x_hi = matrix(0), x_lo = matrix(1), f_hi = matrix(2), f_lo = matrix(3),
               g = matrix(4);
    recipe.arrange(step, x, plan);
    recipe.pair(plan, x, into(x_hi), into(x_lo));
    const auto hidden = [&](const auto& y, double s, Index i, Index j) {
        double sum = 0;
        for (Index k = 0; k < d; ++k)
            sum += static_cast<double>(y(i, k)) * static_cast<double>(w(j, k));
        return std::tanh(sum / std::sqrt(s * s + 0.25));
    };
    const auto network = [&](const auto& y, const std::vector<double>& sigma, const auto& out) {
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < d; ++j) {
                const double s = sigma[static_cast<std::size_t>(i)];
                out(i, j) = static_cast<T>(hidden(y, s, i, j) +
                                           std::log(s) / 4 * static_cast<double>(b(j)));
            }
    };
    network(x_hi, plan.pairs.high, f_hi);
    network(x_lo, plan.pairs.low, f_lo);
    c.value(recipe.loss(plan, x, f_hi, f_lo, into(g)));
    c.aside([&] {
        std::vector<double> gw(static_cast<std::size_t>(d * d)), gb(static_cast<std::size_t>(d));
        std::vector<double> index, weight, partner;
        for (Index i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(i);
            const double s = plan.pairs.high[at];
            index.push_back(static_cast<double>(plan.pairs.index[at]));
            weight.push_back(recipe.weight(plan.pairs.low[at], s));
            if (!plan.coupling.partner.empty())
                partner.push_back(static_cast<double>(plan.coupling.partner[at]));
            for (Index j = 0; j < d; ++j) {
                const auto slope = static_cast<double>(g(i, j));
                const double h = hidden(x_hi, s, i, j);
                gb[static_cast<std::size_t>(j)] += slope * std::log(s) / 4;
                for (Index k = 0; k < d; ++k)
                    gw[static_cast<std::size_t>(j * d + k)] += slope * (1 - h * h) *
                                                               static_cast<double>(x_hi(i, k)) /
                                                               std::sqrt(s * s + 0.25);
            }
        }
        c.put("n_scales", static_cast<double>(plan.pairs.levels));
        c.put("c", recipe.rule(plan.pairs.levels, d).c);
        c.put("index", std::as_const(index));
        c.put("weight", std::as_const(weight));
        if (!partner.empty())
            c.put("permutation", std::as_const(partner));
        c.put("grad_W", view(std::as_const(gw).data(), {d, d}));
        c.put("grad_b", std::as_const(gb));
    });
}

template <class C, class Recipe>
Recipe with_numbers(const C& c, Recipe recipe)
{
    recipe.levels = {.s0 = c.integer("s0", 10),
                     .s1 = c.integer("s1", 80),
                     .total_steps = c.integer("total_steps")};
    recipe.grid = grid_of(c);
    recipe.index = {.p_mean = c.number("p_mean", -1.1), .p_std = c.number("p_std", 2)};
    recipe.sigma_data = c.number("sigma_data", 0.5);
    return recipe;
}

const test::Make a_step = [](const Sizes& s, Random& random) {
    Inputs inputs;
    inputs.param("step", 60)
        .param("total_steps", 100)
        .tensor("x", random.normal({s.n, s.d}))
        .tensor("noise", random.normal({s.n, s.d}))
        .tensor("u", random.uniform({s.n}, 0, 1))
        .tensor("W", random.normal({s.d, s.d}))
        .tensor("b", random.normal({s.d}));
    return std::vector{inputs};
};

Register own_network(Register entry)
{
    const std::string network = "the network is the entry's own";
    return entry.no_law(Law::nan, "u", "chooses an index")
        .no_law(Law::shapes, "W", network)
        .no_law(Law::shapes, "b", network);
}

const Register ict_recipe = own_network(Register({"ict_recipe"}, a_step, [](auto& c) {
    one_step(c, with_numbers(c, ImprovedConsistencyTraining{
                                    .rule = {.factor = c.number("c_factor", 0.00054)}}));
}));

const Register slct_recipe = own_network(Register({"slct_recipe"}, a_step, [](auto& c) {
    one_step(
        c, with_numbers(c, LatentConsistencyTraining{
                               .rule = {.schedule = {.slope = c.number("c_slope", -1.18),
                                                     .intercept = c.number("c_intercept", -0.72)}},
                               .early = {.ratio = c.number("ratio", 0.25),
                                         .weight = c.number("diffusion_weight", 1)}}));
}));

} // namespace
