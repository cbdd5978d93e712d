// SPDX-License-Identifier: BSL-1.0

// docs/mixing.md

#include <temper/augment/cutmix.hpp>
#include <temper/augment/lesion_mixup.hpp>
#include <temper/augment/mixup.hpp>
#include <temper/augment/policy_region.hpp>
#include <temper/augment/simplex_mix.hpp>
#include <temper/augment/smmix_regions.hpp>
#include <temper/loss/decoupled_mixup_cross_entropy.hpp>
#include <temper/loss/mixup_cross_entropy.hpp>
#include <temper/loss/semixup_consistency.hpp>
#include <temper/loss/temperature_scaling.hpp>
#include <temper/metric/calibration_metrics.hpp>
#include <temper/schedule/mixup_until.hpp>

#include "pictures/pictures.hpp"

namespace pictures {
namespace {

using temper::into;
using temper::labels;

/// Distributions of three classes as positions in a triangle.
Curve in_triangle(const std::string& name, const Matrix& p, int colour, Mark mark)
{
    Curve c{.name = name, .colour = colour, .mark = mark};
    for (Index i = 0; i < p.rows(); ++i) {
        c.x.push_back(p(i, 1) + p(i, 2) / 2);
        c.y.push_back(p(i, 2) * std::sqrt(0.75));
    }
    return c;
}

Curve triangle()
{
    Matrix corners(4, 3);
    corners << 1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0;
    return in_triangle("", corners, 0, Mark::line);
}

Axes triangle_axes(const std::string& title)
{
    return {.title = title,
            .x_range = {-0.02, 1.02},
            .y_range = {-0.02, 0.89},
            .bare = true,
            .width = third_width};
}

/// Forces, which are what gradients are the negatives of.
std::string decoupled()
{
    const Numbers together = from_to(0, 6), partner = from_to(-2, 6);
    Matrix both = Matrix::Zero(static_cast<Index>(together.size()), 3);
    for (Index i = 0; i < both.rows(); ++i)
        both(i, 0) = both(i, 1) = together[static_cast<std::size_t>(i)];
    const Matrix one = along(partner, 1, {3, 0, 0});
    std::vector<Curve> left, right;
    const auto add = [&](const std::string& name, int colour, Mark mark, const auto& loss) {
        Matrix g(both.rows(), 3);
        loss(both, labels(all(together, 0)), labels(all(together, 1)), 0.7, into(g));
        left.push_back({name, together, column(-g.leftCols(2).rowwise().sum(), 0), colour, mark});
        loss(one, labels(all(partner, 0)), labels(all(partner, 1)), 0.7, into(g));
        right.push_back({name, partner, column(-g, 1), colour, mark});
    };
    using temper::Reduction;
    add("cross-entropy", 0, Mark::dashed, temper::MixupCrossEntropy{.reduction = Reduction::sum});
    for (const auto& [eta, colour] : {std::pair{0.1, 1}, std::pair{0.5, 2}})
        add("eta = " + support::plot::number(eta), colour, Mark::line,
            temper::DecoupledMixupCrossEntropy{
                .eta_a = eta, .eta_b = eta, .reduction = Reduction::sum});
    return svg({lines({.title = "Both labels against the third class",
                       .x = "logit of both labels, the third's is 0",
                       .y = "force on both"},
                      left),
                lines({.title = "The partner's label, weight 0.3",
                       .x = "its logit; label 3, third class 0",
                       .y = "force on it"},
                      right)});
}

std::string mixup_until()
{
    std::vector<Curve> probability;
    Numbers steps = from_to(0, 700, 141);
    const auto add = [&](const std::string& name, int colour, const temper::MixupUntil& until) {
        probability.push_back({name, steps,
                               map(steps, [&](double t) { return until(static_cast<Index>(t)); }),
                               colour});
    };
    add("stop 500", 1, {.stop = 500});
    add("ramp 200", 2, {.stop = 500, .ramp = 200});
    add("probability 0.5", 3, {.stop = 350, .probability = 0.5});

    constexpr Index n = 60;
    std::vector<Curve> shares;
    const auto plans = [&](const std::string& name, int colour, const auto& mixup) {
        auto rng = temper::stream(1, 0, "labels apart");
        const temper::MixPlan plan = mixup.draw(rng, n);
        shares.push_back({name, plan.lambda, plan.label_lambda, colour, Mark::dots});
    };
    using namespace temper;
    plans("SameLabels", 1, Mixup<>{.per_sample = true});
    plans("SeparateLabels, Beta", 3,
          Mixup<BetaCoefficient, ShuffledPairs, LinearBlend, SeparateLabels<>>{.per_sample = true});
    plans("SeparateLabels, constant", 2,
          Mixup<BetaCoefficient, ShuffledPairs, LinearBlend, SeparateLabels<ConstantCoefficient>>{
              .label_rule = {{0.7}}, .per_sample = true});
    return svg(
        {lines({.title = "When batches are mixed", .x = "step", .y = "probability"}, probability),
         lines({.title = "Coefficients of 60 samples",
                .x = "lambda of the inputs",
                .y = "lambda of the labels",
                .x_range = {0, 1}},
               shares)});
}

std::string simplex(const support::LabelledData& digits)
{
    const support::LabelledData some = first_of(digits, {0, 7, 4, 6});
    const Matrix x = some.x.cast<double>();
    support::ImageGrid grid;
    grid.rows.push_back(image_row("of 1", x));
    for (const Index order : {2, 3, 4}) {
        auto rng = temper::stream(6, static_cast<std::uint64_t>(order), "simplex");
        const temper::SimplexMix mix{.order = order};
        Matrix mixed(x.rows(), 64);
        mix.apply(mix.draw(rng, x.rows()), x, into(mixed));
        grid.rows.push_back(image_row("of " + std::to_string(order), mixed));
    }
    constexpr Index n = 150;
    const auto targets = [&](Index order, int colour) {
        auto rng = temper::stream(1, 0, "triangle");
        temper::SimplexMix mix{.order = order};
        temper::SimplexPlan plan = mix.draw(rng, n);
        for (Index i = 0; i < n; ++i) // samples i, i + 1, ... are of classes i mod 3, ...
            for (Index j = 0; j < order; ++j)
                plan.index[static_cast<std::size_t>(i * order + j)] = (i + j) % n;
        std::vector<int> y;
        for (int i = 0; i < n; ++i)
            y.push_back(i % 3);
        Matrix t(n, 3);
        mix.mix_labels(plan, labels(y), 3, into(t));
        return in_triangle("mixtures of " + std::to_string(order), t, colour, Mark::dots);
    };
    return svg({titled("Mixtures of digits", images(grid, 40)),
                lines(triangle_axes("Labels of pairs"), {triangle(), targets(2, 2)}),
                lines(triangle_axes("Labels of triples"), {triangle(), targets(3, 1)})});
}

std::string temperature()
{
    constexpr Index n = 4000, k = 5;
    auto rng = temper::stream(2, 0, "too sure");
    Matrix z(n, k);
    std::vector<int> y;
    for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < k; ++j)
            z(i, j) = 1.5 * temper::normal(rng);
        const Eigen::RowVectorXd p = z.row(i).array().exp() / z.row(i).array().exp().sum();
        double rest = temper::uniform(rng);
        int drawn = 0;
        while (drawn + 1 < k && (rest -= p(drawn)) >= 0)
            ++drawn;
        y.push_back(drawn);
        z.row(i) *= 2.5; // the network believes itself more than it should
    }
    const temper::TemperatureScaling scaling{};
    const temper::TemperatureFit fit = scaling.fit(z, labels(y));
    const Numbers betas = from_to(0.05, 1.4, 60);
    const std::vector<Curve> value{
        {"of the logits as they are", {1}, {fit.nll_before}, 2, Mark::dots},
        {"fitted: T = " + support::plot::number(std::round(100 * fit.temperature) / 100),
         {1 / fit.temperature},
         {fit.nll_after},
         1,
         Mark::dots},
        {"", betas, map(betas, [&](double b) { return scaling(z, labels(y), 1 / b); }), 0}};
    std::vector<Curve> curves{{"what it should be", {0, 1}, {0, 1}, 0, Mark::dashed}};
    const auto reliability = [&](const std::string& name, double t, int colour) {
        Matrix scaled(n, k);
        scaling.forward(z, t, into(scaled));
        const Matrix p = (scaled.array().exp().colwise() / scaled.array().exp().rowwise().sum());
        const double error =
            temper::CalibrationMetrics{.bins = 10}(temper::probabilities(p), labels(y)).ece;
        Curve c{.name = name + ", error " + percent(error), .colour = colour};
        for (const support::ReliabilityBin& bin : support::reliability(p.cast<float>(), y, 10)) {
            if (bin.count < 10)
                continue;
            c.x.push_back(bin.confidence);
            c.y.push_back(bin.accuracy);
        }
        curves.push_back(c);
    };
    reliability("T = 1", 1, 2);
    reliability("fitted T", fit.temperature, 1);
    return svg({lines({.title = "Convex in 1 / T", .x = "1 / T", .y = "negative log-likelihood"},
                      {value[2], value[0], value[1]}),
                lines({.title = "Can it be believed?",
                       .x = "confidence",
                       .y = "accuracy",
                       .x_range = {0, 1}},
                      curves)});
}

