// SPDX-License-Identifier: BSL-1.0

// Improved Training Technique for Latent Consistency Models, on digits in a 16-dimensional latent space: what
// outliers do to squared error, Pseudo-Huber and Cauchy's loss, and what optimal transport does to the variance
// of the gradient.

#include "effect/diffusion.hpp"

using namespace temper;
using namespace effect;

TEST_CASE("outliers in a latent space: robust kernels against squared error", "[effect]")
{
    constexpr Index steps = 1000;
    const LatentDigits digits(1);
    const Index n = digits.held.x.rows();
    const auto dirty = with_outliers(digits.train.x, 0.03, 20, 1);
    const DiscretizationDoubling levels{.s0 = 10, .s1 = 80, .total_steps = steps};
    const Ema ema{.decay = 0.99};
    const Training how{.steps = steps, .network = {.features = 16, .width = 96, .layers = 2}};
    const auto score = [&](const char* what, const AnyRule& rule) {
        const auto samples = train(
            ConsistencyTraining<AnyRule>{.levels = levels, .rule = rule, .ema = ema, .seed = 1},
            dirty, how, n);
        const double one = sliced_wasserstein(samples.one, digits.held.x);
        const double two = sliced_wasserstein(samples.two, digits.held.x);
        std::printf("latent digits with 3 %% outliers, %s: sliced Wasserstein %.3f (one step), "
                    "%.3f (two)\n",
                    what, one, two);
        return one + two;
    };
    const double squared = score("squared error", {AnyRule::squared});
    const double huber = score("Pseudo-Huber", {AnyRule::huber});
    double best = squared;
    for (const double factor : {1.0, 10.0, 100.0}) {
        const std::string what =
            "Cauchy with " + std::to_string(static_cast<int>(factor)) + " times the published c";
        best = (std::min)(best, score(what.c_str(), {AnyRule::cauchy, factor}));
    }
    CHECK(huber < 0.9 * squared);
    CHECK(best < squared);
}

TEST_CASE("optimal transport within the batch lowers the variance of the gradient", "[effect]")
{
    const LatentDigits digits(1);
    Denoiser network({.features = 16, .width = 64, .layers = 2});
    auto rng = stream(1, 0, "weights");
    network.initialize(rng);
    const auto spread = [&](const auto& recipe) {
        constexpr int draws = 60;
        typename std::remove_cvref_t<decltype(recipe)>::template Plan<float> plan;
        Denoiser::Tape high, low;
        Denoiser::Parameters gradients = network.zeros();
        Matrix<float> x(64, 16), x_high = x, x_low = x, g = x;
        Denoiser::Parameters sum = network.zeros();
        double squares = 0;
        for (Index step = 0; step < draws; ++step) {
            auto batch = stream(9, step, "batch");
            for (Index i = 0; i < x.rows(); ++i)
                x.row(i) = digits.train.x.row(uniform_index(batch, digits.train.x.rows()));
            recipe.draw(step, x, plan);
            recipe.pair(plan, x, into(x_high), into(x_low));
            recipe.model().input(x_high, plan.pairs.high, into(x_high));
            recipe.model().input(x_low, plan.pairs.low, into(x_low));
            recipe.loss(plan, x, network.forward(x_high, plan.pairs.high, high),
                        network.forward(x_low, plan.pairs.low, low), into(g));
            network.backward(high, g, gradients);
            for (std::size_t k = 0; k < sum.size(); ++k) {
                sum[k] += gradients[k];
                squares += static_cast<double>(gradients[k].squaredNorm());
            }
        }
        double mean = 0;
        for (const auto& each : sum)
            mean += static_cast<double>((each / draws).squaredNorm());
        return (squares / draws - mean) / mean;
    };
    // The same levels, noise and data; only who goes with whom differs.
    const DiscretizationDoubling levels{.s0 = 20, .s1 = 20, .total_steps = 1000};
    const double apart = spread(ConsistencyTraining<PseudoHuberRule>{.levels = levels, .seed = 3});
    const double coupled = spread(
        ConsistencyTraining<PseudoHuberRule, MinibatchOtCoupling>{.levels = levels, .seed = 3});
    std::printf("variance of the gradient over its squared mean: %.2f independent, %.2f coupled\n",
                apart, coupled);
    CHECK(coupled < 0.95 * apart);
}
