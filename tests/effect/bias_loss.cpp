// SPDX-License-Identifier: BSL-1.0

// Bias Loss for Mobile Neural Networks.

#include "effect/label_noise.hpp"

#include <temper/loss/bias_loss.hpp>

using namespace effect;
using temper::labels;

// Digits of which a quarter are blank but for a little noise, with a label that says nothing. That the gradient
// turns away from them is certain; that the accuracy on digits rises does not show here, and is only printed.
TEST_CASE("samples without variety in their features have less of the gradient", "[effect]")
{
    double share_plain = 0;
    double share_bias = 0;
    double plain = 0;
    double bias = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        NoisyDigits data(digits(), seed, 0);
        auto rng = temper::stream(seed, 0, "blank");
        std::vector<bool> blank;
        for (Index i = 0; i < data.train.x.rows(); ++i) {
            blank.push_back(temper::uniform(rng) < 0.25);
            if (blank.back()) {
                for (Index j = 0; j < 64; ++j)
                    data.train.x(i, j) = static_cast<float>(0.02 * temper::uniform(rng));
                data.given[static_cast<std::size_t>(i)] =
                    static_cast<int>(temper::uniform_index(rng, 10));
            }
        }
        for (const bool with : {false, true}) {
            Learner network(seed, 32);
            network.sgd.learning_rate = 0.05;
            const temper::BiasLoss loss;
            auto state = loss.init();
            Matrix<float> g;
            double of_blank = 0;
            double of_all = 0;
            for_each_batch(data.train.x, data.given, 30, seed, [&](const Batch& batch) {
                const Matrix<float>& z = network.forward(batch.x);
                g.resize(z.rows(), z.cols());
                if (with) {
                    loss.observe(state, network.features());
                    loss(state, network.features(), z, labels(batch.y), temper::into(g));
                }
                else
                    temper::SoftmaxCrossEntropy{}(z, labels(batch.y), temper::into(g));
                for (Index i = 0; i < g.rows(); ++i) {
                    const double size = static_cast<double>(g.row(i).norm());
                    of_all += size;
                    of_blank +=
                        blank[static_cast<std::size_t>(batch.ids[static_cast<std::size_t>(i)])]
                            ? size
                            : 0;
                }
                network.backward(g);
                network.step();
            });
            (with ? share_bias : share_plain) += of_blank / of_all / seeds;
            (with ? bias : plain) +=
                support::accuracy(network.forward(data.test.x), data.test.y) / seeds;
        }
    }
    std::printf(
        "bias loss: blank rows have %.3f of the gradient, %.3f under cross-entropy; accuracy "
        "on digits %.3f and %.3f\n",
        share_bias, share_plain, bias, plain);
    CHECK(share_bias < share_plain - 0.02);
    CHECK(bias > plain - 0.03);
}
