// SPDX-License-Identifier: BSL-1.0
#include "catalog.hpp"

#include <temper/augment/mixed_temporal_noise.hpp>
#include <temper/augment/slerp.hpp>
#include <temper/augment/sync_pair_draw.hpp>
#include <temper/diffusion/masked_flow_loss.hpp>
#include <temper/diffusion/x0_from_eps.hpp>
#include <temper/layer/linear_scm.hpp>
#include <temper/layer/qk_norm.hpp>
#include <temper/layer/repa_projector.hpp>
#include <temper/metric/interpolation_std.hpp>
#include <temper/metric/sync_offset_confidence.hpp>
#include <temper/recipe/latentsync_objective.hpp>
#include <temper/recipe/repa_objective.hpp>
#include <temper/regularizer/label_gaussian_kl.hpp>
#include <temper/regularizer/stepwise_variation_penalty.hpp>
#include <temper/regularizer/wave_potential_loss.hpp>
#include <temper/representation/alignment.hpp>
#include <temper/representation/artifact_decomposition_loss.hpp>
#include <temper/representation/directional_distribution_consistency.hpp>
#include <temper/representation/gram_alignment.hpp>
#include <temper/representation/repa_projection.hpp>
#include <temper/representation/softmax_alignment.hpp>
#include <temper/representation/sync_cosine_bce.hpp>

#include <cmath>

using namespace temper;
using test::batches;
using test::each;
using test::Inputs;
using test::Kind;
using test::Law;
using test::Random;
using test::Register;
using test::Shape;
using test::Sizes;
using test::Tensor;

namespace {

/// A linear encoder of flattened samples that a file brings along, x W, or relu(x W) + shift.
template <class T>
struct LinearEncoder {
    MatrixView<const T> weight;
    bool relu = false;
    T shift = 0;

    [[nodiscard]] Index features() const { return weight.cols(); }
    void forward(const AnyView<const T>& x, const Into<T>& to) const
    {
        const auto y = to.view.template as<2>();
        for (Index i = 0; i < y.rows(); ++i)
            for (Index j = 0; j < y.cols(); ++j) {
                const T sum = product(x, i, j);
                y(i, j) = relu ? (sum < 0 ? T(0) : sum) + shift : sum;
            }
    }
    void pullback(const AnyView<const T>& x, const MatrixView<const T>& gy, const Into<T>& to) const
    {
        for (Index at = 0; at < x.size(); ++at) {
            const Index i = at / weight.rows();
            T sum = 0;
            for (Index j = 0; j < gy.cols(); ++j)
                if (!relu || product(x, i, j) > 0)
                    sum += gy(i, j) * weight(at % weight.rows(), j);
            testing::entry(to.view, at) = sum;
        }
    }

