// SPDX-License-Identifier: BSL-1.0

// BottleFit: Learning Compressed Representations in Deep Neural Networks for Effective and Efficient Split
// Computing.

#include "effect/distillation.hpp"

#include <temper/layer/affine_bottleneck_quantizer.hpp>
#include <temper/loss/distillation_cross_entropy.hpp>
#include <temper/representation/layerwise_distillation.hpp>

using namespace effect::distillation;

namespace {

/// Test accuracy through a bottleneck of 6 numbers of 4 bits each, with 100 labels. The first of two stages
/// needs none, and takes all 1000 images.
double split(bool staged)
{
    double mean = 0;
    constexpr int seeds = 3;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Digits digits(seed, 1000);
        support::LabelledData labelled = digits.train;
        labelled.x.conservativeResize(100, Eigen::NoChange);
        labelled.y.resize(100);
        Classifier teacher({64, 128, 64}, seed + 50);
        train_on_labels(teacher, digits.train, 40, seed);
        Trained encoder({64, 32, 6}, seed);
        Classifier tail({6, 32, 64}, seed + 1); // the decoder, and the teacher's head
        tail.head.network.parameters() = teacher.head.network.parameters();
        Matrix<float> g, gf, gc;
        const temper::AffineBottleneckQuantizer quantizer{.bits = 4};
        Matrix<float> code;
        const auto forward = [&](const Matrix<float>& x) -> const Matrix<float>& {
            const Matrix<float>& c = encoder.forward(x);
            code.resize(c.rows(), c.cols());
            quantizer.forward(c, into(code));
            return tail.forward(code);
        };
        const auto back = [&](const Matrix<float>& g_logits, const Matrix<float>* more) {
            tail.g_features.resize(g_logits.rows(), 64);
            tail.head.backward(g_logits, &tail.g_features);
            if (more != nullptr)
                tail.g_features += *more;
            tail.g_features = (tail.features.array() > 0.0F).select(tail.g_features, 0.0F);
            gc.resize(g_logits.rows(), 6);
            tail.trunk.backward(tail.g_features, &gc);
            encoder.backward(gc);
        };
        for (int stage = 0; stage < 2; ++stage)
            for_each_batch(
                staged && stage == 0 ? digits.train : labelled, staged && stage == 0 ? 60 : 100,
                seed, [&](const Matrix<float>& x, const std::vector<int>& y) {
                    const Matrix<float>& t = teacher.forward(x);
                    const Matrix<float>& z = forward(x);
                    g.setZero(z.rows(), z.cols());
                    gf.setZero(z.rows(), 64);
                    if (!staged)
                        temper::SoftmaxCrossEntropy{}(z, labels(y), into(g));
                    else if (stage == 0)
                        temper::ghnd(temper::tensors(tail.features),
                                     temper::tensors(teacher.features), into(temper::tensors(gf)));
                    else
                        temper::DistillationCrossEntropy{.alpha = 0.5, .temperature = 1}(
                            z, labels(y), teacher_logits(t), into(g));
                    back(g, &gf);
                    tail.trunk.step();
                    if (!staged || stage == 0)
                        encoder.step();
                    if (!staged || stage == 1)
                        tail.head.step();
                });
        mean += support::accuracy(forward(digits.test.x), digits.test.y) / seeds;
    }
    std::printf("BottleFit: accuracy through 24 bits %.4f %s\n", mean,
                staged ? "in two stages" : "end to end on the labels");
    return mean;
}

} // namespace

TEST_CASE("a bottleneck trained in two stages is better than one trained on few labels", "[effect]")
{
    const double labelled = split(false);
    CHECK(split(true) > labelled + 0.02);
}
