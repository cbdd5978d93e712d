// SPDX-License-Identifier: BSL-1.0

// What no law knows of pools, queues, knapsacks, rates and the other states and choices of distillation.

#include "support/catch.hpp"

#include <temper/core/state.hpp>
#include <temper/diffusion/cache_router.hpp>
#include <temper/layer/affine_bottleneck_quantizer.hpp>
#include <temper/layer/left_modulation_conv.hpp>
#include <temper/layer/left_modulation_linear.hpp>
#include <temper/mask/layer_knapsack.hpp>
#include <temper/recipe/entropic_student.hpp>
#include <temper/recipe/feature_bank.hpp>
#include <temper/recipe/hard_example_pool.hpp>
#include <temper/regularizer/factorized_prior_rate.hpp>
#include <temper/regularizer/parameter_repulsion.hpp>
#include <temper/schedule/reconstruction_block_weight.hpp>
#include <temper/schedule/stepwise_embedding_index.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <set>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;

TEST_CASE("a pool fills, may exceed its capacity once, and is then overwritten")
{
    const HardExamplePool pool{.ratio = 0.5, .capacity = 3};
    HardExamplePool::State state;
    auto rng = stream(1, 0, "pool");
    PoolPlan plan;
    const std::vector<double> losses{1, 4, 2, 3};
    const std::vector<int> ids{10, 11, 12, 13};
    pool.draw_slots(rng, state, 4, plan);
    CHECK(plan.slots.empty());
    pool.observe(state, losses, ids, plan);
    CHECK(state.ids == std::vector<std::int64_t>{11, 13});
    CHECK(!state.full);
    pool.observe(state, losses, ids, plan);
    CHECK(state.ids.size() == 4);
    CHECK(state.full);
    CHECK_THROWS_AS(pool.observe(state, losses, ids, plan), RangeError); // no slots were drawn
    pool.draw_slots(rng, state, 4, plan);
    CHECK(plan.slots.size() == 2);
    CHECK(plan.slots[0] != plan.slots[1]);
    pool.observe(state, losses, std::vector<int>{0, 1, 2, 3}, plan);
    CHECK(state.ids.size() == 4);
    CHECK(std::count(state.ids.begin(), state.ids.end(), 1) == 1);
    CHECK(std::count(state.ids.begin(), state.ids.end(), 3) == 1);
    HardExamplePool::State loaded;
    load(loaded, save(state));
    CHECK(loaded == state);

    pool.draw(rng, state, 10, plan); // no more than there are, each once
    CHECK(std::set<std::int64_t>(plan.slots.begin(), plan.slots.end()).size() == 4);
    HardExamplePool::State untouched = state;
    HardExamplePool{.ratio = 0.2, .capacity = 3}.observe(untouched, losses, plan);
    CHECK(untouched == state);
}

TEST_CASE("a queue of features wraps around, whatever the batch")
{
    const FeatureBank bank{.rows = 5};
    auto state = bank.init<double>(1);
    const auto batch = [](int first, int n) {
        MatrixXd x(n, 1);
        for (int i = 0; i < n; ++i)
            x(i, 0) = first + i;
        return x;
    };
    bank.observe(state, batch(0, 3), batch(100, 3), labels(std::vector<int>{0, 0, 0}));
    CHECK(state.filled == 3);
    CHECK(state.downstream().rows() == 3);
    bank.observe(state, batch(3, 4), batch(103, 4), labels(std::vector<int>{1, 1, 1, 2}));
    CHECK(state.filled == 5);
    CHECK(state.at == 2);
    CHECK(state.downstream_rows[0] == 5);
    CHECK(state.pretrained_rows[1] == 106);
    CHECK(state.label_rows[1] == 2);
    CHECK(state.downstream_rows[2] == 2);
}

