// SPDX-License-Identifier: BSL-1.0

// Steps of samplers, at the edges that their equations have.

#include <temper/core/random.hpp>
#include <temper/diffusion/adaptive_projected_guidance.hpp>
#include <temper/diffusion/consistency_renoise.hpp>
#include <temper/diffusion/ddcm_step.hpp>
#include <temper/diffusion/ddim_step.hpp>
#include <temper/diffusion/low_pass_guidance.hpp>
#include <temper/diffusion/red_diff_loss.hpp>
#include <temper/layer/entropy_attention_scale.hpp>
#include <temper/layer/spatial_softmax_aggregate.hpp>
#include <temper/schedule/trajectory_stitch.hpp>
#include <temper/testing.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;

namespace {

MatrixXd normals(Index n, Index d, std::uint64_t seed)
{
    auto rng = stream(seed, 0, "matrix");
    MatrixXd x(n, d);
    for (double& each : x.reshaped())
        each = normal(rng);
    return x;
}
double distance(const MatrixXd& a, const MatrixXd& b) { return (a - b).cwiseAbs().maxCoeff(); }

} // namespace

TEST_CASE("guidance: without projection, radius and momentum it is classifier-free guidance")
{
    const MatrixXd c = normals(4, 9, 1), u = normals(4, 9, 2), none = MatrixXd::Zero(4, 9);
    MatrixXd out(4, 9), next(4, 9), par(4, 9), orth(4, 9);
    const Apg plain{.scale = 5, .eta = 1, .radius = 0, .momentum = 0};
    plain.forward(none, c, u, into(out));
    CHECK(distance(out, u + 5 * (c - u)) < 1e-12);
    // Scale 1, or nothing to guide by.
    Apg{.scale = 1}.forward(none, c, u, into(out));
    CHECK(distance(out, c) == 0);
    Apg{}.forward(none, c, c, into(out));
    CHECK(distance(out, c) == 0);
    // The two parts, and the average, which may stand where it was.
    const Apg apg{.scale = 8, .radius = 1};
    MatrixXd average = normals(4, 9, 3);
    apg.forward(average, c, u, into(out), into(next), parallel(into(par)), orthogonal(into(orth)));
    CHECK(distance(next, c - u - 0.5 * average) < 1e-14);
    for (Index i = 0; i < 4; ++i) {
        CHECK(orth.row(i).dot(c.row(i)) == Approx(0).margin(1e-12));
        CHECK((par + orth).row(i).norm() == Approx((std::min)(1.0, next.row(i).norm())));
    }
    apg.forward(average, c, u, into(par), into(average));
    CHECK(distance(average, next) == 0);
    CHECK(distance(par, out) == 0);
    // cond = 0 has no direction.
    Apg{.scale = 2, .radius = 0}.forward(none, none, u, into(out), discard, parallel(into(par)));
    CHECK(par.isZero());
    CHECK(distance(out, -u) < 1e-14);
    CHECK_THROWS_AS(Apg{.radius = -1}.forward(none, c, u, into(out)), RangeError);
}

TEST_CASE("a DDIM step leads along the noise that it implies")
{
    const MatrixXd x0 = normals(3, 5, 1), e = normals(3, 5, 2), z = normals(3, 5, 3);
    const auto noisy = [&](double a) { return MatrixXd(std::sqrt(a) * x0 + std::sqrt(1 - a) * e); };
    MatrixXd out(3, 5), data(3, 5);
    DdimStep{}(noisy(0.2), x0, 0.2, 0.7, into(out));
    CHECK(distance(out, noisy(0.7)) < 1e-12);
    DdimStep{}(noisy(0.2), x0, 0.2, 1, into(out));
    CHECK(distance(out, x0) < 1e-12);
    DdimStep::data_of(noisy(0.2), e, 0.2, into(data));
    CHECK(distance(data, x0) < 1e-12);
    // With eta the variance is what it was: keep^2 + var = 1 - a'.
    const DdimStep ddpm{.eta = 1};
    ddpm(noisy(0.2), x0, z, 0.2, 0.7, into(out));
    const double var = 0.3 / 0.8 * (1 - 0.2 / 0.7);
    CHECK(distance(out, std::sqrt(0.7) * x0 + std::sqrt(0.3 - var) * e + std::sqrt(var) * z) <
          1e-12);
    CHECK_THROWS_AS(ddpm(noisy(0.2), x0, 0.2, 0.7, into(out)), RangeError);
    CHECK_THROWS_AS(DdimStep{}(x0, x0, 0.7, 0.2, into(out)), RangeError);
    CHECK_THROWS_AS(DdimStep{}(x0, x0, 0.0, 0.2, into(out)), RangeError);
}

