// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effect tests of diffusion and consistency training share: two moons, digits in a whitened
// 16-dimensional PCA latent (with outliers planted among them), a training loop of consistency models around
// the examples' denoiser, and distances between samples and held-out data.

#include <temper/diffusion/ddim_step.hpp>
#include <temper/gradient/adam.hpp>
#include <temper/recipe/consistency.hpp>

#include "support/catch.hpp"
#include "support/data.hpp"
#include "support/denoiser.hpp"
#include "support/latent.hpp"

#include <algorithm>
#include <cstdio>
#include <functional>
#include <vector>

namespace effect {

using support::Denoiser;
using support::Index;
using support::Matrix;

inline Matrix<float> two_moons(Index n, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "two moons");
    Matrix<float> x(n, 2);
    for (Index i = 0; i < n; ++i) {
        const double angle = std::numbers::pi * temper::uniform(rng);
        const bool upper = temper::bernoulli(rng, 0.5);
        const double u = upper ? std::cos(angle) : 1 - std::cos(angle);
        const double v = upper ? std::sin(angle) : 0.5 - std::sin(angle);
        x(i, 0) = static_cast<float>(0.5 * (u - 0.5) + 0.03 * temper::normal(rng));
        x(i, 1) = static_cast<float>(0.9 * (v - 0.25) + 0.03 * temper::normal(rng));
    }
    return x;
}

/// Mean over random directions of the Wasserstein-1 distance of the projections. Batches of one size.
inline double sliced_wasserstein(const Matrix<float>& a, const Matrix<float>& b)
{
    auto rng = temper::stream(1, 0, "directions");
    constexpr int directions = 64;
    double sum = 0;
    for (int k = 0; k < directions; ++k) {
        Eigen::VectorXf u(a.cols());
        for (float& each : u)
            each = static_cast<float>(temper::normal(rng));
        u.normalize();
        Eigen::VectorXf p = a * u;
        Eigen::VectorXf q = b * u;
        std::sort(p.begin(), p.end());
        std::sort(q.begin(), q.end());
        sum += static_cast<double>((p - q).cwiseAbs().mean());
    }
    return sum / directions;
}

/// The rows of x times `scale`, for a share of them: what an encoder makes of a bad image.
inline Matrix<float> with_outliers(Matrix<float> x, double share, float scale, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "outliers");
    for (Index i = 0; i < x.rows(); ++i)
        if (temper::bernoulli(rng, share))
            x.row(i) *= scale;
    return x;
}

/// The papers' kernels and squared error as one type, so that training is compiled once.
enum class Kind { squared, huber, cauchy };
struct AnyKernel {
    Kind kind;
    double factor;
    Index levels, d;

    temper::Rho<double> operator()(double s) const
    {
        if (kind == Kind::squared)
            return temper::L2Residual{}(s);
        if (kind == Kind::huber)
            return temper::PseudoHuberRule{.factor = 0.00054 * factor}(levels, d)(s);
        return temper::AdaptiveCauchyRule{.factor = factor}(levels, d)(s);
    }
};
struct AnyRule {
    Kind kind = Kind::huber;
    double factor = 1;

    AnyKernel operator()(Index levels, Index d) const { return {kind, factor, levels, d}; }
    friend bool operator==(const AnyRule&, const AnyRule&) = default;
};

struct Training {
    Index steps = 2000;
    Index batch = 128;
    double learning_rate = 2e-3;
    Denoiser::Shape network{};
    /// Decay of a teacher that speaks for the lower level, at a step; none if this is empty.
    std::function<double(Index)> teacher{};
};

/// Samples of one and of two steps, after training.
struct Samples {
    Matrix<float> one, two;
};

template <class Recipe>
void generate(const Recipe& recipe, const Denoiser& network, double tau, Index n, Samples& out)
{
    Denoiser::Tape tape;
    Matrix<float> input(n, out.one.cols());
    const auto f = [&](temper::MatrixView<const float> x, double sigma, auto to) {
        const auto model = recipe.model();
        model.input(x, sigma, temper::into(input));
        const std::vector<double> levels(static_cast<std::size_t>(n), sigma);
        model.forward(x, sigma, network.forward(input, levels, tape), to);
    };
    recipe.sampler().sample(f, 5, temper::MatrixView<float>(temper::view(out.one)));
    recipe.sampler({tau}).sample(f, 5, temper::MatrixView<float>(temper::view(out.two)));
}

