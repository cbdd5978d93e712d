// SPDX-License-Identifier: BSL-1.0

// Supervised Compression for Resource-Constrained Edge Computing Systems.

#include "effect/distillation.hpp"

#include <temper/recipe/entropic_student.hpp>

#include <cmath>

using namespace effect::distillation;

namespace {

struct Run {
    double accuracy = 0;
    double bits = 0;
};

/// Digits through a rounded code of 6 numbers; bits by a logistic density that is learned with it.
Run compress(bool student, double beta)
{
    Run mean;
    constexpr int seeds = 2;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Digits digits(seed, 600);
        Classifier teacher({64, 128, 32}, seed + 50);
        train_on_labels(teacher, digits.train, 30, seed);
        Trained encoder({64, 32, 6}, seed);
        Classifier decoder({6, 32, 32}, seed + 1);
        if (student)
            decoder.head.network.parameters() = teacher.head.network.parameters();
        Matrix<float> model = Matrix<float>::Zero(2, 6), g_model(2, 6), g, gf, gz, zn, back;
        temper::Adam adam{.learning_rate = 0.01};
        auto state = adam.init(model);
        const temper::EntropicStudent entropic{.beta = student ? beta : 1};
        auto rng = temper::stream(seed, 0, "noise");
        temper::RoundingNoise noise;
        const auto row = [&](Matrix<float>& m, Index i) {
            return temper::VectorView<float>{m.data() + 6 * i, {6}, {1}};
        };
        for (int stage = 0; stage < 2; ++stage)
            for_each_batch(
                digits.train, 40, seed, [&](const Matrix<float>& x, const std::vector<int>& y) {
                    const Matrix<float>& t = teacher.forward(x);
                    const Matrix<float>& code = encoder.forward(x);
                    entropic.draw(rng, code.rows(), 6, noise);
                    zn.resize(code.rows(), 6);
                    entropic.noisy(code, noise, into(zn));
                    const Matrix<float>& z = decoder.forward(zn);
                    g.setZero(z.rows(), z.cols());
                    gf.setZero(z.rows(), 32);
                    gz.setZero(z.rows(), 6);
                    g_model.setZero();
                    if (student && stage == 0)
                        entropic(temper::tensors(decoder.features),
                                 temper::tensors(teacher.features), zn, row(model, 0),
                                 row(model, 1), into(temper::tensors(gf)), into(gz),
                                 into(row(g_model, 0)), into(row(g_model, 1)));
                    else if (student)
                        entropic.second_stage()(z, labels(y), teacher_logits(t), into(g));
                    else {
                        temper::SoftmaxCrossEntropy{}(z, labels(y), into(g));
                        (beta * temper::LogisticRate{})(zn, row(model, 0), row(model, 1), into(gz),
                                                        into(row(g_model, 0)),
                                                        into(row(g_model, 1)));
                    }
                    decoder.g_features.resize(z.rows(), 32);
                    decoder.head.backward(g, &decoder.g_features);
                    decoder.g_features += gf;
                    decoder.g_features =
                        (decoder.features.array() > 0.0F).select(decoder.g_features, 0.0F);
                    back.resize(z.rows(), 6);
                    decoder.trunk.backward(decoder.g_features, &back);
                    decoder.trunk.step();
                    if (!student || stage == 1)
                        decoder.head.step();
                    if (!student || stage == 0) {
                        gz += back;
                        encoder.backward(gz);
                        encoder.step();
                        adam.step(state, model, g_model);
                    }
                });
        const Matrix<float> rounded = encoder.forward(digits.test.x).array().round();
        mean.accuracy += decoder.accuracy(rounded, digits.test.y) / seeds;
        mean.bits += temper::LogisticRate{}(rounded, row(model, 0), row(model, 1)) / seeds;
    }
    std::printf("Entropic Student: %s, beta %.3g: accuracy %.4f with %.1f bits\n",
                student ? "two stages" : "labels and rate", beta, mean.accuracy, mean.bits);
    return mean;
}

} // namespace

TEST_CASE("accuracy and bits of a code learned from a teacher and from the labels", "[effect]")
{
    std::vector<Run> labelled, taught;
    for (const double beta : {0.02, 0.08, 0.2})
        labelled.push_back(compress(false, beta));
    for (const double beta : {0.3, 1.0, 3.0})
        taught.push_back(compress(true, beta));
    // More weight on the rate is fewer bits, and the code says what the digit is with few.
    for (const auto& runs : {labelled, taught}) {
        CHECK(runs[2].bits < runs[0].bits);
        CHECK(runs[0].accuracy > 0.85);
    }
}
