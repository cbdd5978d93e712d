// SPDX-License-Identifier: BSL-1.0

// LFS-GAN: Lifelong Few-Shot Image Generation.

#include "effect/distillation.hpp"
#include "effect/support.hpp"

#include <temper/layer/left_modulation_linear.hpp>
#include <temper/representation/clusterwise_mode_seeking.hpp>

using namespace effect::distillation;

namespace {

struct Run {
    double unmodulated, second; ///< accuracies on the second task
    double first, again;        ///< on the first one, before and after
};

Run modulate_for_second_task(std::uint64_t seed)
{
    const Digits digits(seed, 800);
    Classifier network({64, 96, 64}, seed);
    train_on_labels(network, digits.train, 30, seed);
    const auto upside_down = [](const support::LabelledData& data) {
        support::LabelledData other = data;
        other.x = data.x.rowwise().reverse();
        return other;
    };
    const auto train = upside_down(digits.train);
    const auto test = upside_down(digits.test);
    const double first = network.accuracy(digits.test.x, digits.test.y);
    const double unmodulated = network.accuracy(test.x, test.y);

    const Matrix<float> w = network.trunk.network.weight(0); // frozen
    const temper::LeftModulationLinear left;
    std::vector<Matrix<float>> factors{Matrix<float>(96, 1), Matrix<float>(64, 1),
                                       Matrix<float>(96, 1), Matrix<float>(64, 1)};
    auto slopes = factors;
    const auto destinations = [](std::vector<Matrix<float>>& m) {
        return temper::LeftModulationLinear::Gradients<float>{into(m[0]), into(m[1]), into(m[2]),
                                                              into(m[3])};
    };
    auto rng = temper::stream(seed, 0, "factors");
    left.init(rng, destinations(factors));
    const auto views = [](std::vector<Matrix<float>>& m) {
        return temper::tensors(m[0], m[1], m[2], m[3]);
    };
    const auto all = views(factors);
    const temper::Adam adam{.learning_rate = 0.01};
    auto state = adam.init(all);
    Matrix<float> g;
    const temper::LeftModulationLinear::Factors<float> now{
        temper::view(factors[0]), temper::view(factors[1]), temper::view(factors[2]),
        temper::view(factors[3])};
    const auto modulate = [&] { left.forward(w, now, into(network.trunk.network.weight(0))); };
    for_each_batch(train, 60, seed + 10, [&](const Matrix<float>& x, const std::vector<int>& y) {
        modulate();
        const Matrix<float>& z = network.forward(x);
        g.resize(z.rows(), 10);
        temper::SoftmaxCrossEntropy{}(z, labels(y), into(g));
        network.g_features.resize(x.rows(), 64);
        network.head.backward(g, &network.g_features);
        network.g_features = (network.features.array() > 0.0F).select(network.g_features, 0.0F);
        network.trunk.backward(network.g_features);
        left.pullback(w, now, network.trunk.gradients[0], destinations(slopes));
        adam.step(state, all, views(slopes));
    });
    modulate();
    const double second = network.accuracy(test.x, test.y);
    network.trunk.network.weight(0) = w;
    const double again = network.accuracy(digits.test.x, digits.test.y);
    return {unmodulated, second, first, again};
}

} // namespace

TEST_CASE("a few modulating numbers learn a second task and leave the first as it was", "[effect]")
{
    Run mean{};
    for (const std::uint64_t seed : {1, 2, 3}) {
        const Run run = modulate_for_second_task(seed);
        CHECK(run.second > run.unmodulated + 0.2);
        CHECK(run.again == run.first);
        mean.unmodulated += run.unmodulated / 3;
        mean.second += run.second / 3;
        mean.first += run.first / 3;
        mean.again += run.again / 3;
    }
    std::printf("LFS-GAN: 320 numbers for 16970: second task %.3f -> %.3f, first %.4f -> %.4f\n",
                mean.unmodulated, mean.second, mean.first, mean.again);
}

TEST_CASE("mode seeking keeps what is made near one real sample apart", "[effect]")
{
    const auto spread_of = [](double weight, std::uint64_t seed) {
        auto rng = temper::stream(seed, 0, "few shots");
        const Matrix<float> real = normal(rng, 5, 2, 2);
        const Matrix<float> z = normal(rng, 40, 4);
        Matrix<float> made = normal(rng, 40, 2), g(40, 2), gw(40, 4);
        std::vector<int> cluster(40);
        const temper::Adam adam{.learning_rate = 0.02};
        auto state = adam.init(made);
        for (int step = 0; step < 400; ++step) {
            for (Index i = 0; i < 40; ++i) {
                Index nearest = 0;
                (real.rowwise() - made.row(i)).rowwise().squaredNorm().minCoeff(&nearest);
                cluster[static_cast<std::size_t>(i)] = static_cast<int>(nearest);
                g.row(i) = (made.row(i) - real.row(nearest)) / 40;
            }
            temper::ClusterwiseModeSeeking{}(z, z, temper::tensors(made), labels(cluster),
                                             temper::discard,
                                             temper::add_to(temper::tensors(g), weight));
            adam.step(state, made, g);
        }
        double sum = 0, pairs = 0;
        for (Index i = 0; i < 40; ++i)
            for (Index j = 0; j < i; ++j)
                if (cluster[static_cast<std::size_t>(i)] == cluster[static_cast<std::size_t>(j)]) {
                    sum += static_cast<double>((made.row(i) - made.row(j)).norm());
                    ++pairs;
                }
        return sum / pairs;
    };
    const auto spread = [&](double weight) {
        const double mean =
            effect::mean_over_seeds(3, [&](std::uint64_t i) { return spread_of(weight, i + 1); });
        std::printf("LFS-GAN: mode seeking %.1f: mean distance within a cluster %.4f\n", weight,
                    mean);
        return mean;
    };
    const double without = spread(0);
    CHECK(spread(1) > 1.5 * without);
}