TEST_CASE("an edit that asks for nothing gives the source back")
{
    const MatrixXd x0 = normals(2, 6, 1), x = normals(2, 6, 2), e = normals(2, 6, 3),
                   z = normals(2, 6, 4);
    MatrixXd source(2, 6), target(2, 6), data(2, 6);
    for (const double eta : {0.0, 1.0}) {
        DdcmStep{.eta = eta}(
            DdcmStep::Inputs<double>{view(x), view(x), view(e), view(e), view(x0), view(z)}, 0.3,
            0.6, false, DdcmStep::Outputs<double>{into(source), into(target), into(data)});
        CHECK(distance(data, x0) < 1e-15);
        CHECK(distance(source, target) < 1e-15);
    }
    // eta = 1: noise is put on the source as if it had never been taken away.
    CHECK(distance(source, std::sqrt(0.6) * x0 + std::sqrt(0.4) * z) < 1e-12);
    DdcmStep{}(DdcmStep::Inputs<double>{view(x), view(x), view(e), view(e), view(x0), view(z)}, 0.3,
               0.6, true, DdcmStep::Outputs<double>{.source = into(source)});
    CHECK(distance(source, x0) < 1e-15);
}

TEST_CASE("sampling from a consistency model of one point gives the point")
{
    MatrixXd x(5, 2);
    std::vector<double> asked;
    const auto f = [&](MatrixView<const double> y, double sigma, auto out) {
        asked.push_back(sigma);
        MatrixXd to = MatrixXd::Constant(y.rows(), y.cols(), 0.25);
        for (Index i = 0; i < y.rows(); ++i)
            for (Index j = 0; j < y.cols(); ++j)
                temper::testing::entry(out.view, i * y.cols() + j) = to(i, j);
    };
    const ConsistencySampler sampler{.sigma_max = 10, .taus = {2, 0.5}};
    sampler.sample(f, 1, MatrixView<double>(view(x)));
    CHECK(asked == std::vector<double>{10, 2, 0.5});
    CHECK(distance(x, MatrixXd::Constant(5, 2, 0.25)) == 0);
    // Noise of a level below the smallest is none.
    MatrixXd y(5, 2);
    ConsistencyRenoise{}(x, normals(5, 2, 1), 0.001, into(y));
    CHECK(distance(x, y) == 0);
}

TEST_CASE("low-pass guidance swaps means")
{
    std::vector<double> x(16), reference(16), y(16);
    for (std::size_t i = 0; i < 16; ++i) {
        x[i] = static_cast<double>(i);
        reference[i] = i % 2 == 0 ? 4 : 8;
    }
    const auto as = [](std::vector<double>& v) { return view(v.data(), {1, 4, 4}); };
    LowPassGuidance{.block = 4}.forward(as(x), as(reference), into(as(y)));
    for (std::size_t i = 0; i < 16; ++i)
        CHECK(y[i] == Approx(x[i] - 7.5 + 6));
    LowPassGuidance{.block = 1}.forward(as(x), as(reference), into(as(x)));
    CHECK(x == reference);
    CHECK_THROWS_AS(LowPassGuidance{.block = 3}.forward(as(x), as(reference), into(as(y))),
                    RangeError);
    CHECK_THROWS_AS(LowPassGuidance{}.forward(view(x.data(), {4, 4}), view(y.data(), {4, 4}),
                                              into(view(y.data(), {4, 4}))),
                    Error);
}

TEST_CASE("models are stitched at the steps that their shares say")
{
    const TrajectoryStitch stitch{.steps = 10, .shares = {0.3, 0.2}};
    std::vector<Index> models;
    for (Index i = 0; i < 10; ++i)
        models.push_back(stitch(i));
    CHECK(models == std::vector<Index>{0, 0, 0, 1, 1, 2, 2, 2, 2, 2});
    CHECK(TrajectoryStitch{.steps = 3, .shares = {1}}(2) == 0);
    CHECK(TrajectoryStitch{.steps = 3, .shares = {0}}(0) == 1);
    CHECK(TrajectoryStitch{.steps = 3, .shares = {}}(0) == 0);
    CHECK_THROWS_AS(TrajectoryStitch{}(0), RangeError);
    CHECK_THROWS_AS((TrajectoryStitch{.steps = 3, .shares = {0.7, 0.7}}(0)), RangeError);
    CHECK_THROWS_AS((TrajectoryStitch{.steps = 3}(3)), RangeError);
}

