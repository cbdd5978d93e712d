// SPDX-License-Identifier: BSL-1.0

// Samplers and guidance with denoisers that are known exactly: mixtures around handwritten digits in a
// 16-dimensional latent space, or around their pixels.

#include "effect/diffusion.hpp"
#include "effect/support.hpp"

#include <temper/diffusion/adaptive_projected_guidance.hpp>
#include <temper/diffusion/red_diff_loss.hpp>
#include <temper/layer/spatial_softmax_aggregate.hpp>
#include <temper/schedule/trajectory_stitch.hpp>

using namespace temper;
using namespace effect;

namespace {

Matrix<float> of_class(const support::LabelledData& data, int label)
{
    std::vector<Index> rows;
    for (std::size_t i = 0; i < data.y.size(); ++i)
        if (data.y[i] == label)
            rows.push_back(static_cast<Index>(i));
    return support::take_rows(data.x, rows);
}

/// The share of the rows of x whose nearest training digit has this label.
double share_of(const Matrix<float>& x, const support::LabelledData& data, int label)
{
    double right = 0;
    for (Index i = 0; i < x.rows(); ++i) {
        Index nearest = 0;
        (data.x.rowwise() - x.row(i)).rowwise().squaredNorm().minCoeff(&nearest);
        right += data.y[static_cast<std::size_t>(nearest)] == label;
    }
    return right / static_cast<double>(x.rows());
}

} // namespace

// Eliminating Oversaturation and Artifacts of High Guidance Scales in Diffusion Models
TEST_CASE("projected guidance keeps saturation down at a high scale", "[effect]")
{
    double plain_norm = 0, apg_norm = 0, real_norm = 0, plain_right = 0, apg_right = 0;
    constexpr Index n = 100;
    constexpr double scale = 8;
    for (const int label : {2, 5, 8}) { // each with a split and noise of its own
        const auto seed = static_cast<std::uint64_t>(label);
        const LatentDigits digits(seed);
        const Mixture all{digits.train.x};
        const Mixture one{of_class(digits.train, label)};
        const auto guided = [&](Apg apg) {
            Matrix<float> average = Matrix<float>::Zero(n, 16);
            return sample(
                [&](const Matrix<float>& x, double sigma, Index) {
                    const Matrix<float> cond = one(x, sigma);
                    const Matrix<float> uncond = all(x, sigma);
                    Matrix<float> out(n, 16);
                    apg.forward(average, cond, uncond, into(out), into(average));
                    return out;
                },
                n, 16, 25, seed);
        };
        const auto plain = guided({.scale = scale, .eta = 1, .radius = 0, .momentum = 0});
        const auto apg = guided({.scale = scale, .eta = 0, .radius = 1, .momentum = -0.5});
        plain_norm += static_cast<double>(plain.rowwise().norm().mean()) / 3;
        apg_norm += static_cast<double>(apg.rowwise().norm().mean()) / 3;
        real_norm += static_cast<double>(of_class(digits.held, label).rowwise().norm().mean()) / 3;
        plain_right += share_of(plain, digits.train, label) / 3;
        apg_right += share_of(apg, digits.train, label) / 3;
    }
    std::printf(
        "guidance of scale 8: length of samples %.2f, projected %.2f, of digits %.2f; of the "
        "class asked for %.0f %%, projected %.0f %%\n",
        plain_norm, apg_norm, real_norm, 100 * plain_right, 100 * apg_right);
    CHECK(std::fabs(apg_norm - real_norm) < 0.5 * std::fabs(plain_norm - real_norm));
    CHECK(apg_right > plain_right - 0.05);
}

// T-Stitch: Accelerating Sampling in Pre-Trained Diffusion Models with Trajectory Stitching
TEST_CASE("a smaller model may take the first steps", "[effect]")
{
    const auto score = [](double share) {
        const TrajectoryStitch stitch{.steps = 30, .shares = {share}};
        return mean_over_seeds(3, [&](std::uint64_t i) {
            const LatentDigits digits(i + 1);
            const Mixture large{digits.train.x};
            const Mixture small{digits.train.x.topRows(30)};
            const auto x = sample(
                [&](const Matrix<float>& noisy, double sigma, Index step) {
                    return stitch(step) == 0 ? small(noisy, sigma) : large(noisy, sigma);
                },
                digits.held.x.rows(), 16, 30, i + 1);
            return sliced_wasserstein(x, digits.held.x);
        });
    };
    const double none = score(0), some = score(0.4), most = score(0.8), all = score(1);
    std::printf(
        "steps taken by the small model: none %.3f, 40 %% %.3f, 80 %% %.3f, all %.3f (sliced "
        "Wasserstein)\n",
        none, some, most, all);
    CHECK(some < none + 0.25 * (all - none));
    CHECK(all > 1.5 * none);
}