TEST_CASE("a knapsack removes enough, and what is better gone")
{
    const LayerKnapsack knapsack;
    std::vector<std::int64_t> r(3);
    const auto gone =
        knapsack.apply(std::vector<double>{-1, 2, 0}, std::vector<int>{5, 7, 3}, 0, into(r));
    CHECK(r == std::vector<std::int64_t>{1, 0, 0});
    CHECK(gone.params == 5);
    CHECK(knapsack.apply(std::vector<double>{1, 2, 3}, std::vector<int>{5, 7, 3}, 15, into(r))
              .params == 15);
    CHECK_THROWS_AS(
        knapsack.apply(std::vector<double>{1, 2, 3}, std::vector<int>{5, 7, 3}, 16, into(r)),
        RangeError);

    // Many layers, by dynamic programming: as good as all sets of the twenty that matter.
    auto rng = stream(2, 0, "layers");
    for (int trial = 0; trial < 5; ++trial) {
        std::vector<double> importance(20);
        std::vector<int> params(20);
        for (std::size_t l = 0; l < 20; ++l) {
            importance[l] = uniform(rng);
            params[l] = static_cast<int>(1 + uniform_index(rng, 50));
        }
        std::vector<std::int64_t> few(20), many(22);
        const auto best = knapsack.apply(importance, params, 200, into(few));
        importance.insert(importance.end(), {1000, 1000}); // never removed
        params.insert(params.end(), {1, 1});
        const auto found = knapsack.apply(importance, params, 200, into(many));
        CHECK(found.importance == Approx(best.importance));
        CHECK(found.params >= 200);
        // In buckets, the parameters that must go still go.
        const auto rough = LayerKnapsack{.buckets = 20}.apply(importance, params, 200, into(many));
        CHECK(rough.params >= 200);
        CHECK(rough.importance >= best.importance - 1e-12);
    }
}

TEST_CASE("a learned density is one: the bits of all codes make probabilities that sum to 1")
{
    const FactorizedPriorRate rate{.mean_over = MeanOver::nothing, .bound = 1e-300};
    auto rng = stream(3, 0, "prior");
    MatrixXd parameters(1, rate.parameters), z(401, 1), b(401, 1);
    rate.init(rng, into(parameters));
    for (Index i = 0; i < 401; ++i)
        z(i, 0) = static_cast<double>(i - 200);
    rate(z, parameters, bits(into(b)));
    double sum = 0;
    for (Index i = 0; i < 401; ++i)
        sum += std::exp2(-b(i, 0));
    CHECK(sum == Approx(1));

    // Far out the bound is all, and nothing comes back but where that is asked for.
    const MatrixXd far = MatrixXd::Constant(1, 1, 1e4);
    const Eigen::VectorXd mean = Eigen::VectorXd::Zero(1), scale = Eigen::VectorXd::Zero(1);
    MatrixXd g(1, 1);
    CHECK(LogisticRate{}(far, mean, scale, into(g)) == Approx(29.897352853986263));
    CHECK(g(0, 0) == 0);
    const MatrixXd near = MatrixXd::Constant(1, 1, 25);
    LogisticRate{.pass_through = true}(near, mean, scale, into(g));
    CHECK(g(0, 0) > 0);
    CHECK(LogisticRate{}(MatrixXd(MatrixXd::Zero(1, 1)), mean, scale, into(g)) > 0);
    CHECK(g(0, 0) == Approx(0).margin(1e-15));
}

TEST_CASE("noise in the place of rounding is the plan's, and a plan for another shape is refused")
{
    const EntropicStudent student;
    auto rng = stream(4, 0, "noise");
    const auto plan = student.draw(rng, 3, 2);
    const MatrixXd z = MatrixXd::Random(3, 2);
    MatrixXd zn(3, 2);
    student.noisy(z, plan, into(zn));
    CHECK((zn - z).cwiseAbs().maxCoeff() <= 0.5);
    CHECK(zn(1, 0) - z(1, 0) == Approx(plan.noise[2]));
    MatrixXd other(2, 3);
    CHECK_THROWS_AS(student.noisy(MatrixXd(2, 3), plan, into(other)), ShapeError);
}

