// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/regularizer/elastic_net.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/regularizer/l1.hpp>
#include <temper/regularizer/nuclear_norm.hpp>
#include <temper/regularizer/spectral_norm.hpp>
#include <temper/regularizer/squared_l2.hpp>
#include <temper/regularizer/total_variation.hpp>
#include <temper/regularizer/wgsef.hpp>

#include <algorithm>

using namespace temper;
using test::Inputs;
using test::Law;
using test::Make;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

/// What a regularizer gives, under the names of the files: those that the case has parameters for.
template <class R, class C, class... Groups>
void everything(const R& regularizer, C& c, const Groups&... groups)
{
    c.value(regularizer(c.tensor("w"), c.grad("w"), groups()...));
    if (c.has("step"))
        regularizer.prox(c.tensor("w"), c.number("step"), c.out("prox", c.shape("w")), groups()...);
    if constexpr (requires { regularizer.project(c.tensor("w"), 1, discard); })
        if (c.has("radius"))
            regularizer.project(c.tensor("w"), c.number("radius"), c.out("projected", c.shape("w")),
                                groups()...);
    if constexpr (requires { regularizer.dual_norm(c.tensor("w")); })
        if (c.has("radius"))
            c.put("dual_norm", regularizer.dual_norm(c.tensor("w"), groups()...));
}

Make weights()
{
    return test::each(test::with(test::batches({"w"}), "step", 0.35), "radius", {0.0, 2.5, 1e9});
}

const Register l1({"l1_penalty"}, weights(), [](auto& c) { everything(L1{}, c); });

// The file projects each row by itself.
const Register l1_ball =
    Register({"l1_ball_projection"}, test::each(test::batches({"x"}), "radius", {0.0, 1.5, 1e9}),
             [](auto& c) {
                 const auto x = c.matrix("x");
                 auto row = c.out("projected", c.shape("x"));
                 if (row.mode == Mode::discard)
                     return;
                 const auto projected = row.view.template as<2>();
                 for (Index i = 0; i < x.rows(); ++i) {
                     row.view = projected.row(i);
                     L1{}.project(x.row(i), c.number("radius"), row);
                 }
             })
        .no_law(Law::shapes, "the entry calls the component for each row");

const Register squared_l2({"sq_l2_penalty"}, weights(),
                          [](auto& c) { everything(SquaredL2{}, c); });

const Register elastic_net(
    {"elastic_net_penalty"}, test::with(test::each(weights(), "alpha", {0.0, 0.7}), "beta", 0.3),
    [](auto& c) { everything(ElasticNet{.l1 = c.number("alpha"), .l2 = c.number("beta")}, c); });

// ---- groups --------------------------------------------------------------------------------------

template <class... Groups, class C>
void outputs(const GroupLasso& lasso, C& c, const Groups&... groups)
{
    everything(lasso, c, groups...);
}

template <class... Groups, class C>
void outputs(const Wgsef& wgsef, C& c, const Groups&... groups)
{
    const Index count = c.has("group_weight")           ? c.shape("group_weight")[0]
                        : c.has("group_id")             ? c.integer("groups_in_all")
                        : c.text("groups") == "rows"    ? c.shape("w")[0]
                        : c.text("groups") == "columns" ? c.shape("w")[1]
                                                        : c.integer("groups_in_all");
    c.value(wgsef(c.tensor("w"), c.grad("w"), groups()..., selection(c.out("u", {count}))));
    wgsef.prox(c.tensor("w"), c.number("step"), c.out("prox", c.shape("w")), groups()...,
               selection(c.out("prox_u", {count})));
    wgsef.hard_projection(c.tensor("w"), c.out("hard_projection", c.shape("w")), groups()...);
}

/// The outputs for the groups that the case says: those of a matrix as stored, or ids for each entry;
/// with weights, or without.
template <class R, class C>
void grouped(R regularizer, C& c)
{
    const std::string kind = c.text("groups", "ids");
    if (kind == "columns")
        regularizer.groups = Columns{};
    if (kind == "blocks")
        regularizer.groups = BlocksOf{c.integer("block_rows"), c.integer("block_cols")};
    const auto ids = [&] { return group_ids(c.indices("group_id")); };
    const auto weights = [&] { return group_weights(c.vector("group_weight")); };
    if (c.has("group_id"))
        c.has("group_weight") ? outputs(regularizer, c, ids, weights)
                              : outputs(regularizer, c, ids);
    else
        c.has("group_weight") ? outputs(regularizer, c, weights) : outputs(regularizer, c);
}

