// SPDX-License-Identifier: BSL-1.0

// MIC on digits: labels for images of full contrast, none for images of low contrast and some noise, where
// the network is to work. Both arms see the labelled images alike; one also learns from masked images of
// the other domain.

#include "effect/semi_supervised.hpp"

#include <temper/augment/block_mask.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/loss/masked_image_consistency.hpp>

#include "support/catch.hpp"

#include <iostream>

using namespace effect;
using temper::into;

namespace {

/// Half the contrast and some noise, the same for every run of a seed.
Matrix other_domain(const Matrix& x, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "other domain");
    Matrix out = (0.5f * x.array()).matrix();
    for (Index i = 0; i < out.size(); ++i)
        out.data()[i] += 0.1f * static_cast<float>(temper::normal(rng));
    return out;
}

struct Run {
    double shifted = 0;
    double occluded = 0;
};

Run train(bool masked, std::uint64_t seed)
{
    const FewLabels data(digits(), 50, 500, seed);
    const float mean_pixel = data.labelled.x.mean();
    const auto centred = [&](const Matrix& x) { return Matrix((x.array() - mean_pixel).matrix()); };
    const Matrix source = centred(data.labelled.x);
    const Matrix target = centred(other_domain(data.unlabelled.x, seed));
    support::LabelledData test{centred(other_domain(data.test.x, seed + 100)), data.test.y, 10};

    Classifier net({64, 128, 64}, 10, seed);
    Classifier teacher = net;
    constexpr Index steps = 800;
    constexpr Index warm_up = 100; // from chance, pseudo-labels end in one class
    demo::Optimizer optimizer({&net.trunk, &net.head}, 3e-3, 0.01, steps);
    auto rng = temper::stream(seed, 0, "training");
    support::Batches batches(source.rows(), 50), others(target.rows(), 100);
    Classifier::Tape tape, masked_tape, teacher_tape;
    Matrix x, u, hidden(100, 64), grad;
    std::vector<int> y;
    const temper::BlockMask mask{.ratio = 0.5, .block = 2};
    temper::BlockMaskPlan plan;
    const temper::MaskedImageConsistency loss{
        .quality = temper::MaskedImageConsistency::Quality::confidence};
    const temper::Ema ema{.decay = 0.99};

    for (Index step = 0; step < steps; ++step) {
        net.clear();
        const auto rows = batches.next(rng);
        support::take_rows(source, rows, x);
        support::take_labels(data.labelled.y, rows, y);
        const Matrix& z = net.forward(x, tape);
        grad.resize(z.rows(), z.cols());
        temper::SoftmaxCrossEntropy{}(z, temper::labels(y), into(grad));
        net.backward(tape, grad);

        support::take_rows(target, others.next(rng), u);
        mask.draw(rng, u.rows(), image, plan);
        if (masked && step >= warm_up) {
            mask.apply(plan, u, into(hidden));
            const Matrix& t = teacher.forward(u, teacher_tape);
            const Matrix& s = net.forward(hidden, masked_tape);
            grad.resize(s.rows(), s.cols());
            loss(s, temper::target_logits(t), into(grad));
            net.backward(masked_tape, grad);
        }
        optimizer.update({&net.trunk_gradients, &net.head_gradients});
        auto averages = teacher.parameters();
        auto weights = net.parameters();
        ema.observe(averages, weights, step + 1);
    }
    Run run{.shifted = net.accuracy(test)};
    mask.draw(rng, test.x.rows(), image, plan);
    mask.apply(plan, test.x, into(test.x));
    run.occluded = net.accuracy(test);
    return run;
}

} // namespace

TEST_CASE("masked image consistency carries digits into another contrast", "[effect]")
{
    std::vector<double> plain, mic, plain_occluded, mic_occluded;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        const Run without = train(false, seed);
        const Run with = train(true, seed);
        plain.push_back(without.shifted);
        mic.push_back(with.shifted);
        plain_occluded.push_back(without.occluded);
        mic_occluded.push_back(with.occluded);
    }
    std::cout << "accuracy in the other domain: source only " << mean(plain) << ", MIC "
              << mean(mic) << "; half of the blocks out: " << mean(plain_occluded) << ", "
              << mean(mic_occluded) << '\n';
    CHECK(mean(mic) > mean(plain) + 0.03);
    CHECK(mean(mic_occluded) > mean(plain_occluded) + 0.1);
}
