// SPDX-License-Identifier: BSL-1.0
#pragma once

// What every training loop of the demo does around its technique: batches, the learning rate, AdamW.
//
//   for (Trainer trainer(network, train, how, seed); trainer.next();) {
//       ... forward, loss and backward of trainer.x and trainer.y ...
//       trainer.update(gradients);
//   }

#include <cstdint>
#include <span>
#include <vector>

#include <temper/core/random.hpp>
#include <temper/gradient/adamw.hpp>
#include <temper/schedule/cosine.hpp>

#include "support/data.hpp"
#include "support/mlp.hpp"

namespace demo {

using Network = support::Mlp;

struct Training {
    support::Index epochs = 100;
    support::Index batch_size = 32;
    double learning_rate = 4e-3; // falls to 0 along half a cosine
    double weight_decay = 0.01;
};

/// AdamW on the parameters of one network or of several that are trained together.
class Optimizer {
  public:
    Optimizer(std::vector<Network*> networks, double learning_rate, double weight_decay,
              support::Index steps)
        : schedule_{.from = learning_rate, .to = 0.0, .steps = steps}, weight_decay_(weight_decay)
    {
        for (Network* network : networks)
            for (support::Matrix<float>& tensor : network->parameters())
                parameters_.push_back(temper::view(tensor));
        state_ = temper::AdamW{}.init(parameters_);
    }

    [[nodiscard]] double learning_rate() const { return schedule_(step_); }

    /// One step along the gradients, which stand in the order of the networks.
    void update(std::initializer_list<Network::Parameters*> gradients)
    {
        gradients_.clear();
        for (Network::Parameters* list : gradients)
            for (support::Matrix<float>& tensor : *list)
                gradients_.push_back(temper::view(tensor));
        temper::AdamW{.learning_rate = learning_rate(), .weight_decay = weight_decay_}.step(
            state_, parameters_, gradients_);
        ++step_;
    }

  private:
    temper::Cosine schedule_;
    double weight_decay_;
    support::Index step_ = 0;
    std::vector<temper::AnyView<float>> parameters_;
    std::vector<temper::AnyView<float>> gradients_;
    temper::AdamState<float> state_;
};

/// Walks through a labelled data set in shuffled batches.
class Trainer {
  public:
    Trainer(Network& network, const support::LabelledData& data, const Training& how,
            std::uint64_t seed)
        : data_(data), batches_(data.x.rows(), how.batch_size),
          steps_(how.epochs * batches_.per_epoch()),
          optimizer_({&network}, how.learning_rate, how.weight_decay, steps_),
          rng_(temper::stream(seed, 0, "batches"))
    {
    }

    /// The next batch into x and y; false when the training is over.
    bool next()
    {
        if (step_ == steps_)
            return false;
        const std::span<const support::Index> rows = batches_.next(rng_);
        support::take_rows(data_.x, rows, x);
        support::take_labels(data_.y, rows, y);
        return true;
    }
    void update(Network::Parameters& gradients)
    {
        optimizer_.update({&gradients});
        ++step_;
    }

    [[nodiscard]] double learning_rate() const { return optimizer_.learning_rate(); }
    /// After an update: epochs done so far, if that was the last batch of one, else 0.
    [[nodiscard]] support::Index finished_epoch() const
    {
        return step_ % batches_.per_epoch() == 0 ? step_ / batches_.per_epoch() : 0;
    }

    support::Matrix<float> x;
    std::vector<int> y;

  private:
    const support::LabelledData& data_;
    support::Batches batches_;
    support::Index steps_;
    support::Index step_ = 0;
    Optimizer optimizer_;
    decltype(temper::stream(0, 0, "")) rng_;
};

/// A network with fresh weights: the same for the same seed, whatever it is trained with.
inline Network fresh_network(const std::vector<support::Index>& widths, std::uint64_t seed,
                             support::Activation hidden = support::Activation::relu)
{
    Network network(widths, hidden);
    auto rng = temper::stream(seed, 0, "weights");
    network.initialize(rng);
    return network;
}

/// Training and test part of the digits for a seed.
struct DigitsSplit {
    support::LabelledData train;
    support::LabelledData test;

    DigitsSplit(const support::LabelledData& digits, support::Index per_class, std::uint64_t seed)
    {
        auto rng = temper::stream(seed, 0, "split");
        const support::Split split =
            support::stratified_split(digits.y, digits.classes, per_class, rng);
        train = support::take(digits, split.train);
        test = support::take(digits, split.test);
    }
};

} // namespace demo