/// Matrices with groups of every kind, and a vector with ids.
std::vector<Inputs> groups(const Sizes& s, Random& random)
{
    std::vector<Inputs> variants;
    const auto add = [&](std::string kind, Index count, bool weights) {
        Inputs in;
        in.param("groups", kind).tensor("w", random.normal({s.n, s.d}));
        if (kind == "blocks")
            in.param("block_rows", 2).param("block_cols", 3);
        if (kind == "ids") {
            in.tensors.clear();
            in.tensor("w", random.normal({s.n * s.d}));
            in.tensor("group_id", random.integers({s.n * s.d}, count));
        }
        if (weights)
            in.tensor("group_weight", random.positive({count}));
        variants.push_back(in);
    };
    const auto parts = [](Index n, Index size) { return (n + size - 1) / size; };
    add("rows", s.n, false);
    add("rows", s.n, true);
    add("columns", s.d, true);
    add("blocks", parts(s.n, 2) * parts(s.d, 3), false);
    add("ids", s.n + s.k, true);
    add("ids", s.n + s.k, false);
    return variants;
}

const std::string one_more = "a group more is an empty one";

const Register group_lasso = Register(
                                 {"group_lasso"},
                                 [](const Sizes& s, Random& random) {
                                     std::vector<Inputs> variants = groups(s, random);
                                     const std::size_t n = variants.size();
                                     for (std::size_t i = 0; i < n; ++i) {
                                         Inputs sparse = variants[i].param("step", 0.3);
                                         variants.push_back(sparse.param("l1", 0.4));
                                         variants[i].param("radius", 2.5);
                                     }
                                     return variants;
                                 },
                                 [](auto& c) { grouped(GroupLasso{.l1 = c.number("l1", 0)}, c); })
                                 .no_law(Law::shapes, "group_weight", one_more);

const Register wgsef = Register(
                           {"wgsef"},
                           [](const Sizes& s, Random& random) {
                               std::vector<Inputs> variants;
                               for (Inputs in : groups(s, random)) {
                                   Index count = (s.n + 1) / 2 * ((s.d + 2) / 3);
                                   if (const test::Tensor* ids = in.find("group_id"))
                                       count = ids->data.empty()
                                                   ? 0
                                                   : 1 + static_cast<Index>(*std::max_element(
                                                             ids->data.begin(), ids->data.end()));
                                   in.param("groups_in_all", count);
                                   variants.push_back(in.param("k", 1).param("step", 0.4));
                                   variants.push_back(in.param("k", 2).param("step", 0.05));
                                   variants.push_back(in.param("k", 1000));
                               }
                               return variants;
                           },
                           [](auto& c) { grouped(Wgsef{.k = c.integer("k")}, c); })
                           .no_law(Law::shapes, "group_weight", one_more);

// ---- spectra -------------------------------------------------------------------------------------

const Register spectral_norm = Register(
    {"spectral_norm"},
    [](const Sizes& s, Random& random) {
        // Gradients are those of a state that stands still: observed 0 times, or not asked for.
        std::vector<Inputs> variants;
        for (const Index n : {0, 1, 3}) {
            Inputs in;
            in.param("n_iters", n).param("gradient", n == 0).tensor("W", random.normal({s.n, s.d}));
            in.tensor("u0", random.normal({s.n}));
            if (n == 0)
                in.tensor("v0", random.normal({s.d}));
            variants.push_back(in);
            variants.push_back(in);
            variants.back().param("op", "normalize").tensor("grad_out", random.normal({s.n, s.d}));
        }
        return variants;
    },
    [](auto& c) {
        using T = typename std::remove_reference_t<decltype(c)>::Scalar;
        const SpectralNorm norm{c.integer("n_iters"), c.number("eps", 1e-12)};
        SpectralNorm::State<T> state;
        const auto W = c.matrix("W");
        c.aside([&] {
            state.u = testing::entries(AnyView<const T>(c.vector("u0")));
            state.v.resize(static_cast<std::size_t>(W.cols()));
            if (c.has("v0"))
                state.v = testing::entries(AnyView<const T>(c.vector("v0")));
        });
        norm.observe(state, W);
        const bool gradient = c.flag("gradient", true);
        if (c.text("op", "value") == "normalize") {
            c.put("sigma", norm(state, W));
            norm.forward(state, c.matrix("W"), c.out("W_normalized", c.shape("W")));
            gradient ? norm.pullback(state, c.matrix("W"), c.matrix("grad_out"), c.grad("W"))
                     : norm.pullback(state, c.matrix("W"), c.matrix("grad_out"),
                                     c.out("pulled_back", c.shape("W")));
            return;
        }
        c.value(gradient ? norm(state, c.matrix("W"), c.grad("W"))
                         : norm(state, c.matrix("W"), c.out("outer", c.shape("W"))));
        c.put("u", state.u);
        c.put("v", state.v);
    });

