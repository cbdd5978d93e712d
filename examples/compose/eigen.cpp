// SPDX-License-Identifier: BSL-1.0

// Four techniques in one training, in plain Eigen: cross-entropy of two noisy views of handwritten digits,
// Barlow Twins between their features, pruning by a schedule, and a group lasso by proximal steps. The other
// programs of this folder are the same training in other libraries.
//
//     temper_compose_eigen examples/data     ends with 0 if each technique did what it is for

#include <temper/core/compose.hpp>
#include <temper/core/random.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/mask/magnitude_mask.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/linear.hpp>
#include <temper/schedule/sparsity_schedule.hpp>

#include <iostream>

#include "support/data.hpp"
#include "support/mlp.hpp"
#include "support/stats.hpp"

using Matrix = support::Matrix<float>; // a row is a sample, and a row of weights makes one unit
using Network = support::Mlp<float>;

int main(int argc, char** argv)
{
    const support::LabelledData digits = support::load_digits(argc > 1 ? argv[1] : "examples/data");
    const temper::Index n = 100, n_train = 1000, steps = 800;
    const temper::Cosine learning_rate{.from = 0.3, .steps = steps};

    temper::Stream rng = temper::stream(1, 0, "weights");
    Network encoder({64, 64, 32}), head({32, 10});
    encoder.initialize(rng);
    head.initialize(rng);
    Network::Tape encoder_tape, head_tape;
    Network::Parameters encoder_gradients = encoder.zeros(), head_gradients = head.zeros();
    Matrix views(2 * n, 64), g_logits(2 * n, 10), g_features(2 * n, 32), mask(32, 64);
    std::vector<int> labels(2 * n);

    const temper::SoftmaxCrossEntropy cross_entropy;
    const auto redundancy = 0.01 * temper::BarlowTwins{};
    const auto lasso = temper::Linear{.from = 0, .to = 5e-3, .steps = steps / 2} *
                       temper::GroupLasso{.groups = temper::Rows{}};
    const temper::SparsitySchedule sparsity{.to = 0.5, .first = 200, .last = 600};

    temper::Report report;
    for (temper::Index step = 0; step < steps; ++step) {
        const temper::Index first = step * n % n_train;
        rng = temper::stream(1, step, "noise");
        for (temper::Index i = 0; i < 2 * n; ++i) {
            const temper::Index sample = first + i % n;
            for (temper::Index j = 0; j < 64; ++j)
                views(i, j) = digits.x(sample, j) + 0.2F * static_cast<float>(temper::normal(rng));
            labels[static_cast<std::size_t>(i)] = digits.y[static_cast<std::size_t>(sample)];
        }

        report.clear();
        const Matrix& features = encoder.forward(views, encoder_tape);
        const Matrix& logits = head.forward(features, head_tape);
        report.add("cross-entropy",
                   cross_entropy(logits, temper::labels(labels), temper::into(g_logits)));
        head.backward(head_tape, g_logits, head_gradients, support::Gradients::overwrite,
                      &g_features);
        report.add("redundancy", redundancy(features.topRows(n), features.bottomRows(n),
                                            temper::add_to(g_features.topRows(n)),
                                            temper::add_to(g_features.bottomRows(n))));
        encoder.backward(encoder_tape, g_features, encoder_gradients);

        const double rate = learning_rate(step);
        for (std::size_t i = 0; i < encoder_gradients.size(); ++i)
            encoder.parameters()[i] -= static_cast<float>(rate) * encoder_gradients[i];
        for (std::size_t i = 0; i < head_gradients.size(); ++i)
            head.parameters()[i] -= static_cast<float>(rate) * head_gradients[i];

        lasso.at(step).prox(encoder.weight(0), rate, temper::into(encoder.weight(0)));
        temper::MagnitudeMask{.sparsity = sparsity(step)}.apply(encoder.weight(1),
                                                                temper::into(mask));
        encoder.weight(1).array() *= mask.array();
        if (step % 200 == 199)
            for (const auto& [name, value] : report)
                std::cout << "step " << step << ": " << name << ' ' << value << '\n';
    }

    const temper::Index n_test = digits.x.rows() - n_train;
    const Matrix& scores =
        head.forward(encoder.forward(digits.x.bottomRows(n_test), encoder_tape), head_tape);
    const double accuracy =
        support::accuracy(scores, std::span(digits.y).last(static_cast<std::size_t>(n_test)));
    const auto removed = (encoder.weight(0).rowwise().squaredNorm().array() == 0).count();
    const auto pruned = (encoder.weight(1).array() == 0).count();
    std::cout << "accuracy " << accuracy << ", hidden units removed " << removed << " of 64, "
              << "weights pruned " << pruned << " of " << mask.size() << '\n';
    return accuracy > 0.9 && removed > 0 && removed < 48 && 2 * pruned >= mask.size() ? 0 : 1;
}
