// SPDX-License-Identifier: BSL-1.0

// docs/label_noise.md, from weights of samples to noise masks.

#include <cmath>
#include <limits>
#include <numeric>

#include <temper/augment/beta_noise_policy.hpp>
#include <temper/augment/influence_guided_augmentation.hpp>
#include <temper/augment/noise_mask.hpp>
#include <temper/loss/bias_loss.hpp>
#include <temper/loss/ensemble_loss.hpp>
#include <temper/loss/loss_reweighting.hpp>

#include "pictures/pictures.hpp"

namespace pictures {
namespace {

using temper::into;
using temper::labels;

std::string reweighting()
{
    using Strategy = temper::LossReweighting::Strategy;
    const Numbers losses = from_to(0, 4, 41);
    const auto weights = [&](const temper::LossReweighting& how) {
        Numbers w(losses.size());
        how(losses, into(w));
        return map(w, [&](double v) { return v * static_cast<double>(losses.size()); });
    };
    std::vector<Curve> strategies, sharpness;
    const auto add = [&](const std::string& name, Strategy strategy, int colour, Mark mark) {
        strategies.push_back({name, losses, weights({.strategy = strategy}), colour, mark});
    };
    add("uniform", Strategy::uniform, 0, Mark::dashed);
    add("lin_upper", Strategy::lin_upper, 1, Mark::line);
    add("middle", Strategy::middle, 2, Mark::line);
    add("upper", Strategy::upper, 3, Mark::line);
    add("extremes", Strategy::extremes, 4, Mark::line);
    for (const auto& [r, colour] : {std::pair{0.1, 2}, std::pair{0.4, 1}, std::pair{2.0, 3}})
        sharpness.push_back({"r = " + support::plot::number(r), losses, weights({.r = r}), colour});
    return svg({lines({.title = "What a sample counts for, r = 0.4",
                       .x = "its loss, in a batch of losses from 0 to 4",
                       .y = "n w"},
                      strategies),
                lines({.title = "lin_upper", .x = "its loss", .y = "n w"}, sharpness)});
}

/// What the samples of a batch count for: their gradients relative to those of cross-entropy.
template <class... State>
Numbers bias_weights(const temper::BiasLoss& loss, const Matrix& features, const State&... state)
{
    const Matrix z = Matrix::Zero(features.rows(), 2);
    Matrix g(features.rows(), 2);
    temper::BiasLoss summed = loss;
    summed.reduction = temper::Reduction::sum;
    summed(state..., features, z, labels(std::vector<int>(static_cast<std::size_t>(z.rows()), 0)),
           into(g));
    return column(-2 * g, 0); // cross-entropy has -1/2 at equal logits
}

std::string bias()
{
    const auto features = [](const Numbers& variances) { // of two features, +- sqrt(v / 2)
        Matrix f(static_cast<Index>(variances.size()), 2);
        for (Index i = 0; i < f.rows(); ++i) {
            f(i, 0) = std::sqrt(variances[static_cast<std::size_t>(i)] / 2);
            f(i, 1) = -f(i, 0);
        }
        return f;
    };
    const Numbers variances = from_to(0, 1, 41), later = from_to(1, 2, 41);
    std::vector<Curve> shapes;
    const auto add = [&](const std::string& name, int colour, const temper::BiasLoss& loss) {
        shapes.push_back({name, variances, bias_weights(loss, features(variances)), colour});
    };
    add("beta 0.3", 1, {});
    add("beta 0.8", 3, {.beta = 0.8});
    add("paper_weight", 2, {.paper_weight = true});
    const temper::BiasLoss loss{};
    auto state = loss.init();
    loss.observe(state, features(variances));
    return svg({lines({.title = "What a sample counts for",
                       .x = "variance of its features, scaled",
                       .y = "weight of its cross-entropy",
                       .y_range = {0, 1.6}},
                      shapes),
                lines({.title = "Two batches, one after the other",
                       .x = "variance of features",
                       .y = "weight",
                       .y_range = {0, 1.6}},
                      {{"first batch", variances, bias_weights(loss, features(variances)), 0},
                       {"second, without a state", later, bias_weights(loss, features(later)), 2},
                       {"second, the least is remembered", later,
                        bias_weights(loss, features(later), state), 1}})});
}

std::string ensemble()
{
    constexpr Index n = 60;
    const Numbers margins = from_to(-3, 4, n);
    const std::vector<int> y(n, 1);
    const temper::EnsLoss loss{.reduction = temper::Reduction::sum};
    auto rng = temper::stream(8, 0, "ensemble");
    std::vector<Curve> slopes, losses;
    int colour = 1;
    for (const double lambda : {-0.8, 0.0, 0.8}) {
        Numbers g(margins.size());
        loss(margins, labels(y), loss.draw(rng, n, lambda), into(g));
        const std::string name = "lambda " + support::plot::number(lambda);
        slopes.push_back({name, margins, g, colour, Mark::dots});
        Numbers sum(g.size()); // from the right, so that all are 0 at the largest margin
        for (std::size_t i = g.size() - 1; i-- > 0;)
            sum[i] = sum[i + 1] - (g[i] + g[i + 1]) / 2 * (margins[i + 1] - margins[i]);
        losses.push_back({name, margins, sum, colour++});
    }
    return svg(
        {lines({.title = "Derivatives, drawn at three steps", .x = "margin", .y = "derivative"},
               slopes),
         lines({.title = "The losses that they belong to",
                .x = "margin",
                .y = "loss, above that of margin 4"},
               losses)});
}

std::string influence()
{
    constexpr Index rows = 8, columns = 10, d = 4, held_out = 6;
    auto rng = temper::stream(11, 0, "tensor");
    std::vector<int> row, col;
    for (int i = 0; i < rows; ++i)
        for (int j = 0; j < columns; ++j)
            if (temper::uniform(rng) < 0.45) {
                row.push_back(i);
                col.push_back(j);
            }
    const auto n = static_cast<Index>(row.size());
    // Gradients of cells in the third row and the seventh column point where validation's do.
    std::vector<double> g(static_cast<std::size_t>((n + held_out) * d));
    for (Index i = 0; i < n + held_out; ++i) {
        const bool matters = i >= n || row[static_cast<std::size_t>(i)] == 2 ||
                             col[static_cast<std::size_t>(i)] == 6;
        for (Index j = 0; j < d; ++j)
            g[static_cast<std::size_t>(i * d + j)] =
                (matters ? 0.8 : 0.05) + 0.25 * temper::normal(rng);
    }
    std::vector<int> train(static_cast<std::size_t>(n)), validation(held_out);
    std::iota(train.begin(), train.end(), 0);
    std::iota(validation.begin(), validation.end(), static_cast<int>(n));
    const temper::Dain dain{};
    Numbers cells(static_cast<std::size_t>(n)), of_rows(rows), of_columns(columns);
    dain.cell_importance(temper::view(g.data(), {1, n + held_out, d}), train, validation,
                         into(cells));
    dain.entity_importance(cells, row, into(of_rows));
    dain.entity_importance(cells, col, into(of_columns));
    const auto more = dain.draw(rng, temper::tensors(of_rows, of_columns), n / 2);

    Matrix seen = Matrix::Constant(rows, columns, std::numeric_limits<double>::quiet_NaN());
    for (std::size_t i = 0; i < cells.size(); ++i)
        seen(row[i], col[i]) = cells[i];
    Matrix drawn = Matrix::Zero(rows, columns);
    for (Index i = 0; i < more.size(); ++i)
        drawn(more(i, 0), more(i, 1)) += 1.0 / 3;
    drawn = drawn.cwiseMin(1.0);
    Matrix chances(rows, columns);
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < columns; ++j)
            chances(i, j) =
                of_rows[static_cast<std::size_t>(i)] * of_columns[static_cast<std::size_t>(j)];
    chances /= chances.maxCoeff();
    const auto panel = [](const std::string& title, const std::string& y, const Matrix& m) {
        return tiles({.title = title, .y = y, .width = third_width, .height = 22}, m);
    };
    return svg({panel("Influence of observed cells", "blue helps, orange harms", seen),
                panel("Chance of a new cell", "its row's times its column's", chances),
                panel("Cells that were drawn", "darker: more than once", drawn)});
}

std::string noise(const support::LabelledData& digits)
{
    const Matrix x = first_of(digits, {2, 5, 8, 9}).x.cast<double>();
    const Index n = x.rows();
    const temper::BetaNoisePolicy policy{};
    support::ImageGrid grid{{image_row("digit", x)}};
    const std::vector<std::pair<double, double>> parameters{{0, 0}, {2, 0}, {0, 1.5}};
    std::vector<Curve> densities;
    const Numbers m = from_to(0.01, 0.99, 99);
    int colour = 1;
    for (const auto& [a, b] : parameters) {
        const std::string name =
            "a = " + support::plot::number(a) + ", b = " + support::plot::number(b);
        const Matrix va = Matrix::Constant(1, 99, a), vb = Matrix::Constant(1, 99, b);
        const Matrix at = Eigen::Map<const Eigen::RowVectorXd>(m.data(), 99);
        Matrix p(1, 99);
        policy(va, vb, at, Numbers{1}, temper::log_density(into(p)));
        densities.push_back({name, m, column(p.array().exp().transpose(), 0), colour++});

        auto rng = temper::stream(2, 0, "noise");
        Matrix mask(n, 16), noisy(n, 64);
        policy.draw(rng, Matrix::Constant(n, 16, a).eval(), Matrix::Constant(n, 16, b).eval(),
                    into(mask));
        temper::NoiseMask{.kernel = 3, .sigma = 1}.forward(
            mask, temper::view(x.data(), {n, 8, 8}), into(temper::view(noisy.data(), {n, 8, 8})));
        grid.rows.push_back(image_row(name, noisy));
    }
    return svg({lines({.title = "Density of a mask's cell", .x = "m", .y = "p(m)"}, densities),
                titled("Smoothed masks times digits", images(grid, 46))});
}

} // namespace

void sample_weights(const support::LabelledData& digits, Album& album)
{
    album["loss_reweighting"] = reweighting();
    album["bias_loss"] = bias();
    album["ensloss"] = ensemble();
    album["dain"] = influence();
    album["noise_mask"] = noise(digits);
}

} // namespace pictures