const Register nuclear_norm(
    {"nuclear_norm"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> variants;
        for (const double radius : {0.0, 3.0, 1e9}) {
            Inputs in;
            in.param("radius", radius).param("step", 0.8).tensor("W", random.normal({s.n, s.d}));
            variants.push_back(in);
        }
        return variants;
    },
    [](auto& c) {
        const NuclearNorm norm{.rank_tolerance = c.number("rank_tol", 1e-12)};
        c.value(norm(c.matrix("W"), c.grad("W")));
        if (c.has("step"))
            norm.prox(c.matrix("W"), c.number("step"), c.out("prox", c.shape("W")));
        if (c.has("radius")) {
            norm.project(c.matrix("W"), c.number("radius"), c.out("projected", c.shape("W")));
            c.put("dual_norm", norm.dual_norm(c.matrix("W")));
        }
    });

const Register threshold({"singular_value_threshold"},
                         test::each(test::batches({"W"}), "tau", {0.0, 0.8, 100.0}), [](auto& c) {
                             const auto& shape = c.shape("W");
                             const Index rank = NuclearNorm{}.prox(
                                 c.matrix("W"), c.number("tau"), c.out("out", shape),
                                 singular_values(c.out("sigma", {(std::min)(shape[0], shape[1])})));
                             c.put("rank", static_cast<double>(rank));
                         });

// ---- total variation -------------------------------------------------------------------------------

/// Single images, and batches of signals, images and volumes.
std::vector<Inputs> images(const Sizes& s, Random& random)
{
    std::vector<Inputs> all;
    for (const auto& [kind, eps] :
         {std::pair{"iso", 1e-3}, {"iso", 0.0}, {"aniso", 0.0}, {"aniso", 1e-2}})
        all.push_back(
            Inputs().param("kind", kind).param("eps", eps).tensor("X", random.normal({s.n, s.d})));
    const Index side = (std::min)(s.k, Index{4});
    for (const int axes : {1, 2, 3})
        for (const auto& [mode, power] :
             {std::pair{"isotropic", 1}, {"anisotropic", 1}, {"anisotropic", 2}}) {
            test::Shape shape{s.k, s.n, s.d};
            if (axes > 1)
                shape = {s.k, 1, s.n, s.d};
            if (axes > 2)
                shape = {1, side, s.k, s.n, s.d};
            const bool over_all = all.size() % 2 == 0;
            all.push_back(Inputs()
                              .param("mode", mode)
                              .param("power", power)
                              .param("eps", power == 1 ? 1e-3 : 0)
                              .param("spatial_dims", axes)
                              .param("reduction", over_all ? "mean_over_elements"
                                                           : "sum_over_elements_mean_over_batch")
                              .tensor("x", random.normal(shape)));
        }
    return all;
}

// Of the two cards one has single images, with epsilon in anisotropic roots as well, the other batches.
const Register total_variation({"total_variation", "total_variation_nd"}, images, [](auto& c) {
    TotalVariation penalty;
    const std::string x = c.has("X") ? "X" : "x";
    const std::string form = c.text("kind", c.text("mode", "isotropic"));
    if (c.integer("power", Index{1}) == 2)
        penalty.form = VariationForm::squared;
    else if (form == "aniso" || form == "anisotropic")
        penalty.form = VariationForm::anisotropic;
    penalty.epsilon = form == "anisotropic" ? 0 : c.number("eps", 1e-8);
    penalty.axes = c.integer("spatial_dims", Index{2});
    const std::string reduction = c.text("reduction", "sum_over_elements_mean_over_batch");
    if (reduction == "mean_over_elements" || reduction == "mean")
        penalty.mean_over = MeanOver::entries;
    if (reduction == "sum")
        penalty.mean_over = MeanOver::nothing;
    c.value(penalty(c.tensor(x), c.grad(x)));
});

} // namespace