std::string smmix(const support::LabelledData& digits)
{
    const Matrix x = first_of(digits, {0, 4, 7, 3, 6, 9}).x.cast<double>();
    const Index n = x.rows();
    Matrix attention(n, 16); // here: the ink of 4 x 4 patches
    for (Index i = 0; i < n; ++i)
        for (Index p = 0; p < 16; ++p)
            attention(i, p) = Eigen::Map<const Matrix>(x.row(i).data(), 8, 8)
                                  .block(p / 4 * 2, p % 4 * 2, 2, 2)
                                  .mean();
    const temper::SmmixRegions<> mix{};
    temper::MixPlan plan;
    plan.image = {8, 8};
    for (Index i = 0; i < n; ++i)
        plan.partner.push_back((i + 1) % n);
    mix.place(attention, 2, plan);
    Matrix mixed(n, 64), mask(n, 16);
    mix.apply(plan, x, into(mixed));
    mix.source_mask(plan, 4, into(mask));
    return svg(support::ImageGrid{
        {image_row("image", x), image_row("attention", attention), image_row("pasted over", mask),
         image_row("mixture", mixed,
                   std::vector<std::string>(6, percent(plan.lambda_of(0)) + " its own"))}});
}

std::string adamixup(const support::LabelledData& digits)
{
    const std::vector<std::pair<std::string, Numbers>> gates{{"gate (0, 0, 0)", {0, 0, 0}},
                                                             {"gate (2, 0, 0)", {2, 0, 0}},
                                                             {"gate (0, 0, 3)", {0, 0, 3}},
                                                             {"gate (0, 4, 0)", {0, 4, 0}}};
    const temper::PolicyRegion region{};
    const Matrix pair = first_of(digits, {3, 1}).x.cast<double>();
    support::ImageGrid grid;
    std::vector<Curve> curves;
    for (std::size_t i = 0; i < gates.size(); ++i) {
        const auto& [name, gate] = gates[i];
        const Matrix g = Eigen::Map<const Eigen::RowVectorXd>(gate.data(), 3).replicate(3, 1);
        temper::PolicyPlan plan;
        plan.uniform = {0, 0.5, 1};
        for (Index j = 0; j < 3; ++j)
            plan.partner.push_back(j);
        region.decide(g, plan);
        curves.push_back({name, plan.uniform, plan.lambda, static_cast<int>(i) + 1});
        Matrix mixed(3, 64);
        region.apply(plan, pair.row(0).replicate(3, 1).eval(), pair.row(1).replicate(3, 1).eval(),
                     into(mixed));
        grid.rows.push_back(
            image_row(name, mixed,
                      {percent(plan.lambda[0]), percent(plan.lambda[1]), percent(plan.lambda[2])}));
    }
    return svg({lines({.title = "The region that the policy leaves",
                       .x = "u, uniform",
                       .y = "lambda",
                       .y_range = {0, 1}},
                      curves),
                titled("Mixtures at u = 0, 1/2 and 1", images(grid, 44))});
}

