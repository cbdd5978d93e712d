// SPDX-License-Identifier: BSL-1.0

// Improving Knowledge Distillation via Regularizing Feature Norm and Direction.

#include "effect/distillation.hpp"

#include <temper/loss/distillation_kl.hpp>
#include <temper/representation/class_means.hpp>
#include <temper/representation/norm_direction.hpp>

using namespace effect::distillation;

namespace {

struct Run {
    double accuracy = 0;
    double norm = 0;
};

Run run(double kd, double nd)
{
    Run mean;
    constexpr std::uint64_t seeds = 4;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Digits digits(seed, 1000);
        Classifier teacher({64, 128, 64}, seed + 50);
        train_on_labels(teacher, digits.train, 30, seed);
        const temper::ClassMeans means;
        auto state = means.init(10, 64);
        teacher.forward(digits.train.x);
        means.observe(state, teacher.features, labels(digits.train.y));
        Matrix<float> centers(10, 64);
        means.means(state, into(centers));

        // The student sees few of the samples.
        support::LabelledData few = digits.train;
        few.x.conservativeResize(300, Eigen::NoChange);
        few.y.resize(300);
        Classifier student({64, 12, 64}, seed);
        Matrix<float> g;
        Matrix<float> gf;
        for_each_batch(few, 60, seed, [&](const Matrix<float>& x, const std::vector<int>& y) {
            const Matrix<float>& t = teacher.forward(x);
            const Matrix<float>& z = student.forward(x);
            g.resize(z.rows(), z.cols());
            gf.setZero(x.rows(), 64);
            temper::SoftmaxCrossEntropy{}(z, labels(y), into(g));
            temper::DistillationKl{.temperature = 4}(z, teacher_logits(t), temper::add_to(g, kd));
            temper::NdLoss{}(student.features, labels(y), teacher.features, centers,
                             temper::add_to(gf, nd));
            student.step(g, &gf);
        });
        mean.accuracy += student.accuracy(digits.test.x, digits.test.y) / seeds;
        mean.norm += student.features.rowwise().norm().mean() / seeds;
    }
    std::printf("ND: kd %.0f, nd %.0f: accuracy %.4f, length of the features %.2f\n", kd, nd,
                mean.accuracy, mean.norm);
    return mean;
}

} // namespace

TEST_CASE("a student's features are longer with the ND loss", "[effect]")
{
    const Run plain = run(0, 0);
    const Run kd = run(1, 0);
    const Run nd = run(1, 2);
    CHECK(kd.accuracy > plain.accuracy);
    CHECK(nd.norm > kd.norm + 3);
    CHECK(nd.accuracy > kd.accuracy - 0.01); // longer, but here not better
}
