// SPDX-License-Identifier: BSL-1.0

// Row 7: robust losses on the diabetes data, 15 % of whose training targets are wrong. The test targets
// are as they were measured.

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <temper/loss/mean_squared_error.hpp>
#include <temper/loss/robust_loss.hpp>

#include "digits/experiment.hpp"
#include "digits/training.hpp"
#include "support/stats.hpp"

namespace demo {
namespace {

constexpr Index training_rows = 300;
constexpr double corrupted_share = 0.15;
constexpr double largest_wrong_target = 1000.0; // the true ones lie between 25 and 346
constexpr Index batch_size = 50;
constexpr Index epochs = 60;
constexpr double weight_decay = 0.01;
// In units of the targets' median absolute deviation, which the corruption hardly moves.
constexpr double scale = 0.5;

enum Arm { squared, pseudo_huber, cauchy, squared_on_clean, arms };
// Each loss at its best of 0.001, 0.003, 0.01 and 0.03.
constexpr std::array<double, arms> learning_rates{1e-3, 3e-3, 3e-3, 3e-3};

float median(std::vector<float> values)
{
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

/// Mean absolute error on clean test data, in the target's unit.
double train(const support::RegressionData& diabetes, std::uint64_t seed, int arm)
{
    auto rng = temper::stream(seed, 0, "diabetes");
    const support::Split split = support::random_split(diabetes.x.rows(), training_rows, rng);
    const Matrix raw = support::take_rows(diabetes.x, split.train);
    Matrix target = support::take_rows(diabetes.y, split.train);
    const support::Standardizer standardize(raw);
    const Matrix inputs = standardize(raw);

    for (Index i = 0; i < target.rows(); ++i) {
        const bool wrong = temper::uniform(rng) < corrupted_share;
        const double number = largest_wrong_target * temper::uniform(rng);
        if (wrong && arm != squared_on_clean)
            target(i, 0) = static_cast<float>(number);
    }
    std::vector<float> values(target.data(), target.data() + target.size());
    const float centre = median(values);
    for (float& value : values)
        value = std::abs(value - centre);
    const float deviation = 1.4826f * median(values);
    target = (target.array() - centre) / deviation;

    const temper::MeanSquaredError squared_error;
    const temper::RobustLoss<temper::PseudoHuber> pseudo_huber_loss{.kernel = {.c = scale}};
    const temper::RobustLoss<temper::Cauchy> cauchy_loss{.kernel = {.c = scale}};

    Network network = fresh_network({diabetes.x.cols(), 32, 1}, seed);
    Network::Tape tape;
    Network::Parameters gradients = network.zeros();
    support::Batches batches(training_rows, batch_size);
    const Index steps = epochs * batches.per_epoch();
    Optimizer optimizer({&network}, learning_rates[static_cast<std::size_t>(arm)], weight_decay,
                        steps);
    Matrix x, y, grad(batch_size, 1);
    for (Index step = 0; step < steps; ++step) {
        const auto rows = batches.next(rng);
        support::take_rows(inputs, rows, x);
        support::take_rows(target, rows, y);
        const Matrix& predicted = network.forward(x, tape);
        if (arm == pseudo_huber)
            pseudo_huber_loss(predicted, y, temper::into(grad));
        else if (arm == cauchy)
            cauchy_loss(predicted, y, temper::into(grad));
        else
            squared_error(predicted, y, temper::into(grad));
        network.backward(tape, grad, gradients);
        optimizer.update({&gradients});
    }

    const Matrix test = standardize(support::take_rows(diabetes.x, split.test));
    const Matrix predicted = (network.forward(test, tape).array() * deviation + centre).matrix();
    return support::mean_absolute_error(predicted, support::take_rows(diabetes.y, split.test));
}

} // namespace

void robust_regression(Lab& lab)
{
    const std::vector<std::vector<double>> errors = lab.repeat(
        arms, [&](std::uint64_t seed, int arm) { return train(lab.diabetes, seed, arm); });
    const auto error = [&](int arm) {
        return support::summarize(errors[static_cast<std::size_t>(arm)]);
    };

    lab.report.section("Robust losses", "How far diabetes goes in a year, from ten measurements "
                                        "(Efron et al. 2004): a network 10-32-1 "
                                        "on 300 patients, 15 % of whose targets were replaced by a "
                                        "number between 0 and 1000. The true "
                                        "ones lie between 25 and 346. Errors are measured on the "
                                        "other 142 patients, whose targets are "
                                        "untouched.");
    const auto row = [&](const std::string& name, int arm) {
        lab.add_row({.name = name,
                     .metric = "mean absolute error",
                     .baseline_name = "squared error",
                     .better = support::Better::lower,
                     .claim = "less hurt by wrong targets"},
                    errors[squared], errors[static_cast<std::size_t>(arm)]);
    };
    row("Pseudo-Huber", pseudo_huber);
    row("Cauchy", cauchy);
    lab.report.figure("robust_errors",
                      support::svg(support::BarChart{
                          .x_label = "mean absolute error on clean test data",
                          .bars = {{"squared error", error(squared), 0},
                                   {"Pseudo-Huber", error(pseudo_huber), 1},
                                   {"Cauchy", error(cauchy), 2},
                                   {"squared error, clean targets", error(squared_on_clean), 3}}}),
                      "Mean and one standard deviation over seeds. The last bar is what the "
                      "squared error reaches "
                      "where no target is wrong.");
}

} // namespace demo
