// SPDX-License-Identifier: BSL-1.0

// Rows of label noise: 40 % of the training labels are drawn anew. A network learns the right ones first
// and the wrong ones by heart in the end; the techniques keep it at what it learned first.

#include "digits/experiment.hpp"
#include "digits/noisy_labels.hpp"

namespace demo {
namespace {

enum Arm { cross_entropy, elr, aldr_kl, co_teaching, arms };

Outcome train(const support::LabelledData& digits, std::uint64_t seed, int arm, Index epochs)
{
    const NoisyDigits data(digits, seed);
    const NoisyRun how{.seed = seed, .epochs = epochs, .with_curve = true};
    switch (arm) {
    case elr:
        return train_noisy(data, how, early_learning(data));
    case aldr_kl:
        return train_noisy(data, how, adaptive_robust(data));
    case co_teaching:
        return co_teach(data, how).outcome;
    default:
        return train_noisy(data, how, plain_cross_entropy());
    }
}

} // namespace

void label_noise(Lab& lab)
{
    const Index epochs = lab.options.quick ? 30 : 60;
    const auto runs = lab.repeat(
        arms, [&](std::uint64_t seed, int arm) { return train(lab.digits, seed, arm, epochs); });
    lab.report.section(
        "Wrong labels",
        "A network 64-128-128-10 is trained on 1,000 digits of which 40 % have a label drawn anew, "
        "by "
        "gradient descent with momentum for " +
            std::to_string(epochs) +
            " epochs, and tested on clean ones. Early-learning regularization (Liu et al. 2020) "
            "holds "
            "each sample to what was predicted of it before; ALDR-KL (Zhu et al. 2023) gives each "
            "sample a temperature of its own; in co-teaching each of two networks chooses what the "
            "other learns, and nested dropout (Chen et al. 2021) leaves them few features to "
            "remember "
            "wrong labels with.");
    const auto row = [&](const std::string& name, Arm arm) {
        const auto& with = runs[static_cast<std::size_t>(arm)];
        lab.add_row({.name = name,
                     .metric = "test accuracy",
                     .baseline_name = "cross-entropy",
                     .percent = true,
                     .claim = "more accurate"},
                    values(runs[cross_entropy], &Outcome::accuracy),
                    values(with, &Outcome::accuracy));
        lab.add_row({.name = name,
                     .metric = "wrong labels learned",
                     .baseline_name = "cross-entropy",
                     .better = support::Better::lower,
                     .percent = true,
                     .claim = "memorises less"},
                    values(runs[cross_entropy], &Outcome::memorised),
                    values(with, &Outcome::memorised));
    };
    row("ELR, 40 % label noise", elr);
    row("ALDR-KL, 40 % label noise", aldr_kl);
    row("co-teaching with nested dropout, 40 % label noise", co_teaching);

    std::vector<double> x;
    for (Index epoch = 1; epoch <= epochs; ++epoch)
        x.push_back(static_cast<double>(epoch));
    support::LineChart chart{.title = "",
                             .x_label = "epoch",
                             .y_label = "test accuracy",
                             .log_y = false,
                             .percent = true,
                             .x_names = {},
                             .series = {}};
    const char* names[] = {"cross-entropy", "ELR", "ALDR-KL", "co-teaching, nested dropout"};
    for (int arm = 0; arm < arms; ++arm)
        chart.series.push_back(
            band(names[arm], arm, x, runs[static_cast<std::size_t>(arm)], &Outcome::curve));
    lab.report.figure(
        "label_noise", support::svg(chart),
        "Test accuracy while training on labels of which 36 % are wrong; mean and one "
        "standard deviation over seeds.");
}

} // namespace demo
