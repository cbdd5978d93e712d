// SPDX-License-Identifier: BSL-1.0

// The training of eigen.cpp in Armadillo: cross-entropy of both views, Barlow Twins between their features,
// a growing group lasso by its proximal step. A column is a sample, so losses are called in_columns; row i
// of w1 makes unit i.
//
//   temper_compose_armadillo [epochs]

#include <temper/adapt/armadillo.hpp>
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

#include "support/stats.hpp"
#include "support/two_views.hpp"

#include <cstdio>
#include <cstdlib>

int main(int argc, char** argv)
{
    const temper::Index epochs = argc > 1 ? std::atol(argv[1]) : 40;
    support::TwoViews digits(TEMPER_EXAMPLE_DATA);
    const temper::Index steps = epochs * digits.per_epoch();
    const arma::uword n = support::TwoViews::n;

    arma::arma_rng::set_seed(1);
    arma::fmat w1 = std::sqrt(2 / 64.0F) * arma::randn<arma::fmat>(128, 64);
    arma::fmat w2 = std::sqrt(1 / 128.0F) * arma::randn<arma::fmat>(32, 128);
    arma::fmat w3 = std::sqrt(1 / 32.0F) * arma::randn<arma::fmat>(10, 32);
    arma::fvec b1(128, arma::fill::zeros), b2(32, arma::fill::zeros), b3(10, arma::fill::zeros);
    arma::fmat h, z, logits; // hidden units, features, logits of the latest forward
    const auto forward = [&](const arma::fmat& x) {
        h = w1 * x + arma::repmat(b1, 1, x.n_cols);
        h = arma::clamp(h, 0, arma::Datum<float>::inf);
        z = w2 * h + arma::repmat(b2, 1, x.n_cols);
        logits = w3 * z + arma::repmat(b3, 1, x.n_cols);
    };

    const auto classification =
        temper::in_columns(temper::SoftmaxCrossEntropy{.label_smoothing = 0.05});
    const auto redundancy = temper::in_columns(0.02 * temper::BarlowTwins{});
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
    auto state = update_at(0).init(temper::tensors(w1, w2, w3, b1, b2, b3));

    temper::Report report;
    for (temper::Index step = 0; step < steps; ++step) {
        digits.next();
        const arma::fmat x(digits.x.data(), 64, 2 * n, false, true);
        forward(x);

        report.clear();
        arma::fmat g_logits(10, 2 * n);
        report.add("classification",
                   classification(logits, temper::labels(digits.y), temper::into(g_logits)));
        arma::fmat gz = w3.t() * g_logits;
        report.add("redundancy",
                   redundancy(z.head_cols(n), z.tail_cols(n), temper::add_to(gz.head_cols(n)),
                              temper::add_to(gz.tail_cols(n))));
        report.add("sparsity", sparsity.at(step)(w1)); // its gradient is the proximal step

        arma::fmat gh = w2.t() * gz;
        gh.elem(arma::find(h == 0)).zeros();
        arma::fmat g1 = gh * x.t(), g2 = gz * h.t(), g3 = g_logits * z.t();
        arma::fvec d1 = arma::sum(gh, 1), d2 = arma::sum(gz, 1), d3 = arma::sum(g_logits, 1);
        update_at(step).step(state, temper::tensors(w1, w2, w3, b1, b2, b3),
                             temper::tensors(g1, g2, g3, d1, d2, d3));
    }
    for (const auto& [name, value] : report)
        std::printf("%s %.4f   ", name.c_str(), value);

    const arma::uvec zero = arma::find(arma::sum(arma::abs(w1), 1) == 0);
    temper::Ema{}.average(state.get<temper::Ema>(),
                          temper::into(temper::tensors(w1, w2, w3, b1, b2, b3)));
    forward(arma::fmat(digits.test.x.data(), 64, digits.test.y.size(), false, true));
    const Eigen::Map<const support::Matrix<float>> scores(logits.memptr(), digits.test.x.rows(),
                                                          10);
    std::printf("\n%llu of 128 units are exactly zero, test accuracy %.1f %%\n",
                static_cast<unsigned long long>(zero.n_elem),
                100 * support::accuracy(scores, digits.test.y));
}
