// SPDX-License-Identifier: BSL-1.0

// EnsLoss: Stochastic Calibrated Loss Ensembles for Preventing Overfitting in Classification.

#include "effect/label_noise.hpp"

#include <temper/loss/ensemble_loss.hpp>

using namespace effect;
using temper::labels;

namespace {

/// 150 rows of 50 features, of which a linear function with as much noise as signal is the label.
struct Toy {
    Matrix<float> x;
    std::vector<int> y;
    Toy(Index n, std::uint64_t seed, std::string_view part) : x(n, 50)
    {
        auto direction = temper::stream(seed, 0, "direction");
        auto rng = temper::stream(seed, 0, part);
        Matrix<float> w(50, 1);
        for (Index j = 0; j < 50; ++j)
            w(j, 0) = static_cast<float>(temper::normal(direction) / std::sqrt(50.0));
        for (Index i = 0; i < x.size(); ++i)
            x.data()[i] = static_cast<float>(temper::normal(rng));
        for (Index i = 0; i < n; ++i)
            y.push_back((x.row(i) * w)(0, 0) + 0.8 * temper::normal(rng) > 0 ? 1 : 0);
    }
};

template <class Loss>
double accuracy(std::uint64_t seed, const Loss& loss)
{
    const Toy train(150, seed, "train");
    const Toy test(1000, seed, "test");
    Learner network(seed, 64, 1, 50);
    network.sgd.learning_rate = 0.02;
    Matrix<float> g;
    for_each_batch(train.x, train.y, 60, seed, [&](const Batch& batch) {
        const Matrix<float>& s = network.forward(batch.x);
        g.resize(s.rows(), 1);
        loss(batch, s, g);
        network.backward(g);
        network.step();
    });
    const Matrix<float>& s = network.forward(test.x);
    double right = 0;
    for (Index i = 0; i < s.rows(); ++i)
        right += (s(i, 0) > 0) == (test.y[static_cast<std::size_t>(i)] == 1) ? 1 : 0;
    return right / static_cast<double>(s.rows());
}

} // namespace

// Fewer rows than a network of this size can learn by heart. The derivatives never change sign.
TEST_CASE("an ensemble of losses overfits less than the hinge and the logistic loss", "[effect]")
{
    double ensemble = 0;
    double hinge = 0;
    double logistic = 0;
    const temper::EnsLoss loss;
    for (std::uint64_t seed = 1; seed <= 8; ++seed) {
        const auto with_sign = [](int y) { return y == 1 ? 1.0F : -1.0F; };
        hinge += accuracy(seed,
                          [&](const Batch& batch, const Matrix<float>& s, Matrix<float>& g) {
                              for (Index i = 0; i < s.rows(); ++i) {
                                  const float t = with_sign(batch.y[static_cast<std::size_t>(i)]);
                                  g(i, 0) = t * s(i, 0) < 1 ? -t / static_cast<float>(s.rows()) : 0;
                              }
                          }) /
                 8;
        logistic +=
            accuracy(seed,
                     [&](const Batch& batch, const Matrix<float>& s, Matrix<float>& g) {
                         for (Index i = 0; i < s.rows(); ++i) {
                             const float t = with_sign(batch.y[static_cast<std::size_t>(i)]);
                             g(i, 0) =
                                 -t / (1 + std::exp(t * s(i, 0))) / static_cast<float>(s.rows());
                         }
                     }) /
            8;
        ensemble +=
            accuracy(seed,
                     [&](const Batch& batch, const Matrix<float>& s, Matrix<float>& g) {
                         auto rng = temper::stream(seed, batch.step, "noise");
                         auto of_period = temper::stream(seed, batch.epoch / 10, "lambda");
                         const auto plan = loss.draw(rng, s.rows(), loss.draw_lambda(of_period));
                         loss(s, labels(batch.y), plan, temper::into(g));
                         for (Index i = 0; i < s.rows(); ++i)
                             REQUIRE(with_sign(batch.y[static_cast<std::size_t>(i)]) * g(i, 0) < 0);
                     }) /
            8;
    }
    std::printf("EnsLoss: accuracy %.3f, hinge %.3f, logistic %.3f\n", ensemble, hinge, logistic);
    CHECK(ensemble > hinge + 0.015);
    CHECK(ensemble > logistic + 0.01);
}
