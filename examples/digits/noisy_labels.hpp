// SPDX-License-Identifier: BSL-1.0
#pragma once

// Digits of which 40 % have a label drawn anew, a network that is trained for long enough to learn the wrong
// ones by heart, and what it is judged by.

#include <cstdint>
#include <functional>
#include <span>
#include <utility>
#include <vector>

#include <temper/core/random.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>
#include <temper/loss/co_teaching.hpp>
#include <temper/loss/early_learning_regularization.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/schedule/linear.hpp>

#include "digits/classifier.hpp"
#include "support/data.hpp"
#include "support/stats.hpp"

namespace demo {

/// Each label drawn anew from all classes, with this probability.
template <class Rng>
void relabel(std::vector<int>& labels, int classes, double share, Rng& rng)
{
    for (int& label : labels)
        if (temper::bernoulli(rng, share))
            label = static_cast<int>(temper::uniform_index(rng, classes));
}

/// 1000 rows to train on, 200 with clean labels for choices, and the clean rest to test on.
struct NoisyDigits {
    support::LabelledData train;
    support::LabelledData validation;
    support::LabelledData test;
    std::vector<int> given; ///< the labels that are trained on

    NoisyDigits(const support::LabelledData& digits, std::uint64_t seed, double noise = 0.4)
    {
        auto rng = temper::stream(seed, 0, "noisy digits");
        const std::vector<Index> order = support::shuffled_indices(digits.x.rows(), rng);
        const std::span<const Index> rows(order);
        train = support::take(digits, rows.first(1000));
        validation = support::take(digits, rows.subspan(1000, 200));
        test = support::take(digits, rows.subspan(1200));
        given = train.y;
        relabel(given, digits.classes, noise, rng);
    }
};

/// A classifier with its own tape, and stochastic gradient descent with momentum.
struct Learner {
    Classifier net;
    Classifier::Tape tape;
    temper::Sgd sgd{.learning_rate = 0.1, .momentum = 0.9};
    std::vector<temper::AnyView<float>> parameters = net.parameters();
    std::vector<temper::AnyView<float>> gradients = net.gradients();
    temper::Sgd::State<float> momentum = sgd.init(parameters);

    explicit Learner(std::uint64_t seed, Index width = 128, Index classes = 10, Index inputs = 64)
        : net({inputs, width, width}, classes, seed, Features::rectified)
    {
    }
    Learner(const Learner&) = delete;
    Learner& operator=(const Learner&) = delete;

