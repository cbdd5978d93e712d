// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/schedule/adaptive_c_schedule.hpp>
#include <temper/schedule/constant.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/cosine_restarts.hpp>
#include <temper/schedule/discretization_doubling.hpp>
#include <temper/schedule/discretization_progressive.hpp>
#include <temper/schedule/exponential_decay.hpp>
#include <temper/schedule/linear.hpp>
#include <temper/schedule/multi_step_decay.hpp>
#include <temper/schedule/sine_stage_schedule.hpp>
#include <temper/schedule/sparsity_schedule.hpp>
#include <temper/schedule/step_decay.hpp>
#include <temper/schedule/warm_up.hpp>

using namespace temper;
using test::Inputs;
using test::Make;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

/// A schedule's number at each of the steps of an input.
template <class C, class S>
void at_steps(C& c, std::string_view steps, std::string_view values, const S& schedule)
{
    std::vector<double> out = c.aside([&] {
        std::vector<double> room;
        room.reserve(c.indices(steps).size());
        return room;
    });
    for (const std::int64_t t : c.indices(steps))
        out.push_back(static_cast<double>(schedule(static_cast<Index>(t))));
    c.put(values, std::as_const(out));
}

/// Steps 0, 1, ..., n and these parameters.
Make steps(std::string name, nlohmann::json params, double first = 0)
{
    return [=](const Sizes& s, Random&) {
        Inputs in;
        in.params = params;
        test::Tensor tensor;
        tensor.kind = test::Kind::integers;
        tensor.shape = {s.n};
        for (Index t = 0; t < s.n; ++t)
            tensor.data.push_back(first + static_cast<double>(t));
        in.tensor(name, tensor);
        return std::vector{in};
    };
}

template <class S, class C>
void warmed_up(C& c, const S& schedule, bool from_the_start)
{
    at_steps(c, "steps", "values",
             WarmUp<S>{.steps = c.integer("warmup", 0),
                       .schedule = schedule,
                       .from_the_start = from_the_start});
}

const Register lr_schedule(
    {"lr_schedule"},
    test::each(steps("steps", {{"base", 0.5},
                               {"min", 0.1},
                               {"total", 9},
                               {"warmup", 2},
                               {"gamma", 0.5},
                               {"step", 3},
                               {"milestones", {2, 5}},
                               {"period", 2},
                               {"mult", 2}}),
               "kind",
               {"constant", "cosine", "linear", "step", "multistep", "exponential",
                "cosine_restarts"}),
    [](auto& c) {
        const std::string kind = c.text("kind");
        const double base = c.number("base");
        const double least = c.number("min", 0);
        const Index rest = (std::max)(Index{1}, c.integer("total", 1) - c.integer("warmup", 0));
        if (kind == "constant")
            warmed_up(c, Constant{base}, true);
        else if (kind == "cosine")
            warmed_up(c, Cosine{base, least, rest}, false);
        else if (kind == "linear")
            warmed_up(c, Linear{base, least, rest}, false);
        else if (kind == "step")
            warmed_up(c, StepDecay{base, c.number("gamma"), c.integer("step")}, true);
        else if (kind == "multistep")
            c.aside([&] {
                warmed_up(c, MultiStepDecay{base, c.number("gamma"), c.integers("milestones")},
                          true);
            });
        else if (kind == "exponential")
            warmed_up(c, ExponentialDecay{base, c.number("gamma")}, true);
        else
            warmed_up(c, CosineRestarts{base, least, c.integer("period"), c.number("mult", 1)},
                      false);
    });

const Register sine_stages(
    {"sine_stage_schedule"},
    steps("t", {{"stage_end_steps", {4, 8, 14}}, {"stage_values", {0.01, 0.05, 0.2}}}),
    [](auto& c) {
        c.aside([&] {
            at_steps(c, "t", "value",
                     SineStageSchedule{c.integers("stage_end_steps"), c.list("stage_values")});
        });
    });

const Register doubling({"discretization_doubling"},
                        steps("step", {{"s0", 10}, {"s1", 1280}, {"total_steps", 400}}),
                        [](auto& c) {
                            at_steps(c, "step", "n_scales",
                                     DiscretizationDoubling{c.integer("s0"), c.integer("s1"),
                                                            c.integer("total_steps")});
                        });

const Register progressive(
    {"discretization_progressive"},
    steps("step", {{"s0", 2}, {"s1", 150}, {"total_steps", 400}, {"mu0", 0.9}}), [](auto& c) {
        const DiscretizationProgressive schedule{c.integer("s0"), c.integer("s1"),
                                                 c.integer("total_steps"), c.number("mu0")};
        at_steps(c, "step", "n_scales", schedule);
        at_steps(c, "step", "teacher_ema", [&](Index t) { return schedule.teacher_decay(t); });
    });

const Register adaptive_c({"adaptive_c_schedule"},
                          steps("n_scales", {{"slope", -1.18}, {"intercept", -0.72}}, 2),
                          [](auto& c) {
                              at_steps(c, "n_scales", "c",
                                       AdaptiveCSchedule{c.number("slope"), c.number("intercept")});
                          });

const Register
    sparsity({"sparsity_schedule"},
             test::each(steps("t", {{"t0", 2},
                                    {"t1", 10},
                                    {"start", 0.0},
                                    {"end", 0.9},
                                    {"final_sparsity", 0.9},
                                    {"phases", 3}}),
                        "kind", {"linear", "cubic", "imp_geometric"}),
             [](auto& c) {
                 using Shape = SparsitySchedule::Shape;
                 const std::string kind = c.text("kind");
                 if (kind == "imp_geometric")
                     at_steps(c, "t", "value",
                              GeometricSparsity{c.number("final_sparsity"), c.integer("phases")});
                 else
                     at_steps(c, "t", "value",
                              SparsitySchedule{c.number("start"), c.number("end"), c.integer("t0"),
                                               c.integer("t1"),
                                               kind == "linear" ? Shape::linear : Shape::cubic});
             });

} // namespace
