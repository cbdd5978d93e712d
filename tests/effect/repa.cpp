// SPDX-License-Identifier: BSL-1.0

// Representation Alignment for Generation: Training Diffusion Transformers Is Easier Than You Think.

#include "effect/alignment.hpp"

#include <temper/layer/repa_projector.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/recipe/repa_objective.hpp>

#include <Eigen/Cholesky>

#include "support/stats.hpp"

using namespace alignment_effect;
using temper::into;

namespace {

constexpr Index pixels = 64;
constexpr Index width = 128;
constexpr Index features = 32;
constexpr Index n = 64;

struct Curve {
    std::vector<double>
        probe; ///< accuracy of a linear classifier of the hidden state, every 300 steps
    std::vector<double> loss; ///< held-out velocity loss
};

/// Time next to a noisy digit.
Matrix with_time(const Matrix& x, const std::vector<float>& t)
{
    Matrix in(x.rows(), pixels + 3);
    in.leftCols(pixels) = x;
    for (Index i = 0; i < x.rows(); ++i) {
        const float time = t[static_cast<std::size_t>(i)];
        in.row(i).tail(3) << 2 * time - 1, std::sin(6.283F * time), std::cos(6.283F * time);
    }
    return in;
}

/// Ridge regression to one-hot labels; the share of right ones on other rows.
double probe(const Matrix& h, const std::vector<int>& y, const Matrix& h_test,
             const std::vector<int>& y_test)
{
    const Matrix target = support::one_hot(y, 10);
    Matrix gram = h.transpose() * h;
    gram.diagonal().array() += 1e-2F * static_cast<float>(h.rows());
    const Matrix w = gram.ldlt().solve(h.transpose() * target);
    return support::accuracy(h_test * w, y_test);
}

Curve run(double lambda, std::uint64_t seed, Index steps)
{
    auto data = support::load_digits(TEMPER_EXAMPLE_DATA);
    data.x = (2.0F * data.x.array() - 1.0F).matrix();
    auto rng = temper::stream(seed, 0, "repa");
    const support::Split split = support::random_split(data.x.rows(), 1200, rng);
    const auto train = support::take(data, split.train);
    const auto test = support::take(data, split.test);
    support::Batches batches(train.x.rows(), n);

    // The frozen encoder of clean images: the hidden layer of a classifier.
    Network classifier({pixels, features, 10}, rng, 3e-3);
    for (Index step = 0; step < 500; ++step) {
        const auto rows = batches.next(rng);
        const Matrix& z = classifier.forward(support::take_rows(train.x, rows));
        std::vector<int> y;
        support::take_labels(train.y, rows, y);
        Matrix g(z.rows(), z.cols());
        temper::SoftmaxCrossEntropy{}(z, temper::labels(y), into(g));
        classifier.backward(g);
        classifier.step();
    }
    classifier.forward(train.x);
    const Eigen::RowVectorXf centre = classifier.tape.values[1].colwise().mean();
    const auto encode = [&](const Matrix& x) {
        classifier.forward(x);
        return Matrix(classifier.tape.values[1].rowwise() - centre);
    };

    Network trunk({pixels + 3, width, width}, rng, 1e-3);
    Network head({width, width, pixels}, rng, 1e-3);
    Matrix w1(width, width), b1(1, width), w2(features, width), b2(1, features);
    const temper::RepaProjector projector;
    projector.initialize(rng, temper::tensors(w1, b1, w2, b2));
    Trainable projection({&w1, &b1, &w2, &b2}, 1e-3);
    auto& gp = projection.gradients;
    const auto bias = [](Matrix& m) { return temper::view(m.data(), {m.cols()}); };

    const temper::RepaObjective objective{.lambda = lambda};
    Curve curve;
    auto held = temper::stream(seed, 0, "held out");
    const Matrix held_noise = normals(held, test.x.rows(), pixels);
    std::vector<float> held_t(static_cast<std::size_t>(test.x.rows()));
    for (float& t : held_t)
        t = static_cast<float>(temper::uniform(held));
    Matrix x_t(n, pixels), g(n, pixels), p(n, features), gproj(n, features), gh(n, width), gh2;
    std::vector<float> t(n);
    for (Index step = 1; step <= steps; ++step) {
        const Matrix x0 = support::take_rows(train.x, batches.next(rng));
        const Matrix noise = normals(rng, n, pixels);
        for (float& time : t)
            time = static_cast<float>(temper::uniform(rng));
        objective.path(x0, noise, t, into(x_t));
        const Matrix h = trunk.forward(with_time(x_t, t)).cwiseMax(0.0F);
        const Matrix& pred = head.forward(h);
        const auto parameters = temper::tensors(w1, bias(b1), w2, bias(b2));
        projector.forward(h, parameters, into(p));
        (void)objective(x0, noise, t, pred, p, encode(x0), into(g), into(gproj));
        projector.pullback(h, parameters, gproj, into(gh),
                           into(temper::tensors(gp[0], bias(gp[1]), gp[2], bias(gp[3]))));
        head.backward(g, &gh2);
        gh += gh2;
        gh = (h.array() > 0.0F).select(gh, 0.0F);
        trunk.backward(gh);
        head.step();
        trunk.step();
        projection.step();
        if (step % 300 == 0) {
            Matrix held_x(test.x.rows(), pixels);
            objective.path(test.x, held_noise, held_t, into(held_x));
            const Matrix hidden = trunk.forward(with_time(held_x, held_t)).cwiseMax(0.0F);
            curve.loss.push_back(
                objective.velocity(test.x, held_noise, held_t, head.forward(hidden)));
            // A clean probe, at t = 0.3 for all.
            const auto at = [&](const Matrix& x, std::uint64_t which) {
                auto bits = temper::stream(seed, static_cast<Index>(which), "probe");
                const std::vector<float> times(static_cast<std::size_t>(x.rows()), 0.3F);
                Matrix noisy(x.rows(), pixels);
                objective.path(x, normals(bits, x.rows(), pixels), times, into(noisy));
                return Matrix(trunk.forward(with_time(noisy, times)).cwiseMax(0.0F));
            };
            curve.probe.push_back(probe(at(train.x, 1), train.y, at(test.x, 2), test.y));
        }
    }
    return curve;
}

} // namespace

