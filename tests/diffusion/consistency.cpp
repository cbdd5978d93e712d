// SPDX-License-Identifier: BSL-1.0

// Levels, scalings and losses of consistency training, at the edges.

#include <temper/diffusion/consistency_loss.hpp>
#include <temper/diffusion/edm_loss.hpp>
#include <temper/diffusion/interpolant_velocity_loss.hpp>
#include <temper/diffusion/karras_sigmas.hpp>
#include <temper/diffusion/logit_normal_time_sampler.hpp>
#include <temper/diffusion/lognormal_index_sampler.hpp>
#include <temper/diffusion/lognormal_time_sampler.hpp>
#include <temper/diffusion/preconditioned.hpp>
#include <temper/layer/non_scaling_layer_norm.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

namespace {

MatrixXd normals(Index n, Index d, std::uint64_t seed)
{
    auto rng = stream(seed, 0, "matrix");
    MatrixXd x(n, d);
    for (double& each : x.reshaped())
        each = normal(rng);
    return x;
}

} // namespace

TEST_CASE("a grid of noise levels has its ends exactly")
{
    const KarrasSigmas grid{};
    CHECK(grid.ascending(2) == std::vector<double>{0.002, 80});
    CHECK(grid.ascending(641).front() == 0.002);
    CHECK(grid.ascending(641).back() == 80);
    CHECK(grid.ascending(1) == std::vector<double>{80});
    CHECK(grid.descending(3).back() == 0);
    CHECK(grid.descending(3).front() == 80);
    CHECK_THROWS_AS(grid.ascending(0), RangeError);
    CHECK_THROWS_AS((KarrasSigmas{.sigma_min = 0}.ascending(3)), RangeError);
    CHECK_THROWS_AS((KarrasSigmas{.sigma_max = 0.001}.ascending(3)), RangeError);
    CHECK_THROWS_AS((KarrasSigmas{.rho = 0}.ascending(3)), RangeError);
}

TEST_CASE("lognormal indices favour small levels")
{
    const auto sigmas = KarrasSigmas{}.ascending(1281);
    const auto below_one = [&](const std::vector<double>& p) {
        double sum = 0;
        for (std::size_t i = 0; i < p.size(); ++i)
            sum += sigmas[i] < 1 ? p[i] : 0;
        return sum;
    };
    CHECK(below_one(LognormalIndexSampler{}.pmf(sigmas)) == Approx(0.71).margin(0.01));
    CHECK(below_one(UniformIndexSampler{}.pmf(sigmas)) == Approx(0.40).margin(0.02));

    // Draws are distributed as they should be.
    const auto few = KarrasSigmas{}.ascending(6);
    const auto pmf = LognormalIndexSampler{}.pmf(few);
    const IndexTable table(pmf);
    auto rng = stream(1, 0, "indices");
    std::vector<double> count(5);
    for (int i = 0; i < 20000; ++i)
        ++count[static_cast<std::size_t>(table.draw(rng))];
    for (std::size_t i = 0; i < 5; ++i)
        CHECK(count[i] / 20000 == Approx(pmf[i]).margin(0.015));
    CHECK(table(0) == 0);
    CHECK(table(1) == 4); // beyond what uniform draws; rounding of the sums must not lead outside

    CHECK(LognormalIndexSampler{}.pmf(std::vector<double>{0.002, 80}) == std::vector<double>{1});
    // All of the density elsewhere.
    const LognormalIndexSampler far{.p_mean = 1000, .p_std = 0.01};
    CHECK(far.pmf(few) == UniformIndexSampler{}.pmf(few));
    CHECK_THROWS_AS(LognormalIndexSampler{}.pmf(std::vector<double>{1}), RangeError);
    CHECK_THROWS_AS(LognormalIndexSampler{}.pmf(std::vector<double>{0, 1}), RangeError);
    CHECK_THROWS_AS((LognormalIndexSampler{.p_std = 0}.pmf(few)), RangeError);
}

