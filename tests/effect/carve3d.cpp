// SPDX-License-Identifier: BSL-1.0

// Carve3D: Improving Multi-view Reconstruction Consistency for Diffusion Models with RL Finetuning.

#include "effect/distillation.hpp"

#include <temper/diffusion/denoising_policy_gradient.hpp>

using namespace effect::distillation;

namespace {

struct Run {
    double reward = 0;
    double spread = 0; ///< along the line, where the reward says nothing
};

/// A sampler of ten steps whose shifts and scales are learned; the reward is the distance to a line and, a
/// little, to a point of it.
Run tune(double kl, int updates, std::uint64_t seed)
{
    constexpr Index n = 256, steps = 10, d = 2;
    auto rng = temper::stream(seed, 0, "trajectories");
    Matrix<float> shift = Matrix<float>::Zero(steps, d), scale = Matrix<float>::Ones(steps, d);
    std::vector<float> sigma(steps, 0.3F), reward(n);
    std::vector<float> mean(n * steps * d), reference(mean.size()), sample(mean.size()),
        before(mean.size()), g(mean.size());
    const auto tensor = [](std::vector<float>& v) { return temper::view(v.data(), {n, steps, d}); };
    const temper::DenoisingPolicyGradient loss{.kl_weight = kl};
    const temper::Adam adam{.learning_rate = 0.01};
    auto state = adam.init(temper::tensors(shift, scale));
    Matrix<float> g_shift(steps, d), g_scale(steps, d);
    Run run;
    for (int update = 0; update <= updates; ++update) {
        run = {};
        double along = 0, squares = 0;
        for (Index i = 0; i < n; ++i) {
            float x[2] = {static_cast<float>(temper::normal(rng)),
                          static_cast<float>(temper::normal(rng))};
            for (Index t = 0; t < steps; ++t)
                for (Index j = 0; j < d; ++j) {
                    const auto at = static_cast<std::size_t>((i * steps + t) * d + j);
                    before[at] = x[j];
                    reference[at] = 0.9F * x[j];
                    mean[at] = 0.9F * scale(t, j) * x[j] + shift(t, j);
                    sample[at] = x[j] = mean[at] + 0.3F * static_cast<float>(temper::normal(rng));
                }
            reward[static_cast<std::size_t>(i)] = -std::abs(x[1] - 0.5F) - 0.3F * std::abs(x[0]);
            run.reward += static_cast<double>(reward[static_cast<std::size_t>(i)]) / n;
            along += static_cast<double>(x[0]) / n;
            squares += static_cast<double>(x[0] * x[0]) / n;
        }
        run.spread = std::sqrt(squares - along * along);
        loss(tensor(mean), tensor(reference), tensor(sample), sigma, reward, into(tensor(g)));
        g_shift.setZero();
        g_scale.setZero();
        for (Index i = 0; i < n; ++i)
            for (Index t = 0; t < steps; ++t)
                for (Index j = 0; j < d; ++j) {
                    const auto at = static_cast<std::size_t>((i * steps + t) * d + j);
                    g_shift(t, j) += g[at];
                    g_scale(t, j) += g[at] * 0.9F * before[at];
                }
        adam.step(state, temper::tensors(shift, scale), temper::tensors(g_shift, g_scale));
    }
    return run;
}

/// The means of three runs.
Run tune(double kl, int updates)
{
    Run run;
    for (const std::uint64_t seed : {1, 2, 3}) {
        const Run one = tune(kl, updates, seed);
        run.reward += one.reward / 3;
        run.spread += one.spread / 3;
    }
    std::printf("Carve3D: KL weight %.1f, %d updates: reward %.3f, deviation %.3f\n", kl, updates,
                run.reward, run.spread);
    return run;
}

} // namespace

TEST_CASE("a sampler follows its reward, and keeps its spread by the divergence", "[effect]")
{
    const Run start = tune(0, 0);
    const Run free = tune(0, 150);
    const Run held = tune(2, 150);
    CHECK(free.reward > start.reward + 0.2);
    CHECK(held.reward > start.reward + 0.1);
    CHECK(held.spread > free.spread + 0.02);
}
