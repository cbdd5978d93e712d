// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/representation/barlow_twins.hpp>
#include <temper/representation/column_standardize.hpp>
#include <temper/representation/cosine_alignment.hpp>
#include <temper/representation/cosine_similarity.hpp>
#include <temper/representation/feature_mse_projected.hpp>
#include <temper/representation/info_nce.hpp>
#include <temper/representation/l2_alignment.hpp>
#include <temper/representation/mixed_barlow_regularizer.hpp>
#include <temper/representation/mixed_barlow_twins.hpp>
#include <temper/representation/nt_xent.hpp>
#include <temper/representation/row_l2_normalize.hpp>
#include <temper/representation/trepa.hpp>

using namespace temper;
using test::batches;
using test::each;
using test::Inputs;
using test::Law;
using test::Make;
using test::Random;
using test::Register;
using test::Sizes;

namespace {

/// More rows than columns, and more columns than rows: objectives on batches have a form for each.
Make tall_and_wide(Make make)
{
    return [make = std::move(make)](const Sizes& s, Random& random) {
        std::vector<Inputs> all = make(s, random);
        for (Inputs& inputs : make({s.d, s.n, s.k}, random))
            all.push_back(std::move(inputs));
        return all;
    };
}

// ---- maps ----------------------------------------------------------------------------------------

const Register row_l2_normalize({"row_l2_normalize"}, batches({"x", "dy"}), [](auto& c) {
    const RowL2Normalize unit{.epsilon = c.number("eps", 1e-12)};
    unit.forward(c.matrix("x"), c.out("y", c.shape("x")));
    unit.pullback(c.matrix("x"), c.matrix("dy"), c.grad("x"));
});

const Register column_standardize(
    {"column_standardize"},
    each(each(tall_and_wide(batches({"x", "dy"})), "unbiased", {false, true}), "eps_placement",
         {"inside", "outside"}),
    [](auto& c) {
        const ColumnStandardize standard{
            .epsilon = c.number("eps", 1e-5),
            .variance = c.flag("unbiased", false) ? Variance::unbiased : Variance::biased,
            .placement = c.text("eps_placement", "inside") == "outside" ? EpsilonPlacement::outside
                                                                        : EpsilonPlacement::inside};
        standard.forward(c.matrix("x"), c.out("y", c.shape("x")));
        standard.pullback(c.matrix("x"), c.matrix("dy"), c.grad("x"));
    });

const Register cosine_similarity(
    {"cosine_similarity"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("a", random.normal({s.n, s.d}))
            .tensor("b", random.normal({s.k, s.d}))
            .tensor("dy", random.normal({s.n, s.k}));
        return std::vector{in};
    },
    [](auto& c) {
        const CosineSimilarity cosines{.epsilon = c.number("eps", 1e-8)};
        cosines.forward(c.matrix("a"), c.matrix("b"),
                        c.out("y", {c.shape("a")[0], c.shape("b")[0]}));
        cosines.pullback(c.matrix("a"), c.matrix("b"), c.matrix("dy"), c.grad("a"), c.grad("b"));
    });

// ---- redundancy reduction ------------------------------------------------------------------------

const Register barlow_twins({"barlow_twins"}, tall_and_wide(batches({"z_a", "z_b"})), [](auto& c) {
    const BarlowTwins barlow{.lambda = c.number("lambda", 0.0051),
                             .epsilon = c.number("eps", 1e-5)};
    c.value(barlow(c.matrix("z_a"), c.matrix("z_b"), c.grad("z_a"), c.grad("z_b")));
});

std::vector<Inputs> mixed_batches(const Sizes& s, Random& random)
{
    std::vector<Inputs> all;
    for (const double alpha : {0.3, 1.0, 0.0}) {
        Inputs in = batches({"z_a", "z_b", "z_m"})(s, random)[0];
        in.param("alpha", alpha).tensor("index", random.permutation(s.n));
        all.push_back(in);
    }
    return all;
}

const Register mixed_barlow_regularizer(
    {"mixed_barlow_regularizer"}, tall_and_wide(mixed_batches), [](auto& c) {
        const MixedBarlowRegularizer mixed{.lambda = c.number("lambda", 0.005),
                                           .scale = c.number("mixup_loss_scale", 5)};
        c.value(mixed(c.matrix("z_a"), c.matrix("z_b"), c.matrix("z_m"), c.indices("index"),
                      c.number("alpha"), c.grad("z_a"), c.grad("z_b"), c.grad("z_m")));
    });

const Register
    mixed_barlow_twins({"mixed_barlow_twins"}, tall_and_wide(mixed_batches), [](auto& c) {
        const MixedBarlowTwins mixed{.lambda = c.number("lambda", 0.005),
                                     .scale = c.number("mixup_loss_scale", 5)};
        c.value(mixed(c.matrix("z_a"), c.matrix("z_b"), c.matrix("z_m"), c.indices("index"),
                      c.number("alpha"), c.grad("z_a"), c.grad("z_b"), c.grad("z_m")));
    });

// ---- contrast ------------------------------------------------------------------------------------

/// Two batches as they are compared: by cosine, by products, and so sharply that rows need their own
/// maxima; with upstream gradients of the samples' values, and without.
Make contrasted(const std::string& a, const std::string& b)
{
    return [=](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        for (const auto& [tau, normalize] :
             {std::pair{0.5, true}, {0.2, false}, {0.012, true}, {0.001, true}, {0.004, false}}) {
            Inputs in = batches({a, b})(s, random)[0];
            in.param("tau", tau).param("normalize", normalize);
            all.push_back(in);
            if (tau == 0.2 || tau == 0.001)
                all.push_back(
                    in.param("reduction", "none").tensor("dy", random.uniform({s.n}, 0.5, 2)));
        }
        return all;
    };
}

template <class C>
void contrast(auto loss, C& c, const char* a, const char* b)
{
    loss.temperature = c.number("tau", loss.temperature);
    loss.similarity = c.flag("normalize", true) ? Similarity::cosine : Similarity::dot;
    const auto values = [&] { return per_sample(c.out("y", {c.shape(a)[0]})); };
    if (c.text("reduction", "mean") == "none") {
        loss.reduction = Reduction::sum;
        loss(c.matrix(a), c.matrix(b), sample_weights(c.vector("dy")), c.grad(a), c.grad(b),
             values());
    }
    else
        c.value(loss(c.matrix(a), c.matrix(b), c.grad(a), c.grad(b)));
}

const Register nt_xent({"nt_xent"}, contrasted("z_a", "z_b"),
                       [](auto& c) { contrast(NtXent{}, c, "z_a", "z_b"); });

const Register info_nce({"info_nce"}, contrasted("q", "k"),
                        [](auto& c) { contrast(InfoNce{}, c, "q", "k"); });

// ---- over ranks: one that holds the whole batch, whose sums are sums already -----------------------

template <class C>
auto one_rank(C& c, std::string_view samples, auto... scale)
{
    const Share share{.offset = 0, .n_global = c.shape(samples)[0]};
    return over_ranks(share, [](auto) {}, scale...);
}

const Register column_standardize_over_ranks(
    {"column_standardize_over_ranks"}, tall_and_wide(batches({"x", "dy"})), [](auto& c) {
        const ColumnStandardize standard{};
        standard.forward(c.matrix("x"), c.out("y", c.shape("x")), one_rank(c, "x"));
        standard.pullback(c.matrix("x"), c.matrix("dy"), c.grad("x"), one_rank(c, "x"));
    });

const Register barlow_twins_over_ranks(
    {"barlow_twins_over_ranks"}, tall_and_wide(batches({"z_a", "z_b"})), [](auto& c) {
        c.value(BarlowTwins{}(c.matrix("z_a"), c.matrix("z_b"), c.grad("z_a"), c.grad("z_b"),
                              one_rank(c, "z_a", gradients_are_summed)));
    });

const Register mixed_barlow_twins_over_ranks(
    {"mixed_barlow_twins_over_ranks"}, tall_and_wide(mixed_batches), [](auto& c) {
        c.value(MixedBarlowTwins{}(c.matrix("z_a"), c.matrix("z_b"), c.matrix("z_m"),
                                   c.indices("index"), c.number("alpha"), c.grad("z_a"),
                                   c.grad("z_b"), c.grad("z_m"),
                                   one_rank(c, "z_a", gradients_are_summed)));
    });

// ---- alignment -----------------------------------------------------------------------------------

MeanOver mean_over(std::string_view reduction)
{
    return reduction == "sum"    ? MeanOver::nothing
           : reduction == "mean" ? MeanOver::entries
                                 : MeanOver::samples;
}

/// A linear encoder of flattened frames, [n, ...] -> [n, d].
template <class T>
struct LinearEncoder {
    MatrixView<const T> weight;

