// SPDX-License-Identifier: BSL-1.0

// A whole training step put together from temper's pieces, in a trainer of plain Eigen: handwritten
// digits, an encoder and a classifier, and
//
//   classification   cross-entropy of the digits
//   redundancy       Barlow Twins between the features of two noisy views of each image
//   sparsity         a group lasso on the units of the first layer, whose weight grows over the run; its
//                    proximal step after the optimiser's leaves units that are exactly zero
//   update           clipping, AdamW with decay for weights and none for biases, the proximal step, and an
//                    average of the weights, which is what is tested in the end
//
//   temper_compose_eigen [epochs]

#include <temper/core/random.hpp>
#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/clip_norm.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/gradient/only.hpp>
#include <temper/gradient/proximal_step.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/linear.hpp>

#include "support/data.hpp"
#include "support/mlp.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using support::Index;
using Matrix = support::Matrix<float>;
using Network = support::Mlp;

/// The parameters (or gradients) of both networks as one list.
std::vector<temper::AnyView<float>> list_of(Network::Parameters& encoder, Network::Parameters& head)
{
    std::vector<temper::AnyView<float>> list;
    for (Network::Parameters* part : {&encoder, &head})
        for (Matrix& tensor : *part)
            list.push_back(temper::view(tensor));
    return list;
}

/// x with normal noise, another view of the same images.
template <class Rng>
void add_noise(const Matrix& x, Rng& rng, Matrix& out)
{
    out = x;
    for (Index i = 0; i < out.size(); ++i)
        out.data()[i] += 0.15F * static_cast<float>(temper::normal(rng));
}

double accuracy(const Network& encoder, const Network& head, const support::LabelledData& data)
{
    Network::Tape features, logits;
    const Matrix& z = head.forward(encoder.forward(data.x, features), logits);
    Index right = 0;
    for (Index i = 0; i < z.rows(); ++i) {
        Index best = 0;
        z.row(i).maxCoeff(&best);
        right += best == data.y[static_cast<std::size_t>(i)] ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(z.rows());
}

} // namespace

int main(int argc, char** argv)
{
    const Index epochs = argc > 1 ? std::atol(argv[1]) : 40;
    const support::LabelledData digits = support::load_digits(TEMPER_EXAMPLE_DATA);
    auto rng = temper::stream(1, 0, "compose");
    const support::Split split = support::stratified_split(digits.y, digits.classes, 100, rng);
    const support::LabelledData train = support::take(digits, split.train),
                                test = support::take(digits, split.test);
    support::Batches batches(train.x.rows(), 50);
    const Index steps = epochs * batches.per_epoch();

    Network encoder({64, 128, 32}), head({32, 10});
    encoder.initialize(rng);
    head.initialize(rng);
    Network::Parameters encoder_gradients = encoder.zeros(), head_gradients = head.zeros();
    const auto parameters = list_of(encoder.parameters(), head.parameters());
    const auto gradients = list_of(encoder_gradients, head_gradients);

    // What is minimised.
    const temper::SoftmaxCrossEntropy classification{.label_smoothing = 0.05};
    const auto redundancy = 0.02 * temper::BarlowTwins{};
    const auto sparsity = temper::Linear{.from = 0, .to = 0.4, .steps = steps / 2} *
                          temper::GroupLasso{.groups = temper::Rows{}}; // row i of W is unit i

    // How. Numbers are places in the list: W and b of the encoder's two layers, then of the head's.
    const temper::Cosine rate{.from = 5e-3, .to = 0, .steps = steps};
    const auto update_at = [&](Index step) {
        const double lr = rate(step);
        return temper::chain(
            temper::ClipNorm{.max_norm = 1},
            temper::only({0, 2, 4}, temper::AdamW{.learning_rate = lr, .weight_decay = 0.05}),
            temper::only({1, 3, 5}, temper::AdamW{.learning_rate = lr, .weight_decay = 0}),
            temper::only(
                {0}, temper::ProximalStep{.regularizer = sparsity.at(step), .learning_rate = lr}),
            temper::Ema{.decay = 0.99});
    };
    auto state = update_at(0).init(parameters);

    Network::Tape tape_a, tape_b, tape_head;
    Matrix x, view_a, view_b, g_logits(50, 10), ga(50, 32), gb(50, 32);
    std::vector<int> y;
    temper::Report report;
    for (Index step = 0; step < steps; ++step) {
        const std::span<const Index> rows = batches.next(rng);
        support::take_rows(train.x, rows, x);
        support::take_labels(train.y, rows, y);
        add_noise(x, rng, view_a);
        add_noise(x, rng, view_b);

        const Matrix& za = encoder.forward(view_a, tape_a);
        const Matrix& zb = encoder.forward(view_b, tape_b);
        const Matrix& logits = head.forward(za, tape_head);

        report.clear();
        report.add("classification",
                   classification(logits, temper::labels(y), temper::into(g_logits)));
        head.backward(tape_head, g_logits, head_gradients, support::Gradients::overwrite, &ga);
        report.add("redundancy", redundancy(za, zb, temper::add_to(ga), temper::into(gb)));
        report.add("sparsity", sparsity.at(step)(encoder.weight(0))); // its gradient is the prox
        encoder.backward(tape_a, ga, encoder_gradients);
        encoder.backward(tape_b, gb, encoder_gradients, support::Gradients::add);

        update_at(step).step(state, parameters, gradients);

        if ((step + 1) % (10 * batches.per_epoch()) == 0 || step + 1 == steps) {
            std::printf("epoch %3ld", static_cast<long>((step + 1) / batches.per_epoch()));
            for (const auto& [name, value] : report)
                std::printf("   %s %.4f", name.c_str(), value);
            std::printf("   |gradient| %.3f\n", state.get<temper::ClipNorm>().norm);
        }
    }

    const Index zero = (encoder.weight(0).rowwise().squaredNorm().array() == 0.0F).count();
    temper::Ema{}.average(state.get<temper::Ema>(), temper::into(parameters));
    std::printf("%ld of 128 units are exactly zero, test accuracy %.1f %%\n",
                static_cast<long>(zero), 100 * accuracy(encoder, head, test));
}
