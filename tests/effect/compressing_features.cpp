// SPDX-License-Identifier: BSL-1.0

// Compressing Features for Learning with Noisy Labels.

#include "effect/label_noise.hpp"

using namespace effect;
using temper::labels;

TEST_CASE("compressed features memorise less, and more so with co-teaching", "[effect]")
{
    const Outcome plain = cross_entropy();
    const temper::NestedDropout drop{.deviation = 30};
    std::vector<Outcome> nested;
    std::vector<Outcome> both;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const NoisyDigits data(digits(), seed);
        Learner network(seed);
        auto rng = temper::stream(seed, 0, "prefixes");
        Matrix<float> g;
        for_each_batch(data.train.x, data.given, epochs, seed, [&](const Batch& batch) {
            const Matrix<float>& z = network.forward(batch.x, drop.draw(rng, 128).keep);
            g.resize(z.rows(), z.cols());
            temper::SoftmaxCrossEntropy{}(z, labels(batch.y), temper::into(g));
            network.backward(g);
            network.step();
        });
        nested.push_back(judge(network, data, demo::best_prefix(network, data, drop)));

        const demo::Teaching taught = demo::co_teach(data, {.seed = seed, .epochs = epochs}, drop);
        std::printf("  seed %d: %.2f of the selected labels are right\n", static_cast<int>(seed),
                    taught.precision);
        CHECK(taught.precision > 0.8); // 0.64 of all are
        both.push_back(taught.outcome);
    }
    const Outcome compressed = mean("nested dropout, best prefix", nested);
    const Outcome taught = mean("with co-teaching, forgetting 0.36", both);
    CHECK(compressed.memorised < plain.memorised - 0.1);
    CHECK(compressed.accuracy > plain.accuracy);
    CHECK(taught.accuracy > plain.accuracy + 0.1);
    CHECK(taught.memorised < compressed.memorised);
}