    [[nodiscard]] Index features() const { return weight.cols(); }
    void forward(const AnyView<const T>& x, const Into<T>& to) const
    {
        const auto y = to.view.template as<2>();
        each_entry(x, [&](Index i, Index p, Index) {
            for (Index j = 0; p == 0 && j < y.cols(); ++j)
                y(i, j) = 0;
        });
        each_entry(x, [&](Index i, Index p, Index at) {
            for (Index j = 0; j < y.cols(); ++j)
                y(i, j) += testing::entry(x, at) * weight(p, j);
        });
    }
    void pullback(const AnyView<const T>& x, const MatrixView<const T>& gy, const Into<T>& to) const
    {
        each_entry(x, [&](Index i, Index p, Index at) {
            T sum = 0;
            for (Index j = 0; j < gy.cols(); ++j)
                sum += gy(i, j) * weight(p, j);
            testing::entry(to.view, at) = sum;
        });
    }

  private:
    template <class F>
    static void each_entry(const AnyView<const T>& x, const F& f)
    {
        const Index per_sample = x.extent(0) == 0 ? 0 : x.size() / x.extent(0);
        for (Index at = 0; at < x.size(); ++at)
            f(at / per_sample, at % per_sample, at);
    }
};

const Register trepa =
    Register(
        {"trepa"},
        each(
            [](const Sizes& s, Random& random) {
                std::vector<Inputs> all = batches({"features_pred", "features_target"})(s, random);
                Inputs frames;
                const Index n = (std::min)(s.n, Index{40});
                frames.tensor("frames_pred", random.normal({n, s.k, s.d}))
                    .tensor("frames_target", random.normal({n, s.k, s.d}))
                    .tensor("encoder_weight", random.normal({s.k * s.d, 5}));
                if (s.k * s.d > 0)
                    all.push_back(frames);
                return all;
            },
            "reduction", {"mean", "mean_over_samples", "sum"}),
        [](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const double weight = c.number("weight", 1);
            const Trepa loss{.mean_over = mean_over(c.text("reduction", "mean")),
                             .epsilon = c.number("eps", 1e-12)};
            if (c.has("frames_pred")) {
                LinearEncoder<T> encoder{c.matrix("encoder_weight")};
                c.value((weight * loss.through(encoder))(
                    c.tensor("frames_pred"), c.tensor("frames_target"), c.grad("frames_pred")));
            }
            else
                c.value((weight * loss)(c.matrix("features_pred"), c.matrix("features_target"),
                                        c.grad("features_pred"), c.grad("features_target")));
        })
        .no_law(Law::shapes, "encoder_weight", "the encoder is the user's");

std::vector<Inputs> weighted_pair(const Sizes& s, Random& random)
{
    std::vector<Inputs> all = batches({"pred", "target"})(s, random);
    all.push_back(all[0]);
    all[1].tensor("weight", random.positive({s.n}));
    return all;
}

const Register cosine_alignment(
    {"negative_cosine_alignment", "cosine_alignment"},
    each(each(weighted_pair, "offset", {0, 1, 2}), "reduction", {"mean", "sum", "weighted_mean"}),
    [](auto& c) {
        const Index offset = c.integer("offset", Index{0});
        CosineAlignment loss{.form = offset == 0   ? CosineForm::negative
                                     : offset == 1 ? CosineForm::distance
                                                   : CosineForm::squared_distance,
                             .epsilon = c.number("eps", 1e-12)};
        const std::string reduction = c.text("reduction", "mean");
        const Index n = c.shape("pred")[0];
        const auto run = [&](const auto& component) {
            if (!c.has("weight"))
                return component(c.matrix("pred"), c.matrix("target"), c.grad("pred"),
                                 c.grad("target"));
            return component(c.matrix("pred"), c.matrix("target"),
                             sample_weights(c.vector("weight")), c.grad("pred"), c.grad("target"));
        };
        // The card divides a weighted sum by n where temper divides by the sum of the weights.
        const bool by_n = reduction == "mean" && c.has("weight");
        if (by_n || reduction == "sum")
            loss.reduction = Reduction::sum;
        c.value(by_n && n > 0 ? run((1 / static_cast<double>(n)) * loss) : run(loss));
        loss(c.matrix("pred"), c.matrix("target"), per_sample(c.out("per_sample", {n})));
    });

const Register l2_alignment(
    {"l2_alignment"},
    each(each(weighted_pair, "normalize", {false, true}), "reduction",
         {"mean", "mean_over_samples", "sum"}),
    [](auto& c) {
        const L2Alignment loss{.mean_over = mean_over(c.text("reduction", "mean")),
                               .directions = c.flag("normalize", false),
                               .epsilon = c.number("eps", 1e-12)};
        const auto values = [&] { return per_sample(c.out("per_sample", {c.shape("pred")[0]})); };
        c.value(c.has("weight")
                    ? loss(c.matrix("pred"), c.matrix("target"), sample_weights(c.vector("weight")),
                           c.grad("pred"), c.grad("target"), values())
                    : loss(c.matrix("pred"), c.matrix("target"), c.grad("pred"), c.grad("target"),
                           values()));
    });

const Register feature_mse_projected(
    {"feature_mse_projected"},
    each(
        [](const Sizes& s, Random& random) {
            Inputs in;
            in.tensor("student", random.normal({s.n, s.d}))
                .tensor("weight", random.normal({s.k, s.d}))
                .tensor("bias", random.normal({s.k}))
                .tensor("teacher", random.normal({s.n, s.k}));
            return std::vector{in};
        },
        "reduction", {"mean", "sum", "sum_over_features_mean_over_batch"}),
    [](auto& c) {
        const FeatureMseProjected loss{.mean_over = mean_over(c.text("reduction", "mean"))};
        c.value(loss(c.matrix("student"), c.matrix("weight"), c.vector("bias"), c.matrix("teacher"),
                     c.grad("student"), c.grad("weight"), c.grad("bias")));
    });

} // namespace
