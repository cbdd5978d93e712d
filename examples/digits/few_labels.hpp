// SPDX-License-Identifier: BSL-1.0
#pragma once

// Four labelled digits of each class and 500 images without a label: what a network learns from the former
// alone, and with UDA, FixMatch, ShrinkMatch or Semixup from the latter, too. The same network, steps and batches for
// all; also what other experiments with few labels are made of.

#include <cstdint>
#include <span>
#include <vector>

#include <temper/augment/mixup.hpp>
#include <temper/augment/rand_augment.hpp>
#include <temper/loss/semixup_consistency.hpp>
#include <temper/loss/shrink_match.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/loss/uda_consistency.hpp>
#include <temper/schedule/linear.hpp>

#include "digits/classifier.hpp"
#include "digits/training.hpp"
#include "support/data.hpp"
#include "support/mlp.hpp"
#include "support/stats.hpp"

namespace demo {

/// A few labels of each class, images without, and all others to test on.
struct FewLabels {
    support::LabelledData labelled;
    support::LabelledData unlabelled; // its labels are for measuring only
    support::LabelledData test;

    FewLabels(const support::LabelledData& all, Index per_class, Index unlabelled_rows,
              std::uint64_t seed)
    {
        auto rng = temper::stream(seed, 0, "split");
        support::Split split = support::stratified_split(all.y, all.classes, per_class, rng);
        labelled = support::take(all, split.train);
        const std::span<const Index> rest(split.test);
        const auto n = static_cast<std::size_t>(unlabelled_rows);
        unlabelled = support::take(all, rest.first(n));
        test = support::take(all, rest.subspan(n));
    }
};

/// Each image moved by up to one pixel.
template <class Rng>
void shift(const Matrix& x, Rng& rng, Matrix& out)
{
    out.setZero(x.rows(), x.cols());
    for (Index i = 0; i < x.rows(); ++i) {
        const Index up = temper::uniform_index(rng, 3) - 1;
        const Index left = temper::uniform_index(rng, 3) - 1;
        for (Index r = 0; r < 8; ++r)
            for (Index c = 0; c < 8; ++c)
                if (r + up >= 0 && r + up < 8 && c + left >= 0 && c + left < 8)
                    out(i, 8 * r + c) = x(i, 8 * (r + up) + c + left);
    }
}

enum class LearnFrom { labels, uda, fixmatch, shrink_match, semixup };

struct FewLabelsRun {
    double accuracy = 0;
    double carrying = 0; // the share of images without labels that carry a gradient
};

inline FewLabelsRun train_few_labels(const support::LabelledData& digits, LearnFrom arm,
                                     std::uint64_t seed, Index steps = 500)
{
    using temper::into;
    const FewLabels data(digits, 4, 500, seed);
    Classifier net({64, 128, 64}, 10, seed);
    Network second = fresh_network({64, 32, 10}, seed + 2000); // ShrinkMatch's own head
    Network::Parameters second_gradients = second.zeros();
    Optimizer optimizer({&net.trunk, &net.head, &second}, 3e-3, 0.01, steps);
    auto rng = temper::stream(seed, 0, "training");
    support::Batches batches(data.unlabelled.x.rows(), 100);

    Classifier::Tape tape, weak_tape, strong_tape, mixed_tape;
    Network::Tape second_tape;
    Matrix x, u, weak, strong(100, 64), mixed(100, 64), grad, grad_weak, grad_mixed, p,
        grad_features;
    std::vector<float> kept(100), loss(100);
    const temper::RandAugment augment{};
    temper::RandAugmentPlan plan;
    const temper::ShrinkMatch shrink{.threshold = 0.95};
    auto state = temper::ShrinkMatch::init();
    const temper::Mixup<temper::FlooredCoefficient<>, temper::ReversedPairs> mixup{};
    temper::MixPlan pairs;
    // Semixup's terms come in as the labels take hold. With more weight, all three predictions agree on saying
    // little: at 10 the accuracy is 66 %.
    const double semixup = 0.2;
    const temper::Linear ramp{.from = 0, .to = semixup, .steps = steps / 3};
    FewLabelsRun run;
    double counted = 0;

    for (Index step = 0; step < steps; ++step) {
        net.clear();
        for (Matrix& g : second_gradients)
            g.setZero();
        shift(data.labelled.x, rng, x);
        const Matrix& z = net.forward(x, tape);
        grad.resize(z.rows(), z.cols());
        temper::SoftmaxCrossEntropy{}(z, temper::labels(data.labelled.y), into(grad));
        net.backward(tape, grad);

        support::take_rows(data.unlabelled.x, batches.next(rng), u);
        shift(u, rng, weak);
        augment.draw(rng, u.rows(), {8, 8}, plan);
        augment.apply(plan, weak, into(strong));
        if (arm == LearnFrom::semixup) {
            mixup.draw(rng, u.rows(), pairs);
            mixup.apply(pairs, weak, into(mixed));
            const Matrix& m = net.forward(mixed, mixed_tape);
            const Matrix& t = net.forward(weak, weak_tape);
            const Matrix& s = net.forward(strong, strong_tape);
            for (Matrix* g : {&grad_mixed, &grad_weak, &grad})
                g->resize(s.rows(), s.cols());
            (ramp(step) * temper::SemixupConsistency{})(m, t, s, pairs, into(grad_mixed),
                                                        into(grad_weak), into(grad));
            net.backward(mixed_tape, grad_mixed);
            net.backward(weak_tape, grad_weak);
            net.backward(strong_tape, grad);
            run.carrying += static_cast<double>(u.rows());
            counted += static_cast<double>(u.rows());
        }
        else if (arm != LearnFrom::labels) {
            const Matrix& t = net.forward(weak, weak_tape);
            const Matrix& s = net.forward(strong, strong_tape);
            grad.resize(s.rows(), s.cols());
            if (arm == LearnFrom::uda)
                temper::UdaConsistency{}(s, temper::target_logits(t), into(grad),
                                         temper::kept(into(kept)));
            else if (arm == LearnFrom::fixmatch)
                temper::fixmatch(s, temper::target_logits(t), into(grad), temper::kept(into(kept)));
            else {
                p = support::softmax(t);
                shrink.observe(state, temper::probabilities(p));
                temper::Consistency<temper::TargetCrossEntropy>{.threshold = 0.95}(
                    s, temper::probabilities(p), into(grad), temper::kept(into(kept)));
                const Matrix& z2 = second.forward(strong_tape.features, second_tape);
                Matrix g2(z2.rows(), z2.cols());
                shrink(state, z2, temper::probabilities(p), into(g2),
                       temper::per_sample(into(loss)));
                second.backward(second_tape, g2, second_gradients, support::Gradients::add,
                                &grad_features);
            }
            net.backward(strong_tape, grad,
                         arm == LearnFrom::shrink_match ? &grad_features : nullptr);
            for (std::size_t i = 0; i < kept.size(); ++i) {
                const bool shrunk = arm == LearnFrom::shrink_match && loss[i] > 0;
                run.carrying += kept[i] > 0 || shrunk ? 1 : 0;
                counted += 1;
            }
        }
        optimizer.update({&net.trunk_gradients, &net.head_gradients, &second_gradients});
    }
    run.carrying /= counted > 0 ? counted : 1;
    run.accuracy = net.accuracy(data.test);
    return run;
}

} // namespace demo
