// SPDX-License-Identifier: BSL-1.0
#include <temper/adapt/boosting.hpp>

#include <temper/core/random.hpp>
#include <temper/loss/adaptive_label_distributionally_robust_loss.hpp>
#include <temper/loss/focal_loss.hpp>
#include <temper/loss/label_distributionally_robust_loss.hpp>
#include <temper/loss/robust_loss.hpp>
#include <temper/loss/sigmoid_focal_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <numeric>
#include <string>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Floats = std::vector<float>;
using Doubles = std::vector<double>;

namespace {

constexpr Index n = 7;
constexpr Index k = 3;

/// Margins of n samples, by rows.
template <class T>
std::vector<T> margins(Index outputs)
{
    auto rng = stream(3, 0, "margins");
    std::vector<T> z(static_cast<std::size_t>(n * outputs));
    for (T& number : z)
        number = static_cast<T>(2 * normal(rng));
    return z;
}
const Floats classes{0, 2, 1, 1, 0, 2, 2};
const Floats yes_or_no{0, 1, 1, 0, 1, 0, 0};
const Floats numbers{0.5F, -1, 3, 30, 0, -2, 1};

template <class T>
std::vector<T> turned(const std::vector<T>& rows, Index outputs)
{
    std::vector<T> columns(rows.size());
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < outputs; ++j)
            columns[static_cast<std::size_t>(j * n + i)] =
                rows[static_cast<std::size_t>(i * outputs + j)];
    return columns;
}

/// All layouts and types of margins give what `loss` itself gives for matrices.
template <class Objective, class Loss, class Y>
void agrees(const Objective& objective, const Loss& loss, Index outputs, const Y& targets)
{
    const auto size = static_cast<std::size_t>(n * outputs);
    const Doubles z = margins<double>(outputs);
    const Rows matrix = Eigen::Map<const Rows>(z.data(), n, outputs);
    Rows g(n, outputs);
    Rows h(n, outputs);
    const double value = loss(matrix, into(g), curvature(into(h)));
    REQUIRE(std::isfinite(value));
    REQUIRE(g.cwiseAbs().maxCoeff() > 0.01);
    REQUIRE(h.maxCoeff() > 0.001);
    const Floats g_rows(g.data(), g.data() + g.size());
    const Floats h_rows(h.data(), h.data() + h.size());

    Floats gradient(size);
    Floats bend(size);
    CHECK(objective.row_major(n, z, targets, gradient, bend) == value);
    CHECK(gradient == g_rows);
    CHECK(bend == h_rows);

    const Doubles zt = turned(z, outputs);
    CHECK(objective.class_major(n, zt, targets, gradient, bend) == Approx(value).epsilon(1e-13));
    for (const auto& [got, want] :
         {std::pair{&gradient, turned(g_rows, outputs)}, {&bend, turned(h_rows, outputs)}})
        for (std::size_t i = 0; i < size; ++i)
            CHECK((*got)[i] == Approx(want[i]).epsilon(1e-6));

    // Float margins, and pairs.
    const Floats zf(z.begin(), z.end());
    Floats both(2 * size);
    CHECK(objective.pairs(n, zf, targets, both) == Approx(value).epsilon(1e-5));
    for (std::size_t i = 0; i < size; ++i) {
        CHECK(both[2 * i] == Approx(g_rows[i]).margin(1e-5));
        CHECK(both[2 * i + 1] == Approx(h_rows[i]).margin(1e-5));
    }
}

template <class F>
std::string message(const F& f)
{
    try {
        f();
    }
    catch (const Error& thrown) {
        return thrown.what();
    }
    return "nothing thrown";
}

} // namespace

TEST_CASE("every layout of every loss is the loss itself, summed")
{
    const auto of_classes = [](auto loss) {
        loss.reduction = Reduction::mean;
        const BoostingObjective objective{.loss = loss}; // whatever the loss says
        loss.reduction = Reduction::sum;
        agrees(
            objective, [=](const auto& z, auto... out) { return loss(z, labels(classes), out...); },
            k, labels(classes));
    };
    of_classes(SoftmaxCrossEntropy{});
    of_classes(SoftmaxCrossEntropy{.label_smoothing = 0.1});
    of_classes(FocalLoss{});
    of_classes(LabelDistributionallyRobustLoss{});
    of_classes(LabelDistributionallyRobustLoss{.normalisation = LogitNormalisation::none});
    of_classes(LabelDistributionallyRobustLoss{.normalisation = LogitNormalisation::l1});

    const SigmoidFocalLoss binary{.reduction = Reduction::sum};
    agrees(
        BoostingObjective<SigmoidFocalLoss>{},
        [&](const auto& z, auto... out) { return binary(z, labels(yes_or_no), out...); }, 1,
        labels(yes_or_no));

    const auto of_numbers = [](const auto& kernel) {
        const RobustLoss<std::remove_cvref_t<decltype(kernel)>> loss{kernel, Form::element,
                                                                     Reduction::sum};
        const Eigen::VectorXd y =
            Eigen::Map<const Eigen::VectorXf>(numbers.data(), n).cast<double>();
        agrees(
            BoostingObjective{.loss = loss},
            [&](const auto& z, const auto& gz, const auto& h) { return loss(z, y, gz, h); }, 1,
            numbers);
    };
    of_numbers(PseudoHuber{.c = 1});
    of_numbers(Huber{.c = 1});
    of_numbers(Cauchy{.c = 1});
    of_numbers(Welsch{.c = 1});
}

