// SPDX-License-Identifier: BSL-1.0

// Robust mean teacher on a stream of digits that slowly gets worse: blurred, pale, and back again. Arms:
// the network as it is, a mean teacher with cross-entropy, and RMT without source data.

#include "effect/semi_supervised.hpp"

#include <temper/recipe/robust_mean_teacher.hpp>

#include "support/catch.hpp"

#include <iostream>

using namespace effect;
using temper::into;

namespace {

/// A severity of 0 leaves the images as they are.
Matrix worse(const Matrix& x, double severity)
{
    const auto blur = static_cast<float>(0.22 * severity);
    const auto contrast = static_cast<float>(1 - 0.55 * severity);
    Matrix out = x;
    for (Index i = 0; i < x.rows(); ++i)
        for (Index r = 0; r < 8; ++r)
            for (Index c = 0; c < 8; ++c) {
                float around = 0;
                for (const auto& [dr, dc] : {std::pair{-1, 0}, {1, 0}, {0, -1}, {0, 1}})
                    if (r + dr >= 0 && r + dr < 8 && c + dc >= 0 && c + dc < 8)
                        around += x(i, 8 * (r + dr) + c + dc);
                const float pixel = (1 - 4 * blur) * x(i, 8 * r + c) + blur * around;
                out(i, 8 * r + c) = contrast * pixel + (1 - contrast) * 0.5f;
            }
    return out;
}

enum class Arm { source, cross_entropy, rmt };

/// Trained on clean digits.
Classifier source_network(const support::LabelledData& data, std::uint64_t seed)
{
    Classifier net({64, 128, 64}, 10, seed);
    constexpr Index steps = 400;
    demo::Optimizer optimizer({&net.trunk, &net.head}, 3e-3, 0.01, steps);
    auto rng = temper::stream(seed, 0, "source");
    support::Batches batches(data.x.rows(), 50);
    Classifier::Tape tape;
    Matrix x, moved, grad(50, 10);
    std::vector<int> y;
    for (Index step = 0; step < steps; ++step) {
        const auto rows = batches.next(rng);
        support::take_rows(data.x, rows, x);
        support::take_labels(data.y, rows, y);
        shift(x, rng, moved);
        net.clear();
        temper::SoftmaxCrossEntropy{}(net.forward(moved, tape), temper::labels(y), into(grad));
        net.backward(tape, grad);
        optimizer.update({&net.trunk_gradients, &net.head_gradients});
    }
    return net;
}

/// The mean error over the stream.
double adapt(const Classifier& source, const FewLabels& data, Arm arm, std::uint64_t seed)
{
    Classifier net = source;
    Classifier teacher = source;
    Classifier::Tape tape, augmented_tape, teacher_tape;
    Matrix prototypes(10, 64), nearest, x, x2, gz(50, 10), ga(50, 10), gf(50, 64), gf2(50, 64);
    net.forward(data.labelled.x, tape);
    temper::NearestPrototype{}.build(tape.features, temper::labels(data.labelled.y), 10,
                                     into(prototypes));
    const temper::RobustMeanTeacher rmt{.decay = 0.99};
    constexpr Index steps = 120;
    demo::Optimizer optimizer({&net.trunk, &net.head}, 5e-4, 0, 10 * steps);
    auto rng = temper::stream(seed, 0, "stream");
    support::Batches batches(data.test.x.rows(), 50);
    std::vector<int> y;
    std::vector<double> errors;
    for (Index step = 0; step < steps; ++step) {
        const auto rows = batches.next(rng);
        support::take_rows(data.test.x, rows, x);
        support::take_labels(data.test.y, rows, y);
        const double phase = static_cast<double>(step) / (steps - 1);
        x = worse(x, 2 * (std::min)(phase, 1 - phase));
        shift(x, rng, x2);
        const Matrix& t = teacher.forward(x, teacher_tape);
        const Matrix& z = net.forward(x, tape);
        if (arm == Arm::source) {
            errors.push_back(1 - support::accuracy(z, y));
            continue;
        }
        errors.push_back(1 - support::accuracy(z + t, y)); // before the update
        const Matrix& z2 = net.forward(x2, augmented_tape);
        net.clear();
        if (arm == Arm::cross_entropy) {
            using temper::target_logits;
            const temper::Consistency<temper::TargetCrossEntropy> loss{};
            (0.5 * loss)(z, target_logits(t), into(gz));
            (0.5 * loss)(z2, target_logits(t), into(ga));
            net.backward(tape, gz);
            net.backward(augmented_tape, ga);
        }
        else {
            nearest.resize(50, 64);
            rmt.pair(prototypes, tape.features, into(nearest));
            const temper::RobustMeanTeacher::Inputs<float> in{
                .logits = temper::view(z),
                .augmented = temper::view(z2),
                .teacher = temper::view(t),
                .prototypes = temper::view(nearest),
                .features = temper::view(tape.features),
                .augmented_features = temper::view(augmented_tape.features)};
            rmt(in, {.logits = into(gz),
                     .augmented = into(ga),
                     .features = into(gf),
                     .augmented_features = into(gf2)});
            net.backward(tape, gz, &gf);
            net.backward(augmented_tape, ga, &gf2);
        }
        optimizer.update({&net.trunk_gradients, &net.head_gradients});
        auto averages = teacher.parameters();
        auto weights = net.parameters();
        rmt.ema().observe(averages, weights, step + 1);
    }
    return mean(errors);
}

} // namespace

TEST_CASE("a robust mean teacher keeps up with a stream that gets worse", "[effect]")
{
    std::vector<std::vector<double>> error(3);
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        const FewLabels data(digits(), 60, 0, seed);
        const Classifier source = source_network(data.labelled, seed);
        for (std::size_t arm = 0; arm < 3; ++arm)
            error[arm].push_back(adapt(source, data, static_cast<Arm>(arm), seed));
    }
    std::cout << "mean error over the stream: source " << mean(error[0]) << ", cross-entropy "
              << mean(error[1]) << ", RMT " << mean(error[2]) << '\n';
    CHECK(mean(error[2]) < mean(error[1]) - 0.03);
    CHECK(mean(error[2]) < mean(error[0]) - 0.02);
}