TEST_CASE("times stay between their ends")
{
    const LogitNormalTimeSampler logit{};
    CHECK(logit(0) == 0.5);
    CHECK(logit(800) == 1);
    CHECK(logit(-800) == 0);
    CHECK(logit(-36) > 0);
    const LogitNormalTimeSampler inside{.t0 = 0.1, .t1 = 0.9};
    CHECK(inside(800) == Approx(0.9));
    CHECK(inside(-800) == Approx(0.1));
    for (const auto path : {NoisePath::linear, NoisePath::cosine}) {
        const LognormalTimeSampler time{.path = path};
        CHECK(time(1e4) == Approx(1));
        CHECK(time(-1e4) == 0);
    }
    auto rng = stream(4, 0, "times");
    double sum = 0;
    for (int i = 0; i < 4000; ++i)
        sum += std::log(LognormalTimeSampler{}.sigma(normal(rng)));
    CHECK(sum / 4000 == Approx(-1.2).margin(0.06));
    CHECK_THROWS_AS((LogitNormalTimeSampler{.deviation = -1}(0)), RangeError);
}

TEST_CASE("a consistency model is the identity at its smallest level")
{
    const ConsistencyScalings scalings{};
    CHECK(scalings(0.002) == Scalings{1, 0, 1 / std::hypot(0.002, 0.5)});
    CHECK(scalings(0.002F).out == 0);
    CHECK_THROWS_AS(scalings(0.0019), RangeError);
    CHECK_THROWS_AS(ConsistencyScalings{.sigma_data = 0}(1), RangeError);
    const MatrixXf x = normals(3, 4, 1).cast<float>();
    const MatrixXf raw = 1e6F * normals(3, 4, 2).cast<float>();
    MatrixXf f(3, 4);
    const std::vector<float> levels(3, 0.002F);
    Preconditioned<ConsistencyScalings>{}.forward(x, levels, raw, into(f));
    CHECK(f == x);
    // Levels: one for all, of another floating type, and not as many as there are samples.
    Preconditioned<>{}.forward(x, 0.7, raw, into(f));
    CHECK_THROWS_AS(Preconditioned<>{}.forward(x, std::vector<double>(2, 0.5), raw, into(f)),
                    ShapeError);
    // EDM's denoiser keeps unit variance: skip^2 (s^2 + sd^2) + out^2 = sd^2.
    const Scalings c = EdmPreconditioning{}(3.0);
    CHECK(c.skip * c.skip * (9 + 0.25) + c.out * c.out == Approx(0.25));
    CHECK(EdmPreconditioning{}.weight(3.0) == Approx(1 / (c.out * c.out)));
}

