// SPDX-License-Identifier: BSL-1.0

// The training of eigen.cpp in libtorch, whose autograd walks through the network: cross-entropy of both
// views, Barlow Twins between their features, a growing group lasso by its proximal step. Row i of a Linear
// layer's weight makes unit i. The update is a chain of temper's transforms on the module's own parameters;
// torch::optim would do as well, with ProximalStep behind its step.
//
//   temper_compose_torch [epochs]

#include <temper/adapt/torch.hpp> // first: see there

#include <torch/torch.h>

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

#include "support/two_views.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

/// Rows one after another, as a tensor without a copy.
torch::Tensor window(support::Matrix<float>& m)
{
    return torch::from_blob(m.data(), {m.rows(), m.cols()}, torch::kFloat);
}

} // namespace

int main(int argc, char** argv)
{
    const temper::Index epochs = argc > 1 ? std::atol(argv[1]) : 40;
    support::TwoViews digits(TEMPER_EXAMPLE_DATA);
    const temper::Index steps = epochs * digits.per_epoch();

    torch::manual_seed(1);
    torch::nn::Linear hidden(64, 128), features(128, 32), head(32, 10);
    torch::nn::Sequential encoder(hidden, torch::nn::ReLU(), features);
    const std::vector<torch::Tensor> parameters{hidden->weight, features->weight, head->weight,
                                                hidden->bias,   features->bias,   head->bias};

    const auto classification =
        temper::torch_function(temper::SoftmaxCrossEntropy{.label_smoothing = 0.05});
    const auto redundancy = temper::torch_function(0.02 * temper::BarlowTwins{});
    const auto sparsity = temper::Linear{.from = 0, .to = 0.4, .steps = steps / 2} *
                          temper::GroupLasso{.groups = temper::Rows{}};

    const temper::Cosine rate{.from = 5e-3, .to = 0, .steps = steps};
    const auto update_at = [&](temper::Index step) {
        const double lr = rate(step);
        return temper::chain(
            temper::ClipNorm{.max_norm = 1},
            temper::only({0, 1, 2}, temper::AdamW{.learning_rate = lr, .weight_decay = 0.05}),
            temper::only({3, 4, 5}, temper::AdamW{.learning_rate = lr, .weight_decay = 0}),
            temper::only(
                {0}, temper::ProximalStep{.regularizer = sparsity.at(step), .learning_rate = lr}),
            temper::Ema{.decay = 0.99});
    };
    auto state = update_at(0).init(temper::views<float>(parameters));

    temper::Report report;
    for (temper::Index step = 0; step < steps; ++step) {
        digits.next();
        const torch::Tensor z = encoder->forward(window(digits.x));
        const std::vector<torch::Tensor> view = z.chunk(2);
        const torch::Tensor cross_entropy =
            classification(head->forward(z), temper::labels(torch::tensor(digits.y)));
        const torch::Tensor twins = redundancy(view[0], view[1]);

        report.clear();
        report.add("classification", cross_entropy.item<double>());
        report.add("redundancy", twins.item<double>());
        report.add("sparsity", sparsity.at(step)(temper::view<float>(hidden->weight)));

        std::vector<torch::Tensor> gradients =
            torch::autograd::grad({cross_entropy + twins}, parameters);
        update_at(step).step(state, temper::views<float>(parameters),
                             temper::views<float>(gradients));
    }
    for (const auto& [name, value] : report)
        std::printf("%s %.4f   ", name.c_str(), value);

    const torch::NoGradGuard no_grad;
    const auto zero = hidden->weight.abs().sum(1).eq(0).sum().item<long>();
    temper::Ema{}.average(state.get<temper::Ema>(), temper::into(temper::views<float>(parameters)));
    const torch::Tensor predicted =
        head->forward(encoder->forward(window(digits.test.x))).argmax(1);
    const double accuracy =
        predicted.eq(torch::tensor(digits.test.y)).to(torch::kDouble).mean().item<double>();
    std::printf("\n%ld of 128 units are exactly zero, test accuracy %.1f %%\n", zero,
                100 * accuracy);
}