/// The averaged network after training.
template <class Recipe>
Denoiser fit(const Recipe& recipe, const Matrix<float>& data, const Training& how)
{
    Denoiser network(how.network);
    auto rng = temper::stream(recipe.seed, 0, "weights");
    network.initialize(rng);
    Denoiser::Parameters gradients = network.zeros();
    std::vector<temper::AnyView<float>> weights;
    std::vector<temper::AnyView<const float>> slopes;
    for (auto& tensor : network.parameters())
        weights.push_back(temper::view(tensor));
    for (const auto& tensor : gradients)
        slopes.push_back(temper::view(tensor));
    temper::Adam adam{.learning_rate = how.learning_rate, .beta2 = 0.99};
    auto moments = adam.init(weights);
    auto state = recipe.init(weights);
    typename Recipe::template Plan<float> plan;
    Denoiser::Tape high, low;
    Denoiser teacher = network;
    Matrix<float> x(how.batch, data.cols()), x_high = x, x_low = x, g = x;
    const auto model = recipe.model();
    while (state.step < how.steps) {
        auto batch = temper::stream(recipe.seed, state.step, "batch");
        for (Index i = 0; i < how.batch; ++i)
            x.row(i) = data.row(temper::uniform_index(batch, data.rows()));
        recipe.draw(state.step, x, plan);
        recipe.pair(plan, x, temper::into(x_high), temper::into(x_low));
        model.input(x_high, plan.pairs.high, temper::into(x_high));
        model.input(x_low, plan.pairs.low, temper::into(x_low));
        const auto& f_high = network.forward(x_high, plan.pairs.high, high);
        const auto& f_low = (how.teacher ? teacher : network).forward(x_low, plan.pairs.low, low);
        recipe.loss(plan, x, f_high, f_low, temper::into(g));
        network.backward(high, g, gradients);
        const double left = 1 - static_cast<double>(state.step) / static_cast<double>(how.steps);
        adam.learning_rate = how.learning_rate * (std::min)(1.0, 4 * left);
        adam.step(moments, weights, slopes);
        for (std::size_t k = 0; how.teacher && k < weights.size(); ++k) {
            const auto decay = static_cast<float>(how.teacher(state.step));
            teacher.parameters()[k] =
                decay * teacher.parameters()[k] + (1 - decay) * network.parameters()[k];
        }
        recipe.update(state, weights);
    }
    recipe.average(state, temper::into(weights));
    return network;
}

template <class Recipe>
Samples train(const Recipe& recipe, const Matrix<float>& data, const Training& how, Index n,
              double tau = 0.8)
{
    const Denoiser network = fit(recipe, data, how);
    Samples out{Matrix<float>(n, data.cols()), Matrix<float>(n, data.cols())};
    generate(recipe, network, tau, n, out);
    return out;
}

/// Mean distances of samples of one and of two steps to held-out data.
struct Scores {
    double one = 0, two = 0;
    void add(const Samples& samples, const Matrix<float>& held, double weight)
    {
        one += weight * sliced_wasserstein(samples.one, held);
        two += weight * sliced_wasserstein(samples.two, held);
    }
};

// ---- denoisers that are known -----------------------------------------------------------------------

/// The best denoiser of a mixture of equal Gaussians of deviation `width` around the rows of `points`:
///   D(x; s) = (width^2 x + s^2 sum_i w_i p_i) / (width^2 + s^2),  w = softmax(-|x - p_i|^2 / (2 (width^2 + s^2)))
struct Mixture {
    Matrix<float> points;
    float width = 0.2F;

    [[nodiscard]] Matrix<float> operator()(const Matrix<float>& x, double sigma) const
    {
        const auto s2 = static_cast<float>(sigma * sigma);
        const float h2 = width * width;
        Matrix<float> w = x * points.transpose();
        w.rowwise() -= 0.5F * points.rowwise().squaredNorm().transpose();
        w /= h2 + s2;
        w.colwise() -= w.rowwise().maxCoeff().eval();
        w = w.array().exp();
        w.array().colwise() /= w.rowwise().sum().array().eval();
        return (h2 * x + s2 * (w * points)) / (h2 + s2);
    }
};

/// Levels of a sampler, noisiest first, and a 0.
inline std::vector<double> sampling_levels(Index steps)
{
    return temper::KarrasSigmas{.sigma_min = 0.02, .sigma_max = 20}.descending(steps);
}

/// denoise(x, sigma, step) from noise down to data, by DDIM in the form for levels: x moves towards what it
/// is said to be by the share of the level that goes.
template <class F>
Matrix<float> sample(const F& denoise, Index n, Index d, Index steps, std::uint64_t seed)
{
    const auto sigmas = sampling_levels(steps);
    auto rng = temper::stream(seed, 0, "samples");
    Matrix<float> x(n, d);
    for (Index i = 0; i < x.size(); ++i)
        x.data()[i] = static_cast<float>(sigmas[0] * temper::normal(rng));
    for (Index k = 0; k < steps; ++k) {
        const auto at = static_cast<std::size_t>(k);
        const Matrix<float> x0 = denoise(x, sigmas[at], k);
        // DdimStep knows cumulative products: a = 1 / (1 + s^2), and x / sqrt(1 + s^2) for x.
        const double a = 1 / (1 + sigmas[at] * sigmas[at]);
        const double next = 1 / (1 + sigmas[at + 1] * sigmas[at + 1]);
        x *= static_cast<float>(std::sqrt(a));
        temper::DdimStep{}(x, x0, a, next, temper::into(x));
        x /= static_cast<float>(std::sqrt(next));
    }
    return x;
}

/// The digits in a latent space of 16 whitened components, shuffled: some to train on, the rest held out.
struct LatentDigits {
    support::LabelledData train, held;

    explicit LatentDigits(std::uint64_t seed, Index n = 1200)
    {
        auto digits = support::load_digits(TEMPER_EXAMPLE_DATA);
        digits.x = support::Latent(digits.x, 16, 0.5F).encode(digits.x);
        auto rng = temper::stream(seed, 0, "latent digits");
        const support::Split split = support::random_split(digits.x.rows(), n, rng);
        train = support::take(digits, split.train);
        held = support::take(digits, split.test);
    }
};

} // namespace effect