TEST_CASE("the loss between levels is 0 where the outputs agree, and refuses what is no pair")
{
    const auto sigmas = KarrasSigmas{}.ascending(11);
    const MatrixXd x = normals(2, 3, 1), z = normals(2, 3, 2), low = normals(2, 3, 3);
    const auto pairs = NoisePairs::of(sigmas, std::vector<int>{0, 7});
    // F_high that makes f_high what f_low is.
    MatrixXd x_high(2, 3), x_low(2, 3), f(2, 3), high(2, 3), g(2, 3);
    ConsistencyLoss<>::pair(x, z, pairs, into(x_high), into(x_low));
    const Preconditioned<ConsistencyScalings> model{};
    model.forward(x_low, pairs.low, low, into(f));
    CHECK(f.row(0) == x_low.row(0)); // the smallest level
    for (Index i = 0; i < 2; ++i) {
        const Scalings c = ConsistencyScalings{}(pairs.high[static_cast<std::size_t>(i)]);
        high.row(i) = (f.row(i) - c.skip * x_high.row(i)) / c.out;
    }
    const ConsistencyLoss<> loss{.kernel = PseudoHuber::for_entries(3)};
    CHECK(loss(x, z, pairs, high, low, into(g)) < 1e-20);
    CHECK(g.cwiseAbs().maxCoeff() < 1e-8);

    // One outlier: the pull of its residual is bounded by Pseudo-Huber, and vanishes for Cauchy.
    const auto pull = [&](const auto& kernel, double distance) {
        MatrixXd away = high;
        away(1, 0) += distance;
        const ConsistencyLoss<std::remove_cvref_t<decltype(kernel)>> robust{.kernel = kernel};
        (void)robust(x, z, pairs, away, low, into(g));
        return g.row(1).norm();
    };
    CHECK(pull(PseudoHuber{0.1}, 1e4) == Approx(pull(PseudoHuber{0.1}, 1e3)).epsilon(1e-3));
    CHECK(pull(Cauchy{0.1}, 1e4) == Approx(0.1 * pull(Cauchy{0.1}, 1e3)).epsilon(1e-3));
    CHECK(pull(L2Residual{}, 1e4) == Approx(10 * pull(L2Residual{}, 1e3)).epsilon(1e-3));

    CHECK_THROWS_AS(NoisePairs::of(sigmas, std::vector<int>{10}), RangeError);
    CHECK_THROWS_AS(NoisePairs::of(sigmas, std::vector<int>{-1}), RangeError);
    CHECK_THROWS_AS(NoisePairs::of(std::vector<double>{1, 1}, std::vector<int>{0}), RangeError);
    CHECK_THROWS_AS(loss(x, z, NoisePairs::of(sigmas, std::vector<int>{0}), high, low), RangeError);
    CHECK_THROWS_AS(ConsistencyLoss<>{.kernel = {0.0}}(x, z, pairs, high, low), RangeError);
    CHECK(loss(MatrixXd(0, 3), MatrixXd(0, 3), NoisePairs{}, MatrixXd(0, 3), MatrixXd(0, 3)) == 0);
}

TEST_CASE("the latent loss is the sum of its two terms")
{
    const auto sigmas = KarrasSigmas{}.ascending(9);
    const Index n = 40, d = 17;
    const MatrixXd x = normals(n, d, 1), z = normals(n, d, 2), high = normals(n, d, 3),
                   low = normals(n, d, 4);
    std::vector<Index> index;
    for (Index i = 0; i < n; ++i)
        index.push_back(i % 8);
    const auto pairs = NoisePairs::of(sigmas, index);
    LatentConsistencyLoss<Cauchy, InverseGapWeight, ConsistencyScalings, PseudoHuber> both{
        .consistency = {.kernel = {0.3}},
        .early = {.ratio = 0.5, .kernel = {0.2}},
        .diffusion_weight = 3};
    MatrixXd g(n, d), g1(n, d), gf(n, d), g2(n, d), x_high(n, d), f(n, d);
    std::array<double, 2> terms_of{};
    const double value = both(x, z, pairs, high, low, into(g), terms(into(terms_of)));
    const double first = both.consistency(x, z, pairs, high, low, into(g1));
    both.consistency.pair(x, z, pairs, into(x_high));
    const Preconditioned<ConsistencyScalings> model{};
    model.forward(x_high, pairs.high, high, into(f));
    std::vector<double> chosen(static_cast<std::size_t>(n));
    const double second = both.early(f, x, pairs, into(gf), kept(into(chosen)));
    model.pullback(pairs.high, gf, into(g2));
    CHECK(terms_of[0] == Approx(first));
    CHECK(terms_of[1] == Approx(3 * second));
    CHECK(value == Approx(first + 3 * second));
    CHECK((g - g1 - 3 * g2).cwiseAbs().maxCoeff() < 1e-10 * g.cwiseAbs().maxCoeff());
    for (Index i = 0; i < n; ++i)
        CHECK(chosen[static_cast<std::size_t>(i)] == (i % 8 < 4 ? 1 : 0));
    both.diffusion_weight = 0;
    CHECK(both(x, z, pairs, high, low) == Approx(first));
    CHECK_THROWS_AS((EarlyDiffusionLoss<>{.ratio = 1.5}(f, x, pairs)), RangeError);
}

