// SPDX-License-Identifier: BSL-1.0

// Efficiently Robustify Pre-trained Models.

#include "effect/distillation.hpp"

#include <temper/loss/uncertainty_weighted_distillation.hpp>

using namespace effect::distillation;

TEST_CASE("a small robust teacher makes a large network's last layer robust", "[effect]")
{
    double before = 0, after = 0, clean_before = 0, clean_after = 0;
    constexpr int seeds = 3;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Digits digits(seed, 1000);
        auto rng = temper::stream(seed, 0, "noise");
        const auto corrupted = [&](const Matrix<float>& x) -> Matrix<float> {
            return x + normal(rng, x.rows(), x.cols(), 0.35);
        };
        Classifier large({64, 256, 128}, seed + 50);
        train_on_labels(large, digits.train, 20, seed);
        Classifier small({64, 48, 32}, seed);
        Matrix<float> g;
        for_each_batch(digits.train, 60, seed,
                       [&](const Matrix<float>& x, const std::vector<int>& y) {
                           const Matrix<float>& z = small.forward(corrupted(x));
                           g.resize(z.rows(), z.cols());
                           temper::SoftmaxCrossEntropy{}(z, labels(y), into(g));
                           small.step(g);
                       });
        const Matrix<float> noisy = corrupted(digits.test.x);
        clean_before += large.accuracy(digits.test.x, digits.test.y) / seeds;
        before += large.accuracy(noisy, digits.test.y) / seeds;

        large.frozen_trunk = true;
        constexpr Index passes = 4;
        std::vector<float> t;
        for_each_batch(digits.train, 30, seed,
                       [&](const Matrix<float>& x, const std::vector<int>& y) {
                           t.resize(static_cast<std::size_t>(passes * x.rows() * 10));
                           const Matrix<float> seen = corrupted(x);
                           for (Index r = 0; r < passes; ++r) {
                               const Matrix<float>& z =
                                   small.forward(seen + normal(rng, x.rows(), x.cols(), 0.1));
                               std::copy_n(z.data(), z.size(), t.data() + r * z.size());
                           }
                           const auto answers = temper::view(t.data(), {passes, x.rows(), 10});
                           g.resize(x.rows(), 10);
                           temper::SoftmaxCrossEntropy{}(large.forward(x), labels(y), into(g));
                           large.step(g);
                           temper::UncertaintyWeightedDistillation{.temperature = 2}(
                               large.forward(seen), teacher_logits(answers), into(g));
                           large.step(g);
                       });
        clean_after += large.accuracy(digits.test.x, digits.test.y) / seeds;
        after += large.accuracy(noisy, digits.test.y) / seeds;
    }
    std::printf("Efficiently Robustify: corrupted %.3f -> %.3f, clean %.3f -> %.3f\n", before,
                after, clean_before, clean_after);
    CHECK(after > before + 0.02);
    CHECK(clean_after > clean_before - 0.01);
}
