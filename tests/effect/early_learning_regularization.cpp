// SPDX-License-Identifier: BSL-1.0

// Early-Learning Regularization Prevents Memorization of Noisy Labels.

#include "effect/label_noise.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/loss/early_learning_mixup.hpp>

using namespace effect;
using temper::labels;

TEST_CASE("early-learning regularization keeps wrong labels from being memorised", "[effect]")
{
    const Outcome plain = cross_entropy();
    const Outcome elr = train("ELR, beta 0.7, lambda 3",
                              [](const NoisyDigits& data) { return demo::early_learning(data); });
    CHECK(elr.accuracy > plain.accuracy + 0.1);
    CHECK(elr.memorised < plain.memorised / 2);

    // ELR+ with one network, whose own average is the teacher.
    std::vector<Outcome> runs;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const NoisyDigits data(digits(), seed);
        Learner network(seed);
        Learner teacher(seed);
        const temper::ElrPlus plus;
        auto bank = plus.init(data.train.x.rows(), 10);
        const temper::Mixup<> mix{.alpha = 1};
        auto rng = temper::stream(seed, 0, "mixup");
        temper::MixPlan plan;
        Matrix<float> g;
        Matrix<float> x;
        Matrix<float> t;
        for_each_batch(data.train.x, data.given, epochs, seed, [&](const Batch& batch) {
            plus.observe(bank, batch.ids, teacher.forward(batch.x));
            mix.draw(rng, batch.x.rows(), plan);
            for (double& l : plan.lambda)
                l = (std::max)(l, 1 - l);
            plan.label_lambda = plan.lambda;
            x.resize(batch.x.rows(), batch.x.cols());
            t.resize(batch.x.rows(), 10);
            mix.apply(plan, batch.x, temper::into(x));
            mix.mix_labels(plan, labels(batch.y), 10, temper::into(t));
            const Matrix<float>& z = network.forward(x);
            g.resize(z.rows(), z.cols());
            plus.at(batch.step)(bank, batch.ids, z, temper::probabilities(t), plan,
                                temper::into(g));
            network.backward(g);
            network.step();
            for (std::size_t i = 0; i < network.parameters.size(); ++i) {
                float* average = teacher.parameters[i].data;
                const float* now = network.parameters[i].data;
                for (Index j = 0; j < network.parameters[i].size(); ++j)
                    average[j] += 0.01F * (now[j] - average[j]);
            }
        });
        runs.push_back(judge(teacher, data));
    }
    const Outcome plus = mean("ELR+, one network", runs);
    CHECK(plus.accuracy > plain.accuracy + 0.1);
}
