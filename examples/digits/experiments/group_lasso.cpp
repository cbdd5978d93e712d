// SPDX-License-Identifier: BSL-1.0

// Row 4: group lasso on the rows of the weights, that is on hidden units. Its proximal operator after
// each step of AdamW makes whole rows exactly zero; the same penalty as a term of the gradient does not.

#include <algorithm>
#include <array>
#include <functional>
#include <string>
#include <vector>

#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/group_lasso.hpp>

#include "digits/experiment.hpp"
#include "digits/training.hpp"
#include "support/stats.hpp"

namespace demo {
namespace {

constexpr Index labels_per_class = 100;
const std::vector<Index> widths{64, 128, 128, 10};
const Training how{.epochs = 150, .batch_size = 125, .learning_rate = 5e-3, .weight_decay = 0.01};
// AdamW's step is about the learning rate in every entry, whatever the loss, so that the strength of
// a prox beside it is of the order of 0.1.
constexpr double strength = 0.2;
// As a term of the gradient: the largest of 1e-4, 3e-4 and 1e-3 that kept the accuracy.
constexpr double gradient_strength = 3e-4;
constexpr double allowed_loss = 0.01;

enum Arm { plain, prox, gradient_term, arms };

struct Run {
    double accuracy = 0.0;
    double zero_units = 0.0;   // share of all hidden units
    std::vector<double> sizes; // norms of all hidden units' weights, the largest first
};

Run train(const support::LabelledData& digits, std::uint64_t seed, int arm)
{
    const DigitsSplit data(digits, labels_per_class, seed);
    Network network = fresh_network(widths, seed);
    Network::Tape tape;
    Network::Parameters gradients = network.zeros();
    Matrix grad_logits(how.batch_size, digits.classes);

    const temper::SoftmaxCrossEntropy cross_entropy;
    const temper::GroupLasso lasso;
    const std::size_t hidden = network.layers() - 1;

    for (Trainer trainer(network, data.train, how, seed); trainer.next();) {
        const Matrix& logits = network.forward(trainer.x, tape);
        cross_entropy(logits, temper::labels(trainer.y), temper::into(grad_logits));
        network.backward(tape, grad_logits, gradients);
        const double step = trainer.learning_rate() * strength;
        if (arm == gradient_term)
            for (std::size_t l = 0; l < hidden; ++l)
                lasso(network.weight(l), temper::add_to(gradients[2 * l], gradient_strength));
        trainer.update(gradients);
        if (arm == prox)
            for (std::size_t l = 0; l < hidden; ++l)
                lasso.prox(network.weight(l), step, temper::into(network.weight(l)));
    }

    Run run;
    for (std::size_t l = 0; l < hidden; ++l)
        for (Index unit = 0; unit < network.weight(l).rows(); ++unit)
            run.sizes.push_back(static_cast<double>(network.weight(l).row(unit).norm()));
    std::sort(run.sizes.begin(), run.sizes.end(), std::greater<>());
    run.zero_units = static_cast<double>(std::count(run.sizes.begin(), run.sizes.end(), 0.0)) /
                     static_cast<double>(run.sizes.size());
    run.accuracy = support::accuracy(network.forward(data.test.x, tape), data.test.y);
    return run;
}

} // namespace

void group_lasso(Lab& lab)
{
    const std::vector<std::vector<Run>> runs =
        lab.repeat(arms, [&](std::uint64_t seed, int arm) { return train(lab.digits, seed, arm); });
    const support::Summary accuracy_plain = over_seeds(runs[plain], &Run::accuracy);
    const support::Summary accuracy_prox = over_seeds(runs[prox], &Run::accuracy);
    const bool accuracy_kept = accuracy_prox.mean >= accuracy_plain.mean - allowed_loss;

    lab.report.section(
        "Group lasso",
        "A network 64-128-128-10 is trained on 100 labelled digits of each class. The penalty is "
        "the "
        "sum of the norms of the hidden units' weights (Yuan and Lin 2006); its proximal operator "
        "shrinks each unit after each step of AdamW and sets small ones to exactly zero, so that "
        "they "
        "can be cut out of the network.");
    support::Row& zeros =
        lab.add_row({.name = "group lasso",
                     .metric = "units exactly zero",
                     .baseline_name = "no penalty",
                     .percent = true,
                     .claim = "removes units at no more than 1 point of accuracy"},
                    values(runs[plain], &Run::zero_units), values(runs[prox], &Run::zero_units));
    zeros.claim_shown = zeros.claim_shown && accuracy_kept;
    support::Row& accuracy =
        lab.add_row({.name = "group lasso",
                     .metric = "test accuracy",
                     .baseline_name = "no penalty",
                     .percent = true,
                     .claim = "no more than 1 point of accuracy lost"},
                    values(runs[plain], &Run::accuracy), values(runs[prox], &Run::accuracy));
    accuracy.claim_shown = lab.options.seeds > 1 && accuracy_kept; // a claim of no great loss

    std::vector<double> units;
    for (std::size_t i = 0; i < runs[plain].front().sizes.size(); ++i)
        units.push_back(static_cast<double>(i + 1));
    lab.report.figure(
        "group_lasso_units",
        support::svg(support::LineChart{
            .title = "",
            .x_label = "hidden units, the largest first",
            .y_label = "norm of a unit's weights",
            .log_y = false,
            .percent = false,
            .x_names = {},
            .series = {band("no penalty", 0, units, runs[plain], &Run::sizes),
                       band("penalty in the gradient", 2, units, runs[gradient_term], &Run::sizes),
                       band("prox after each step", 1, units, runs[prox], &Run::sizes)}}),
        "Units by size; mean and one standard deviation over seeds.");
    lab.report.figure(
        "group_lasso_zeros",
        support::svg(support::BarChart{
            .x_label = "hidden units exactly zero",
            .percent = true,
            .bars = {{"no penalty", over_seeds(runs[plain], &Run::zero_units), 0},
                     {"penalty in the gradient", over_seeds(runs[gradient_term], &Run::zero_units),
                      2},
                     {"prox after each step", over_seeds(runs[prox], &Run::zero_units), 1}}}),
        "A penalty in the gradient makes weights small, a proximal step makes them zero. Test "
        "accuracy: " +
            support::text(accuracy_plain, true) + ", " +
            support::text(over_seeds(runs[gradient_term], &Run::accuracy), true) + " and " +
            support::text(accuracy_prox, true) + ".");
}

} // namespace demo
