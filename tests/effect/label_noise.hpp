// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effect tests of techniques against label noise share: the handwritten digits with 40 % of the
// training labels drawn anew, a network whose last features can be reached, a training loop, and what a run
// is judged by.

#include <temper/core/random.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/layer/nested_dropout.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"
#include "support/data.hpp"
#include "support/mlp.hpp"
#include "support/stats.hpp"

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

namespace effect {

using support::Index;
using support::Matrix;
using Network = support::Mlp<float>;

/// 1000 rows to train on, of which 40 % have a label drawn from all classes; the clean rest to test on.
struct NoisyDigits {
    support::LabelledData train;
    support::LabelledData test;
    std::vector<int> given; ///< the labels that are trained on

    explicit NoisyDigits(std::uint64_t seed, double noise = 0.4)
    {
        const auto digits = support::load_digits(TEMPER_EXAMPLE_DATA);
        auto rng = temper::stream(seed, 0, "noisy digits");
        const support::Split split = support::random_split(digits.x.rows(), 1000, rng);
        train = support::take(digits, split.train);
        test = support::take(digits, split.test);
        given = train.y;
        for (int& y : given)
            if (temper::uniform(rng) < noise)
                y = static_cast<int>(temper::uniform_index(rng, digits.classes));
    }
};

/// Layers up to the features, and the linear layer on top of them.
struct Classifier {
    Network trunk;
    Network head;
    Network::Tape below;
    Network::Tape above;
    Network::Parameters trunk_gradients = trunk.zeros();
    Network::Parameters head_gradients = head.zeros();
    Matrix<float> features;
    Matrix<float> grad_features;
    temper::Sgd sgd{.learning_rate = 0.1, .momentum = 0.9};
    std::vector<temper::AnyView<float>> parameters;
    std::vector<temper::AnyView<float>> gradients;
    temper::Sgd::State<float> momentum;

    Classifier(std::uint64_t seed, Index width = 128, Index classes = 10, Index inputs = 64)
        : trunk({inputs, width, width}), head({width, classes})
    {
        auto rng = temper::stream(seed, 0, "weights");
        trunk.initialize(rng);
        head.initialize(rng);
        trunk_gradients = trunk.zeros();
        head_gradients = head.zeros();
        for (Network* network : {&trunk, &head})
            for (auto& tensor : network->parameters())
                parameters.push_back(temper::view(tensor));
        for (Network::Parameters* list : {&trunk_gradients, &head_gradients})
            for (auto& tensor : *list)
                gradients.push_back(temper::view(tensor));
        momentum = sgd.init(parameters);
    }
    Classifier(const Classifier&) = delete;
    Classifier& operator=(const Classifier&) = delete;

    /// The first `keep` features, all if it is 0.
    const Matrix<float>& forward(const Matrix<float>& x, Index keep = 0)
    {
        features = trunk.forward(x, below).cwiseMax(0.0F);
        if (keep > 0)
            temper::NestedDropout{.deviation = 1}.forward({keep}, features, temper::into(features));
        return head.forward(features, above);
    }
    void backward(const Matrix<float>& grad_logits, Index keep = 0)
    {
        grad_features.resize(features.rows(), features.cols());
        head.backward(above, grad_logits, head_gradients, support::Gradients::overwrite,
                      &grad_features);
        if (keep > 0)
            temper::NestedDropout{.deviation = 1}.pullback({keep}, grad_features,
                                                           temper::into(grad_features));
        grad_features = (below.values.back().array() > 0.0F).select(grad_features, 0.0F);
        trunk.backward(below, grad_features, trunk_gradients);
    }
    void step() { sgd.step(momentum, parameters, gradients); }
};

/// A batch of a run: the rows' numbers, their inputs and given labels, and the epoch.
struct Batch {
    std::vector<Index> ids;
    Matrix<float> x;
    std::vector<int> y;
    Index epoch = 0;
    Index step = 0;
};

/// f(batch) for every batch of every epoch.
template <class F>
void for_each_batch(const Matrix<float>& x, const std::vector<int>& y, Index epochs,
                    std::uint64_t seed, const F& f, Index size = 50)
{
    auto rng = temper::stream(seed, 0, "batches");
    support::Batches batches(x.rows(), size);
    Batch batch;
    for (; batch.step < epochs * batches.per_epoch(); ++batch.step) {
        batch.epoch = batch.step / batches.per_epoch();
        const auto rows = batches.next(rng);
        batch.ids.assign(rows.begin(), rows.end());
        support::take_rows(x, rows, batch.x);
        support::take_labels(y, rows, batch.y);
        f(batch);
    }
}

/// What a network is worth on clean data, and what it has memorised.
struct Outcome {
    double accuracy = 0;
    double nll = 0;
    double ece = 0;
    double memorised = 0; ///< share of the wrong labels that it predicts
};

inline Outcome judge(Classifier& network, const NoisyDigits& data, Index keep = 0)
{
    Outcome out;
    const Matrix<float> p = support::softmax(network.forward(data.test.x, keep));
    out.accuracy = support::accuracy(p, data.test.y);
    out.nll = support::negative_log_likelihood(p, data.test.y);
    out.ece = support::expected_calibration_error(support::reliability(p, data.test.y));
    const auto predicted = support::predictions(network.forward(data.train.x, keep));
    double wrong = 0;
    for (std::size_t i = 0; i < predicted.size(); ++i)
        if (data.given[i] != data.train.y[i]) {
            ++wrong;
            out.memorised += predicted[i] == data.given[i] ? 1 : 0;
        }
    out.memorised /= wrong;
    return out;
}

/// The mean over seeds, printed.
inline Outcome mean(const std::string& name, const std::vector<Outcome>& runs)
{
    Outcome all;
    const auto n = static_cast<double>(runs.size());
    for (const Outcome& run : runs) {
        all.accuracy += run.accuracy / n;
        all.nll += run.nll / n;
        all.ece += run.ece / n;
        all.memorised += run.memorised / n;
    }
    std::printf("%-34s accuracy %.3f  nll %.3f  ece %.3f  memorised %.2f\n", name.c_str(),
                all.accuracy, all.nll, all.ece, all.memorised);
    return all;
}

inline constexpr Index epochs = 60;
inline constexpr std::uint64_t seeds = 3;

/// Trains with `loss(batch, logits, into(gradient))`, for every seed: make(data) gives the loss.
template <class Make>
Outcome train(const std::string& name, const Make& make)
{
    std::vector<Outcome> runs;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const NoisyDigits data(seed);
        Classifier network(seed);
        auto loss = make(data);
        Matrix<float> g;
        for_each_batch(data.train.x, data.given, epochs, seed, [&](const Batch& batch) {
            const Matrix<float>& z = network.forward(batch.x);
            g.resize(z.rows(), z.cols());
            loss(batch, z, temper::into(g));
            network.backward(g);
            network.step();
        });
        runs.push_back(judge(network, data));
    }
    return mean(name, runs);
}

/// Plain cross-entropy, trained once whoever asks.
inline const Outcome& cross_entropy()
{
    static const Outcome outcome = train("cross-entropy", [](const NoisyDigits&) {
        return [](const Batch& batch, const Matrix<float>& z, const auto& g) {
            temper::SoftmaxCrossEntropy{}(z, temper::labels(batch.y), g);
        };
    });
    return outcome;
}

} // namespace effect
