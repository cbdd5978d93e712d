// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/clip_norm.hpp>
#include <temper/gradient/clip_value.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/gradient/frugal.hpp>
#include <temper/gradient/only.hpp>
#include <temper/gradient/perpendicular_gradient.hpp>
#include <temper/gradient/proximal_step.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/gradient/sharpness_aware.hpp>
#include <temper/gradient/swa.hpp>
#include <temper/regularizer/l1.hpp>

using namespace temper;
using test::Inputs;
using test::Law;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

/// Row i of a tensor [steps, ...].
template <class T>
AnyView<const T> at_step(AnyView<const T> v, Index i)
{
    v.data += i * v.strides[0];
    --v.rank;
    for (int d = 0; d < v.rank; ++d) {
        v.extents[place(d)] = v.extents[place(d + 1)];
        v.strides[place(d)] = v.strides[place(d + 1)];
    }
    v.extents[place(v.rank)] = 1;
    v.strides[place(v.rank)] = 0;
    return v;
}

/// A tensor's numbers, row-major, which may be written.
template <class T>
struct Copy {
    std::vector<T> numbers;
    AnyView<const T> shape;

    explicit Copy(const AnyView<const T>& from) : shape(from)
    {
        for (Index i = 0; i < from.size(); ++i)
            numbers.push_back(testing::entry(from, i));
    }
    [[nodiscard]] AnyView<T> window()
    {
        AnyView<T> v;
        v.data = numbers.data();
        v.rank = shape.rank;
        v.extents = shape.extents;
        Index stride = 1;
        for (int d = v.rank; d-- > 0; stride *= v.extent(d))
            v.strides[place(d)] = stride;
        return v;
    }
};

/// An optimiser's weights after each of its steps, [steps, ...]; the state is given to `start` before the
/// first and to `look` after each.
template <class Optimiser, class C, class Start, class Look>
void optimise(const Optimiser& optimiser, C& c, const Start& start, const Look& look)
{
    using T = typename C::Scalar;
    const auto w0 = c.tensor("w0");
    const auto gradients = c.tensor("grads");
    struct Run {
        Copy<T> weights;
        decltype(optimiser.init(tensors(weights.window()))) state{};
        std::vector<T> all{};
    };
    Run run = c.aside([&] {
        Run made{Copy<T>(w0)};
        made.state = optimiser.init(tensors(made.weights.window()));
        made.all.reserve(static_cast<std::size_t>(gradients.size()));
        if (gradients.extents[0] > 0)
            start(made.state);
        return made;
    });
    for (Index t = 0; t < gradients.extents[0]; ++t) {
        Copy<T> gradient = c.aside([&] { return Copy<T>(at_step(gradients, t)); });
        optimiser.step(run.state, tensors(run.weights.window()), tensors(gradient.window()));
        c.aside([&] {
            run.all.insert(run.all.end(), run.weights.numbers.begin(), run.weights.numbers.end());
            look(run.state);
        });
    }
    const auto& shape = c.shape("grads");
    c.put("weights", view(std::as_const(run.all).data(), {shape[0], shape[1], shape[2]}));
}
template <class Optimiser, class C>
void optimise(const Optimiser& optimiser, C& c)
{
    const auto nothing = [](const auto&) {};
    optimise(optimiser, c, nothing, nothing);
}

std::vector<Inputs> three_steps(const Sizes& s, Random& random)
{
    Inputs in;
    in.tensor("w0", random.normal({s.n, s.d})).tensor("grads", random.normal({3, s.n, s.d}));
    return {in};
}

const Register sgd = Register(
                         {"sgd_step"},
                         [](const Sizes& s, Random& random) {
                             std::vector<Inputs> variants;
                             for (const double momentum : {0.0, 0.9})
                                 for (const bool nesterov : {false, true})
                                     if (momentum > 0 || !nesterov) {
                                         variants.push_back(three_steps(s, random)[0]);
                                         variants.back()
                                             .param("lr", 0.1)
                                             .param("momentum", momentum)
                                             .param("dampening", nesterov ? 0.0 : 0.3)
                                             .param("weight_decay", 0.01)
                                             .param("nesterov", nesterov);
                                     }
                             return variants;
                         },
                         [](auto& c) {
                             optimise(Sgd{.learning_rate = c.number("lr"),
                                          .momentum = c.number("momentum"),
                                          .dampening = c.number("dampening"),
                                          .weight_decay = c.number("weight_decay"),
                                          .nesterov = c.flag("nesterov")},
                                      c);
                         })
                         .no_law(Law::shapes, "grads", "any number of steps will do");

