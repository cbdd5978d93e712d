// SPDX-License-Identifier: BSL-1.0

// Four techniques in one training, in Armadillo: see eigen.cpp. A column is a sample, so that losses are
// called in_columns; a row of weights makes one unit.

#include <temper/adapt/armadillo.hpp>
#include <temper/core/random.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/mask/magnitude_mask.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/linear.hpp>
#include <temper/schedule/sparsity_schedule.hpp>

#include <iostream>
#include <string>

int main(int argc, char** argv)
{
    const std::string folder = argc > 1 ? argv[1] : "examples/data";
    arma::mat table;
    arma::field<std::string> header;
    if (!table.load(arma::csv_name(folder + "/digits.csv", header)))
        return 1;
    const arma::mat pixels = table.cols(0, 63).t() / 16;
    const auto digits = arma::conv_to<arma::Row<arma::uword>>::from(table.col(64));
    const arma::uword n = 100, n_train = 1000;
    const temper::Index steps = 800;
    const temper::Cosine learning_rate{.from = 0.3, .steps = steps};

    arma::arma_rng::set_seed(1);
    arma::mat w1 = std::sqrt(2.0 / 64) * arma::randn(64, 64), w2 = arma::randn(32, 64) / 8,
              w3 = arma::randn(10, 32) / std::sqrt(32.0), mask(32, 64);
    arma::vec b1(64, arma::fill::zeros), b2(32, arma::fill::zeros), b3(10, arma::fill::zeros);
    arma::mat h, z, logits; // hidden units, features, logits of the latest batch
    const auto forward = [&](const arma::mat& x) {
        h = arma::clamp(w1 * x + arma::repmat(b1, 1, x.n_cols), 0, arma::datum::inf);
        z = w2 * h + arma::repmat(b2, 1, x.n_cols);
        logits = w3 * z + arma::repmat(b3, 1, x.n_cols);
    };

    const auto cross_entropy = temper::in_columns(temper::SoftmaxCrossEntropy{});
    const auto redundancy = temper::in_columns(0.01 * temper::BarlowTwins{});
    const auto lasso = temper::Linear{.from = 0, .to = 5e-3, .steps = steps / 2} *
                       temper::GroupLasso{.groups = temper::Rows{}};
    const temper::SparsitySchedule sparsity{.to = 0.5, .first = 200, .last = 600};

    temper::Report report;
    for (temper::Index step = 0; step < steps; ++step) {
        const arma::uword first = static_cast<arma::uword>(step) * n % n_train;
        const arma::uword last = first + n - 1;
        const arma::mat x = arma::join_rows(pixels.cols(first, last), pixels.cols(first, last)) +
                            0.2 * arma::randn(64, 2 * n);
        const arma::Row<arma::uword> y =
            arma::join_rows(digits.cols(first, last), digits.cols(first, last));

        report.clear();
        forward(x);
        arma::mat g_logits(10, 2 * n);
        report.add("cross-entropy",
                   cross_entropy(logits, temper::labels(y), temper::into(g_logits)));
        arma::mat gz = w3.t() * g_logits;
        report.add("redundancy",
                   redundancy(z.head_cols(n), z.tail_cols(n), temper::add_to(gz.head_cols(n)),
                              temper::add_to(gz.tail_cols(n))));
        const arma::mat gh = (w2.t() * gz) % (h > 0);

        const double rate = learning_rate(step);
        w3 -= rate * g_logits * z.t();
        w2 -= rate * gz * h.t();
        w1 -= rate * gh * x.t();
        b3 -= rate * arma::sum(g_logits, 1);
        b2 -= rate * arma::sum(gz, 1);
        b1 -= rate * arma::sum(gh, 1);

        lasso.at(step).prox(w1, rate, temper::into(w1));
        temper::MagnitudeMask{.sparsity = sparsity(step)}.apply(w2, temper::into(mask));
        w2 %= mask;
        if (step % 200 == 199)
            for (const auto& [name, value] : report)
                std::cout << "step " << step << ": " << name << ' ' << value << '\n';
    }

    forward(pixels.tail_cols(pixels.n_cols - n_train));
    const arma::urowvec predicted = arma::index_max(logits, 0);
    const double accuracy =
        static_cast<double>(arma::accu(predicted == digits.tail_cols(predicted.n_cols))) /
        static_cast<double>(predicted.n_cols);
    const arma::uword removed = arma::accu(arma::sum(arma::abs(w1), 1) == 0);
    const arma::uword pruned = arma::accu(w2 == 0);
    std::cout << "accuracy " << accuracy << ", hidden units removed " << removed << " of 64, "
              << "weights pruned " << pruned << " of " << w2.n_elem << '\n';
    return accuracy > 0.9 && removed > 0 && removed < 48 && 2 * pruned >= w2.n_elem ? 0 : 1;
}
