// SPDX-License-Identifier: BSL-1.0

// Row 5: soft orthogonality as a term of the loss keeps the singular values of the hidden layers together.

#include <string>
#include <vector>

#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>

#include "digits/experiment.hpp"
#include "digits/training.hpp"
#include "support/stats.hpp"

namespace demo {
namespace {

constexpr Index labels_per_class = 100;
const std::vector<Index> widths{64, 64, 64, 64, 64, 10};
const Training how{.epochs = 60, .batch_size = 32, .learning_rate = 2e-3, .weight_decay = 0.01};
constexpr double strength = 0.01;

struct Run {
    double accuracy = 0.0;
    double condition = 0.0;                   // geometric mean over the hidden layers
    std::vector<std::vector<double>> spectra; // singular values of each hidden layer
};

Run train(const support::LabelledData& digits, std::uint64_t seed, bool orthogonal)
{
    const DigitsSplit data(digits, labels_per_class, seed);
    Network network = fresh_network(widths, seed, support::Activation::tanh);
    Network::Tape tape;
    Network::Parameters gradients = network.zeros();
    Matrix grad_logits(how.batch_size, digits.classes);

    const temper::SoftmaxCrossEntropy cross_entropy;
    const temper::SoftOrthogonality orthogonality;
    const std::size_t hidden = network.layers() - 1;

    for (Trainer trainer(network, data.train, how, seed); trainer.next();) {
        const Matrix& logits = network.forward(trainer.x, tape);
        cross_entropy(logits, temper::labels(trainer.y), temper::into(grad_logits));
        network.backward(tape, grad_logits, gradients);
        if (orthogonal)
            for (std::size_t l = 0; l < hidden; ++l)
                orthogonality(network.weight(l), temper::add_to(gradients[2 * l], strength));
        trainer.update(gradients);
    }

    Run run;
    std::vector<double> conditions;
    for (std::size_t l = 0; l < hidden; ++l) {
        run.spectra.push_back(support::singular_values(network.weight(l)));
        conditions.push_back(support::condition_number(network.weight(l)));
    }
    run.condition = support::geometric_mean(conditions);
    run.accuracy = support::accuracy(network.forward(data.test.x, tape), data.test.y);
    return run;
}

} // namespace

void soft_orthogonality(Lab& lab)
{
    const std::vector<std::vector<Run>> runs = lab.repeat(
        2, [&](std::uint64_t seed, int arm) { return train(lab.digits, seed, arm == 1); });

    lab.report.section("Soft orthogonality",
                       "A network 64-64-64-64-64-10 with tanh is trained on 100 labelled digits of "
                       "each class, with "
                       "0.01 ||W W' - I||^2 for each hidden layer added to the loss (Bansal et al. "
                       "2018). A layer whose "
                       "singular values lie together passes all directions of its input on alike.");
    lab.add_row({.name = "soft orthogonality",
                 .metric = "condition number",
                 .baseline_name = "no penalty",
                 .better = support::Better::lower,
                 .claim = "better conditioned layers"},
                values(runs[0], &Run::condition), values(runs[1], &Run::condition));

    std::vector<support::LineChart> charts;
    for (std::size_t l = 0; l < runs[0].front().spectra.size(); ++l) {
        const auto spectrum = [l](const Run& run) { return run.spectra[l]; };
        std::vector<double> index;
        for (std::size_t i = 0; i < runs[0].front().spectra[l].size(); ++i)
            index.push_back(static_cast<double>(i + 1));
        charts.push_back({.title = "hidden layer " + std::to_string(l + 1),
                          .x_label = "singular value, the largest first",
                          .y_label = "",
                          .log_y = true,
                          .percent = false,
                          .x_names = {},
                          .series = {band("no penalty", 0, index, runs[0], spectrum),
                                     band("soft orthogonality", 1, index, runs[1], spectrum)}});
    }
    lab.report.figure("orthogonality_spectra",
                      support::svg(support::LineCharts{.charts = charts, .same_y = true}),
                      "Singular values of the hidden layers after training; mean and one standard "
                      "deviation over seeds. Test accuracy: " +
                          support::text(over_seeds(runs[0], &Run::accuracy), true) +
                          " without the penalty, " +
                          support::text(over_seeds(runs[1], &Run::accuracy), true) + " with it.");
}

} // namespace demo
