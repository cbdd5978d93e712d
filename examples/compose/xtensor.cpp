// SPDX-License-Identifier: BSL-1.0

// The training of eigen.cpp in xtensor: cross-entropy of both views, Barlow Twins between their features, a
// growing group lasso by its proximal step. A row is a sample; column i of w1 makes unit i. Products of
// matrices, which xtensor leaves to others, are temper's.
//
//   temper_compose_xtensor [epochs]

#include <temper/core/random.hpp>
#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/clip_norm.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/gradient/only.hpp>
#include <temper/gradient/proximal_step.hpp>
#include <temper/linalg/product.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/linear.hpp>

#include <xtensor/xadapt.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>

#include "support/stats.hpp"
#include "support/two_views.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using Tensor = xt::xtensor<float, 2>;
using Vector = xt::xtensor<float, 1>;
using Shape = std::array<std::size_t, 2>;

/// a b, of matrices and of their transposes
template <class A, class B>
Tensor product(const A& a, const B& b)
{
    Tensor c(Shape{a.shape()[0], b.shape()[1]});
    temper::linalg::product(temper::view(c), 1, temper::view(a), temper::view(b), 0);
    return c;
}

Tensor random_weights(std::size_t inputs, std::size_t outputs, double gain)
{
    Tensor w(Shape{inputs, outputs});
    auto rng = temper::stream(1, static_cast<temper::Index>(inputs), "weights");
    for (float& number : w)
        number =
            static_cast<float>(std::sqrt(gain / static_cast<double>(inputs)) * temper::normal(rng));
    return w;
}

/// Rows one after another, as a matrix without a copy.
auto window(const support::Matrix<float>& m)
{
    const Shape shape{static_cast<std::size_t>(m.rows()), static_cast<std::size_t>(m.cols())};
    return xt::adapt(m.data(), shape[0] * shape[1], xt::no_ownership(), shape);
}

} // namespace

int main(int argc, char** argv)
{
    const temper::Index epochs = argc > 1 ? std::atol(argv[1]) : 40;
    support::TwoViews digits(TEMPER_EXAMPLE_DATA);
    const temper::Index steps = epochs * digits.per_epoch();

    Tensor w1 = random_weights(64, 128, 2), w2 = random_weights(128, 32, 1),
           w3 = random_weights(32, 10, 1);
    Vector b1 = xt::zeros<float>({128}), b2 = xt::zeros<float>({32}), b3 = xt::zeros<float>({10});
    Tensor h, z, logits; // hidden units, features, logits of the latest forward
    const auto forward = [&](const auto& x) {
        h = xt::maximum(product(x, w1) + b1, 0.0F);
        z = product(h, w2) + b2;
        logits = product(z, w3) + b3;
    };
    const auto half = [](Tensor& m, int which) {
        const auto first = which * support::TwoViews::n;
        return xt::view(m, xt::range(first, first + support::TwoViews::n), xt::all());
    };

    const temper::SoftmaxCrossEntropy classification{.label_smoothing = 0.05};
    const auto redundancy = 0.02 * temper::BarlowTwins{};
    const auto sparsity = temper::Linear{.from = 0, .to = 0.4, .steps = steps / 2} *
                          temper::GroupLasso{.groups = temper::Columns{}};

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
    auto state = update_at(0).init(temper::tensors(w1, w2, w3, b1, b2, b3));

    temper::Report report;
    for (temper::Index step = 0; step < steps; ++step) {
        digits.next();
        const auto x = window(digits.x);
        forward(x);

        report.clear();
        Tensor g_logits(logits.shape());
        report.add("classification",
                   classification(logits, temper::labels(digits.y), temper::into(g_logits)));
        Tensor gz = product(g_logits, xt::transpose(w3));
        report.add("redundancy", redundancy(half(z, 0), half(z, 1), temper::add_to(half(gz, 0)),
                                            temper::add_to(half(gz, 1))));
        report.add("sparsity", sparsity.at(step)(w1)); // its gradient is the proximal step

        const Tensor gh = product(gz, xt::transpose(w2)) * xt::cast<float>(h > 0.0F);
        Tensor g1 = product(xt::transpose(x), gh), g2 = product(xt::transpose(h), gz),
               g3 = product(xt::transpose(z), g_logits);
        Vector d1 = xt::sum(gh, {0}), d2 = xt::sum(gz, {0}), d3 = xt::sum(g_logits, {0});
        update_at(step).step(state, temper::tensors(w1, w2, w3, b1, b2, b3),
                             temper::tensors(g1, g2, g3, d1, d2, d3));
    }
    for (const auto& [name, value] : report)
        std::printf("%s %.4f   ", name.c_str(), value);

    const Vector sizes = xt::sum(xt::abs(w1), {0});
    const auto zero = std::count(sizes.begin(), sizes.end(), 0.0F);
    temper::Ema{}.average(state.get<temper::Ema>(),
                          temper::into(temper::tensors(w1, w2, w3, b1, b2, b3)));
    forward(window(digits.test.x));
    const Eigen::Map<const support::Matrix<float>> scores(logits.data(), digits.test.x.rows(), 10);
    std::printf("\n%td of 128 units are exactly zero, test accuracy %.1f %%\n", zero,
                100 * support::accuracy(scores, digits.test.y));
}