/// Where gradient descent takes the three predictions of a sample, whose partner is the second row.
std::string semixup()
{
    using temper::SemixupConsistency;
    temper::MixPlan plan;
    plan.partner = {1, 0};
    plan.lambda = plan.label_lambda = {0.7};
    const auto panel = [&](const std::string& title, const SemixupConsistency& loss) {
        Matrix z(2, 3), mixed(2, 3), augmented(2, 3), gz(2, 3), gm(2, 3), ga(2, 3);
        z << 2.2, 0, -0.6, -1.2, 2.4, -0.4;
        mixed << 0.2, 0.1, 1.6, 0.2, 0.1, 1.6;
        augmented << 1, -0.6, 0.5, -1, 0.9, 0.8;
        constexpr Index steps = 200;
        Matrix paths[3] = {Matrix(steps, 3), Matrix(steps, 3), Matrix(steps, 3)};
        Matrix between(1, 3);
        const auto softmax = [](const auto& row) {
            const Eigen::RowVectorXd e = row.array().exp();
            return Eigen::RowVectorXd(e / e.sum());
        };
        const auto blend = [&] { return Eigen::RowVectorXd(0.7 * z.row(0) + 0.3 * z.row(1)); };
        for (Index s = 0; s < steps; ++s) {
            paths[0].row(s) = softmax(z.row(0));
            paths[1].row(s) = softmax(augmented.row(0));
            paths[2].row(s) = softmax(mixed.row(0));
            loss(mixed, z, augmented, plan, into(gm), into(gz), into(ga));
            z -= gz, mixed -= gm, augmented -= ga;
        }
        between.row(0) = softmax(blend());
        std::vector<Curve> curves{triangle()};
        const char* names[] = {"image", "augmented", "mixed"};
        for (int i = 0; i < 3; ++i) {
            curves.push_back(in_triangle(names[i], paths[i], i + 1, Mark::line));
            curves.push_back(in_triangle("", paths[i].bottomRows(1), i + 1, Mark::dots));
        }
        curves.push_back(in_triangle("mixed logits", between, 4, Mark::dots));
        return lines(triangle_axes(title), curves);
    };
    return svg({panel("In the manifold", {.interpolation = 0, .out_of_manifold = 0}),
                panel("Interpolation", {.in_manifold = 0, .out_of_manifold = 0}),
                panel("Out of the manifold", {.in_manifold = 0, .interpolation = 0})});
}

