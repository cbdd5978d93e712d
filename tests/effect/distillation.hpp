// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effect tests of distillation share: the handwritten digits, a network whose features can be
// reached, and a loop over batches.

#include <temper/core/random.hpp>
#include <temper/gradient/adam.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"
#include "support/data.hpp"
#include "support/mlp.hpp"
#include "support/stats.hpp"

#include <cstdio>
#include <vector>

namespace effect::distillation {

using support::Index;
using support::Matrix;
using Network = support::Mlp;
using temper::into;
using temper::labels;
using temper::teacher_logits;

struct Digits {
    support::LabelledData train;
    support::LabelledData test;

    Digits(std::uint64_t seed, Index rows)
    {
        const auto all = support::load_digits(TEMPER_EXAMPLE_DATA);
        auto rng = temper::stream(seed, 0, "digits");
        const support::Split split = support::random_split(all.x.rows(), rows, rng);
        train = support::take(all, split.train);
        test = support::take(all, split.test);
    }
};

/// A network that is trained by a step of Adam at a time.
struct Trained {
    Network network;
    Network::Tape tape;
    Network::Parameters gradients;
    std::vector<temper::AnyView<float>> parameters;
    std::vector<temper::AnyView<float>> slopes;
    temper::Adam adam;
    temper::Adam::State<float> state;

    Trained(const std::vector<Index>& widths, std::uint64_t seed, double rate = 0.003,
            support::Activation hidden = support::Activation::relu)
        : network(widths, hidden), gradients(network.zeros()), adam{.learning_rate = rate}
    {
        auto rng = temper::stream(seed, 0, "weights");
        network.initialize(rng);
        for (auto& tensor : network.parameters())
            parameters.push_back(temper::view(tensor));
        for (auto& tensor : gradients)
            slopes.push_back(temper::view(tensor));
        state = adam.init(parameters);
    }
    Trained(const Trained&) = delete;
    Trained& operator=(const Trained&) = delete;

    const Matrix<float>& forward(const Matrix<float>& x) { return network.forward(x, tape); }
    void backward(const Matrix<float>& g, Matrix<float>* gx = nullptr)
    {
        network.backward(tape, g, gradients, support::Gradients::overwrite, gx);
    }
    void step() { adam.step(state, parameters, slopes); }
};

/// Features, rectified, and the linear layer on top of them.
struct Classifier {
    Trained trunk;
    Trained head;
    Matrix<float> features;
    Matrix<float> g_features;
    bool frozen_head = false;
    bool frozen_trunk = false;

    Classifier(const std::vector<Index>& widths, std::uint64_t seed, double rate = 0.003,
               Index classes = 10)
        : trunk(widths, seed, rate), head({widths.back(), classes}, seed + 1000, rate)
    {
    }
    const Matrix<float>& forward(const Matrix<float>& x)
    {
        features = trunk.forward(x).cwiseMax(0.0F);
        return head.forward(features);
    }
    /// `more` is what else comes back to the features.
    void step(const Matrix<float>& g_logits, const Matrix<float>* more = nullptr)
    {
        g_features.resize(features.rows(), features.cols());
        head.backward(g_logits, &g_features);
        if (more != nullptr)
            g_features += *more;
        g_features = (features.array() > 0.0F).select(g_features, 0.0F);
        if (!frozen_trunk) {
            trunk.backward(g_features);
            trunk.step();
        }
        if (!frozen_head)
            head.step();
    }
    double accuracy(const Matrix<float>& x, const std::vector<int>& y)
    {
        return support::accuracy(forward(x), y);
    }
};

/// f(x, y) for the batches of some epochs.
template <class F>
void for_each_batch(const support::LabelledData& data, Index epochs, std::uint64_t seed, const F& f,
                    Index size = 50)
{
    auto rng = temper::stream(seed, 0, "batches");
    support::Batches batches(data.x.rows(), size);
    Matrix<float> x;
    std::vector<int> y;
    for (Index step = 0; step < epochs * batches.per_epoch(); ++step) {
        const auto rows = batches.next(rng);
        support::take_rows(data.x, rows, x);
        support::take_labels(data.y, rows, y);
        f(x, y);
    }
}

/// A classifier trained on the labels alone.
inline void train_on_labels(Classifier& network, const support::LabelledData& data, Index epochs,
                            std::uint64_t seed)
{
    Matrix<float> g;
    for_each_batch(data, epochs, seed, [&](const Matrix<float>& x, const std::vector<int>& y) {
        const Matrix<float>& z = network.forward(x);
        g.resize(z.rows(), z.cols());
        temper::SoftmaxCrossEntropy{}(z, labels(y), into(g));
        network.step(g);
    });
}

/// Normal numbers.
template <class G>
Matrix<float> normal(G& rng, Index rows, Index columns, double deviation = 1)
{
    Matrix<float> x(rows, columns);
    for (Index i = 0; i < x.size(); ++i)
        x.data()[i] = static_cast<float>(deviation * temper::normal(rng));
    return x;
}

} // namespace effect::distillation
