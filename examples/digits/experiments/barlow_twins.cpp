// SPDX-License-Identifier: BSL-1.0

// Row 6: Barlow Twins on unlabelled digits, then a linear probe with 5 labels of each class, against the
// same network trained on those labels alone.

#include <cmath>
#include <string>
#include <vector>

#include <temper/core/random.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/representation/barlow_twins.hpp>

#include "digits/experiment.hpp"
#include "digits/training.hpp"
#include "support/stats.hpp"

namespace demo {
namespace {

constexpr Index unlabelled_per_class = 140;
constexpr Index labels_per_class = 5;
constexpr int label_draws = 4; // the few labels are drawn so often, and the accuracies averaged
constexpr Index features = 64;
const std::vector<Index> encoder_widths{64, 256, features};
const std::vector<Index> projector_widths{128, 128};
constexpr Index pretraining_batch = 128;
constexpr double pretraining_rate = 8e-3;
constexpr double pretraining_decay = 0.1;
constexpr double largest_shift = 0.5; // pixels
constexpr double noise = 0.25;        // pixels are in [0, 1]

/// Each digit shifted by a fraction of a pixel in both directions, with noise on every pixel.
template <class Rng>
void draw_view(const Matrix& digits, Rng& rng, Matrix& out)
{
    constexpr Index side = 8;
    out.resizeLike(digits);
    for (Index i = 0; i < digits.rows(); ++i) {
        const double dy = largest_shift * (2.0 * temper::uniform(rng) - 1.0);
        const double dx = largest_shift * (2.0 * temper::uniform(rng) - 1.0);
        const auto pixel = [&](Index row, Index column) {
            const bool inside = row >= 0 && row < side && column >= 0 && column < side;
            return inside ? digits(i, side * row + column) : 0.0f;
        };
        // Bilinear interpolation between the four pixels around (row - dy, column - dx).
        const auto whole_y = static_cast<Index>(std::floor(-dy));
        const auto whole_x = static_cast<Index>(std::floor(-dx));
        const auto fy = static_cast<float>(-dy - std::floor(-dy));
        const auto fx = static_cast<float>(-dx - std::floor(-dx));
        for (Index row = 0; row < side; ++row)
            for (Index column = 0; column < side; ++column) {
                const Index y = row + whole_y;
                const Index x = column + whole_x;
                const float above = (1.0f - fx) * pixel(y, x) + fx * pixel(y, x + 1);
                const float below = (1.0f - fx) * pixel(y + 1, x) + fx * pixel(y + 1, x + 1);
                out(i, side * row + column) = (1.0f - fy) * above + fy * below +
                                              static_cast<float>(noise * temper::normal(rng));
            }
    }
}

std::vector<Index> joined(std::vector<Index> widths, const std::vector<Index>& more)
{
    widths.insert(widths.end(), more.begin(), more.end());
    return widths;
}

/// What the encoder part of a network gives.
Matrix encode(const Network& network, const Matrix& x)
{
    Network::Tape tape;
    network.forward(x, tape);
    return tape.values[encoder_widths.size() - 1];
}

/// Barlow Twins on an encoder with a projector on top, which later use leaves out.
struct Pretraining {
    Network network;
    std::vector<double> losses; // means over a fiftieth of the steps
};
Pretraining pretrain(const Matrix& digits, std::uint64_t seed, Index steps)
{
    Pretraining result{.network = fresh_network(joined(encoder_widths, projector_widths), seed),
                       .losses = {}};
    Network& network = result.network;
    Network::Tape tape_a, tape_b;
    Network::Parameters gradients = network.zeros();
    const temper::BarlowTwins barlow_twins{.lambda = 0.02};
    Optimizer optimizer({&network}, pretraining_rate, pretraining_decay, steps);
    support::Batches batches(digits.rows(), pretraining_batch);
    auto rng = temper::stream(seed, 0, "views");

    Matrix batch, view_a, view_b;
    Matrix grad_a(pretraining_batch, projector_widths.back());
    Matrix grad_b(pretraining_batch, projector_widths.back());
    const Index window = (std::max)(Index{1}, steps / 50);
    double sum = 0.0;
    for (Index step = 0; step < steps; ++step) {
        support::take_rows(digits, batches.next(rng), batch);
        draw_view(batch, rng, view_a);
        draw_view(batch, rng, view_b);
        const Matrix& z_a = network.forward(view_a, tape_a);
        const Matrix& z_b = network.forward(view_b, tape_b);
        sum += barlow_twins(z_a, z_b, temper::into(grad_a), temper::into(grad_b));
        network.backward(tape_a, grad_a, gradients);
        network.backward(tape_b, grad_b, gradients, support::Gradients::add);
        optimizer.update({&gradients});
        if ((step + 1) % window == 0) {
            result.losses.push_back(sum / static_cast<double>(window));
            sum = 0.0;
        }
    }
    return result;
}

/// Trains a network on few labels, all in one batch; on fresh views of them if wanted.
void fit(Network& network, const support::LabelledData& few, Index steps, double rate,
         std::uint64_t seed, bool views)
{
    Network::Tape tape;
    Network::Parameters gradients = network.zeros();
    Optimizer optimizer({&network}, rate, 0.01, steps);
    const temper::SoftmaxCrossEntropy cross_entropy;
    auto rng = temper::stream(seed, 0, "labelled views");
    Matrix inputs = few.x, grad(few.x.rows(), few.classes);
    for (Index step = 0; step < steps; ++step) {
        if (views)
            draw_view(few.x, rng, inputs);
        const Matrix& logits = network.forward(inputs, tape);
        cross_entropy(logits, temper::labels(few.y), temper::into(grad));
        network.backward(tape, grad, gradients);
        optimizer.update({&gradients});
    }
}

struct Run {
    double labels_alone = 0.0;
    double labels_with_views = 0.0;
    double untrained_probe = 0.0;
    double probe = 0.0;
    std::vector<double> losses;
};

Run compare(const support::LabelledData& digits, std::uint64_t seed, Index steps)
{
    const DigitsSplit data(digits, unlabelled_per_class, seed);
    const Network untrained = fresh_network(joined(encoder_widths, projector_widths), seed);
    const Pretraining pretraining = pretrain(data.train.x, seed, steps);
    Run run{.losses = pretraining.losses};

    const auto test_accuracy = [&](const Network& network, const Matrix& x) {
        Network::Tape tape;
        return support::accuracy(network.forward(x, tape), data.test.y) / label_draws;
    };
    for (int draw = 0; draw < label_draws; ++draw) {
        auto rng = temper::stream(seed, static_cast<std::uint64_t>(draw), "few labels");
        const support::LabelledData few = support::take(
            data.train,
            support::stratified_split(data.train.y, digits.classes, labels_per_class, rng).train);

        for (const bool views : {false, true}) {
            Network network = fresh_network(joined(encoder_widths, {digits.classes}), seed);
            fit(network, few, 600, 2e-3, seed, views);
            (views ? run.labels_with_views : run.labels_alone) +=
                test_accuracy(network, data.test.x);
        }
        for (const Network* encoder : {&untrained, &pretraining.network}) {
            const support::Standardizer standardize(encode(*encoder, data.train.x));
            const support::LabelledData seen{
                .x = standardize(encode(*encoder, few.x)), .y = few.y, .classes = few.classes};
            Network probe = fresh_network({features, digits.classes}, seed);
            fit(probe, seen, 300, 1e-2, seed, false);
            (encoder == &untrained ? run.untrained_probe : run.probe) +=
                test_accuracy(probe, standardize(encode(*encoder, data.test.x)));
        }
    }
    return run;
}

/// Digits and two views of each.
std::string view_pictures(const support::LabelledData& digits, std::uint64_t seed)
{
    constexpr Index count = 7;
    auto rng = temper::stream(seed, 0, "view pictures");
    const std::vector<Index> order = support::shuffled_indices(digits.x.rows(), rng);
    const Matrix some =
        support::take_rows(digits.x, std::span(order).first(static_cast<std::size_t>(count)));
    Matrix view_a, view_b;
    draw_view(some, rng, view_a);
    draw_view(some, rng, view_b);
    return image_rows({{"digit", &some}, {"view a", &view_a}, {"view b", &view_b}});
}

} // namespace

void barlow_twins(Lab& lab)
{
    const Index steps = lab.options.quick ? 600 : 1200;
    const std::vector<Run> runs =
        lab.repeat(1, [&](std::uint64_t seed, int) { return compare(lab.digits, seed, steps); })
            .front();

    lab.report.section("Barlow Twins",
                       "An encoder 64-256-64 learns from 1,400 digits without labels: two views of "
                       "one digit, shifted "
                       "and noisy, shall have the same features, and no two features shall say the "
                       "same (Zbontar et "
                       "al. 2021). Then a linear classifier is trained on its features with 5 "
                       "labels of each class, "
                       "and compared with the same network trained on these 50 labels alone.");
    lab.add_row({.name = "Barlow Twins",
                 .metric = "accuracy, 50 labels",
                 .baseline_name = "labels alone",
                 .percent = true,
                 .claim = "unlabelled digits help where labels are few"},
                values(runs, &Run::labels_alone), values(runs, &Run::probe));
    lab.report.figure("views", view_pictures(lab.digits, lab.options.seed),
                      "What the encoder sees: every digit becomes two views.");
    lab.report.figure(
        "barlow_twins_accuracy",
        support::svg(support::BarChart{
            .x_label = "test accuracy with 5 labels of each class",
            .percent = true,
            .dots = true,
            .bars = {{"50 labels alone", over_seeds(runs, &Run::labels_alone), 0},
                     {"50 labels, on views", over_seeds(runs, &Run::labels_with_views), 0},
                     {"probe of the untrained encoder", over_seeds(runs, &Run::untrained_probe), 2},
                     {"probe after Barlow Twins", over_seeds(runs, &Run::probe), 1}}}),
        "Mean and one standard deviation over seeds, each of which averages four draws of the "
        "labels. "
        "The second bar trains on views of the labelled digits, so that views alone are not the "
        "gain.");
    std::vector<double> at;
    for (std::size_t i = 0; i < runs.front().losses.size(); ++i)
        at.push_back(static_cast<double>(steps) * static_cast<double>(i + 1) /
                     static_cast<double>(runs.front().losses.size()));
    lab.report.figure(
        "barlow_twins_loss",
        support::svg(support::LineChart{.title = "",
                                        .x_label = "step",
                                        .y_label = "Barlow Twins loss",
                                        .log_y = true,
                                        .percent = false,
                                        .x_names = {},
                                        .series = {band("loss", 1, at, runs, &Run::losses)}}),
        "The loss of pre-training; mean and one standard deviation over seeds.");
}

} // namespace demo