TEST_CASE("a loss with a state")
{
    const AdaptiveLabelDistributionallyRobustLoss loss{.reduction = Reduction::sum};
    auto state = loss.init(n);
    std::vector<int> ids(static_cast<std::size_t>(n));
    std::iota(ids.begin(), ids.end(), 0);
    const Doubles z = margins<double>(k);
    loss.observe(state, ids, view(z.data(), {n, k}));
    const auto bound = [&](const auto&... arguments) { return loss(state, ids, arguments...); };
    agrees(
        BoostingObjective{.loss = bound},
        [&](const auto& x, auto... out) { return loss(state, ids, x, labels(classes), out...); }, k,
        labels(classes));
}

TEST_CASE("more than one number for each sample, as a whole sample")
{
    const RobustLoss<Cauchy> loss{{.c = 1}, Form::sample, Reduction::sum};
    const Doubles y = margins<double>(2);
    Doubles z = y;
    z[0] += 2;
    z[1] -= 3;
    z[7] += 1;
    Floats gradient(z.size());
    Floats bend(z.size());
    const double value =
        BoostingObjective{.loss = loss}.row_major(n, z, Floats(y.begin(), y.end()), gradient, bend);
    CHECK(value == Approx(std::log1p(13.0 / 2) + std::log1p(1.0 / 2)).epsilon(1e-5));
    CHECK(gradient[0] == Approx(2 * 2 / 15.0).epsilon(1e-5));
    CHECK(gradient[1] == Approx(-2 * 3 / 15.0).epsilon(1e-5));
}

TEST_CASE("the sum is the default, the mean is for those who ask; the curvature's factor")
{
    const Doubles z = margins<double>(k);
    Floats gradient(z.size());
    Floats bend(z.size());
    Floats g(z.size());
    Floats h(z.size());
    using Objective = BoostingObjective<SoftmaxCrossEntropy>;
    const double sum = Objective{}.row_major(n, z, labels(classes), g, h);
    const double mean =
        Objective{.reduction = Reduction::mean}.row_major(n, z, labels(classes), gradient, bend);
    CHECK(mean == Approx(sum / n));
    CHECK(gradient[4] == Approx(g[4] / n));
    CHECK(bend[4] == Approx(h[4] / n));

    const double same =
        Objective{.curvature_factor = 2}.row_major(n, z, labels(classes), gradient, bend);
    CHECK(same == sum);
    CHECK(gradient == g);
    for (std::size_t i = 0; i < h.size(); ++i)
        CHECK(bend[i] == 2 * h[i]);

    const BoostingObjective scaled{.loss = 0.5 * SoftmaxCrossEntropy{}};
    CHECK(scaled.row_major(n, z, labels(classes), gradient, bend) == Approx(0.5 * sum));
    CHECK(gradient[4] == Approx(0.5 * g[4]));
    CHECK(bend[4] == Approx(0.5 * h[4]));
}

TEST_CASE("weights and labels are float beside double margins")
{
    const Floats w{1, 2, 0.5F, 0, 3, 1, 1};
    const Doubles wd(w.begin(), w.end());
    const Doubles z = turned(margins<double>(k), k);
    Floats gradient(z.size());
    Floats bend(z.size());
    Floats each(static_cast<std::size_t>(n));
    const BoostingObjective<FocalLoss> objective;
    const double value = objective.class_major(n, z, labels(classes), gradient, bend,
                                               sample_weights(w), per_sample(into(each)));
    double sum = 0;
    for (std::size_t i = 0; i < w.size(); ++i)
        sum += static_cast<double>(w[i]) * static_cast<double>(each[i]);
    CHECK(value == Approx(sum).epsilon(1e-6));
    CHECK(gradient[3] == 0);
    CHECK(bend[3] == 0);
    CHECK(objective.class_major(n, z, labels(classes), gradient, bend, sample_weights(wd)) ==
          value);
}

TEST_CASE("what a boosting objective refuses")
{
    const BoostingObjective<SoftmaxCrossEntropy> objective;
    const Doubles z = margins<double>(k);
    Floats gradient(z.size(), 7);
    Floats bend(z.size(), 7);
    Floats one_short(z.size() - 1, 7);
    CHECK(message([&] { objective.row_major(n + 1, z, labels(classes), gradient, bend); }) ==
          "BoostingObjective: margins has 21 entries, must be a number of outputs for each of 8 "
          "samples");
    CHECK(message([&] { objective.row_major(n, z, labels(classes), one_short, bend); }) ==
          "BoostingObjective: gradient has 20 entries, must be 21, one after the other");
    CHECK(message([&] { objective.class_major(n, z, labels(classes), gradient, one_short); }) ==
          "BoostingObjective: curvature has 20 entries, must be 21, one after the other");
    CHECK(message([&] { objective.pairs(n, z, labels(classes), gradient); }) ==
          "BoostingObjective: pairs has 21 entries, must be 42, one after the other");
    CHECK(message([&] {
              objective.row_major(n, z, labels(Floats{0, 1, 2, 3, 0, 0, 0}), gradient, bend);
          }) == "SoftmaxCrossEntropy: labels is 3 at 3, must be an integer from 0 to 2");
    CHECK(gradient == Floats(z.size(), 7));
    CHECK(bend == Floats(z.size(), 7));
    Floats none;
    CHECK(objective.row_major(0, Doubles{}, labels(none), none, none) == 0);
}
