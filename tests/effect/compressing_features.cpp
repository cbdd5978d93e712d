// SPDX-License-Identifier: BSL-1.0

// Compressing Features for Learning with Noisy Labels.

#include "effect/label_noise.hpp"

#include <temper/loss/co_teaching.hpp>
#include <temper/schedule/linear.hpp>

using namespace effect;
using temper::labels;

namespace {

/// With the prefix of the best accuracy, as the paper chooses it by validation.
Outcome judge_best(Classifier& network, const NoisyDigits& data, const temper::NestedDropout& drop)
{
    std::vector<double> accuracy;
    std::vector<Index> kept;
    for (Index keep = 8; keep <= 128; keep += 8) {
        accuracy.push_back(support::accuracy(network.forward(data.test.x, keep), data.test.y));
        kept.push_back(keep);
    }
    return judge(network, data, kept[static_cast<std::size_t>(drop.best(accuracy).keep - 1)]);
}

} // namespace

TEST_CASE("compressed features memorise less, and more so with co-teaching", "[effect]")
{
    const Outcome plain = cross_entropy();
    const temper::NestedDropout drop{.deviation = 30};
    std::vector<Outcome> nested;
    std::vector<Outcome> both;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const NoisyDigits data(seed);
        Classifier network(seed);
        auto rng = temper::stream(seed, 0, "prefixes");
        Matrix<float> g;
        for_each_batch(data.train.x, data.given, epochs, seed, [&](const Batch& batch) {
            const Index keep = drop.draw(rng, 128).keep;
            const Matrix<float>& z = network.forward(batch.x, keep);
            g.resize(z.rows(), z.cols());
            temper::SoftmaxCrossEntropy{}(z, labels(batch.y), temper::into(g));
            network.backward(g, keep);
            network.step();
        });
        nested.push_back(judge_best(network, data, drop));

        Classifier first(seed);
        Classifier second(seed + 100);
        const temper::Linear forgetting{.from = 0, .to = 0.36, .steps = 4};
        double precision = 0;
        for_each_batch(data.train.x, data.given, epochs, seed, [&](const Batch& batch) {
            const temper::CoTeaching teach{.forget_rate = forgetting(batch.epoch)};
            const auto of_first = teach.select(first.forward(batch.x), labels(batch.y));
            const auto of_second = teach.select(second.forward(batch.x), labels(batch.y));
            const Index keep = drop.draw(rng, 128).keep;
            for (auto& [network_of, plan] :
                 {std::pair{&first, &of_second}, std::pair{&second, &of_first}}) {
                const Matrix<float>& z = network_of->forward(batch.x, keep);
                g.resize(z.rows(), z.cols());
                teach(*plan, z, labels(batch.y), temper::into(g));
                network_of->backward(g, keep);
                network_of->step();
            }
            if (batch.epoch + 1 < epochs)
                return;
            double clean = 0;
            for (const auto row : of_first.rows) {
                const auto i = static_cast<std::size_t>(batch.ids[static_cast<std::size_t>(row)]);
                clean += data.given[i] == data.train.y[i] ? 1 : 0;
            }
            precision += clean / static_cast<double>(of_first.rows.size()) / 20;
        });
        std::printf("  seed %d: %.2f of the selected labels are right\n", static_cast<int>(seed),
                    precision);
        CHECK(precision > 0.8); // 0.64 of all are
        both.push_back(judge_best(first, data, drop));
    }
    const Outcome compressed = mean("nested dropout, best prefix", nested);
    const Outcome taught = mean("with co-teaching, forgetting 0.36", both);
    CHECK(compressed.memorised < plain.memorised - 0.1);
    CHECK(compressed.accuracy > plain.accuracy);
    CHECK(taught.accuracy > plain.accuracy + 0.1);
    CHECK(taught.memorised < compressed.memorised);
}