TEST_CASE("a constant tensor and halves are quantised as they should be")
{
    const AffineBottleneckQuantizer quantizer{.bits = 2};
    MatrixXd x = MatrixXd::Constant(2, 2, 1.25), y(2, 2), c(2, 2);
    const auto range = quantizer.forward(x, into(y), codes(into(c)));
    CHECK(range.scale == 0);
    CHECK(y == x);
    CHECK(c.isZero());
    x << 0, 3, 0.5, 1.5;
    quantizer.forward(x, into(y), codes(into(c)));
    CHECK(c(1, 0) == 0); // to the even
    CHECK(c(1, 1) == 2);
    CHECK_THROWS_AS(AffineBottleneckQuantizer{.bits = 0}.forward(x, into(y)), RangeError);
}

TEST_CASE("factors to start from leave a weight as it is, and all but one of a pair have gradients")
{
    auto rng = stream(5, 0, "factors");
    const MatrixXd w = MatrixXd::Random(4, 3), g = MatrixXd::Random(4, 3);
    MatrixXd o(4, 2), i(3, 2), a(4, 1), b(3, 1), m(4, 3), ga(4, 1);
    const LeftModulationLinear left;
    left.init(rng, LeftModulationLinear::Gradients<double>{into(o), into(i), into(a), into(b)});
    const LeftModulationLinear::Factors<double> factors{view(o), view(i), view(a), view(b)};
    left.forward(w, factors, into(m));
    CHECK((m - w).norm() < 1e-14);
    left.pullback(w, factors, g, LeftModulationLinear::Gradients<double>{.add_out = into(ga)});
    CHECK(ga.norm() > 0);

    const LeftModulationConv conv;
    const std::vector<double> kernel(4 * 3 * 2 * 2, 0.7);
    std::vector<double> made(kernel.size()), core(2 * 2 * 4);
    MatrixXd ao(4, 1), bp(4, 1), lc(3, 1), lp(4, 1);
    const auto cube = view(core.data(), {2, 2, 4});
    conv.init(rng, LeftModulationConv::Gradients<double>{into(o), into(cube), into(ao), into(bp),
                                                         into(i), into(lc), into(lp)});
    conv.forward(view(kernel.data(), {4, 3, 2, 2}),
                 LeftModulationConv::Factors<double>{view(o), cube, view(ao), view(bp), view(i),
                                                     view(lc), view(lp)},
                 into(view(made.data(), {4, 3, 2, 2})));
    for (const double x : made)
        CHECK(x == Approx(0.7));
}

TEST_CASE("repulsion, routers, weights of blocks and stages at their edges")
{
    const Eigen::Vector3d w(1, 2, 3);
    Eigen::Vector3d g;
    CHECK(ParameterRepulsion{.gamma = 2}(w, w, into(g)) == Approx(2e12));
    CHECK(g.isZero());
    const ParameterRepulsion means{.gamma = 1,
                                   .kind = ParameterRepulsion::Kind::negative,
                                   .distance = ParameterRepulsion::Distance::mean_of_tensor_means};
    const Eigen::Vector2d zero(0, 0), ones(1, 1);
    const Eigen::Vector3d nothing(0, 0, 0);
    CHECK(means(tensors(ones, w), tensors(zero, nothing)) == Approx(-(1 + 14.0 / 3) / 2));

    // The cache may be written where it stands.
    const CacheRouter router{.threshold = 0.5};
    std::vector<double> cache{1, 2}, now{5, 6};
    router.advance(std::vector<double>{3, -3}, now, cache, into(cache));
    CHECK(cache == std::vector<double>{5, 2});

    const ReconstructionBlockWeight weight;
    auto blocks = weight.init(2);
    weight.observe(blocks, std::vector<double>{30, 20}, std::vector<double>{0.9, 0.9});
    CHECK(blocks.psnr == std::vector<double>{30, 20}); // the first time as it is
    std::vector<double> out(2);
    weight.weights(blocks, into(out));
    CHECK(out[0] == 1);
    CHECK(out[1] == Approx(2 - std::exp(-0.5)));

    CHECK(StepwiseEmbeddingIndex{}(999) == 4);
    CHECK(StepwiseEmbeddingIndex{.stages = 1}(999) == 0);
    CHECK_THROWS_AS(StepwiseEmbeddingIndex{}(1000), RangeError);
}
