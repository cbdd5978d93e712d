// SPDX-License-Identifier: BSL-1.0

// DR-Tune: Improving Fine-tuning of Pretrained Visual Models by Distribution Regularization with Semantic
// Calibration.

#include "effect/distillation.hpp"

#include <temper/loss/distribution_regularized_cross_entropy.hpp>
#include <temper/recipe/feature_bank.hpp>
#include <temper/representation/semantic_calibration.hpp>

using namespace effect::distillation;

namespace {

struct Run {
    double train = 0;
    double test = 0;
};

/// Digits 0 to 4 to pretrain on, six of each of the others to fine-tune with.
Run tune(bool regularised, bool calibrated)
{
    Run mean;
    constexpr int seeds = 5;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Digits digits(seed, 1000);
        support::LabelledData old = digits.train, few = digits.train, test = digits.test;
        const auto keep = [](support::LabelledData& data, int low, int high, int most) {
            std::vector<Index> rows;
            std::vector<int> seen(10);
            for (std::size_t i = 0; i < data.y.size(); ++i)
                if (data.y[i] >= low && data.y[i] < high &&
                    ++seen[static_cast<std::size_t>(data.y[i])] <= most)
                    rows.push_back(static_cast<Index>(i));
            data = support::take(data, rows);
            for (int& y : data.y)
                y -= low;
        };
        keep(old, 0, 5, 1000);
        keep(few, 5, 10, 6);
        keep(test, 5, 10, 1000);
        Classifier pretrained({64, 64, 32}, seed + 50, 0.003, 5);
        train_on_labels(pretrained, old, 20, seed);
        Classifier tuned({64, 64, 32}, seed, 0.002, 5);
        tuned.trunk.network.parameters() = pretrained.trunk.network.parameters();
        const temper::FeatureBank bank{.rows = 30};
        auto state = bank.init<float>(32);
        Matrix<float> g, gf, gw(5, 32), gb(1, 5), moved;
        Index step = 0;
        for_each_batch(
            few, 100, seed,
            [&](const Matrix<float>& x, const std::vector<int>& y) {
                pretrained.forward(x);
                const Matrix<float>& z = tuned.forward(x);
                g.resize(z.rows(), 5);
                if (!regularised) {
                    temper::SoftmaxCrossEntropy{}(z, labels(y), into(g));
                    tuned.step(g);
                    return;
                }
                bank.observe(state, tuned.features, pretrained.features, labels(y));
                Matrix<float>& w = tuned.head.network.weight(0);
                Matrix<float>& b = tuned.head.network.bias(0);
                moved.resize(state.filled, 32);
                if (calibrated)
                    temper::SemanticCalibration{.rotate = step++ % 10 == 0}.forward(
                        state.pretrained(), state.downstream(), labels(state.labels()), w,
                        tuned.features, into(moved));
                else
                    for (Index i = 0; i < state.filled; ++i)
                        for (Index j = 0; j < 32; ++j)
                            moved(i, j) = state.pretrained()(i, j);
                gf.resize(x.rows(), 32);
                temper::DrTune{.balance = temper::DrTune::Balance::sum_of_means}(
                    tuned.features, labels(y), w, b, moved, labels(state.labels()), into(gf),
                    into(tuned.head.gradients[0]), into(tuned.head.gradients[1]));
                gf = (tuned.features.array() > 0.0F).select(gf, 0.0F);
                tuned.trunk.backward(gf);
                tuned.trunk.step();
                tuned.head.step();
            },
            10);
        mean.train += tuned.accuracy(few.x, few.y) / seeds;
        mean.test += tuned.accuracy(test.x, test.y) / seeds;
    }
    std::printf("DR-Tune: %s: accuracy %.3f on what was tuned with, %.4f on new digits\n",
                !regularised ? "plain"
                : calibrated ? "calibrated bank"
                             : "bank as it was",
                mean.train, mean.test);
    return mean;
}

} // namespace

TEST_CASE("fine-tuning with a head that still knows the pretrained features", "[effect]")
{
    const Run plain = tune(false, false);
    const Run as_it_was = tune(true, false);
    const Run dr = tune(true, true);
    CHECK(dr.test > as_it_was.test + 0.005);
    CHECK(dr.test > plain.test - 0.01); // no better than plain fine-tuning here
}