const Register adam =
    Register({"adam_step"}, test::with(three_steps, "weight_decay", 0.1), [](auto& c) {
        optimise(Adam{.learning_rate = c.number("lr", 1e-3),
                      .beta1 = c.number("beta1", 0.9),
                      .beta2 = c.number("beta2", 0.999),
                      .epsilon = c.number("eps", 1e-8),
                      .weight_decay = c.number("weight_decay")},
                 c);
    }).no_law(Law::shapes, "grads", "any number of steps will do");

const Register adamw =
    Register({"adamw_step"}, test::with(three_steps, "weight_decay", 0.1), [](auto& c) {
        optimise(AdamW{.learning_rate = c.number("lr", 1e-3),
                       .beta1 = c.number("beta1", 0.9),
                       .beta2 = c.number("beta2", 0.999),
                       .epsilon = c.number("eps", 1e-8),
                       .weight_decay = c.number("weight_decay")},
                 c);
    }).no_law(Law::shapes, "grads", "any number of steps will do");

const Register frugal =
    Register(
        {"frugal_step"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const char* axis : {"columns", "rows"})
                for (const char* rule : {"sign_sgd", "sgd", "no"}) {
                    variants.push_back(three_steps(s, random)[0]);
                    const Index slices = std::string_view(axis) == "columns" ? s.d : s.n;
                    variants.back()
                        .param("weight_decay", 0.1)
                        .param("update_gap", 2)
                        .param("density", 0.5)
                        .param("inactive_rule", rule)
                        .param("axis", axis)
                        .tensor("active_indices", random.integers({2, slices / 2}, slices));
                }
            return variants;
        },
        [](auto& c) {
            const std::string rule = c.text("inactive_rule", "sign_sgd");
            const Frugal step{
                .learning_rate = c.number("lr", 1e-3),
                .beta1 = c.number("beta1", 0.9),
                .beta2 = c.number("beta2", 0.999),
                .epsilon = c.number("eps", 1e-8),
                .weight_decay = c.number("weight_decay", 0),
                .density = c.number("density"),
                .update_gap = c.integer("update_gap"),
                .slices = c.text("axis", "columns") == "rows" ? Frugal::Slices::rows
                                                              : Frugal::Slices::columns,
                .rest = rule == "no"    ? Frugal::Rest::nothing
                        : rule == "sgd" ? Frugal::Rest::descent
                                        : Frugal::Rest::sign_descent,
                .active_scale = c.number("active_lr_scale", 1),
                .rest_scale = c.number("inactive_lr_scale", 1),
            };
            const auto indices = c.index_tensor("active_indices");
            const Index k = indices.extents[1];
            Index choices = 0;
            const auto choose = [&](auto& state) { // the entry's draw
                if (!step.due(state) || choices == indices.extents[0])
                    return;
                Frugal::Plan plan(1);
                for (Index j = 0; j < k; ++j)
                    plan[0].push_back(testing::entry(indices, choices * k + j));
                step.choose(state, plan);
                ++choices;
            };
            optimise(step, c, choose, choose);
        })
        .no_law(Law::shapes, "grads", "any number of steps will do")
        .no_law(Law::shapes, "active_indices", "one choice more is never made")
        .no_law(Law::nan, "grads", "the rule \"no\" does not look at most of them");

const Register clip_norm(
    {"clip_grad_norm"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const double max_norm : {0.5, 1e6}) {
            Inputs in;
            in.param("max_norm", max_norm)
                .tensor("grad_0", random.normal({s.n, s.d}))
                .tensor("grad_1", random.normal({s.k}));
            variants.push_back(in);
        }
        return variants;
    },
    [](auto& c) {
        const ClipNorm clip{.max_norm = c.number("max_norm"), .epsilon = c.number("eps", 1e-6)};
        const auto result = clip.apply(c.tensors("grad_"), c.outs("clipped_", "grad_"));
        c.put("total_norm", result.norm);
        c.put("coefficient", result.coefficient);
    });

