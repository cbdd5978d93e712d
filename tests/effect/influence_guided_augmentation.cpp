// SPDX-License-Identifier: BSL-1.0

// Influence-guided Data Augmentation for Neural Tensor Completion.

#include "effect/label_noise.hpp"

#include <temper/augment/influence_guided_augmentation.hpp>

#include <array>

using namespace effect;

namespace {

constexpr std::array<Index, 3> dims{15, 12, 10};

/// A tensor of rank 3 with a little noise: a twentieth of its cells to train on, as many again a third to
/// validate on, and the rest to test on.
struct Cells {
    Matrix<float> x; ///< one-hot coordinates of every cell
    Matrix<float> y;
    std::vector<std::array<Index, 3>> at;
    std::vector<Index> train;
    std::vector<Index> validation;
    std::vector<Index> test;

    explicit Cells(std::uint64_t seed)
    {
        auto rng = temper::stream(seed, 0, "tensor");
        std::array<Matrix<float>, 3> factor;
        for (std::size_t m = 0; m < 3; ++m) {
            factor[m].resize(dims[m], 3);
            for (Index i = 0; i < factor[m].size(); ++i)
                factor[m].data()[i] = static_cast<float>(0.6 + 0.5 * temper::normal(rng));
        }
        x = Matrix<float>::Zero(dims[0] * dims[1] * dims[2], dims[0] + dims[1] + dims[2]);
        y.resize(x.rows(), 1);
        for (Index cell = 0; cell < x.rows(); ++cell) {
            const std::array<Index, 3> c{cell / (dims[1] * dims[2]), cell / dims[2] % dims[1],
                                         cell % dims[2]};
            at.push_back(c);
            x(cell, c[0]) = x(cell, dims[0] + c[1]) = x(cell, dims[0] + dims[1] + c[2]) = 1;
            y(cell, 0) = (factor[0].row(c[0]).array() * factor[1].row(c[1]).array() *
                          factor[2].row(c[2]).array())
                             .sum() +
                         static_cast<float>(0.05 * temper::normal(rng));
        }
        const auto order = support::shuffled_indices(x.rows(), rng);
        for (std::size_t i = 0; i < order.size(); ++i)
            (i < 90 ? train : i < 120 ? validation : test).push_back(order[i]);
    }
    [[nodiscard]] double rmse(const Matrix<float>& predicted, const std::vector<Index>& cells) const
    {
        double sum = 0;
        for (const Index i : cells)
            sum += std::pow(static_cast<double>(predicted(i, 0) - y(i, 0)), 2);
        return std::sqrt(sum / static_cast<double>(cells.size()));
    }
};

/// Trains on cells with values; after every epoch `watch(network)`. Gives the test error at the epoch of the
/// least validation error.
template <class Watch>
double complete(const Cells& data, std::uint64_t seed, const std::vector<Index>& cells,
                const Matrix<float>& values, const Watch& watch)
{
    Learner network(seed, 48, 1, data.x.cols());
    network.sgd.learning_rate = 0.01;
    const Matrix<float> x = support::take_rows(data.x, cells);
    std::vector<int> number(cells.size());
    double least = 1e9;
    double test = 0;
    Matrix<float> g;
    for (Index epoch = 0; epoch < 150; ++epoch) {
        for_each_batch(
            x, number, 1, seed * 1000 + static_cast<std::uint64_t>(epoch),
            [&](const Batch& batch) {
                g = network.forward(batch.x);
                for (Index i = 0; i < g.rows(); ++i)
                    g(i, 0) = (g(i, 0) - values(batch.ids[static_cast<std::size_t>(i)], 0)) /
                              static_cast<float>(g.rows());
                network.backward(g);
                network.step();
            },
            16);
        const Matrix<float> predicted = network.forward(data.x);
        const double error = data.rmse(predicted, data.validation);
        if (error < least) {
            least = error;
            test = data.rmse(predicted, data.test);
            watch(network, predicted);
        }
    }
    return test;
}

} // namespace

TEST_CASE("cells drawn by influence beside cells drawn at random, and none", "[effect]")
{
    double none = 0;
    double random = 0;
    double guided = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        const Cells data(seed);
        Matrix<float> values = support::take_rows(data.y, data.train);
        // The last layer's gradients of training and validation cells at the checkpoints so far.
        std::vector<Index> watched = data.train;
        watched.insert(watched.end(), data.validation.begin(), data.validation.end());
        std::vector<float> history;
        Index checkpoints = 0;
        Matrix<float> predictions;
        none += complete(data, seed, data.train, values,
                         [&](Learner& network, const Matrix<float>& predicted) {
                             predictions = predicted;
                             ++checkpoints;
                             for (const Index cell : watched) {
                                 const float residual = predicted(cell, 0) - data.y(cell, 0);
                                 for (Index j = 0; j < network.features().cols(); ++j)
                                     history.push_back(residual * network.features()(cell, j));
                             }
                         }) /
                5;
        const auto gradients = temper::view(std::as_const(history).data(), {checkpoints, 120, 48});
        std::vector<Index> train(90);
        std::vector<Index> validation(30);
        for (std::size_t i = 0; i < 120; ++i)
            (i < 90 ? train[i] : validation[i - 90]) = static_cast<Index>(i);
        const temper::Dain dain;
        std::vector<float> cells(90);
        dain.cell_importance(gradients, train, validation, temper::into(cells));
        std::array<std::vector<float>, 3> entities;
        std::array<std::vector<float>, 3> alike;
        for (std::size_t mode = 0; mode < 3; ++mode) {
            entities[mode].resize(static_cast<std::size_t>(dims[mode]));
            alike[mode].assign(entities[mode].size(), 1.0F);
            std::vector<Index> coordinates;
            for (const Index cell : data.train)
                coordinates.push_back(data.at[static_cast<std::size_t>(cell)][mode]);
            dain.entity_importance(cells, coordinates, temper::into(entities[mode]));
            double sum = 0;
            for (const float e : entities[mode])
                sum += static_cast<double>(e);
            CHECK(sum == Approx(1).epsilon(1e-5));
        }
        for (auto& [from, error] : {std::pair{&alike, &random}, std::pair{&entities, &guided}}) {
            auto rng = temper::stream(seed, 0, "new cells");
            const auto plan =
                dain.draw(rng, temper::tensors((*from)[0], (*from)[1], (*from)[2]), 45);
            std::vector<Index> more = data.train;
            Matrix<float> with(135, 1);
            with.topRows(90) = values;
            for (Index i = 0; i < plan.size(); ++i) {
                const Index cell = (plan(i, 0) * dims[1] + plan(i, 1)) * dims[2] + plan(i, 2);
                more.push_back(cell);
                with(90 + i, 0) = predictions(cell, 0);
            }
            *error += complete(data, seed, more, with, [](auto&, auto&) {}) / 5;
        }
    }
    std::printf("DAIN: test RMSE %.4f guided, %.4f at random, %.4f without augmentation\n", guided,
                random, none);
    CHECK(guided < 1.1 * none);
}