std::string lesions(const support::LabelledData& digits)
{
    const support::LabelledData some = first_of(digits, {3, 3, 3, 0, 0, 7, 7});
    const Matrix x = some.x.cast<double>();
    std::vector<std::int64_t> groups(some.y.begin(), some.y.end());
    groups.back() = 8; // shows what nobody else does
    auto rng = temper::stream(1, 0, "lesions");
    const temper::LesionMixup mixup = temper::lesion_mixup(groups);
    const temper::MixPlan plan = mixup.draw(rng, x.rows());
    Matrix mixed(x.rows(), 64), partner(x.rows(), 64);
    mixup.apply(plan, x, into(mixed));
    std::vector<std::string> names, shares;
    for (Index i = 0; i < x.rows(); ++i) {
        partner.row(i) = x.row(plan.partner[static_cast<std::size_t>(i)]);
        const std::int64_t group = groups[static_cast<std::size_t>(i)];
        names.push_back(group == 3   ? "shows A"
                        : group == 0 ? "shows B"
                        : group == 7 ? "shows C"
                                     : "shows D");
        shares.push_back(percent(plan.lambda_of(i)));
        if (plan.partner[static_cast<std::size_t>(i)] == i)
            partner.row(i).setZero();
    }
    return svg(support::ImageGrid{{image_row("sample", x, names), image_row("partner", partner),
                                   image_row("mixture", mixed, shares)}});
}

} // namespace

void mixing(const support::LabelledData& digits, Album& album)
{
    album["decoupled_mixup"] = decoupled();
    album["mixup_until"] = mixup_until();
    album["simplex_mix"] = simplex(digits);
    album["temperature_scaling"] = temperature();
    album["smmix"] = smmix(digits);
    album["adamixup"] = adamixup(digits);
    album["semixup"] = semixup();
    album["lesion_mixup"] = lesions(digits);
}

} // namespace pictures