const Register clip_value({"clip_grad_value"}, test::with(test::batches({"grad"}), "limit", 0.5),
                          [](auto& c) {
                              ClipValue{.limit = c.number("limit")}.apply(
                                  tensors(c.tensor("grad")), c.out("clipped", c.shape("grad")));
                          });

const Register
    perp_grad({"perp_grad"}, test::each(test::batches({"w", "grad"}), "rescale", {true, false}),
              [](auto& c) {
                  const auto with = [&](bool rescale) {
                      return PerpendicularGradient{.rescale = rescale,
                                                   .epsilon = c.number("epsilon", 1e-30),
                                                   .min_ratio = c.number("min_ratio", 0)};
                  };
                  with(false).apply(tensors(c.tensor("w")), tensors(c.tensor("grad")),
                                    c.out("grad_perp", c.shape("grad")));
                  with(c.flag("rescale", true))
                      .apply(tensors(c.tensor("w")), tensors(c.tensor("grad")),
                             c.out("grad_rescaled", c.shape("grad")));
              });

const Register sam =
    Register(
        {"sam_perturbation"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool adaptive : {false, true}) {
                Inputs in;
                in.param("rho", 0.05)
                    .param("adaptive", adaptive)
                    .param("eps", 1e-7)
                    .tensor("w", random.normal({s.n}))
                    .tensor("grad", random.normal({s.n}))
                    .tensor("A", random.normal({s.n, s.n}))
                    .tensor("b", random.normal({s.n}));
                variants.push_back(in);
            }
            return variants;
        },
        [](auto& c) {
            using T = typename std::remove_reference_t<decltype(c)>::Scalar;
            const SharpnessAware ascent{.rho = c.number("rho", 0.05),
                                        .adaptive = c.flag("adaptive", false),
                                        .epsilon = c.number("eps", 1e-12)};
            ascent.apply(tensors(c.tensor("w")), tensors(c.tensor("grad")),
                         c.out("perturbation", c.shape("w")));
            if (!c.has("A"))
                return;
            // The user's gradient at the perturbed weights, of w' A w / 2 - b' w.
            const auto w = c.tensor("w");
            Copy<T> moving = c.aside([&] { return Copy<T>(w); });
            auto state = c.aside([&] { return ascent.init(tensors(w)); });
            ascent.ascend(state, tensors(moving.window()), tensors(c.tensor("grad")));
            c.aside([&] {
                const auto a = c.matrix("A");
                const auto b = c.vector("b");
                test::Tensor gradient{{a.rows()}, {}};
                for (Index i = 0; i < a.rows(); ++i) {
                    double sum = -static_cast<double>(b(i));
                    for (Index j = 0; j < a.cols(); ++j)
                        sum += static_cast<double>(a(i, j)) *
                               static_cast<double>(moving.numbers[static_cast<std::size_t>(j)]);
                    gradient.data.push_back(sum);
                }
                c.put_tensor("grad_at_perturbed", std::move(gradient));
            });
            ascent.descend(state, tensors(moving.window()));
            c.aside([&] {
                for (Index i = 0; i < w.size(); ++i)
                    if (const double back =
                            static_cast<double>(moving.numbers[static_cast<std::size_t>(i)]);
                        back != static_cast<double>(testing::entry(w, i)) && !std::isnan(back))
                        throw test::CaseError("descend has not come back to w");
            });
        })
        .no_law(Law::shapes, "A", "the gradient of the test's own function")
        .no_law(Law::shapes, "b", "the gradient of the test's own function");

