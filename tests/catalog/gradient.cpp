// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/gradient/adamw.hpp>
#include <temper/gradient/clip_norm.hpp>
#include <temper/gradient/clip_value.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/gradient/sgd.hpp>

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

/// An optimiser's weights after each of its steps, [steps, ...].
template <class Optimiser, class C>
void optimise(const Optimiser& optimiser, C& c)
{
    using T = typename C::Scalar;
    const auto w0 = c.tensor("w0");
    const auto gradients = c.tensor("grads");
    struct Run {
        std::vector<T> weights, all;
        AnyView<T> w;
        decltype(optimiser.init(tensors(w0))) state;
    };
    Run run = c.aside([&] {
        Run made{std::vector<T>(static_cast<std::size_t>(w0.size())),
                 {},
                 w0.rank ? AnyView<T>() : AnyView<T>(),
                 optimiser.init(tensors(w0))};
        made.w = AnyView<T>(view(made.weights.data(), {w0.extents[0], w0.extents[1]}));
        for (Index i = 0; i < w0.size(); ++i)
            made.weights[static_cast<std::size_t>(i)] = testing::entry(w0, i);
        made.all.reserve(static_cast<std::size_t>(gradients.size()));
        return made;
    });
    run.w.data = run.weights.data();
    for (Index t = 0; t < gradients.extents[0]; ++t) {
        optimiser.step(run.state, tensors(run.w), tensors(at_step(gradients, t)));
        c.aside([&] { run.all.insert(run.all.end(), run.weights.begin(), run.weights.end()); });
    }
    const auto& shape = c.shape("grads");
    c.put("weights", view(std::as_const(run.all).data(), {shape[0], shape[1], shape[2]}));
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

/// The average after one update of a copy.
template <class C>
void average(const Ema& ema, C& c, std::string_view old, std::string_view now,
             std::string_view next, Index t)
{
    using T = typename C::Scalar;
    const auto from = c.tensor(old);
    std::vector<T> copy = c.aside([&] {
        std::vector<T> made;
        for (Index i = 0; i < from.size(); ++i)
            made.push_back(testing::entry(from, i));
        return made;
    });
    AnyView<T> window;
    window.data = copy.data();
    window.rank = from.rank;
    window.extents = from.extents;
    Index stride = 1;
    for (int d = from.rank; d-- > 0; stride *= from.extent(d))
        window.strides[place(d)] = stride;
    ema.observe(tensors(window), tensors(c.tensor(now)), t);
    c.put(next, AnyView<const T>(window));
}

const Register ema_target({"ema_target_update"},
                          test::each(test::batches({"target", "source"}), "momentum", {0.9, 0.0}),
                          [](auto& c) {
                              average(Ema{.decay = c.number("momentum")}, c, "target", "source",
                                      "target_new", 1);
                          });

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

const Register ema({"ema"},
                   test::each(
                       [](const Sizes& s, Random& random) {
                           Inputs in;
                           in.param("decay", 0.9).tensor("weights", random.normal({s.n + 1, s.d}));
                           return std::vector{in};
                       },
                       "warmup", {false, true}),
                   [](auto& c) {
                       using T = typename std::remove_reference_t<decltype(c)>::Scalar;
                       const Ema mean{.decay = c.number("decay"),
                                      .ramp =
                                          c.flag("warmup") ? Ema::Ramp::tenth : Ema::Ramp::none};
                       const auto weights = c.matrix("weights");
                       std::vector<T> averages = c.aside([&] {
                           std::vector<T> made(static_cast<std::size_t>(weights.size()));
                           for (Index j = 0; j < weights.cols(); ++j)
                               made[static_cast<std::size_t>(j)] = weights(Index{0}, j);
                           return made;
                       });
                       const auto rows = view(averages.data(), {weights.rows(), weights.cols()});
                       for (Index t = 1; t < weights.rows(); ++t) {
                           for (Index j = 0; j < weights.cols(); ++j)
                               rows(t, j) = rows(t - 1, j);
                           mean.observe(rows.row(t), weights.row(t), t);
                       }
                       c.put("averages", rows);
                   });

} // namespace