TEST_CASE("REPA: a hidden state that tells classes in fewer steps", "[effect]")
{
    constexpr Index steps = 1500;
    constexpr std::size_t points = steps / 300;
    std::array<Curve, 2> mean;
    constexpr double seeds = 2;
    for (Curve& curve : mean) {
        curve.loss.resize(points);
        curve.probe.resize(points);
    }
    for (std::uint64_t seed = 1; seed <= 2; ++seed)
        for (const std::size_t with : {0U, 1U}) {
            const Curve one = run(with == 0 ? 0 : 0.5, seed, steps);
            for (std::size_t k = 0; k < points; ++k) {
                mean[with].loss[k] += one.loss[k] / seeds;
                mean[with].probe[k] += one.probe[k] / seeds;
            }
        }
    for (std::size_t k = 0; k < points; ++k)
        std::printf("REPA, step %4d: velocity loss %.4f (%.4f without), probe %.3f (%.3f)\n",
                    static_cast<int>(300 * (k + 1)), mean[1].loss[k], mean[0].loss[k],
                    mean[1].probe[k], mean[0].probe[k]);
    CHECK(mean[1].probe.back() > mean[0].probe.back() + 0.01);
    CHECK(mean[1].probe.front() > mean[0].probe.back()); // a fifth of the steps
    // The velocity is not learned any sooner by networks of this size; it must not be learned worse.
    CHECK(mean[1].loss.back() < 1.03 * mean[0].loss.back());
}
