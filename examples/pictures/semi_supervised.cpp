// SPDX-License-Identifier: BSL-1.0

// docs/semi_supervised.md

#include <cmath>

#include <temper/augment/block_mask.hpp>
#include <temper/augment/cutout.hpp>
#include <temper/loss/adawac.hpp>
#include <temper/loss/consistency.hpp>
#include <temper/loss/entropy_minimisation.hpp>
#include <temper/loss/masked_image_consistency.hpp>
#include <temper/loss/prediction_diversity.hpp>
#include <temper/loss/sharpen_distribution.hpp>
#include <temper/loss/shrink_match.hpp>
#include <temper/loss/uda_consistency.hpp>
#include <temper/recipe/robust_mean_teacher.hpp>
#include <temper/schedule/tsa_threshold.hpp>

#include "pictures/pictures.hpp"

namespace pictures {
namespace {

using temper::into;
using temper::per_sample;
using temper::probabilities;
using temper::target_logits;

std::string divergences()
{
    const Numbers x = from_to(-6, 8);
    const Matrix z = along(x, 0, {0, 0});
    const Matrix p = Eigen::RowVector2d(0.9, 0.1).replicate(z.rows(), 1);
    std::vector<Curve> values, forces;
    const auto add = [&](const std::string& name, int colour, Mark mark, auto divergence) {
        const temper::Consistency<decltype(divergence)> loss{.reduction = temper::Reduction::sum};
        Numbers value(x.size());
        Matrix g(z.rows(), 2);
        loss(z, probabilities(p), into(g), per_sample(into(value)));
        values.push_back({name, x, value, colour, mark});
        forces.push_back({name, x, column(-g, 0), colour, mark});
    };
    add("KullbackLeibler", 0, Mark::dashed, temper::KullbackLeibler{});
    add("ReverseKullbackLeibler", 2, Mark::line, temper::ReverseKullbackLeibler{});
    add("JensenShannon", 3, Mark::line, temper::JensenShannon{});
    add("SquaredDistance", 1, Mark::line, temper::SquaredDistance{});
    add("SymmetricCrossEntropy", 4, Mark::line, temper::SymmetricCrossEntropy{});
    return svg({lines({.title = "Distance from a target of 0.9",
                       .x = "logit of the class, the other one's is 0",
                       .y = "value",
                       .y_range = {0, 4}},
                      values),
                lines({.title = "Who forgives what is far away",
                       .x = "logit of the class, the other one's is 0",
                       .y = "force on the logit"},
                      forces)});
}

std::string uda()
{
    const Numbers t = from_to(0, 6, 241); // the target's lead among ten classes
    const Matrix target = along(t, 0, Numbers(10, 0)), z = Matrix::Zero(target.rows(), 10);
    const Numbers sure = map(t, [](double lead) { return std::exp(lead) / (std::exp(lead) + 9); });
    std::vector<Curve> forces;
    const auto add = [&](const std::string& name, int colour, Mark mark, const auto& loss) {
        Matrix g(z.rows(), 10);
        loss(z, target_logits(target), into(g));
        forces.push_back({name, sure, column(-g, 0), colour, mark});
    };
    using temper::Reduction;
    add("KL alone", 0, Mark::dashed,
        temper::Consistency<temper::KullbackLeibler>{.reduction = Reduction::sum});
    add("UDA", 1, Mark::line, temper::UdaConsistency{.reduction = Reduction::sum});
    add("FixMatch", 2, Mark::line,
        temper::Consistency<temper::TargetCrossEntropy>{
            .target_temperature = 0, .threshold = 0.95, .reduction = Reduction::sum});

    using Shape = temper::TsaThreshold::Shape;
    const Numbers steps = from_to(0, 1000, 101);
    std::vector<Curve> thresholds;
    const auto anneal = [&](const std::string& name, int colour, Shape shape) {
        const temper::TsaThreshold schedule{.classes = 10, .steps = 1000, .shape = shape};
        thresholds.push_back({name, steps,
                              map(steps, [&](double s) { return schedule(static_cast<Index>(s)); }),
                              colour});
    };
    anneal("logarithmic", 3, Shape::logarithmic);
    anneal("linear", 1, Shape::linear);
    anneal("exponential", 2, Shape::exponential);
    return svg({lines({.title = "What a weak view teaches",
                       .x = "confidence in the weak view",
                       .y = "force on its class",
                       .x_range = {0.1, 1},
                       .y_range = {0, 1}},
                      forces),
                lines({.title = "Annealing: who is surer is left out",
                       .x = "step",
                       .y = "threshold for the probability of the label",
                       .y_range = {0, 1}},
                      thresholds)});
}

std::string shrink()
{
    Matrix p(1, 10);
    p << 0.52, 0.26, 0.13, 0.04, 0.015, 0.011, 0.009, 0.007, 0.005, 0.003;
    const temper::ShrinkMatch loss{.threshold = 0.9};
    auto state = loss.init();
    state.sure = 1;
    std::vector<std::int64_t> rank(1);
    const Matrix z = Matrix::Zero(1, 10);
    Matrix g(1, 10);
    loss(state, z, probabilities(p), into(g), temper::removed(into(rank)));
    Curve kept{.name = "kept", .colour = 1, .mark = Mark::bars};
    Curve out{.name = "left out", .colour = 2, .mark = Mark::bars};
    Curve force{.name = "", .colour = 1, .mark = Mark::bars};
    for (Index j = 0; j < 10; ++j) {
        Curve& c = j >= 1 && j < rank[0] ? out : kept;
        c.x.push_back(static_cast<double>(j + 1));
        c.y.push_back(p(0, j));
        force.x.push_back(static_cast<double>(j + 1));
        force.y.push_back(-g(0, j));
    }
    // How many classes go, for predictions whose tails fall at different rates.
    std::vector<Curve> counts;
    int colour = 1;
    for (const double fall : {0.35, 0.6, 0.9}) {
        const Numbers top = from_to(0.15, 0.89, 75);
        Matrix rows(static_cast<Index>(top.size()), 10);
        for (Index i = 0; i < rows.rows(); ++i) {
            double sum = 0;
            for (Index j = 1; j < 10; ++j)
                sum += rows(i, j) = std::pow(fall, static_cast<double>(j));
            rows.row(i) *= (1 - top[static_cast<std::size_t>(i)]) / sum;
            rows(i, 0) = top[static_cast<std::size_t>(i)];
        }
        std::vector<std::int64_t> c(top.size());
        loss(state, Matrix::Zero(rows.rows(), 10).eval(), probabilities(rows),
             temper::removed(into(c)));
        Curve curve{.name = "factor " + support::plot::number(fall), .colour = colour++};
        for (std::size_t i = 0; i < top.size(); ++i) {
            if (rows.row(static_cast<Index>(i)).maxCoeff() > top[i])
                continue;
            curve.x.push_back(top[i]);
            curve.y.push_back(static_cast<double>(c[i] - 1));
        }
        counts.push_back(curve);
    }
    const support::plot::Range classes{0.5, 10.5};
    return svg({lines({.title = "An unsure prediction",
                       .x = "classes by probability",
                       .y = "probability",
                       .x_range = classes,
                       .width = third_width},
                      {kept, out}),
                lines({.title = "What it teaches all the same",
                       .x = "classes by probability",
                       .y = "force at equal logits",
                       .x_range = classes,
                       .width = third_width},
                      {force}),
                lines({.title = "How many are left out",
                       .x = "largest probability",
                       .y = "classes; tails fall by a factor",
                       .width = third_width},
                      counts)});
}

std::string mic(const support::LabelledData& digits)
{
    const Matrix x = first_of(digits, {0, 3, 4, 6, 9}).x.cast<double>();
    support::ImageGrid grid{{image_row("whole", x)}};
    for (const double ratio : {0.3, 0.5, 0.7}) {
        auto rng = temper::stream(3, 0, "blocks");
        const temper::BlockMask mask{.ratio = ratio, .block = 2};
        Matrix masked(x.rows(), 64);
        mask.apply(mask.draw(rng, x.rows(), {8, 8}), x, into(masked));
        grid.rows.push_back(image_row("ratio " + support::plot::number(ratio), masked));
    }
    // A batch whose sureness spreads from 1/2 to almost 1.
    const Matrix t = along(from_to(0, 5, 50), 0, {0, 0});
    const Numbers thresholds = from_to(0.5, 1, 101);
    using Quality = temper::MaskedImageConsistency::Quality;
    const auto quality = [&](Quality kind) {
        return map(thresholds, [&](double threshold) {
            double q = 0;
            temper::MaskedImageConsistency{.threshold = threshold, .quality = kind}(
                t, target_logits(t), temper::quality(into(q)));
            return q;
        });
    };
    return svg({titled("What the student sees", images(grid, 46)),
                lines({.title = "What a batch counts for",
                       .x = "threshold",
                       .y = "mean quality q of 50 predictions",
                       .y_range = {0, 1}},
                      {{"share of sure ones", thresholds, quality(Quality::batch_fraction), 1},
                       {"confidence", thresholds, quality(Quality::confidence), 2}})});
}

std::string mean_teacher()
{
    const Numbers x = from_to(-6, 6);
    const Matrix z = along(x, 0, {0, 0});
    std::vector<Curve> forces;
    const auto add = [&](const std::string& name, int colour, Mark mark, double lead, auto d) {
        Matrix g(z.rows(), 2);
        const Matrix t = Eigen::RowVector2d(lead, 0).replicate(z.rows(), 1);
        temper::Consistency<decltype(d)>{.reduction = temper::Reduction::sum}(z, target_logits(t),
                                                                              into(g));
        forces.push_back({name, x, column(-g, 0), colour, mark});
    };
    add("cross-entropy, teacher undecided", 0, Mark::dashed, 0, temper::TargetCrossEntropy{});
    add("symmetric, teacher undecided", 1, Mark::line, 0, temper::SymmetricCrossEntropy{});
    add("cross-entropy, teacher at 4", 2, Mark::dashed, 4, temper::TargetCrossEntropy{});
    add("symmetric, teacher at 4", 3, Mark::line, 4, temper::SymmetricCrossEntropy{});

    // Features of a batch and of its augmentation, moved by the contrastive term alone.
    constexpr Index n = 9, steps = 300;
    auto rng = temper::stream(3, 0, "drift");
    Matrix prototypes(3, 2), f(n, 2), f2(n, 2), nearest(n, 2), gf(n, 2), gf2(n, 2);
    for (Index c = 0; c < 3; ++c)
        prototypes.row(c) << std::cos(2.1 * static_cast<double>(c)),
            std::sin(2.1 * static_cast<double>(c));
    for (Index i = 0; i < n; ++i) {
        const double angle = 2.1 * static_cast<double>(i % 3) + 0.5 * temper::normal(rng);
        const double radius = 0.5 + 0.07 * static_cast<double>(i);
        f.row(i) << radius * std::cos(angle), radius * std::sin(angle);
        f2.row(i) << radius * std::cos(angle + 0.4), radius * std::sin(angle + 0.4);
    }
    const temper::RobustMeanTeacher rmt{.target = 0};
    const Matrix logits = Matrix::Zero(n, 3);
    rmt.pair(prototypes, f, into(nearest));
    std::vector<Curve> paths(static_cast<std::size_t>(2 * n));
    for (Index s = 0; s < steps; ++s) {
        for (Index i = 0; s % 10 == 0 && i < n; ++i)
            for (Index view = 0; view < 2; ++view) {
                Curve& path = paths[static_cast<std::size_t>(2 * i + view)];
                path.x.push_back(view == 0 ? f(i, 0) : f2(i, 0));
                path.y.push_back(view == 0 ? f(i, 1) : f2(i, 1));
                path.colour = view == 0 ? 1 : 3;
            }
        using temper::view;
        rmt(temper::RobustMeanTeacher::Inputs<double>{view(logits), view(logits), view(logits),
                                                      view(nearest), view(f), view(f2)},
            {.features = into(gf), .augmented_features = into(gf2)});
        f -= 0.1 * gf, f2 -= 0.1 * gf2;
    }
    paths[0].name = "features";
    paths[1].name = "of the augmentation";
    for (std::size_t i = 0; i < static_cast<std::size_t>(2 * n); ++i)
        paths.push_back(
            {"", {paths[i].x.back()}, {paths[i].y.back()}, paths[i].colour, Mark::dots});
    for (Index c = 0; c < 3; ++c)
        paths.insert(paths.begin(), {.x = {0, 1.2 * prototypes(c, 0)},
                                     .y = {0, 1.2 * prototypes(c, 1)},
                                     .colour = 0,
                                     .mark = Mark::dashed});
    paths.push_back(
        {"source means", column(1.2 * prototypes, 0), column(1.2 * prototypes, 1), 2, Mark::dots});
    return svg({lines({.title = "Led by a symmetric cross-entropy",
                       .x = "logit of the student, the other one's is 0",
                       .y = "force on it"},
                      forces),
                lines({.title = "Held by the source's class means",
                       .x_range = {-1.4, 1.4},
                       .y_range = {-1.2, 1.2},
                       .bare = true},
                      paths)});
}

std::string adawac()
{
    constexpr Index steps = 20;
    const temper::Adawac loss{.eta = 0.3};
    const Numbers supervised{1.6, 0.9, 0.5, 0.4, 0.1}, consistency{0.3, 0.4, 0.5, 0.9, 0.9};
    const std::vector<Index> ids{0, 1, 2, 3, 4};
    auto state = loss.init(5);
    std::vector<Curve> weights(5);
    for (std::size_t i = 0; i < 5; ++i)
        weights[i] = {.name = support::plot::number(supervised[i]) + " and " +
                              support::plot::number(consistency[i]),
                      .colour = static_cast<int>(i + 1) % 5};
    for (Index s = 0; s <= steps; ++s) {
        for (std::size_t i = 0; i < 5; ++i) {
            weights[i].x.push_back(static_cast<double>(s));
            weights[i].y.push_back(state.supervised[i]);
        }
        loss.observe(state, ids, supervised, consistency);
    }
    const Numbers d = from_to(-3, 3, 61);
    std::vector<Index> each;
    for (std::size_t i = 0; i < d.size(); ++i)
        each.push_back(static_cast<Index>(i));
    std::vector<Curve> after;
    auto many = loss.init(static_cast<Index>(d.size()));
    int colour = 1;
    for (int visit = 1; visit <= 25; ++visit) {
        loss.observe(many, each, d, Numbers(d.size(), 0));
        if (visit != 1 && visit != 5 && visit != 25)
            continue;
        Numbers gs(d.size());
        temper::Adawac{.reduction = temper::Reduction::sum}(many, each, d, Numbers(d.size(), 0),
                                                            into(gs));
        after.push_back(
            {std::to_string(visit) + (visit == 1 ? " visit" : " visits"), d, gs, colour++});
    }
    return svg({lines({.title = "Weight of the supervised loss of five images",
                       .x = "visit; below: supervised and consistency loss",
                       .y = "b",
                       .y_range = {0, 1}},
                      weights),
                lines({.title = "Weight by what the losses differ",
                       .x = "supervised less consistency loss",
                       .y = "dL/ds",
                       .y_range = {0, 1}},
                      after)});
}

std::string small_things(const support::LabelledData& digits)
{
    const Numbers p = from_to(0, 1, 61);
    Matrix two(static_cast<Index>(p.size()), 2);
    for (Index i = 0; i < two.rows(); ++i)
        two.row(i) << p[static_cast<std::size_t>(i)], 1 - p[static_cast<std::size_t>(i)];
    std::vector<Curve> sharp{{"T = 1", p, p, 0, Mark::dashed}};
    int colour = 1;
    for (const double t : {0.2, 0.4, 2.0}) {
        Matrix s(two.rows(), 2);
        temper::SharpenDistribution{.temperature = t}.forward(probabilities(two), into(s));
        sharp.push_back({"T = " + support::plot::number(t), p, column(s, 0), colour++});
    }
    // A batch of two, as sure as x says: of one class, or of both.
    const Numbers x = from_to(0, 6, 61);
    std::vector<Curve> entropies;
    const auto add = [&](const std::string& name, int of, Mark mark, const auto& entropy) {
        entropies.push_back({name, x, map(x, entropy), of, mark});
    };
    const auto batch = [](double lead, bool both) {
        Matrix z = Matrix::Zero(2, 2);
        z(0, 0) = z(1, both ? 1 : 0) = lead;
        return z;
    };
    add("entropy of each", 0, Mark::dashed,
        [&](double lead) { return temper::EntropyMinimisation{}(batch(lead, true)); });
    add("of the mean, one class", 2, Mark::line,
        [&](double lead) { return temper::PredictionDiversity{}(batch(lead, false)); });
    add("of the mean, two classes", 1, Mark::line,
        [&](double lead) { return temper::PredictionDiversity{}(batch(lead, true)); });
    entropies[0].mark = Mark::line;
    entropies[1].mark = Mark::dashed;

    const Matrix images_of = first_of(digits, {2, 3, 6}).x.cast<double>();
    const temper::Cutout cutout{.size = 4};
    auto rng = temper::stream(4, 0, "cutout");
    Matrix cut(3, 64);
    cutout.apply(cutout.draw(rng, 3, {8, 8}), images_of, into(cut));
    return svg(
        {lines({.title = "Sharpening", .x = "probability", .y = "sharpened", .width = third_width},
               sharp),
         lines({.title = "Sure, and spread",
                .x = "lead of the predicted class",
                .y = "entropy of a batch of two",
                .width = third_width},
               entropies),
         titled("Cutout", images({{image_row("", images_of), image_row("", cut)}}, 62))});
}

} // namespace

void semi_supervised(const support::LabelledData& digits, Album& album)
{
    album["consistency"] = divergences();
    album["uda"] = uda();
    album["shrink_match"] = shrink();
    album["masked_image_consistency"] = mic(digits);
    album["robust_mean_teacher"] = mean_teacher();
    album["adawac"] = adawac();
    album["small_things"] = small_things(digits);
}

} // namespace pictures