    const Matrix& forward(const Matrix& x, Index keep = 0) { return net.forward(x, tape, keep); }
    [[nodiscard]] const Matrix& features() const { return tape.features; }
    void backward(const Matrix& grad_logits)
    {
        net.clear();
        net.backward(tape, grad_logits);
    }
    void step() { sgd.step(momentum, parameters, gradients); }
};

/// A batch of a run: the rows' numbers, their inputs and given labels, and the time.
struct Batch {
    std::vector<Index> ids;
    Matrix x;
    std::vector<int> y;
    Index epoch = 0;
    Index step = 0;
    bool ends_epoch = false;
};

/// f(batch) for every batch of every epoch.
template <class F>
void for_each_batch(const Matrix& x, const std::vector<int>& y, Index epochs, std::uint64_t seed,
                    const F& f, Index size = 50)
{
    auto rng = temper::stream(seed, 0, "batches");
    support::Batches batches(x.rows(), size);
    Batch batch;
    for (; batch.step < epochs * batches.per_epoch(); ++batch.step) {
        batch.epoch = batch.step / batches.per_epoch();
        batch.ends_epoch = (batch.step + 1) % batches.per_epoch() == 0;
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
    double memorised = 0;      ///< share of the wrong labels that it predicts
    std::vector<double> curve; ///< accuracy after each epoch, where it was asked for
};

inline Outcome judge(Learner& network, const NoisyDigits& data, Index keep = 0)
{
    Outcome out;
    const Matrix p = support::softmax(network.forward(data.test.x, keep));
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

struct NoisyRun {
    std::uint64_t seed = 1;
    Index epochs = 60;
    bool with_curve = false;
};

/// Trains with loss(batch, logits, into(gradient)).
template <class Loss>
Outcome train_noisy(const NoisyDigits& data, const NoisyRun& how, Loss loss)
{
    Learner network(how.seed);
    Matrix g;
    std::vector<double> curve;
    for_each_batch(data.train.x, data.given, how.epochs, how.seed, [&](const Batch& batch) {
        const Matrix& z = network.forward(batch.x);
        g.resize(z.rows(), z.cols());
        loss(batch, z, temper::into(g));
        network.backward(g);
        network.step();
        if (how.with_curve && batch.ends_epoch)
            curve.push_back(support::accuracy(network.forward(data.test.x), data.test.y));
    });
    Outcome out = judge(network, data);
    out.curve = std::move(curve);
    return out;
}

// What a loss of `train_noisy` may be.

inline auto plain_cross_entropy()
{
    return [](const Batch& batch, const Matrix& z, const auto& g) {
        temper::SoftmaxCrossEntropy{}(z, temper::labels(batch.y), g);
    };
}
inline auto early_learning(const NoisyDigits& data)
{
    const temper::Elr elr{.beta = 0.7, .lambda = 3};
    return [elr, targets = elr.init(data.train.x.rows(), 10)](const Batch& batch, const Matrix& z,
                                                              const auto& g) mutable {
        elr.observe(targets, batch.ids, z);
        elr(targets, batch.ids, z, temper::labels(batch.y), g);
    };
}
inline auto adaptive_robust(const NoisyDigits& data)
{
    const temper::AldrKl loss{.lambda_0 = 4,
                              .normalisation = temper::LogitNormalisation::softplus_mean};
    return [loss, lambdas = loss.init(data.train.x.rows())](const Batch& batch, const Matrix& z,
                                                            const auto& g) mutable {
        loss.observe(lambdas, batch.ids, z);
        loss(lambdas, batch.ids, z, temper::labels(batch.y), g);
    };
}

/// The prefix of the features with the best accuracy on validation data.
inline Index best_prefix(Learner& network, const NoisyDigits& data,
                         const temper::NestedDropout& drop)
{
    constexpr Index apart = 8;
    std::vector<double> accuracy;
    for (Index keep = apart; keep <= 128; keep += apart)
        accuracy.push_back(
            support::accuracy(network.forward(data.validation.x, keep), data.validation.y));
    return apart * drop.best(accuracy).keep;
}

struct Teaching {
    Outcome outcome;
    double precision = 0; ///< share of right labels among those selected in the last epoch
};

/// Co-teaching of two networks with nested dropout, whose first is judged.
inline Teaching co_teach(const NoisyDigits& data, const NoisyRun& how,
                         const temper::NestedDropout& drop = {.deviation = 30})
{
    Learner first(how.seed);
    Learner second(how.seed + 100);
    auto rng = temper::stream(how.seed, 0, "prefixes");
    const temper::Linear forgetting{.from = 0, .to = 0.36, .steps = 4};
    Matrix g;
    Teaching out;
    double selected = 0;
    std::vector<double> curve;
    for_each_batch(data.train.x, data.given, how.epochs, how.seed, [&](const Batch& batch) {
        const auto y = temper::labels(batch.y);
        const temper::CoTeaching teach{.forget_rate = forgetting(batch.epoch)};
        const auto of_first = teach.select(first.forward(batch.x), y);
        const auto of_second = teach.select(second.forward(batch.x), y);
        const Index keep = drop.draw(rng, 128).keep;
        for (auto& [student, plan] :
             {std::pair{&first, &of_second}, std::pair{&second, &of_first}}) {
            const Matrix& z = student->forward(batch.x, keep);
            g.resize(z.rows(), z.cols());
            teach(*plan, z, y, temper::into(g));
            student->backward(g);
            student->step();
        }
        if (how.with_curve && batch.ends_epoch)
            curve.push_back(support::accuracy(first.forward(data.test.x), data.test.y));
        if (batch.epoch + 1 < how.epochs)
            return;
        for (const auto row : of_first.rows) {
            const auto i = static_cast<std::size_t>(batch.ids[static_cast<std::size_t>(row)]);
            out.precision += data.given[i] == data.train.y[i] ? 1 : 0;
            ++selected;
        }
    });
    out.precision /= selected;
    out.outcome = judge(first, data, best_prefix(first, data, drop));
    out.outcome.curve = std::move(curve);
    return out;
}

} // namespace demo
