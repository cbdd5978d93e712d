// SPDX-License-Identifier: BSL-1.0

// docs/label_noise.md, from wrong labels to rare classes.

#include <temper/augment/mixup.hpp>
#include <temper/layer/nested_dropout.hpp>
#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>
#include <temper/loss/co_teaching.hpp>
#include <temper/loss/early_learning_mixup.hpp>
#include <temper/loss/early_learning_regularization.hpp>
#include <temper/loss/label_correction.hpp>
#include <temper/loss/label_distributionally_robust_loss.hpp>
#include <temper/loss/logit_adjusted_cross_entropy.hpp>
#include <temper/loss/more_diverse_experts.hpp>
#include <temper/loss/progressive_self_distillation.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/metric/memorization_onset.hpp>
#include <temper/schedule/linear.hpp>

#include "pictures/pictures.hpp"

namespace pictures {
namespace {

using temper::into;
using temper::labels;
using temper::per_sample;
using temper::Reduction;

std::string elr()
{
    constexpr Index visits = 24;
    std::vector<Curve> memory;
    for (const auto& [beta, colour] : {std::pair{0.7, 1}, std::pair{0.9, 2}}) {
        const temper::Elr loss{.beta = beta};
        auto state = loss.init<double>(1, 3);
        Curve c{.name = "target, beta " + support::plot::number(beta), .colour = colour};
        Curve now{.name = "prediction", .colour = 0, .mark = Mark::dashed};
        for (Index visit = 0; visit < visits; ++visit) {
            const double logit = visit < 12 ? 3 : -3; // then it memorises another label
            const Matrix z = along({logit}, 0, {0, 0, 0});
            loss.observe(state, std::vector<Index>{0}, z);
            c.x.push_back(static_cast<double>(visit + 1));
            c.y.push_back(state.targets[0]);
            now.x.push_back(static_cast<double>(visit + 1));
            now.y.push_back(std::exp(logit) / (std::exp(logit) + 2));
        }
        if (memory.empty())
            memory.push_back(now);
        memory.push_back(c);
    }

    const Numbers x = from_to(-6, 6);
    const Matrix z = along(x, 0, {0, 0, -2});
    std::vector<Curve> forces;
    Matrix g(z.rows(), 3);
    temper::SoftmaxCrossEntropy{.reduction = Reduction::sum}(z, labels(all(x, 0)), into(g));
    forces.push_back({"cross-entropy", x, column(-g, 0), 0, Mark::dashed});
    const auto add = [&](const std::string& name, const Numbers& remembered, int colour) {
        const temper::Elr loss{.lambda = 3, .reduction = Reduction::sum};
        auto state = loss.init<double>(1, 3);
        state.targets = remembered;
        loss(state, std::vector<Index>(x.size(), 0), z, labels(all(x, 0)), into(g));
        forces.push_back({name, x, column(-g, 0), colour});
    };
    add("ELR, the past agrees", {0.9, 0.05, 0.05}, 1);
    add("ELR, the past contradicts", {0.05, 0.9, 0.05}, 2);
    return svg(
        {lines({.title = "What is remembered of a sample",
                .x = "visit",
                .y = "probability of its first class",
                .y_range = {0, 1}},
               memory),
         lines({.title = "What its label does", .x = "logit of the label", .y = "force on it"},
               forces)});
}

std::string elr_plus()
{
    std::vector<Curve> ramps;
    const Numbers steps = from_to(0, 60000);
    for (const auto& [ramp, colour] : {std::pair{Index{0}, 1}, std::pair{Index{40000}, 2}})
        ramps.push_back({ramp == 0 ? "no ramp" : "ramp over 40000 steps", steps,
                         map(steps,
                             [&, r = ramp](double t) {
                                 return temper::ElrPlus{.lambda = 7, .ramp_steps = r}
                                     .at(static_cast<Index>(t))
                                     .lambda;
                             }),
                         colour});
    // Two samples: the network thinks that the first label is wrong.
    const temper::ElrPlus plus{};
    auto state = plus.init<double>(2, 5);
    state.targets = {0.1, 0.02, 0.8, 0.05, 0.03, 0.05, 0.05, 0.05, 0.05, 0.8};
    temper::MixPlan plan;
    plan.partner = {1, 0};
    plan.lambda = plan.label_lambda = {0.7};
    Matrix q(2, 5), y(2, 5), map(4, 5);
    const std::vector<Index> ids{0, 1};
    plus.mixed_targets(state, ids, plan, into(q));
    temper::Mixup<>{}.mix_labels(plan, labels(std::vector<int>{0, 4}), 5, into(y));
    map << Eigen::Map<const Matrix>(state.targets.data(), 2, 5), q.row(0), y.row(0);
    return svg({tiles({.title = "Labels and memory, mixed alike",
                       .x = "class",
                       .y = "0.7 of a sample, 0.3 of its partner",
                       .rows = {"memory of the sample", "memory of the partner", "mixed memory",
                                "mixed labels"},
                       .columns = {"0", "1", "2", "3", "4"},
                       .height = 38},
                      map),
                lines({.title = "Weight of the term", .x = "step", .y = "lambda"}, ramps)});
}

std::string robust()
{
    using temper::LogitNormalisation;
    constexpr int k = 10;
    const Numbers x = from_to(-12, 8), others(k, 0);
    const Matrix z = along(x, 0, others);
    const auto curves = [&](LogitNormalisation normalisation, const Numbers& lambdas) {
        Numbers value(x.size());
        temper::SoftmaxCrossEntropy{}(z, labels(all(x, 0)), per_sample(into(value)));
        std::vector<Curve> out{{"cross-entropy", x, value, 0, Mark::dashed}};
        int colour = 1;
        for (const double lambda : lambdas) {
            temper::LdrKl{.lambda = lambda, .normalisation = normalisation}(
                z, labels(all(x, 0)), per_sample(into(value)));
            out.push_back({"lambda " + support::plot::number(lambda), x, value, colour++});
        }
        return out;
    };
    const Numbers sure = from_to(0, 8, 49);
    std::vector<Curve> own;
    for (const auto& [lambda, colour] : {std::pair{4.0, 1}, std::pair{1.0, 2}}) {
        const temper::AldrKl loss{.lambda_0 = lambda, .normalisation = LogitNormalisation::none};
        auto state = loss.init(static_cast<Index>(sure.size()));
        std::vector<Index> ids;
        for (std::size_t i = 0; i < sure.size(); ++i)
            ids.push_back(static_cast<Index>(i));
        for (int step = 0; step < 60; ++step)
            loss.observe(state, ids, along(sure, 0, others));
        own.push_back({"lambda_0 = " + support::plot::number(lambda), sure, state.lambda, colour});
    }
    return svg({lines({.title = "LDR-KL of plain logits",
                       .x = "logit of the label, others 0",
                       .y = "loss",
                       .width = third_width},
                      curves(LogitNormalisation::none, {0.1, 1, 10})),
                lines({.title = "Normalised: bounded",
                       .x = "logit of the label, others 0",
                       .y = "loss",
                       .y_range = {-5, 15},
                       .width = third_width},
                      curves(LogitNormalisation::softplus_mean, {0.1, 1, 10})),
                lines({.title = "ALDR-KL: a lambda of each",
                       .x = "lead of the likeliest class",
                       .y = "lambda of the sample",
                       .width = third_width},
                      own)});
}

std::string ps_kd()
{
    constexpr Index epochs = 10;
    const std::vector<int> y{0};
    const std::vector<Index> ids{0};
    const temper::PsKd kd{.alpha = 0.8};
    auto past = kd.init<double>(labels(y), 4);
    Matrix z(1, 4), t(1, 4), history(4, epochs);
    z << 0, 3, 1, 0; // what the network says, epoch by epoch, of a sample whose label is wrong
    Curve weight{.name = "past predictions", .colour = 2};
    Curve label{.name = "label", .colour = 1};
    for (Index epoch = 0; epoch < epochs; ++epoch) {
        const auto now = kd.at(epoch, epochs);
        now.targets(past, ids, labels(y), into(t));
        history.col(epoch) = t.row(0).transpose();
        now.observe(past, ids, z);
        weight.x.push_back(static_cast<double>(epoch + 1));
        weight.y.push_back(now.alpha);
        label.x.push_back(static_cast<double>(epoch + 1));
        label.y.push_back(1 - now.alpha);
    }
    std::vector<std::string> names;
    for (Index e = 1; e <= epochs; ++e)
        names.push_back(std::to_string(e));
    return svg(
        {lines({.title = "What targets are made of", .x = "epoch", .y = "share", .y_range = {0, 1}},
               {label, weight}),
         tiles({.title = "Targets of a sample whose label is wrong",
                .x = "epoch",
                .y = "",
                .rows = {"its label", "its class", "a likely class", "another"},
                .columns = names,
                .height = 38},
               history)});
}

std::string co_teaching()
{
    constexpr Index n = 120, wrong = 48;
    auto rng = temper::stream(3, 0, "two networks");
    Matrix z1(n, 3), z2(n, 3);
    for (Index i = 0; i < n; ++i) {
        const double common = temper::normal(rng);
        for (Matrix* z : {&z1, &z2})
            z->row(i) << (i < wrong ? -1.2 : 2) + 0.6 * common + 1.1 * temper::normal(rng), 0, 0;
    }
    const std::vector<int> y(n, 0);
    const temper::CoTeaching teach{.forget_rate = 0.4};
    Numbers l1(n), l2(n);
    temper::SoftmaxCrossEntropy{}(z1, labels(y), per_sample(into(l1)));
    temper::SoftmaxCrossEntropy{}(z2, labels(y), per_sample(into(l2)));
    const auto easy1 = teach.select(z1, labels(y)), easy2 = teach.select(z2, labels(y));
    const auto last = [](const temper::SmallLossPlan& plan, const Numbers& l) {
        return l[static_cast<std::size_t>(plan.rows.back())];
    };
    Curve clean{.name = "right label", .colour = 1, .mark = Mark::dots};
    Curve noisy{.name = "wrong label", .colour = 2, .mark = Mark::dots};
    for (Index i = 0; i < n; ++i) {
        Curve& c = i < wrong ? noisy : clean;
        c.x.push_back(l1[static_cast<std::size_t>(i)]);
        c.y.push_back(l2[static_cast<std::size_t>(i)]);
    }
    std::vector<Curve> scatter{clean,
                               noisy,
                               {"left of it for network 2, below for network 1",
                                {last(easy1, l1), last(easy1, l1)},
                                {0, 6},
                                0,
                                Mark::dashed},
                               {"", {0, 6}, {last(easy2, l2), last(easy2, l2)}, 0, Mark::dashed}};
    const Numbers epochs = from_to(0, 15, 16);
    std::vector<Curve> kept;
    for (const auto& [until, colour] : {std::pair{Index{4}, 1}, std::pair{Index{9}, 3}})
        kept.push_back({"until epoch " + std::to_string(until + 1), epochs,
                        map(epochs,
                            [&, u = until](double e) {
                                return 1 - temper::Linear{.from = 0, .to = 0.4, .steps = u}(
                                               static_cast<Index>(e));
                            }),
                        colour});
    return svg({lines({.title = "Who trains on what",
                       .x = "loss of network 1",
                       .y = "loss of network 2",
                       .x_range = {0, 6},
                       .y_range = {0, 6}},
                      scatter),
                lines({.title = "The share that is kept",
                       .x = "epoch",
                       .y = "of the batch",
                       .y_range = {0, 1}},
                      kept)});
}

std::string nested_dropout()
{
    constexpr Index d = 48, draws = 12;
    std::vector<Curve> likely;
    const Numbers k = from_to(1, d, d);
    int colour = 1;
    for (const double deviation : {8.0, 20.0, 60.0}) {
        Numbers p(static_cast<std::size_t>(d));
        temper::NestedDropout{.deviation = deviation}.distribution(into(p));
        likely.push_back(
            {"deviation " + support::plot::number(deviation), k, std::move(p), colour++});
    }
    auto rng = temper::stream(4, 0, "prefixes");
    const temper::NestedDropout drop{.deviation = 20};
    Matrix alive(draws, d);
    for (Index i = 0; i < draws; ++i) {
        Matrix ones = Matrix::Constant(1, d, 1);
        drop.forward(drop.draw(rng, d), ones, into(ones));
        alive.row(i) = ones;
    }
    return svg({lines({.title = "How many features live", .x = "K", .y = "P(K)"}, likely),
                tiles({.title = "Twelve batches, deviation 20",
                       .x = "48 features, in their order",
                       .y = "blue: alive",
                       .height = 14},
                      alive)});
}

/// Rows of three grey values: background, first class, second class.
Matrix shades(const std::vector<std::int64_t>& map)
{
    Matrix out(1, static_cast<Index>(map.size()));
    for (std::size_t i = 0; i < map.size(); ++i)
        out(0, static_cast<Index>(i)) = map[i] == 0 ? 0 : map[i] == 1 ? 0.5 : 1;
    return out;
}

std::string adele()
{
    // Agreement with the labels, of a class that is learned at once and of one that takes long.
    const std::vector<temper::LearningCurve> truth{{0.85, 0.95, 1.5}, {0.7, 0.8, 4}};
    const temper::MemorizationOnset onset{.epochs = 16};
    auto rng = temper::stream(5, 0, "agreement");
    auto state = onset.init(2);
    std::vector<Curve> curves;
    std::vector<Numbers> seen(2);
    std::vector<double> flagged(2, 0);
    Numbers x;
    for (int epoch = 0; epoch < 16; ++epoch) {
        x.push_back(epoch);
        Numbers measures;
        for (std::size_t c = 0; c < 2; ++c) {
            seen[c].push_back(std::max(0.0, truth[c](epoch) + 0.012 * temper::normal(rng)));
            measures.push_back(seen[c].back());
        }
        onset.observe(state, measures);
        for (std::size_t c = 0; c < 2; ++c)
            if (state.flagged[c] != 0 && flagged[c] == 0)
                flagged[c] = epoch;
    }
    const Numbers fine = from_to(0, 15);
    for (std::size_t c = 0; c < 2; ++c) {
        const int colour = static_cast<int>(c) + 1;
        const auto fit = temper::LearningCurve::fit(x, seen[c]);
        curves.push_back({"class " + std::to_string(colour), fine, map(fine, fit), colour});
        curves.push_back({"", x, seen[c], colour, Mark::dots});
        if (flagged[c] > 0)
            curves.push_back({"flagged", {flagged[c], flagged[c]}, {0, 1}, colour, Mark::dashed});
    }
    // Two discs; their labels are too large, their predictions right and sure but at the rims.
    constexpr Index side = 16;
    std::vector<std::int64_t> given(side * side), corrected(side * side);
    std::vector<double> p(3 * side * side);
    const auto at = [&](Index c, Index i) -> double& {
        return p[static_cast<std::size_t>(c * side * side + i)];
    };
    for (Index i = 0; i < side * side; ++i) {
        const auto row = static_cast<double>(i / side), col = static_cast<double>(i % side);
        const double first = std::hypot(row - 4.5, col - 4.5),
                     second = std::hypot(row - 10.5, col - 10.5);
        given[static_cast<std::size_t>(i)] = second < 5.2 ? 2 : first < 5.2 ? 1 : 0;
        at(1, i) = 1 / (1 + std::exp(4 * (first - 3.4)));
        at(2, i) = 1 / (1 + std::exp(4 * (second - 3.4)));
        at(0, i) = 1 - at(1, i) - at(2, i);
    }
    const auto probabilities = temper::view(p.data(), {3, side, side});
    using Map = Eigen::Map<Eigen::Matrix<std::int64_t, -1, -1, Eigen::RowMajor>>;
    const Map from(given.data(), side, side);
    Map to(corrected.data(), side, side);
    std::vector<std::uint8_t> now_flagged{0}; // the background is never flagged
    for (const double epoch : flagged)
        now_flagged.push_back(epoch > 0 && epoch <= 10 ? 1 : 0);
    temper::LabelCorrection{.threshold = 0.8, .background_threshold = 0.8}.apply(
        labels(from), probabilities, now_flagged, into(to));
    std::vector<std::int64_t> predicted(side * side);
    for (Index i = 0; i < side * side; ++i)
        predicted[static_cast<std::size_t>(i)] = at(0, i) > 0.5 ? 0 : at(1, i) > at(2, i) ? 1 : 2;
    Matrix maps(3, side * side);
    maps << shades(given), shades(predicted), shades(corrected);
    return svg(
        {lines({.title = "When each class begins to be memorised",
                .x = "epoch",
                .y = "agreement with the labels",
                .y_range = {0, 1}},
               curves),
         titled("At epoch 10: class 1, grey, is corrected",
                images({{image_row("", maps, {"labels", "predicted", "corrected"})}}, 118))});
}

const Numbers frequent{900, 90, 9};

std::string logit_adjusted()
{
    const Numbers x = from_to(-6, 8);
    std::vector<Curve> losses;
    Numbers value(x.size());
    const char* names[] = {"900 samples", "90 samples", "9 samples"};
    temper::SoftmaxCrossEntropy{}(along(x, 0, {0, 0, 0}), labels(all(x, 0)),
                                  per_sample(into(value)));
    losses.push_back({"cross-entropy", x, value, 0, Mark::dashed});
    const Numbers taus = from_to(-1, 2.5, 36);
    std::vector<Curve> pulls;
    for (int c = 0; c < 3; ++c) {
        temper::LogitAdjustedCrossEntropy{}(along(x, c, {0, 0, 0}), labels(all(x, c)), frequent,
                                            per_sample(into(value)));
        losses.push_back({names[c], x, value, c + 1});
        pulls.push_back({names[c], taus,
                         map(taus,
                             [&](double tau) {
                                 Matrix g(1, 3);
                                 temper::LogitAdjustedCrossEntropy{.tau = tau}(
                                     Matrix::Zero(1, 3).eval(), labels(std::vector<int>{c}),
                                     frequent, into(g));
                                 return -g(0, c);
                             }),
                         c + 1});
    }
    return svg(
        {lines({.title = "Loss of a label, tau = 1", .x = "its logit, the others 0", .y = "loss"},
               losses),
         lines({.title = "Pull of a label while all logits are equal",
                .x = "tau",
                .y = "force on its logit"},
               pulls)});
}

std::string experts()
{
    constexpr Index k = 10;
    Numbers counts, classes = from_to(0, 9, k);
    for (Index c = 0; c < k; ++c)
        counts.push_back(std::round(1000 * std::pow(0.6, static_cast<double>(c))));
    const temper::Mdcs mdcs{};
    std::vector<Curve> priors;
    for (std::size_t e = 0; e < 3; ++e) {
        Matrix g(1, k); // at equal logits, softmax is the prior that the expert is trained under
        temper::LogitAdjustedCrossEntropy{.tau = mdcs.taus[e]}(
            Matrix::Zero(1, k).eval(), labels(std::vector<int>{0}), counts, into(g));
        g(0, 0) += 1;
        priors.push_back({"tau = " + support::plot::number(mdcs.taus[e]), classes,
                          column(g.transpose(), 0), static_cast<int>(e) + 1});
    }
    const Numbers epochs = from_to(0, 30, 31);
    return svg({lines({.title = "What each expert is told to expect",
                       .x = "class, from frequent to rare",
                       .y = "its prior"},
                      priors),
                lines({.title = "Weight of self-distillation", .x = "epoch", .y = "w"},
                      {{"", epochs, map(epochs, [&](double e) {
                            return mdcs.at(static_cast<Index>(e)).distillation;
                        })}})});
}

} // namespace

void label_noise(Album& album)
{
    album["elr"] = elr();
    album["elr_plus"] = elr_plus();
    album["ldr_kl"] = robust();
    album["ps_kd"] = ps_kd();
    album["co_teaching"] = co_teaching();
    album["nested_dropout"] = nested_dropout();
    album["adele"] = adele();
    album["logit_adjusted"] = logit_adjusted();
    album["mdcs"] = experts();
}

} // namespace pictures
