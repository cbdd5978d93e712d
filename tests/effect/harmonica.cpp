// SPDX-License-Identifier: BSL-1.0

// HarmoniCa: Harmonizing Training and Inference for Better Feature Cache in Diffusion Transformer
// Acceleration.

#include "effect/distillation.hpp"

#include <temper/diffusion/cache_router.hpp>
#include <temper/diffusion/iepo_loss.hpp>

using namespace effect::distillation;

namespace {

constexpr Index steps = 20, blocks = 4, n = 64, d = 4;

/// What block l adds to the velocity at a step: two change slowly, two at times of their own.
void computed_at(Index step, const std::array<float, 2>& times, const Matrix<float>& x,
                 std::vector<float>& out)
{
    const float t = static_cast<float>(step) / steps;
    const auto jump = [t](float at) { return 1.5F / (1 + std::exp(-40 * (t - at))); };
    const float phase[blocks] = {0.2F * t, 0.3F * t, jump(times[0]), jump(times[1])};
    for (Index l = 0; l < blocks; ++l)
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < d; ++j)
                out[static_cast<std::size_t>((l * n + i) * d + j)] =
                    std::tanh(0.05F * x(i, j) + static_cast<float>(j) + phase[l]) +
                    std::sin(phase[l]);
}

/// Where a trajectory ends that recomputes what `refresh` says [steps, blocks].
Matrix<float> sampled(const std::array<float, 2>& times, const Matrix<float>& start,
                      const Matrix<float>& logits)
{
    Matrix<float> x = start;
    std::vector<float> computed(blocks * n * d), cache(computed.size());
    const auto tensor = [](std::vector<float>& v) {
        return temper::view(v.data(), {blocks, n, d});
    };
    const temper::CacheRouter router{.threshold = 0.5};
    for (Index step = 0; step < steps; ++step) {
        computed_at(step, times, x, computed);
        router.advance(temper::view(logits.data() + step * blocks, {blocks}), tensor(computed),
                       tensor(cache), into(tensor(cache)));
        for (Index l = 0; l < blocks; ++l)
            for (Index k = 0; k < n * d; ++k)
                x.data()[k] += cache[static_cast<std::size_t>(l * n * d + k)] / steps;
    }
    return x;
}

struct Run {
    double computed = 0; ///< blocks of all
    double learned = 0;
    double regular = 0; ///< at equal intervals, of as many blocks or more
};

Run compare(std::uint64_t seed, double beta)
{
    auto rng = temper::stream(seed, 0, "trajectories");
    const std::array<float, 2> times{static_cast<float>(0.15 + 0.3 * temper::uniform(rng)),
                                     static_cast<float>(0.55 + 0.3 * temper::uniform(rng))};
    // Learned on whole trajectories, each from what the soft cache made.
    Matrix<float> logits = Matrix<float>::Constant(steps, blocks, 1), g(steps, blocks);
    const temper::Adam adam{.learning_rate = 0.05};
    auto state = adam.init(logits);
    const temper::CacheRouter router{.threshold = 0.5};
    const temper::IepoLoss loss{.beta = beta};
    std::vector<float> computed(blocks * n * d), cache(computed.size()), mixed(computed.size()),
        upstream(computed.size());
    const auto tensor = [](std::vector<float>& v) {
        return temper::view(v.data(), {blocks, n, d});
    };
    Matrix<float> whole(n, d), cached(n, d), g_cached(n, d);
    for (int epoch = 0; epoch < 150; ++epoch) {
        Matrix<float> x = normal(rng, n, d);
        for (Index step = 0; step < steps; ++step) {
            if (step == 0)
                logits.row(0).setConstant(5);
            const auto row = temper::view(logits.data() + step * blocks, {blocks});
            const auto g_row = temper::view(g.data() + step * blocks, {blocks});
            computed_at(step, times, x, computed);
            router.forward(row, tensor(computed), tensor(cache), into(tensor(mixed)));
            whole.setZero();
            cached.setZero();
            for (Index l = 0; l < blocks; ++l)
                for (Index k = 0; k < n * d; ++k) {
                    whole.data()[k] += computed[static_cast<std::size_t>(l * n * d + k)];
                    cached.data()[k] += mixed[static_cast<std::size_t>(l * n * d + k)];
                }
            loss(cached, whole, row, 1, into(g_cached), into(g_row));
            for (Index l = 0; l < blocks; ++l)
                std::copy_n(g_cached.data(), n * d, upstream.data() + l * n * d);
            router.pullback(row, tensor(computed), tensor(cache), tensor(upstream),
                            temper::add_to(g_row), temper::discard);
            x += cached / steps;
            router.advance(row, tensor(computed), tensor(cache), into(tensor(cache)));
        }
        adam.step(state, logits, g);
        logits = logits.cwiseMax(-5.0F).cwiseMin(5.0F);
    }
    logits.row(0).setConstant(5);

    const Matrix<float> start = normal(rng, n, d);
    const Matrix<float> full = sampled(times, start, Matrix<float>::Constant(steps, blocks, 5));
    Run run;
    Index used = 0;
    for (Index i = 0; i < logits.size(); ++i)
        used += router.refreshes(static_cast<double>(logits.data()[i])) ? 1 : 0;
    run.computed = static_cast<double>(used);
    run.learned = static_cast<double>((sampled(times, start, logits) - full).norm());
    const Index whole_steps = (used + blocks - 1) / blocks;
    Matrix<float> uniform = Matrix<float>::Constant(steps, blocks, -5);
    for (Index k = 0; k < whole_steps; ++k)
        uniform.row(k * steps / whole_steps).setConstant(5);
    run.regular = static_cast<double>((sampled(times, start, uniform) - full).norm());
    return run;
}

} // namespace

TEST_CASE("a learned router beats caching at equal intervals", "[effect]")
{
    Run mean;
    constexpr int toys = 5;
    for (std::uint64_t seed = 1; seed <= toys; ++seed) {
        const Run run = compare(seed, 0.003);
        mean.computed += run.computed / toys;
        mean.learned += run.learned / toys;
        mean.regular += run.regular / toys;
    }
    std::printf("HarmoniCa: %.1f of %d blocks computed: error %.3f by the router, %.3f at equal "
                "intervals\n",
                mean.computed, static_cast<int>(steps * blocks), mean.learned, mean.regular);
    CHECK(mean.computed < 0.5 * steps * blocks);
    CHECK(mean.learned < 0.8 * mean.regular);
}