// A Variational Perspective on Solving Inverse Problems with Diffusion Models
TEST_CASE("RED-diff fills in what was not measured", "[effect]")
{
    auto digits = support::load_digits(TEMPER_EXAMPLE_DATA);
    digits.x = 2 * digits.x.array() - 1;
    const Mixture prior{digits.x.topRows(1500), 0.1F};
    const Matrix<float> truth = digits.x.middleRows(1600, 20);
    Matrix<float> h = Matrix<float>::Zero(40, 64); // the upper five of eight rows of pixels
    h.leftCols(40).setIdentity();
    const Matrix<float> y = truth * h.transpose();
    const auto psnr = [&](const Matrix<float>& x) {
        return 10 * std::log10(4 / static_cast<double>((x - truth).squaredNorm() /
                                                       static_cast<float>(truth.size())));
    };
    const auto solve_once = [&](RedDiffLoss::Weight weight, std::uint64_t seed) {
        const RedDiffLoss loss{.weight = weight};
        Matrix<float> mu = y * h, g(20, 64), x_t(20, 64), z(20, 64);
        Adam adam{.learning_rate = 0.1, .beta2 = 0.99};
        auto moments = adam.init(mu);
        constexpr Index steps = 100;
        for (Index k = 0; k < steps; ++k) {
            const double sigma = sampling_levels(steps)[static_cast<std::size_t>(k)];
            const double a = 1 / (1 + sigma * sigma);
            auto rng = stream(seed, k, "noise");
            for (Index i = 0; i < z.size(); ++i)
                z.data()[i] = static_cast<float>(normal(rng));
            loss.noised(mu, z, a, into(x_t));
            const Matrix<float> noisy = x_t / static_cast<float>(std::sqrt(a));
            const Matrix<float> e = (noisy - prior(noisy, sigma)) / static_cast<float>(sigma);
            loss(mu, z, e, h, y, a, into(g));
            adam.step(moments, mu, g);
        }
        return psnr(mu);
    };
    const auto solve = [&](RedDiffLoss::Weight weight) {
        return mean_over_seeds(3, [&](std::uint64_t i) { return solve_once(weight, i + 1); });
    };
    const double before = psnr(y * h);
    const double linear = solve(RedDiffLoss::Weight::linear);
    const double constant = solve(RedDiffLoss::Weight::constant);
    std::printf(
        "three of eight rows of pixels unmeasured: PSNR %.1f of the pseudo-inverse, %.1f by "
        "RED-diff (%.1f with constant weights)\n",
        before, linear, constant);
    CHECK(linear > before + 2);
}

// Ensembling Diffusion Models via Adaptive Feature Aggregation
TEST_CASE("models that are good at different places, aggregated place by place", "[effect]")
{
    constexpr Index n = 64, side = 8;
    auto rng = stream(1, 0, "features");
    std::vector<float> target(n * side * side), f(2 * target.size()), logits(2 * side * side * n),
        y(target.size()), gy(target.size()), gl(logits.size());
    for (float& each : target)
        each = static_cast<float>(normal(rng));
    for (std::size_t k = 0; k < 2; ++k)
        for (std::size_t i = 0; i < target.size(); ++i) {
            const bool left = i % side < side / 2;
            const double noise = left == (k == 0) ? 0.1 : 1.0;
            f[k * target.size() + i] = target[i] + static_cast<float>(noise * normal(rng));
        }
    const auto features = view(std::as_const(f).data(), {2, n, 1, side, side});
    const auto at = view(logits.data(), {2, n, side, side});
    // One map of logits for all samples: half of the samples are learned from, the rest judged.
    std::vector<float> map(2 * side * side);
    const auto error = [&](Index from, Index to) {
        double sum = 0;
        for (Index i = from * side * side; i < to * side * side; ++i) {
            const auto e = static_cast<std::size_t>(i);
            sum += std::pow(static_cast<double>(y[e] - target[e]), 2);
        }
        return sum / static_cast<double>((to - from) * side * side);
    };
    const auto forward = [&] {
        for (Index k = 0; k < 2; ++k)
            for (Index i = 0; i < n; ++i)
                for (Index p = 0; p < side * side; ++p)
                    at(k, i, p / side, p % side) =
                        map[static_cast<std::size_t>(k * side * side + p)];
        SpatialSoftmaxAggregate{}.forward(features, at, into(view(y.data(), {n, 1, side, side})));
    };
    forward();
    const double average = error(n / 2, n);
    for (int step = 0; step < 200; ++step) {
        forward();
        for (std::size_t i = 0; i < y.size(); ++i)
            gy[i] = i < y.size() / 2 ? 2 * (y[i] - target[i]) / static_cast<float>(n / 2) : 0;
        SpatialSoftmaxAggregate{}.pullback(features, at,
                                           view(std::as_const(gy).data(), {n, 1, side, side}),
                                           discard, into(view(gl.data(), {2, n, side, side})));
        for (Index k = 0; k < 2; ++k)
            for (Index i = 0; i < n; ++i)
                for (Index p = 0; p < side * side; ++p)
                    map[static_cast<std::size_t>(k * side * side + p)] -=
                        2 * gl[static_cast<std::size_t>((k * n + i) * side * side + p)];
    }
    forward();
    const double aggregated = error(n / 2, n);
    std::printf("squared error of features: %.3f averaged, %.3f aggregated (one model: 0.505)\n",
                average, aggregated);
    CHECK(aggregated < 0.2 * average);
}