namespace {

/// Every second entry, as an operator of the caller's.
struct EverySecond {
    Index d;
    [[nodiscard]] Index outputs() const { return d / 2; }
    void apply(MatrixView<const double> v, Into<double> out) const
    {
        const auto to = out.view.as<2>();
        for (Index i = 0; i < v.rows(); ++i)
            for (Index j = 0; j < d / 2; ++j)
                to(i, j) = v(i, 2 * j);
    }
    void adjoint(MatrixView<const double> r, Into<double> out) const
    {
        const auto to = out.view.as<2>();
        for (Index i = 0; i < r.rows(); ++i)
            for (Index j = 0; j < d; ++j)
                to(i, j) = j % 2 == 0 ? r(i, j / 2) : 0;
    }
};

} // namespace

TEST_CASE("RED-diff: an operator of the caller's is its matrix, and no noise has no prior")
{
    const Index d = 6;
    MatrixXd h = MatrixXd::Zero(3, d);
    for (Index j = 0; j < 3; ++j)
        h(j, 2 * j) = 1;
    const MatrixXd mu = normals(4, d, 1), z = normals(4, d, 2), e = normals(4, d, 3),
                   y = normals(4, 3, 4);
    MatrixXd g(4, d), by_matrix(4, d);
    const RedDiffLoss loss{};
    const double value = loss(mu, z, e, EverySecond{d}, y, 0.6, into(g));
    CHECK(value == Approx(loss(mu, z, e, h, y, 0.6, into(by_matrix))));
    CHECK(distance(g, by_matrix) < 1e-15);
    CHECK(loss.prior(1) == 0);
    CHECK(RedDiffLoss{.weight = RedDiffLoss::Weight::truncated_linear}.prior(1e-12) == 0.25);
    CHECK_THROWS_AS(loss(mu, z, e, h, y, 0.0), RangeError);
    CHECK_THROWS_AS(loss(mu, z, e, h, normals(4, 2, 4), 0.5), ShapeError);
}

TEST_CASE("attention: the scale of as many tokens as in training is the usual one")
{
    CHECK(EntropyAttentionScale{.train_tokens = 64}.scale(64, 16) == Approx(0.25));
    CHECK(EntropyAttentionScale{.train_tokens = 64}.scale(1, 16) == 0);
    CHECK_THROWS_AS(EntropyAttentionScale{.train_tokens = 1}.scale(4, 4), RangeError);
    // Entropy against the number of keys, relative to its largest, is flatter with the scale.
    const MatrixXd q = 2 * normals(32, 16, 1);
    const auto entropies = [&](bool scaled) {
        std::vector<double> out;
        for (const Index n : {32, 512}) {
            const MatrixXd k = 2 * normals(n, 16, 2);
            out.push_back(scaled ? EntropyAttentionScale{.train_tokens = 32}(q, k)
                                 : EntropyAttentionScale::with_scale(0.25, q, k));
        }
        return out[1] - out[0];
    };
    CHECK(entropies(true) < entropies(false));
    CHECK(entropies(true) > 0);
}

TEST_CASE("an aggregate of one model is the model, and logits of any size are fine")
{
    std::vector<double> f(12), l(4, 1e6), y(12), g(4, 1);
    for (std::size_t i = 0; i < f.size(); ++i)
        f[i] = static_cast<double>(i);
    const auto features = view(f.data(), {1, 1, 3, 2, 2});
    SpatialSoftmaxAggregate{}.forward(features, view(l.data(), {1, 1, 2, 2}),
                                      into(view(y.data(), {1, 3, 2, 2})));
    CHECK(y == f);
    SpatialSoftmaxAggregate{}.pullback(features, view(l.data(), {1, 1, 2, 2}),
                                       view(f.data(), {1, 3, 2, 2}), discard,
                                       into(view(g.data(), {1, 1, 2, 2})));
    CHECK(g == std::vector<double>(4, 0));
}
