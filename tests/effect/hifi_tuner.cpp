// SPDX-License-Identifier: BSL-1.0

// HiFi Tuner: High-Fidelity Subject-Driven Fine-Tuning for Diffusion Models.

#include "effect/distillation.hpp"

#include <temper/diffusion/masked_denoising_loss.hpp>
#include <temper/regularizer/anchor_l2.hpp>

using namespace effect::distillation;

namespace {

struct Run {
    double subject = 0; ///< error on the subject's entries, without noise
    double drift = 0;   ///< of predictions that have nothing to do with it
};

/// An embedding tuned so that a frozen map shows a subject on a noisy background.
Run tune(bool masked, double anchor, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "pictures");
    constexpr Index e = 24, pixels = 60, subject = 16;
    const Matrix<float> shows = normal(rng, e, pixels, 0.3), others = normal(rng, e, pixels, 0.3);
    const Matrix<float> start = normal(rng, 1, e);
    const Matrix<float> wanted = start + normal(rng, 1, e, 0.5);
    Matrix<float> mask = Matrix<float>::Zero(8, pixels);
    mask.leftCols(subject).setOnes();
    if (!masked)
        mask.setOnes();
    Matrix<float> theta = start, g_theta(1, e), g(8, pixels), target(8, pixels), pred(8, pixels);
    const temper::Adam adam{.learning_rate = 0.01};
    auto state = adam.init(theta);
    for (int step = 0; step < 800; ++step) {
        target = normal(rng, 8, pixels, 0.2);
        target.leftCols(subject).rowwise() += (wanted * shows.leftCols(subject)).row(0);
        target.rightCols(pixels - subject) += normal(rng, 8, pixels - subject, 1);
        pred.rowwise() = (theta * shows).row(0);
        temper::MaskedDenoisingLoss{
            .normalize = temper::MaskedDenoisingLoss::Normalize::valid_entries}(pred, target, mask,
                                                                                into(g));
        g_theta = g.colwise().sum() * shows.transpose();
        (anchor * temper::AnchorL2{})(theta, start, temper::add_to(g_theta));
        adam.step(state, theta, g_theta);
    }
    Run run;
    run.subject = static_cast<double>(((theta - wanted) * shows.leftCols(subject)).norm() /
                                      ((start - wanted) * shows.leftCols(subject)).norm());
    run.drift = static_cast<double>(((theta - start) * others).norm());
    return run;
}

/// The means of five runs.
Run tune(bool masked, double anchor)
{
    Run run;
    for (const std::uint64_t seed : {1, 2, 3, 4, 5}) {
        const Run one = tune(masked, anchor, seed);
        run.subject += one.subject / 5;
        run.drift += one.drift / 5;
    }
    std::printf("HiFi Tuner: %s, anchor %.3f: error of the subject %.3f, drift of others %.3f\n",
                masked ? "masked" : "everywhere", anchor, run.subject, run.drift);
    return run;
}

} // namespace

TEST_CASE("a mask shows the subject and an anchor lets other predictions be", "[effect]")
{
    const Run everywhere = tune(false, 0);
    const Run masked = tune(true, 0);
    const Run anchored = tune(true, 0.005);
    CHECK(masked.subject < 0.5 * everywhere.subject);
    CHECK(anchored.drift < masked.drift);
    CHECK(anchored.subject < masked.subject + 0.1);
}
