// SPDX-License-Identifier: BSL-1.0

// Score Forgetting Distillation: A Swift, Data-Free Method for Machine Unlearning in Diffusion Models.

#include "effect/distillation.hpp"

#include <temper/diffusion/score_identity_generator_loss.hpp>

using namespace effect::distillation;

TEST_CASE("a generator forgets a class and keeps the others", "[effect]")
{
    // Four classes around the origin; a one-step generator of a mean and a deviation for each.
    constexpr Index classes = 4, n = 64;
    Matrix<float> truth(classes, 2), mean(classes, 2);
    truth << 3, 0, 0, 3, -3, 0, 0, -3;
    constexpr float deviation = 0.5F;
    mean = truth;
    Matrix<float> g_mean(classes, 2), z, x, noisy, p(n, 2), s(n, 2), gx(n, 2), gp(n, 2), gs(n, 2);
    auto rng = temper::stream(6, 0, "generator");
    const temper::Adam adam{.learning_rate = 0.02};
    auto state = adam.init(mean);
    const temper::ScoreIdentityGeneratorLoss loss;
    constexpr int forgotten = 2, safe = 0;
    for (int step = 0; step < 600; ++step) {
        g_mean.setZero();
        for (int c = 0; c < classes; ++c) {
            const int taught = c == forgotten ? safe : c;
            z = normal(rng, n, 2);
            x = deviation * z;
            x.rowwise() += mean.row(c);
            const double level = 0.3 + 2 * temper::uniform(rng);
            noisy = x + normal(rng, n, 2, level);
            // Both denoisers are exact: posterior means under a Gaussian of the teacher's class, and
            // under what the generator makes now.
            const auto shrink = static_cast<float>(0.25 / (0.25 + level * level));
            p = shrink * noisy;
            p.rowwise() += (1 - shrink) * truth.row(taught);
            s = shrink * noisy;
            s.rowwise() += (1 - shrink) * mean.row(c);
            loss(x, p, s, into(gx), into(gp), into(gs));
            gx += shrink * (gp + gs); // back through the frozen denoisers
            g_mean.row(c) = gx.colwise().sum();
        }
        adam.step(state, mean, g_mean);
    }
    const auto distance = [&](int made, int to) {
        return static_cast<double>((mean.row(made) - truth.row(to)).norm());
    };
    std::printf(
        "Score forgetting: the forgotten class is %.3f from the safe one and %.3f from what "
        "it was; the others moved by %.3f, %.3f, %.3f\n",
        distance(forgotten, safe), distance(forgotten, forgotten), distance(0, 0), distance(1, 1),
        distance(3, 3));
    CHECK(distance(forgotten, safe) < 0.5);
    CHECK(distance(forgotten, forgotten) > 5);
    for (const int c : {0, 1, 3})
        CHECK(distance(c, c) < 0.2);
}
