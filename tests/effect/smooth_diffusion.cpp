// SPDX-License-Identifier: BSL-1.0

// Smooth Diffusion: Crafting Smooth Latent Spaces in Diffusion Models.

#include "effect/alignment.hpp"

#include <temper/augment/slerp.hpp>
#include <temper/metric/interpolation_std.hpp>
#include <temper/regularizer/stepwise_variation_penalty.hpp>

using namespace alignment_effect;
using temper::into;

namespace {

constexpr Index latent = 2;
constexpr Index hidden = 32;
constexpr Index outputs = 8;
constexpr Index n = 64;

struct Smoothness {
    double reconstruction = 0;
    double spread = 0; ///< of |J' e| over its mean
    double uneven = 0; ///< InterpolationStd over the mean distance
};

/// An autoencoder of a sheet in 8 dimensions that is laid out unevenly. The decoder has one layer, so that the
/// derivative of its Jacobian can be written down.
Smoothness run(double weight, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "smooth");
    const Matrix bend = normals(rng, latent, 16);
    const Matrix lift = normals(rng, 16, outputs, 0.4);
    const auto data = [&](Index rows) {
        Matrix z = normals(rng, rows, latent);
        z = z.array().cube() + 0.3F * z.array(); // most of it in the middle
        return Matrix(((z * bend).array().sin()).matrix() * lift);
    };
    Network encoder({outputs, 48, latent}, rng, 2e-3, support::Activation::tanh);
    Matrix w1 = normals(rng, hidden, latent);
    Matrix b = normals(rng, 1, hidden, 0.5);
    Matrix w2 = normals(rng, outputs, hidden, 0.2);
    Trainable decoder({&w1, &b, &w2}, 2e-3);
    const temper::StepwiseVariationPenalty penalty;
    auto state = penalty.init();
    std::vector<float> probe;
    const std::vector<double> alpha_bar(n, 0.0);
    const auto decode = [&](const Matrix& z, Matrix& h) {
        h = (z * w1.transpose()).rowwise() + b.row(0);
        h = h.array().tanh();
        return Matrix(h * w2.transpose());
    };
    const auto slopes = [&](const Matrix& h) { return Matrix(1.0F - h.array().square()); };
    for (Index step = 0; step < 2500; ++step) {
        const Matrix x = data(n);
        // A little noise on the latent keeps it from being stretched without end.
        const Matrix raw = encoder.forward(x);
        const Matrix z = raw + normals(rng, n, latent, 0.05);
        Matrix h;
        const Matrix e = decode(z, h) - x;
        const Matrix g = e * (2.0F / static_cast<float>(e.size()));
        const Matrix s = slopes(h);
        const Matrix gu = (g * w2).cwiseProduct(s);
        auto& grads = decoder.gradients;
        grads[0] = gu.transpose() * z;
        grads[1] = gu.colwise().sum();
        grads[2] = g.transpose() * h;
        Matrix gz = gu * w1 + 2e-3F / n * raw; // and a weak pull to 0
        // J' e = W1' (s a), a = W2' e, by rows.
        penalty.draw(rng, alpha_bar, outputs, probe);
        const Eigen::Map<const Matrix> probes(probe.data(), n, outputs);
        const Matrix a = probes * w2;
        const Matrix sa = s.cwiseProduct(a);
        const Matrix vjp = sa * w1;
        Matrix gv(n, latent);
        if (weight > 0) {
            (weight * penalty)(state, vjp, into(gv));
            const Matrix back = gv * w1.transpose();
            const Matrix ga = back.cwiseProduct(s);
            const Matrix gh = back.cwiseProduct(a).cwiseProduct(-2.0F * h).cwiseProduct(s);
            grads[0] += sa.transpose() * gv + gh.transpose() * z;
            grads[1] += gh.colwise().sum();
            grads[2] += probes.transpose() * ga;
            gz += gh * w1;
        }
        penalty.observe(state, vjp);
        encoder.backward(gz);
        encoder.step();
        decoder.step();
    }
    Smoothness out;
    Matrix h;
    const Matrix x = data(400);
    const Matrix z = encoder.forward(x);
    out.reconstruction = static_cast<double>((decode(z, h) - x).squaredNorm()) /
                         static_cast<double>(x.squaredNorm());
    const Matrix jacobian_rows = normals(rng, 400, outputs, 1 / std::sqrt(double{outputs}));
    const Matrix v = slopes(h).cwiseProduct(jacobian_rows * w2) * w1;
    const auto lengths = v.rowwise().norm().eval();
    const double mean = static_cast<double>(lengths.mean());
    out.spread =
        std::sqrt(static_cast<double>((lengths.array() - lengths.mean()).square().mean())) / mean;
    // Paths between pairs of samples' latents.
    constexpr Index points = 12;
    std::vector<float> times;
    for (Index k = 0; k < points; ++k)
        times.push_back(static_cast<float>(k) / (points - 1));
    for (Index pair = 0; pair < 100; ++pair) {
        Matrix path(points, latent);
        temper::Slerp{}.forward(z.row(2 * pair), z.row(2 * pair + 1), times, into(path));
        std::vector<float> d(points - 1);
        const double deviation = temper::InterpolationStd{}(decode(path, h), into(d));
        double sum = 0;
        for (const float each : d)
            sum += static_cast<double>(each);
        out.uneven += deviation / (sum / (points - 1)) / 100;
    }
    return out;
}

} // namespace

TEST_CASE("stepwise variation: a latent in which steps are even", "[effect]")
{
    std::array<Smoothness, 2> mean;
    constexpr double seeds = 3;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        for (const std::size_t with : {0U, 1U}) {
            const Smoothness one = run(with == 0 ? 0 : 0.1, seed);
            mean[with].reconstruction += one.reconstruction / seeds;
            mean[with].spread += one.spread / seeds;
            mean[with].uneven += one.uneven / seeds;
        }
    std::printf("smooth diffusion: spread of |J'e| %.3f against %.3f, unevenness of paths %.3f "
                "against %.3f, share not reconstructed %.4f against %.4f\n",
                mean[1].spread, mean[0].spread, mean[1].uneven, mean[0].uneven,
                mean[1].reconstruction, mean[0].reconstruction);
    CHECK(mean[1].spread < 0.97 * mean[0].spread);
    CHECK(mean[1].uneven < 0.92 * mean[0].uneven);
    CHECK(mean[1].reconstruction < 1.05 * mean[0].reconstruction);
}