const Register chained =
    Register(
        {"transform_chain"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> variants;
            for (const bool rescale : {true, false}) {
                variants.push_back(three_steps(s, random)[0]);
                variants.back()
                    .param("max_norm", 1.0)
                    .param("rescale", rescale)
                    .param("lr", 0.1)
                    .param("weight_decay", 0.1)
                    .param("l1", 0.2)
                    .param("decay", 0.9);
            }
            return variants;
        },
        [](auto& c) {
            const double lr = c.number("lr");
            const auto update = chain(
                ClipNorm{.max_norm = c.number("max_norm")},
                PerpendicularGradient{.rescale = c.flag("rescale")},
                AdamW{.learning_rate = lr, .weight_decay = c.number("weight_decay")},
                only({0}, ProximalStep{.regularizer = c.number("l1") * L1{}, .learning_rate = lr}),
                Ema{.decay = c.number("decay")});
            std::vector<double> norms;
            std::vector<double> average;
            optimise(
                update, c, [](const auto&) {},
                [&](const auto& state) {
                    norms.push_back(state.template get<ClipNorm>().norm);
                    const auto& last = state.template get<Ema>().average;
                    average.assign(last.begin(), last.end());
                });
            const auto& shape = c.shape("w0");
            c.aside([&] {
                c.put_tensor("norms", {{static_cast<Index>(norms.size())}, norms});
                c.put_tensor("average", {{shape[0], shape[1]}, average});
            });
        })
        .no_law(Law::shapes, "grads", "any number of steps will do");

/// The average after one update of a copy.
template <class C>
void average(const Ema& ema, C& c, std::string_view old, std::string_view now,
             std::string_view next, Index t)
{
    using T = typename C::Scalar;
    const auto from = c.tensor(old);
    Copy<T> copy = c.aside([&] { return Copy<T>(from); });
    ema.observe(tensors(copy.window()), tensors(c.tensor(now)), t);
    c.put(next, AnyView<const T>(copy.window()));
}

const Register ema_target =
    Register({"ema_target_update"},
             test::each(test::batches({"target", "source"}), "momentum", {0.9, 0.0}),
             [](auto& c) {
                 average(Ema{.decay = c.number("momentum")}, c, "target", "source", "target_new",
                         1);
             })
        .no_law(Law::nan, "target", "a decay of 0 copies, whatever stood there");

const Register parameter_ema({"parameter_ema"},
                             test::with(test::batches({"teacher", "student"}), "momentum", 0.9),
                             [](auto& c) {
                                 average(Ema{.decay = c.number("momentum")}, c, "teacher",
                                         "student", "teacher_new", 1);
                             });

const Register ema_update(
    {"ema_update"},
    test::each(test::with(test::with(test::batches({"teacher", "student"}), "momentum", 0.9),
                          "step", 3),
               "ramp", {false, true}),
    [](auto& c) {
        const Ema ema{.decay = c.number("momentum"),
                      .ramp = c.flag("ramp") ? Ema::Ramp::inverse : Ema::Ramp::none};
        const Index t = c.integer("step") + 1;
        average(ema, c, "teacher", "student", "teacher", t);
        c.put("momentum_used", ema.decay_at(t));
    });

/// Averages [steps + 1, d] of weights [steps + 1, d], the first being the first weights.
template <class Average, class C>
void averages(const Average& mean, C& c)
{
    using T = typename C::Scalar;
    const auto weights = c.matrix("weights");
    std::vector<T> averages = c.aside([&] {
        std::vector<T> made(static_cast<std::size_t>(weights.size()));
        for (Index j = 0; j < weights.cols(); ++j)
            made[static_cast<std::size_t>(j)] = weights(Index{0}, j);
        return made;
    });
    const auto rows = view(averages.data(), {weights.rows(), weights.cols()});
    const Index seen =
        std::is_same_v<Average, Swa> ? 1 : 0; // the first weights are the first average
    for (Index t = 1; t < weights.rows(); ++t) {
        for (Index j = 0; j < weights.cols(); ++j)
            rows(t, j) = rows(t - 1, j);
        mean.observe(rows.row(t), weights.row(t), t + seen);
    }
    c.put("averages", rows);
}
std::vector<Inputs> trajectory(const Sizes& s, Random& random)
{
    Inputs in;
    in.tensor("weights", random.normal({s.n + 1, s.d}));
    return {in};
}

const Register ema({"ema"},
                   test::each(test::with(trajectory, "decay", 0.9), "warmup", {false, true}),
                   [](auto& c) {
                       averages(Ema{.decay = c.number("decay"),
                                    .ramp = c.flag("warmup") ? Ema::Ramp::tenth : Ema::Ramp::none},
                                c);
                   });

const Register swa({"swa"}, trajectory, [](auto& c) { averages(Swa{}, c); });

} // namespace
