// SPDX-License-Identifier: BSL-1.0

// Rows 1 to 3: plain cross-entropy, mixup and label smoothing on 300 labelled digits. All three see the
// same splits, first weights, batches, steps and learning rates; these were chosen for the plain network's
// accuracy, and the two strengths for accuracy and calibration, on other seeds than the demo's.

#include <array>
#include <cmath>
#include <string>
#include <vector>

#include <temper/augment/cutmix.hpp>
#include <temper/augment/mixup.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/metric/mixup_ufm_optimum.hpp>
#include <temper/metric/simplex_plane_projection.hpp>

#include "digits/experiment.hpp"
#include "digits/training.hpp"
#include "support/stats.hpp"

namespace demo {
namespace {

constexpr Index labels_per_class = 30;
const std::vector<Index> widths{64, 128, 128, 128, 128, 10};
const Training how{.epochs = 80, .batch_size = 16, .learning_rate = 4e-3, .weight_decay = 0.01};
constexpr Index curve_every = 5;

struct Arm {
    double mixup = 0.0;     // alpha; 0 is off
    double smoothing = 0.0; // 0 is off
};
constexpr double mixup_alpha = 0.04;
constexpr double smoothing = 0.01;

struct Run {
    double accuracy = 0.0;
    double calibration_error = 0.0;
    double class_mean_accuracy = 0.0;
    std::vector<support::ReliabilityBin> bins;
    std::vector<double> curve; // test accuracy, every few epochs
};

Run train(const support::LabelledData& digits, std::uint64_t seed, const Arm& arm, bool with_curve)
{
    const DigitsSplit data(digits, labels_per_class, seed);
    Network network = fresh_network(widths, seed);
    Network::Tape tape;
    Network::Parameters gradients = network.zeros();
    Matrix inputs, targets(how.batch_size, digits.classes),
        grad_logits(how.batch_size, digits.classes);

    const temper::Mixup<> mixup{.alpha = arm.mixup};
    const temper::SoftmaxCrossEntropy cross_entropy{.label_smoothing = arm.smoothing};
    auto rng = temper::stream(seed, 0, "mixup");
    temper::MixPlan plan;

    Run run;
    for (Trainer trainer(network, data.train, how, seed); trainer.next();) {
        if (arm.mixup > 0.0) {
            mixup.draw(rng, trainer.x.rows(), plan);
            inputs.resizeLike(trainer.x);
            mixup.apply(plan, trainer.x, temper::into(inputs));
            mixup.mix_labels(plan, temper::labels(trainer.y), digits.classes,
                             temper::into(targets));
            const Matrix& logits = network.forward(inputs, tape);
            cross_entropy(logits, temper::probabilities(targets), temper::into(grad_logits));
        }
        else {
            const Matrix& logits = network.forward(trainer.x, tape);
            cross_entropy(logits, temper::labels(trainer.y), temper::into(grad_logits));
        }
        network.backward(tape, grad_logits, gradients);
        trainer.update(gradients);
        if (with_curve && trainer.finished_epoch() > 0 &&
            trainer.finished_epoch() % curve_every == 0) {
            Network::Tape look;
            run.curve.push_back(support::accuracy(network.forward(data.test.x, look), data.test.y));
        }
    }
    Network::Tape look;
    const Matrix probabilities = support::softmax(network.forward(data.test.x, look));
    run.accuracy = support::accuracy(probabilities, data.test.y);
    run.bins = support::reliability(probabilities, data.test.y);
    run.calibration_error = support::expected_calibration_error(run.bins);
    return run;
}

/// The simplest classifier there is: the class whose mean training image is nearest.
double class_mean_accuracy(const support::LabelledData& digits, std::uint64_t seed)
{
    const DigitsSplit data(digits, labels_per_class, seed);
    Matrix means = Matrix::Zero(digits.classes, data.train.x.cols());
    for (Index i = 0; i < data.train.x.rows(); ++i)
        means.row(data.train.y[static_cast<std::size_t>(i)]) +=
            data.train.x.row(i) / static_cast<float>(labels_per_class);
    Matrix scores(data.test.x.rows(), digits.classes);
    for (Index c = 0; c < digits.classes; ++c)
        scores.col(c) = -(data.test.x.rowwise() - means.row(c)).rowwise().squaredNorm();
    return support::accuracy(scores, data.test.y);
}

std::vector<support::ReliabilityBin> all_bins(const std::vector<Run>& runs)
{
    std::vector<std::vector<support::ReliabilityBin>> bins;
    for (const Run& run : runs)
        bins.push_back(run.bins);
    return support::merge_bins(bins);
}

/// One digit of each of seven classes, and what mixup and CutMix make of it and its neighbour.
std::string mixing_pictures(const support::LabelledData& digits, std::uint64_t seed)
{
    constexpr Index count = 7;
    auto rng = temper::stream(seed, 0, "pictures");
    const std::vector<Index> one_of_each =
        support::stratified_split(digits.y, digits.classes, 1, rng).train;
    const support::LabelledData some =
        support::take(digits, std::span(one_of_each).first(static_cast<std::size_t>(count)));

    const temper::Mixup<> mixup{.alpha = 1.0, .per_sample = true};
    const temper::CutMix<> cutmix{.alpha = 1.0, .per_sample = true};
    temper::MixPlan mix = mixup.draw(rng, count);
    temper::MixPlan cut = cutmix.draw(rng, count, {8, 8});
    for (Index i = 0; i < count; ++i)
        mix.partner[static_cast<std::size_t>(i)] = cut.partner[static_cast<std::size_t>(i)] =
            (i + 1) % count;
    Matrix mixed(count, 64), pasted(count, 64);
    mixup.apply(mix, some.x, temper::into(mixed));
    cutmix.apply(cut, some.x, temper::into(pasted));

    support::ImageGrid grid;
    const auto add = [&](const char* name, const Matrix& images, auto caption) {
        support::ImageGrid::ImageRow row{name, {}};
        for (Index i = 0; i < count; ++i)
            row.images.push_back(
                {Eigen::Map<const Matrix>(images.row(i).data(), 8, 8), caption(i)});
        grid.rows.push_back(std::move(row));
    };
    const auto label = [&](Index i) { return std::to_string(some.y[static_cast<std::size_t>(i)]); };
    const auto shares = [&](const temper::MixPlan& plan, Index i) {
        const auto percent = static_cast<int>(std::lround(100.0 * plan.lambda_of(i)));
        return label(i) + ": " + std::to_string(percent) + " %";
    };
    add("digit", some.x, label);
    add("mixup", mixed, [&](Index i) { return shares(mix, i); });
    add("CutMix", pasted, [&](Index i) { return shares(cut, i); });
    return support::svg(grid);
}

/// Where the features of mixtures of three classes go if nothing stands in their way, in the plane of the
/// classifier's rows, for lambda from 1 to 0.
std::string feature_paths()
{
    constexpr Index points = 33;
    const Matrix w = std::sqrt(1.5F) * (Matrix::Identity(3, 3).array() - 1.0F / 3).matrix();
    std::vector<double> lambda;
    for (Index i = 0; i < points; ++i)
        lambda.push_back(1.0 - static_cast<double>(i) / static_cast<double>(points - 1));
    support::LineChart chart{.title = "",
                             .x_label = "along the difference of the first two classes' weights",
                             .y_label = "towards the third class",
                             .log_y = false,
                             .percent = false,
                             .x_names = {},
                             .series = {}};
    for (const auto& [a, b] : {std::pair{0, 1}, std::pair{1, 2}, std::pair{2, 0}}) {
        Matrix h(points, 3), seen(points, 2);
        temper::MixupUfmOptimum{.mu = 0.05}(w, temper::labels(std::vector<int>(points, a)),
                                            temper::labels(std::vector<int>(points, b)), lambda,
                                            temper::into(h));
        temper::SimplexPlaneProjection{}(h, w, temper::into(seen));
        support::Series s{.name = "classes " + std::to_string(a) + " and " + std::to_string(b),
                          .x = {},
                          .y = {},
                          .low = {},
                          .high = {},
                          .colour = a + 1,
                          .dashed = false,
                          .markers = true};
        for (Index i = 0; i < points; ++i) {
            s.x.push_back(static_cast<double>(seen(i, 0)));
            s.y.push_back(static_cast<double>(seen(i, 1)));
        }
        chart.series.push_back(std::move(s));
    }
    return support::svg(chart);
}

std::string curves(const std::vector<Run>& plain, const std::vector<Run>& with,
                   const std::string& name)
{
    std::vector<double> epochs;
    for (std::size_t i = 0; i < plain.front().curve.size(); ++i)
        epochs.push_back(static_cast<double>(curve_every) * static_cast<double>(i + 1));
    return support::svg(
        support::LineChart{.title = "",
                           .x_label = "epoch",
                           .y_label = "test accuracy",
                           .log_y = false,
                           .percent = true,
                           .x_names = {},
                           .series = {band("cross-entropy", 0, epochs, plain, &Run::curve),
                                      band(name, 1, epochs, with, &Run::curve)}});
}

/// Accuracy and calibration error against the strength of a technique; strength 0 is the baseline.
std::string strength_plot(const std::vector<std::vector<Run>>& runs,
                          const std::vector<std::string>& names, const std::string& technique,
                          const std::string& strength)
{
    const auto chart = [&](const std::string& title, auto measure) {
        support::Series s{.name = technique,
                          .x = {},
                          .y = {},
                          .low = {},
                          .high = {},
                          .colour = 1,
                          .dashed = false,
                          .markers = true};
        support::Series base = s;
        base.name = "cross-entropy";
        base.colour = 0;
        base.dashed = true;
        base.markers = false;
        const support::Summary plain = over_seeds(runs.front(), measure);
        for (std::size_t i = 0; i < runs.size(); ++i) {
            const support::Summary here = over_seeds(runs[i], measure);
            s.x.push_back(static_cast<double>(i));
            s.y.push_back(here.mean);
            s.low.push_back(here.mean - here.sd);
            s.high.push_back(here.mean + here.sd);
            base.x.push_back(static_cast<double>(i));
            base.y.push_back(plain.mean);
        }
        return support::LineChart{.title = title,
                                  .x_label = strength,
                                  .y_label = "",
                                  .log_y = false,
                                  .percent = true,
                                  .x_names = names,
                                  .series = {std::move(base), std::move(s)}};
    };
    return support::svg(
        support::LineCharts{{chart("test accuracy", &Run::accuracy),
                             chart("expected calibration error", &Run::calibration_error)}});
}

} // namespace

void classification(Lab& lab)
{
    // The first three arms are the rows; the others show what other strengths would have done.
    std::vector<Arm> arms{{}, {.mixup = mixup_alpha}, {.smoothing = smoothing}};
    constexpr std::array more_alphas{0.1, 0.2, 0.4, 1.0};
    constexpr std::array more_smoothings{0.02, 0.05, 0.1, 0.2};
    if (!lab.options.quick) {
        for (const double alpha : more_alphas)
            arms.push_back({.mixup = alpha});
        for (const double s : more_smoothings)
            arms.push_back({.smoothing = s});
    }
    const std::vector<std::vector<Run>> runs =
        lab.repeat(static_cast<int>(arms.size()), [&](std::uint64_t seed, int arm) {
            Run run = train(lab.digits, seed, arms[static_cast<std::size_t>(arm)], arm < 3);
            if (arm == 0)
                run.class_mean_accuracy = class_mean_accuracy(lab.digits, seed);
            return run;
        });
    const auto strengths = [&](std::size_t first, std::size_t more) {
        std::vector<std::vector<Run>> chosen{runs[0], runs[first]};
        for (std::size_t i = 0; i < 4; ++i)
            chosen.push_back(runs[more + i]);
        return chosen;
    };

    lab.report.section(
        "Cross-entropy",
        "The baseline of the next two sections: a network 64-128-128-128-128-10 with ReLU, trained "
        "by "
        "AdamW on 30 labelled digits of each class, and tested on the other 1,497. To see that it "
        "learns at all, it stands against the class whose mean image is nearest.");
    lab.add_row({.name = "cross-entropy",
                 .metric = "test accuracy",
                 .baseline_name = "nearest class mean",
                 .percent = true,
                 .claim = "a trained network is more accurate"},
                values(runs[0], &Run::class_mean_accuracy), values(runs[0], &Run::accuracy));

    const auto rows = [&](const std::string& name, const std::vector<Run>& with) {
        lab.add_row({.name = name,
                     .metric = "test accuracy",
                     .baseline_name = "cross-entropy",
                     .percent = true,
                     .claim = "more accurate"},
                    values(runs[0], &Run::accuracy), values(with, &Run::accuracy));
        lab.add_row({.name = name,
                     .metric = "calibration error",
                     .baseline_name = "cross-entropy",
                     .better = support::Better::lower,
                     .percent = true,
                     .claim = "better calibrated"},
                    values(runs[0], &Run::calibration_error),
                    values(with, &Run::calibration_error));
    };
    const auto figures = [&](const std::string& file, const std::string& name,
                             const std::vector<Run>& with) {
        lab.report.figure(
            file + "_accuracy", curves(runs[0], with, name),
            "Test accuracy while training; mean and one standard deviation over seeds.");
        lab.report.figure(
            file + "_reliability",
            support::svg(std::vector<support::ReliabilityDiagram>{
                {"cross-entropy", all_bins(runs[0]), 0}, {name, all_bins(with), 1}}),
            "How often the network is right (bars) when it is so sure (x), over all seeds. Orange "
            "is "
            "missing for the confidence to be honest, pale blue is above it. Below, how often each "
            "confidence occurs.");
    };

    lab.report.section(
        "mixup", "Each batch is blended with a shuffled copy of itself, pixels and labels alike, "
                 "with a coefficient from Beta(0.04, 0.04) (Zhang et al. 2018). Everything else "
                 "is as above.");
    rows("mixup", runs[1]);
    lab.report.figure(
        "mixing", mixing_pictures(lab.digits, lab.options.seed),
        "What mixup and its relative CutMix make of digits, here with alpha = 1: each "
        "digit is mixed with the one to its right, and its label keeps the share below.");
    lab.report.figure(
        "mixup_features", feature_paths(),
        "Where mixup's features go if nothing stands in their way (Fisher et al. 2024): "
        "each point is a mixture of two of three classes, the ends are the classes.");
    figures("mixup", "mixup", runs[1]);
    if (!lab.options.quick)
        lab.report.figure(
            "mixup_strength",
            strength_plot(strengths(1, 3), {"0", "0.04", "0.1", "0.2", "0.4", "1"}, "mixup",
                          "alpha"),
            "What other strengths would have done; mean and one standard deviation over seeds.");

    lab.report.section("Label smoothing",
                       "The target of each class moves 1 % of the way towards 1/10 (Szegedy et al. "
                       "2016). Everything else is as above.");
    rows("label smoothing", runs[2]);
    figures("smoothing", "label smoothing", runs[2]);
    if (!lab.options.quick)
        lab.report.figure(
            "smoothing_strength",
            strength_plot(strengths(2, 7), {"0", "0.01", "0.02", "0.05", "0.1", "0.2"},
                          "label smoothing", "smoothing"),
            "What other strengths would have done, 0.1 being the usual one for large networks.");
}

} // namespace demo
