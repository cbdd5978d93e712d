// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effects of mixing share: digits with labels that are partly wrong, a training loop whose loss is
// the caller's, and what a network is measured by.

#include <temper/core/random.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/metric/calibration_metrics.hpp>

#include "digits/noisy_labels.hpp"
#include "effect/support.hpp"
#include "support/data.hpp"
#include "support/mlp.hpp"
#include "support/stats.hpp"

#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

namespace mixing_effect {

using support::Index;
using Matrix = support::Matrix<float>;
using Network = demo::Network;
using Data = support::LabelledData;

using effect::digits;
using effect::mean_over_seeds;

/// Each label drawn anew with this probability, from all classes.
inline void relabel(Data& data, double share, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "wrong labels");
    demo::relabel(data.y, data.classes, share, rng);
}

/// `sizes` rows of the digits for each part, and all others.
inline std::vector<Data> parts(std::vector<Index> sizes, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "parts");
    const auto order = support::shuffled_indices(digits().x.rows(), rng);
    const std::span<const Index> rows(order);
    std::vector<Data> out;
    std::size_t at = 0;
    for (const Index size : sizes) {
        out.push_back(support::take(digits(), rows.subspan(at, static_cast<std::size_t>(size))));
        at += static_cast<std::size_t>(size);
    }
    out.push_back(support::take(digits(), rows.subspan(at)));
    return out;
}

struct Training {
    Index epochs = 60;
    Index batch_size = 50;
    double learning_rate = 0.1;
    double weight_decay = 0;
};

/// Trains a network by plain descent with momentum, long enough to learn wrong labels by heart;
/// `loss(x, y, share of the training, forward, gz)` calls forward(x) and leaves in gz what it loses by it.
template <class Loss>
Network train(const Data& data, const Training& how, std::uint64_t seed, Loss loss)
{
    Network network = demo::fresh_network({data.x.cols(), 128, 128, data.classes}, seed);
    Network::Tape tape;
    Network::Parameters gradients = network.zeros();
    std::vector<temper::AnyView<float>> parameters;
    std::vector<temper::AnyView<float>> of_gradients;
    for (std::size_t i = 0; i < gradients.size(); ++i) {
        parameters.push_back(temper::view(network.parameters()[i]));
        of_gradients.push_back(temper::view(gradients[i]));
    }
    const temper::Sgd sgd{.learning_rate = how.learning_rate, .weight_decay = how.weight_decay};
    auto state = sgd.init(parameters);
    const auto forward = [&](const Matrix& x) -> const Matrix& { return network.forward(x, tape); };
    Matrix gz(how.batch_size, data.classes);
    const auto steps = static_cast<double>(
        how.epochs * support::Batches(data.x.rows(), how.batch_size).per_epoch());
    demo::for_each_batch(
        data.x, data.y, how.epochs, seed,
        [&](const demo::Batch& batch) {
            loss(batch.x, batch.y, static_cast<double>(batch.step) / steps, forward, gz);
            network.backward(tape, gz, gradients);
            sgd.step(state, parameters, of_gradients);
        },
        how.batch_size);
    return network;
}

/// Plain cross-entropy, for `train`.
inline const auto cross_entropy = [](const Matrix& x, const std::vector<int>& y, double,
                                     const auto& forward, Matrix& gz) {
    temper::SoftmaxCrossEntropy{}(forward(x), temper::labels(y), temper::into(gz));
};

inline Matrix logits(const Network& network, const Matrix& x)
{
    Network::Tape tape;
    return network.forward(x, tape);
}
inline temper::Calibration measure(const Network& network, const Data& data)
{
    return temper::CalibrationMetrics{}(
        temper::probabilities(support::softmax(logits(network, data.x))), temper::labels(data.y));
}

/// Sums of what was measured, over seeds.
struct Average {
    double accuracy = 0, nll = 0, ece = 0, runs = 0;
    void add(const temper::Calibration& m)
    {
        accuracy += m.accuracy;
        nll += m.nll;
        ece += m.ece;
        runs += 1;
    }
    [[nodiscard]] Average mean() const { return {accuracy / runs, nll / runs, ece / runs, runs}; }
    void print(const char* name) const
    {
        std::printf("  %-28s accuracy %.3f  nll %.3f  ece %.3f\n", name, accuracy / runs,
                    nll / runs, ece / runs);
    }
};

} // namespace mixing_effect