  private:
    [[nodiscard]] T product(const AnyView<const T>& x, Index i, Index j) const
    {
        T sum = 0;
        for (Index p = 0; p < weight.rows(); ++p)
            sum += testing::entry(x, i * weight.rows() + p) * weight(p, j);
        return sum;
    }
};

template <class C>
using ScalarOfCase = typename std::remove_cvref_t<C>::Scalar;

// ---- LatentSync ------------------------------------------------------------------------------------

const Register sync_cosine_bce(
    {"sync_cosine_bce"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        for (const char* range : {"clamp", "refuse", "affine"}) {
            const bool affine = range == std::string("affine");
            Inputs in;
            in.param("range", range)
                .tensor("visual", affine ? random.normal({s.n, s.d}) : random.positive({s.n, s.d}))
                .tensor("audio", affine ? random.normal({s.n, s.d}) : random.positive({s.n, s.d}))
                .tensor("y", random.uniform({s.n}, 0, 1));
            all.push_back(in);
            if (affine)
                all.push_back(
                    in.param("reduction", "sum").tensor("weight", random.positive({s.n})));
        }
        return all;
    },
    [](auto& c) {
        const std::string range = c.text("range", "clamp");
        SyncCosineBce loss{.range = range == "affine"   ? CosineRange::affine
                                    : range == "refuse" ? CosineRange::refuse
                                                        : CosineRange::clamp,
                           .floor = c.number("log_floor", -100),
                           .epsilon = c.number("eps", 1e-8)};
        if (c.text("reduction", "mean") == "sum")
            loss.reduction = Reduction::sum;
        const auto values = [&] { return per_sample(c.out("per_sample", c.shape("y"))); };
        c.value(c.has("weight") ? loss(c.matrix("visual"), c.matrix("audio"), c.vector("y"),
                                       sample_weights(c.vector("weight")), c.grad("visual"),
                                       c.grad("audio"), values())
                                : loss(c.matrix("visual"), c.matrix("audio"), c.vector("y"),
                                       c.grad("visual"), c.grad("audio"), values()));
    });

const Register sync_pair_draw(
    {"sync_pair_draw"},
    [](const Sizes& s, Random&) {
        Inputs in;
        in.param("seed", 3).param("window", 1 + s.d).param("length", 2 + 2 * s.d + s.n);
        return std::vector{in};
    },
    [](auto& c) {
        const SyncPairDraw sync{.window = c.integer("window", Index{16})};
        auto rng = stream(static_cast<std::uint64_t>(c.integer("seed")), 0, "sync");
        const SyncPair pair = sync.draw(rng, c.integer("length"));
        c.put("start", static_cast<double>(pair.start));
        c.put("wrong_start", static_cast<double>(pair.wrong_start));
        c.put("label", pair.in_sync ? 1 : 0);
    });

const Register sync_offset_confidence(
    {"sync_offset_confidence"}, each(batches({"visual", "audio"}), "vshift", {0, 3}), [](auto& c) {
        const SyncOffsetConfidence metric{.shifts = c.integer("vshift", Index{10})};
        const SyncOffset found = metric(c.matrix("visual"), c.matrix("audio"),
                                        c.out("mean_distance", {2 * metric.shifts + 1}));
        c.put("offset", static_cast<double>(found.offset));
        c.put("min_distance", found.min_distance);
        c.put("confidence", found.confidence);
    });

const Register mixed_temporal_noise({"mixed_temporal_noise"},
                                    each(
                                        [](const Sizes& s, Random& random) {
                                            Inputs in;
                                            in.tensor("shared", random.normal({s.n, s.d}))
                                                .tensor("independent",
                                                        random.normal({s.n, s.k, s.d}));
                                            return std::vector{in};
                                        },
                                        "alpha", {1, 0, 0.3, "inf"}),
                                    [](auto& c) {
                                        const MixedTemporalNoise mix{.alpha = c.number("alpha", 1)};
                                        mix.apply(c.tensor("shared"), c.tensor("independent"),
                                                  c.out("noise", c.shape("independent")));
                                    });

const Register x0_from_eps =
    Register(
        {"x0_from_eps"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> all;
            for (const Shape& shape : {Shape{s.n, s.d}, Shape{s.n, s.k, 2, s.d}})
                all.push_back(Inputs()
                                  .tensor("alpha_bar", random.uniform({6}, 0.1, 1))
                                  .tensor("t", random.integers({s.n}, 6))
                                  .tensor("eps_pred", random.normal(shape))
                                  .tensor("x_t", random.normal(shape))
                                  .tensor("upstream", random.normal(shape)));
            return all;
        },
        [](auto& c) {
            const auto ab = [&] { return at_steps(c.vector("alpha_bar"), c.indices("t")); };
            X0FromEps{}.forward(c.tensor("x_t"), ab(), c.tensor("eps_pred"),
                                c.out("x0", c.shape("x_t")));
            X0FromEps{}.pullback(ab(), c.tensor("upstream"), c.grad("eps_pred"), c.grad("x_t"));
            c.pair("x0", "upstream");
            X0FromEps{}.noised(c.tensor("x_t"), ab(), c.tensor("eps_pred"),
                               c.out("noised", c.shape("x_t")));
        })
        .no_law(Law::shapes, "alpha_bar", "a schedule may have more steps")
        .no_law(Law::nan, "alpha_bar", "steps of the schedule that no sample is at");

const Register latentsync_objective =
    Register(
        {"latentsync_objective"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> all;
            const Index n = (std::min)(s.n, Index{20});
            const Index f = (std::min)(s.k, Index{4});
            const Index d = (std::min)(s.d, Index{5});
            if (f * d == 0)
                return all;
            for (const double w_trepa : {10, 0})
                all.push_back(Inputs()
                                  .param("w_trepa", w_trepa)
                                  .tensor("x0", random.normal({n, f, d}))
                                  .tensor("noise", random.normal({n, f, d}))
                                  .tensor("alpha_bar", random.uniform({n}, 0.2, 0.9))
                                  .tensor("eps_pred", random.normal({n, f, d}))
                                  .tensor("trepa_encoder", random.normal({f * d, 4}))
                                  .tensor("sync_encoder", random.normal({f * d, 4}))
                                  .tensor("audio", random.positive({n, 4})));
            return all;
        },
        [](auto& c) {
            using T = ScalarOfCase<decltype(c)>;
            const LatentSyncObjective objective{.w_recon = c.number("w_recon", 1),
                                                .w_sync = c.number("w_sync", 0.05),
                                                .w_trepa = c.number("w_trepa", 10)};
            const test::Shape& shape = c.shape("x0");
            objective.noised(c.tensor("x0"), c.vector("alpha_bar"), c.tensor("noise"),
                             c.out("x_t", shape));
            // What the files see as one step is two calls here: the estimate is an input of the second.
            const auto size = static_cast<std::size_t>(shape[0] * shape[1] * shape[2]);
            auto memory =
                c.aside([&] { return std::array{std::vector<T>(size), std::vector<T>(size)}; });
            const auto dense = [&](std::vector<T>& numbers) {
                return view(numbers.data(), {shape[0], shape[1], shape[2]});
            };
            objective.noised(c.tensor("x0"), c.vector("alpha_bar"), c.tensor("noise"),
                             into(dense(memory[0])));
            objective.estimate(dense(memory[0]), c.vector("alpha_bar"), c.tensor("eps_pred"),
                               into(dense(memory[1])));
            objective.estimate(dense(memory[0]), c.vector("alpha_bar"), c.tensor("eps_pred"),
                               c.out("x0_hat", shape));
            LinearEncoder<T> trepa{c.matrix("trepa_encoder")};
            LinearEncoder<T> sync{c.matrix("sync_encoder"), true, T(0.01)};
            const LatentSyncTerms terms = objective(
                c.tensor("eps_pred"), c.tensor("noise"), c.vector("alpha_bar"), dense(memory[1]),
                c.tensor("x0"), c.matrix("audio"), sync, trepa, c.grad("eps_pred"));
            c.put("recon", terms.recon);
            c.put("sync", terms.sync);
            c.put("trepa", terms.trepa);
            c.value(terms.value);
        })
        .no_law(Law::shapes, "trepa_encoder", "the encoder is the user's")
        .no_law(Law::shapes, "sync_encoder", "the encoder is the user's");

// ---- REPA ------------------------------------------------------------------------------------------

const Register repa_projection =
    Register(
        {"repa_projection"},
        [](const Sizes& s, Random& random) {
            std::vector<Inputs> all;
            for (const Index encoders : {1, 2}) {
                Inputs in;
                in.param("n_encoders", encoders);
                for (Index e = 0; e < encoders; ++e)
                    in.tensor("target_" + std::to_string(e), random.normal({s.n, s.k, s.d + e}))
                        .tensor("projected_" + std::to_string(e),
                                random.normal({s.n, s.k, s.d + e}));
                all.push_back(in);
            }
            all.push_back(Inputs()
                              .param("n_encoders", 1)
                              .tensor("target_0", random.normal({s.n, 2, s.k, s.d}))
                              .tensor("projected_0", random.normal({s.n, 2, s.k, s.d})));
            return all;
        },
        [](auto& c) {
            const RepaProjection loss{.epsilon = c.number("eps", 1e-12)};
            c.value(loss(c.tensors("projected_"), c.tensors("target_"), c.grads("projected_"),
                         c.grads("target_")));
        })
        .cancelled(0.01, "a mean of cosines of either sign");

const Register repa_projector(
    {"repa_projector"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        for (const Shape& lead : {Shape{s.n}, Shape{s.n, 3}}) {
            const auto with = [&](Index d) {
                Shape shape = lead;
                shape.push_back(d);
                return shape;
            };
            all.push_back(Inputs()
                              .tensor("x", random.normal(with(s.d)))
                              .tensor("w1", random.normal({s.k, s.d}))
                              .tensor("b1", random.normal({s.k}))
                              .tensor("w2", random.normal({s.k, s.k}))
                              .tensor("b2", random.normal({s.k}))
                              .tensor("w3", random.normal({2, s.k}))
                              .tensor("b3", random.normal({2}))
                              .tensor("upstream", random.normal(with(2))));
        }
        return all;
    },
    [](auto& c) {
        const RepaProjector head;
        const auto parameters = [&] {
            return tensors(c.matrix("w1"), c.vector("b1"), c.matrix("w2"), c.vector("b2"),
                           c.matrix("w3"), c.vector("b3"));
        };
        head.forward(c.tensor("x"), parameters(), c.out("y", c.shape("upstream")));
        using T = ScalarOfCase<decltype(c)>;
        // One list has one mode: where a single one is discarded, it goes elsewhere.
        const std::array g{c.grad("w1"), c.grad("b1"), c.grad("w2"),
                           c.grad("b2"), c.grad("w3"), c.grad("b3")};
        IntoList<T> to{{}, 1, Mode::discard};
        std::array<AnyView<T>, 6> views;
        std::array<std::vector<T>, 6> elsewhere;
        for (std::size_t i = 0; i < 6; ++i) {
            views[i] = g[i].view;
            if (g[i].mode != Mode::discard) {
                to.mode = g[i].mode;
                to.scale = g[i].scale;
                continue;
            }
            c.aside([&] { elsewhere[i].resize(static_cast<std::size_t>(views[i].size())); });
            views[i].data = elsewhere[i].data();
            Index stride = 1;
            for (int d = views[i].rank - 1; d >= 0; --d) {
                views[i].strides[place(d)] = stride;
                stride *= (std::max)(views[i].extent(d), Index{1});
            }
        }
        to.views = views;
        head.pullback(c.tensor("x"), parameters(), c.tensor("upstream"), c.grad("x"), to);
    });

/// The files' toy denoiser: h = tanh(x_t W'), velocity h O', projector h P'.
const Register repa_objective =
    Register(
        {"repa_objective"},
        [](const Sizes& s, Random& random) {
            Inputs in;
            const Index n = (std::min)(s.n, Index{20});
            const Index d = (std::min)(s.d, Index{6});
            in.param("lambda", 0.5)
                .tensor("x0", random.normal({n, s.k, d}))
                .tensor("noise", random.normal({n, s.k, d}))
                .tensor("t", random.uniform({n}, 0, 1))
                .tensor("W", random.normal({d, d}))
                .tensor("O", random.normal({d, d}))
                .tensor("P", random.normal({3, d}))
                .tensor("target", random.normal({n, s.k, 3}));
            return std::vector{in};
        },
        [](auto& c) {
            using T = ScalarOfCase<decltype(c)>;
            const RepaObjective objective{.lambda = c.number("lambda", 0.5)};
            const test::Shape& shape = c.shape("x0");
            const Index m = shape[0] * shape[1];
            const Index d = shape[2];
            const Index z = c.shape("P")[0];
            struct Memory {
                std::vector<T> x, h, f, p, gf, gp, gh;
            };
            auto memory = c.aside([&] {
                const auto of = [&](Index cols) {
                    return std::vector<T>(static_cast<std::size_t>(m * cols));
                };
                return Memory{of(d), of(d), of(d), of(z), of(d), of(z), of(d)};
            });
            const auto tokens = [&](std::vector<T>& numbers, Index cols) {
                return view(numbers.data(), {shape[0], shape[1], cols});
            };
            const auto w = c.matrix("W");
            const auto o = c.matrix("O");
            const auto p = c.matrix("P");
            const auto dot = [](const T* row, const auto& weight, Index i) {
                T sum = 0;
                for (Index j = 0; j < weight.cols(); ++j)
                    sum += row[j] * weight(i, j);
                return sum;
            };
            objective.path(c.tensor("x0"), c.tensor("noise"), c.vector("t"),
                           into(tokens(memory.x, d)));
            for (Index r = 0; r < m; ++r) {
                for (Index i = 0; i < d; ++i)
                    memory.h[static_cast<std::size_t>(r * d + i)] =
                        std::tanh(dot(memory.x.data() + r * d, w, i));
                for (Index i = 0; i < d; ++i)
                    memory.f[static_cast<std::size_t>(r * d + i)] =
                        dot(memory.h.data() + r * d, o, i);
                for (Index i = 0; i < z; ++i)
                    memory.p[static_cast<std::size_t>(r * z + i)] =
                        dot(memory.h.data() + r * d, p, i);
            }
            const RepaTerms terms =
                objective(c.tensor("x0"), c.tensor("noise"), c.vector("t"), tokens(memory.f, d),
                          tokens(memory.p, z), c.tensor("target"), into(tokens(memory.gf, d)),
                          into(tokens(memory.gp, z)));
            c.put("velocity_loss", terms.velocity);
            c.put("projection_loss", terms.projection);
            c.value(terms.value);
            const auto gw = c.grad("W");
            const auto go = c.grad("O");
            const auto gp = c.grad("P");
            c.aside([&] {
                const auto add = [&](const auto& to, Index i, Index j, double value) {
                    if (to.mode == Mode::discard)
                        return;
                    T& entry = testing::entry(to.view, i * to.view.extent(1) + j);
                    entry = static_cast<T>(entry + to.scale * value);
                };
                for (const auto* to : {&gw, &go, &gp})
                    for (Index i = 0; to->mode == Mode::overwrite && i < to->view.size(); ++i)
                        testing::entry(to->view, i) = 0;
                for (Index r = 0; r < m; ++r)
                    for (Index j = 0; j < d; ++j) {
                        const auto at = [&](const std::vector<T>& of, Index cols, Index i) {
                            return static_cast<double>(of[static_cast<std::size_t>(r * cols + i)]);
                        };
                        const double h = at(memory.h, d, j);
                        double gh = 0;
                        for (Index i = 0; i < d; ++i) {
                            gh += at(memory.gf, d, i) * static_cast<double>(o(i, j));
                            add(go, i, j, at(memory.gf, d, i) * h);
                        }
                        for (Index i = 0; i < z; ++i) {
                            gh += at(memory.gp, z, i) * static_cast<double>(p(i, j));
                            add(gp, i, j, at(memory.gp, z, i) * h);
                        }
                        for (Index i = 0; i < d; ++i)
                            add(gw, j, i, gh * (1 - h * h) * at(memory.x, d, i));
                    }
            });
        })
        .no_law(Law::shapes, "W", "the toy network is the test's")
        .no_law(Law::shapes, "O", "the toy network is the test's")
        .no_law(Law::shapes, "P", "the toy network is the test's")
        .no_law(Law::shapes, "grad_W", "the toy network is the test's")
        .no_law(Law::shapes, "grad_O", "the toy network is the test's")
        .no_law(Law::shapes, "grad_P", "the toy network is the test's")
        .no_law(Law::modes, "the toy network is the test's")
        .no_law(Law::allocation, "the toy network is the test's");

const Register repa_ntxent(
    {"repa_ntxent"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        const Index n = (std::min)(s.n, Index{50}); // all pairs of tokens meet
        for (const char* negatives : {"batch", "sample"})
            all.push_back(Inputs()
                              .param("negatives", negatives)
                              .param("tau", 0.3)
                              .tensor("projected", random.normal({n, s.k, s.d}))
                              .tensor("target", random.normal({n, s.k, s.d})));
        return all;
    },
    [](auto& c) {
        const RepaNtXent loss{.temperature = c.number("tau", 0.1),
                              .negatives = c.text("negatives", "batch") == "sample"
                                               ? Negatives::sample
                                               : Negatives::batch};
        c.value(
            loss(c.tensor("projected"), c.tensor("target"), c.grad("projected"), c.grad("target")));
    });

// ---- alignment of anything with anything -----------------------------------------------------------

/// Ranks 2, 3 and 4.
std::vector<Inputs> of_many_ranks(const Sizes& s, Random& random)
{
    std::vector<Inputs> all;
    for (const Shape& shape :
         {Shape{s.n, s.d}, Shape{s.n, s.k, s.d}, Shape{(std::min)(s.n, Index{30}), 2, s.k, s.d}})
        for (const char* rows : {"samples", "tokens"})
            all.push_back(Inputs()
                              .param("rows", rows)
                              .tensor("pred", random.normal(shape))
                              .tensor("target", random.normal(shape)));
    return all;
}

template <class C, class S>
void align(C& c, const S& similarity)
{
    const auto run = [&](const auto& extractor) {
        c.value(Alignment{extractor, similarity}(c.tensor("pred"), c.tensor("target"),
                                                 c.grad("pred"), c.grad("target")));
    };
    if (c.text("rows") == "tokens")
        run(Tokens{});
    else
        run(Samples{});
}

const Register alignment({"alignment"}, of_many_ranks,
                         [](auto& c) { align(c, CosineAlignment{.form = CosineForm::distance}); });

const Register alignment_softmax({"softmax_alignment"}, of_many_ranks,
                                 [](auto& c) { align(c, SoftmaxAlignment{.temperature = 2}); });

const Register gram_alignment({"gram_alignment"},
                              each(each(
                                       [](const Sizes& s, Random& random) {
                                           Inputs in;
                                           in.tensor("pred", random.normal({s.n, s.d}))
                                               .tensor("target", random.normal({s.n, s.k}));
                                           return std::vector{in};
                                       },
                                       "normalize", {true, false}),
                                   "reduction", {"mean", "mean_over_samples", "sum"}),
                              [](auto& c) {
                                  const std::string reduction = c.text("reduction", "mean");
                                  const GramAlignment loss{
                                      .similarity = c.flag("normalize", true) ? Similarity::cosine
                                                                              : Similarity::dot,
                                      .mean_over = reduction == "sum"    ? MeanOver::nothing
                                                   : reduction == "mean" ? MeanOver::entries
                                                                         : MeanOver::samples};
                                  c.value(loss(c.matrix("pred"), c.matrix("target"), c.grad("pred"),
                                               c.grad("target")));
                              });

// ---- smoothness ------------------------------------------------------------------------------------

const Register stepwise_variation_penalty(
    {"stepwise_variation_penalty"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        for (const Shape& shape : {Shape{s.n, s.d}, Shape{s.n, s.k, 2, s.d}})
            all.push_back(Inputs()
                              .param("decay", 0.1)
                              .param("mean_state", 0.4)
                              .tensor("vjp", random.normal(shape)));
        return all;
    },
    [](auto& c) {
        using T = ScalarOfCase<decltype(c)>;
        const StepwiseVariationPenalty penalty{.decay = c.number("decay", 0.01)};
        StepwiseVariationPenalty::State state{c.number("mean_state", 0)};
        if (c.has("model_matrix")) { // x0_hat = latent A', so that row i of vjp is s_i e_i A
            const auto a = c.matrix("model_matrix");
            const auto e = c.matrix("probe");
            const auto s = c.vector("sqrt_one_minus_alpha_bar");
            const Index n = e.rows();
            const Index d = a.cols();
            auto memory = c.aside([&] {
                return std::array{std::vector<T>(static_cast<std::size_t>(n * d)),
                                  std::vector<T>(static_cast<std::size_t>(n * d))};
            });
            const auto vjp = view(memory[0].data(), {n, d});
            const auto g = view(memory[1].data(), {n, d});
            const auto entry = [](auto& numbers, Index i) -> T& {
                return numbers[static_cast<std::size_t>(i)];
            };
            for (Index i = 0; i < n; ++i)
                for (Index j = 0; j < d; ++j)
                    for (Index k = 0; k < a.rows(); ++k)
                        entry(memory[0], i * d + j) += s(i) * e(i, k) * a(k, j);
            c.value(penalty(state, vjp, into(g), per_sample(c.out("variations", {n}))));
            penalty.observe(state, vjp);
            const auto to = c.grad("model_matrix").view.template as<2>();
            for (Index k = 0; k < a.rows(); ++k)
                for (Index j = 0; j < d; ++j) {
                    to(k, j) = 0;
                    for (Index i = 0; i < n; ++i)
                        to(k, j) += s(i) * e(i, k) * entry(memory[1], i * d + j);
                }
        }
        else {
            c.value(penalty(state, c.tensor("vjp"), c.grad("vjp"),
                            per_sample(c.out("variations", {c.shape("vjp")[0]}))));
            penalty.observe(state, c.tensor("vjp"));
        }
        c.put("mean_state_new", state.mean);
    });

const Register interpolation_std =
    Register({"interpolation_std"},
             each(
                 [](const Sizes& s, Random& random) {
                     std::vector<Inputs> all;
                     for (const Shape& shape : {Shape{s.n, s.d}, Shape{s.n, s.k, 2, s.d}})
                         all.push_back(Inputs().tensor("images", random.normal(shape)));
                     return all;
                 },
                 "unbiased", {false, true}),
             [](auto& c) {
                 const InterpolationStd metric{.unbiased = c.flag("unbiased", false)};
                 const Index n = (std::max)(Index{0}, c.shape("images")[0] - 1);
                 c.value(metric(c.tensor("images"), c.out("distances", {n})));
             })
        .no_law(Law::shapes, "images", "images may be of any shape");

const Register slerp(
    {"slerp"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        in.tensor("a", random.normal({s.d}))
            .tensor("b", random.normal({s.d}))
            .tensor("t", random.uniform({s.n}, 0, 1));
        return std::vector{in};
    },
    [](auto& c) {
        const Slerp arc{.threshold = c.number("dot_threshold", 0.9995)};
        arc.forward(c.vector("a"), c.vector("b"), c.vector("t"),
                    c.out("y", {c.shape("t")[0], c.shape("a")[0]}));
    });

// ---- FiTv2 -----------------------------------------------------------------------------------------

const Register masked_flow_loss(
    {"masked_flow_loss"},
    [](const Sizes& s, Random& random) {
        Inputs in;
        Tensor mask = random.uniform({s.n, s.k}, 0, 1);
        for (double& number : mask.data)
            number = number < 0.6 ? 1 : 0;
        in.tensor("data", random.normal({s.n, s.k, s.d}))
            .tensor("noise", random.normal({s.n, s.k, s.d}))
            .tensor("t", random.uniform({s.n}, 0, 1))
            .tensor("pred", random.normal({s.n, s.k, s.d}))
            .tensor("mask", mask);
        return std::vector{in};
    },
    [](auto& c) {
        using T = ScalarOfCase<decltype(c)>;
        const MaskedFlowLoss loss;
        const test::Shape& shape = c.shape("pred");
        auto memory = c.aside([&] {
            return std::vector<T>(static_cast<std::size_t>(shape[0] * shape[1] * shape[2]));
        });
        const auto target = view(memory.data(), {shape[0], shape[1], shape[2]});
        loss.pair(c.tensor("data"), c.tensor("noise"), c.vector("t"), c.out("x_t", shape),
                  c.out("target", shape));
        loss.pair(c.tensor("data"), c.tensor("noise"), c.vector("t"), discard, into(target));
        c.value(loss(c.tensor("pred"), target, c.matrix("mask"), c.grad("pred"),
                     per_sample(c.out("per_sample", {shape[0]}))));
    });

const Register qk_norm({"qk_norm"},
                       each(
                           [](const Sizes& s, Random& random) {
                               Inputs in;
                               in.tensor("q", random.normal({s.n, s.d}))
                                   .tensor("k", random.normal({s.k, s.d}))
                                   .tensor("upstream", random.normal({s.n, s.k}));
                               return std::vector{in};
                           },
                           "kind", {"layernorm", "rmsnorm", "l2"}),
                       [](auto& c) {
                           const std::string kind = c.text("kind", "layernorm");
                           const QkNorm norm{.kind = kind == "l2"        ? QkNormKind::l2
                                                     : kind == "rmsnorm" ? QkNormKind::rms_norm
                                                                         : QkNormKind::layer_norm,
                                             .epsilon = c.number("eps", 1e-6)};
                           norm.forward(c.matrix("q"), c.matrix("k"),
                                        c.out("logits", c.shape("upstream")));
                           norm.pullback(c.matrix("q"), c.matrix("k"), c.matrix("upstream"),
                                         c.grad("q"), c.grad("k"));
                       });

// ---- adaption, traversals, causes, artifacts ---------------------------------------------------------

const Register directional_distribution_consistency =
    Register(
        {"directional_distribution_consistency"},
        [](const Sizes& s, Random& random) {
            Inputs in;
            in.tensor("source_set", random.normal({s.k + 1, s.d}))
                .tensor("target_set", random.normal({s.k + 2, s.d}))
                .tensor("source_features", random.normal({s.n, s.d}))
                .tensor("output_features", random.normal({s.n, s.d}))
                .tensor("t", random.uniform({s.n}, 0, 1000));
            return std::vector{in};
        },
        [](auto& c) {
            using T = ScalarOfCase<decltype(c)>;
            const DirectionalDistributionConsistency loss{.base = c.number("base", 20),
                                                          .steps = c.number("n_steps", 1000)};
            const Index d = c.shape("source_set")[1];
            auto memory = c.aside([&] { return std::vector<T>(static_cast<std::size_t>(d)); });
            loss.direction(c.matrix("source_set"), c.matrix("target_set"), c.out("direction", {d}));
            loss.direction(c.matrix("source_set"), c.matrix("target_set"), into(memory));
            c.value(loss(memory, c.matrix("source_features"), c.matrix("output_features"),
                         c.vector("t"), c.grad("output_features")));
            const auto t = c.vector("t");
            c.aside([&] {
                Tensor phase{c.shape("t"), {}};
                Tensor denoise{c.shape("t"), {}};
                for (Index i = 0; i < t.extents[0]; ++i) {
                    phase.data.push_back(loss.phase(static_cast<double>(t(i))));
                    denoise.data.push_back(loss.denoising(static_cast<double>(t(i))));
                }
                c.put_tensor("phase_weight", phase);
                c.put_tensor("denoise_weight", denoise);
            });
        })
        .no_law(Law::shapes, "source_set", "sets may be of any size")
        .no_law(Law::shapes, "target_set", "sets may be of any size");

const Register wave_potential_loss(
    {"wave_potential_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        for (const char* mode : {"rowsum", "laplacian"})
            all.push_back(Inputs()
                              .param("mode", mode)
                              .tensor("grad_u_at_t0", random.normal({s.n, s.d}))
                              .tensor("u_tt", random.normal({s.k}))
                              .tensor("hessian_term", random.normal(mode == std::string("rowsum")
                                                                        ? Shape{s.k, s.n, s.d}
                                                                        : Shape{s.k, s.n}))
                              .tensor("c", Tensor{{}, {0.8}})
                              .tensor("jvp", random.normal({s.n, 3})));
        return all;
    },
    [](auto& c) {
        const WavePotentialLoss loss;
        c.value(loss(c.matrix("grad_u_at_t0"), c.vector("u_tt"), c.tensor("hessian_term"),
                     c.tensor("c"), c.matrix("jvp"), c.grad("grad_u_at_t0"), c.grad("u_tt"),
                     c.grad("hessian_term"), c.grad("c"), c.grad("jvp")));
    });

const Register linear_scm =
    Register({"linear_scm"},
             each(
                 [](const Sizes& s, Random& random) {
                     Inputs in;
                     const Index k = (std::min)(s.d, Index{8});
                     in.param("do_value", 0.7)
                         .tensor("u", random.normal({s.n, k}))
                         .tensor("adjacency", random.normal({k, k}))
                         .tensor("upstream", random.normal({s.n, k}));
                     return std::vector{in};
                 },
                 "do_index", {-1, 0}),
             [](auto& c) {
                 const LinearScm scm{.do_index = c.integer("do_index", Index{-1}),
                                     .do_value = c.number("do_value", 0)};
                 scm.forward(c.matrix("u"), c.matrix("adjacency"), c.out("z", c.shape("u")));
                 scm.pullback(c.matrix("u"), c.matrix("adjacency"), c.matrix("upstream"),
                              c.grad("u"), c.grad("adjacency"));
                 c.pair("z", "upstream");
             })
        .no_law(Law::nan, "adjacency", "half of it is not read")
        .no_law(Law::nan, "u", "what is intervened on is not read");

const Register label_gaussian_kl =
    Register(
        {"label_gaussian_kl"},
        [](const Sizes& s, Random& random) {
            Inputs in = batches({"mean", "logvar", "label"})(s, random)[0];
            in.tensor("prior_logvar", random.normal({s.d}));
            std::vector<Inputs> all{in};
            all.push_back(in.param("reduction", "sum").tensor("weight", random.positive({s.n})));
            return all;
        },
        [](auto& c) {
            const LabelGaussianKl kl{.reduction = c.text("reduction", "mean") == "sum"
                                                      ? Reduction::sum
                                                      : Reduction::mean};
            const auto values = [&] {
                return per_sample(c.out("per_sample", {c.shape("mean")[0]}));
            };
            c.value(c.has("weight")
                        ? kl(c.matrix("mean"), c.matrix("logvar"), c.matrix("label"),
                             c.vector("prior_logvar"), sample_weights(c.vector("weight")),
                             c.grad("mean"), c.grad("logvar"), values())
                        : kl(c.matrix("mean"), c.matrix("logvar"), c.matrix("label"),
                             c.vector("prior_logvar"), c.grad("mean"), c.grad("logvar"), values()));
        })
        .float_range(1e-30, 80, "log variances of more than that overflow")
        .double_range(1e-30, 600, "log variances of more than that overflow");

const Register artifact_decomposition_loss(
    {"artifact_decomposition_loss"},
    [](const Sizes& s, Random& random) {
        std::vector<Inputs> all;
        for (const bool use : {false, true}) {
            Inputs in = batches({"raw", "clean", "shared", "residual"})(s, random)[0];
            all.push_back(in.param("use_residual", use).param("stops", use));
        }
        return all;
    },
    [](auto& c) {
        const ArtifactDecompositionLoss loss{.use_residual = c.number("use_residual", 0) != 0,
                                             .w_residual = c.number("w_residual", 0.1),
                                             .w_sparsity = c.number("w_sparsity", 0.02)};
        // With the residual, what is held fixed makes gradients other than the value's derivatives.
        const bool stops = c.flag("stops", false);
        const auto to = [&](const char* input, const char* plain) {
            return stops ? c.out(plain, c.shape(input)) : c.grad(input);
        };
        c.value(loss(c.matrix("raw"), c.matrix("clean"), c.matrix("shared"), c.matrix("residual"),
                     to("clean", "of_clean"), to("shared", "of_shared"),
                     to("residual", "of_residual")));
    });

} // namespace