TEST_CASE("velocity loss: both conventions are one, and images of any layout are samples")
{
    const MatrixXd x = normals(3, 8, 1), z = normals(3, 8, 2), f = normals(3, 8, 3);
    const std::vector<double> t{0, 0.3, 1};
    const std::vector<double> reversed{1, 0.7, 0};
    const InterpolantVelocityLoss sit{};
    const InterpolantVelocityLoss fit{.data_at_one = true};
    CHECK(fit(x, z, reversed, MatrixXd(-f)) == Approx(sit(x, z, t, f)));
    MatrixXd x_t(3, 8), v(3, 8);
    sit.path(x, z, t, into(x_t), into(v));
    CHECK(x_t.row(0) == x.row(0));
    CHECK(x_t.row(2) == z.row(2));
    CHECK(sit(x, z, t, v) == Approx(0).margin(1e-30));
    // The same numbers as [n, c, h, w] whose channels are innermost, which do not lie evenly as [n, d].
    std::vector<double> images(24), g(24);
    const auto view4 = view(images.data(), {3, 2, 2, 2}, {8, 1, 4, 2});
    const auto like = view(g.data(), {3, 2, 2, 2}, {8, 1, 4, 2});
    MatrixXd gx(3, 8);
    for (Index i = 0; i < 3; ++i)
        for (Index j = 0; j < 8; ++j)
            view4(i, j / 4, j / 2 % 2, j % 2) = f(i, j);
    std::vector<double> xs(24), zs(24);
    const auto x4 = view(xs.data(), {3, 2, 2, 2});
    const auto z4 = view(zs.data(), {3, 2, 2, 2});
    for (Index i = 0; i < 24; ++i) {
        xs[static_cast<std::size_t>(i)] = x(i / 8, i % 8);
        zs[static_cast<std::size_t>(i)] = z(i / 8, i % 8);
    }
    CHECK(sit(x4, z4, t, view4, add_to(like, 2)) == Approx(sit(x, z, t, f, into(gx))));
    for (Index i = 0; i < 3; ++i)
        for (Index j = 0; j < 8; ++j)
            CHECK(like(i, j / 4, j / 2 % 2, j % 2) == Approx(2 * gx(i, j)));
    CHECK_THROWS_AS(sit(x, z, 1.5, f), RangeError);
    CHECK_THROWS_AS(EdmLoss{}(x, z, 0.0, f), RangeError);
}

TEST_CASE("a normalisation without gain bounds what an outlying feature becomes")
{
    const Index d = 16;
    MatrixXd x = normals(5, d, 1), y(5, d), gx(5, d);
    x.col(3) *= 100;
    const Eigen::VectorXd bias = Eigen::VectorXd::Zero(d);
    NonScalingLayerNorm{}.forward(x, bias, into(y));
    CHECK(y.cwiseAbs().maxCoeff() < std::sqrt(static_cast<double>(d)));
    // Far from zero, in float.
    const MatrixXf far = (normals(5, d, 2).array() * 1e-2 + 1e3).cast<float>();
    MatrixXf of_far(5, d);
    NonScalingLayerNorm{}.forward(far, Eigen::VectorXf(Eigen::VectorXf::Zero(d)), into(of_far));
    CHECK(of_far.rowwise().mean().cwiseAbs().maxCoeff() < 1e-4F);
    // One entry a row: the bias, and no gradient.
    const MatrixXd one = normals(4, 1, 3);
    MatrixXd out(4, 1);
    NonScalingLayerNorm{}.forward(one, Eigen::VectorXd(Eigen::VectorXd::Constant(1, 2.5)),
                                  into(out));
    CHECK(out == MatrixXd::Constant(4, 1, 2.5));
    NonScalingLayerNorm{}.pullback(one, normals(4, 1, 4), into(out));
    CHECK(out.isZero());
}
