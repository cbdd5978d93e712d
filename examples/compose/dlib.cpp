// SPDX-License-Identifier: BSL-1.0

// Four techniques in one training, in dlib's trainer: see eigen.cpp. Cross-entropy is temper's loss layer;
// what a loss layer derived from it adds is Barlow Twins between the features, one layer below. Pruning and
// proximal steps come between the trainer's steps. In dlib's fc a column of weights makes one unit.

#include <temper/adapt/dlib.hpp>
#include <temper/core/random.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/mask/magnitude_mask.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/linear.hpp>
#include <temper/schedule/sparsity_schedule.hpp>

#include <dlib/dnn.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <string>
#include <vector>

namespace {

using Sample = dlib::matrix<float, 64, 1>;
using CrossEntropy = temper::loss_temper_<temper::SoftmaxCrossEntropy, unsigned long>;

/// Cross-entropy of all outputs, and Barlow Twins between the features of the batch's two halves.
struct loss_two_views_ : CrossEntropy {
    temper::Scaled<temper::BarlowTwins> redundancy = 0.01 * temper::BarlowTwins{};
    mutable temper::Report report;

    loss_two_views_() : CrossEntropy(temper::SoftmaxCrossEntropy{}) {}

    template <class Labels, class Network>
    double compute_loss_value_and_gradient(const dlib::tensor& x, Labels truth, Network& sub) const
    {
        report.clear();
        report.add("cross-entropy", CrossEntropy::compute_loss_value_and_gradient(x, truth, sub));
        auto& features = dlib::layer<1>(sub);
        const auto z = temper::matrix_view(features.get_output());
        const auto gz = temper::matrix_view(features.get_gradient_input());
        const auto half = [n = z.rows() / 2](const auto& v, temper::Index which) {
            return v.block(which * n, 0, n, v.cols());
        };
        report.add("redundancy", redundancy(half(z, 0), half(z, 1), temper::add_to(half(gz, 0)),
                                            temper::add_to(half(gz, 1))));
        return report.total();
    }
};

using Features = dlib::fc<32, dlib::relu<dlib::fc<64, dlib::input<Sample>>>>;
using Network = dlib::add_loss_layer<loss_two_views_, dlib::fc<10, Features>>;

} // namespace

int main(int argc, char** argv)
{
    const std::string folder = argc > 1 ? argv[1] : "examples/data";
    std::ifstream file(folder + "/digits.csv");
    std::string header;
    std::getline(file, header);
    dlib::matrix<float> table;
    if (!(file >> table))
        return 1;
    std::vector<Sample> pixels;
    std::vector<unsigned long> digits;
    for (long i = 0; i < table.nr(); ++i) {
        pixels.emplace_back(dlib::trans(dlib::subm(table, i, 0, 1, 64)) / 16);
        digits.push_back(static_cast<unsigned long>(table(i, 64)));
    }
    const std::size_t n = 100, n_train = 1000;
    const temper::Index steps = 800;
    const temper::Cosine learning_rate{.from = 0.3, .steps = steps};

    std::srand(1); // dlib's first weights
    Network net;
    dlib::dnn_trainer<Network> trainer(net, dlib::sgd(0, 0));
    dlib::matrix<double> rates(1, steps);
    for (long step = 0; step < steps; ++step)
        rates(step) = learning_rate(step);
    trainer.set_learning_rate_schedule(rates);

    const auto lasso = temper::Linear{.from = 0, .to = 5e-3, .steps = steps / 2} *
                       temper::GroupLasso{.groups = temper::Columns{}};
    const temper::SparsitySchedule sparsity{.to = 0.5, .first = 200, .last = 600};

    std::vector<Sample> x(2 * n);
    std::vector<unsigned long> y(2 * n);
    dlib::matrix<float> mask(64, 32);
    for (temper::Index step = 0; step < steps; ++step) {
        temper::Stream rng = temper::stream(1, step, "noise");
        for (std::size_t i = 0; i < 2 * n; ++i) {
            const std::size_t sample = (static_cast<std::size_t>(step) * n + i % n) % n_train;
            x[i] = pixels[sample];
            for (float& pixel : x[i])
                pixel += 0.2F * static_cast<float>(temper::normal(rng));
            y[i] = digits[sample];
        }
        trainer.train_one_step(x, y);
        trainer.get_net(dlib::force_flush_to_disk::no); // waits for the step

        const auto w1 = temper::matrix_view(dlib::layer<4>(net).layer_details().get_weights());
        lasso.at(step).prox(w1, learning_rate(step), temper::into(w1));
        auto w2 = dlib::layer<2>(net).layer_details().get_weights();
        temper::MagnitudeMask{.sparsity = sparsity(step)}.apply(temper::matrix_view(w2),
                                                                temper::into(mask));
        w2 = dlib::pointwise_multiply(dlib::mat(w2), mask);
        if (step % 200 == 199)
            for (const auto& [name, value] : net.loss_details().report)
                std::cout << "step " << step << ": " << name << ' ' << value << '\n';
    }

    std::size_t right = 0;
    for (std::size_t i = n_train; i < pixels.size(); ++i)
        right += net(pixels[i]) == digits[i] ? 1 : 0;
    const double accuracy =
        static_cast<double>(right) / static_cast<double>(pixels.size() - n_train);
    const dlib::matrix<float> w1 = dlib::mat(dlib::layer<4>(net).layer_details().get_weights());
    const dlib::matrix<float> w2 = dlib::mat(dlib::layer<2>(net).layer_details().get_weights());
    long removed = 0;
    for (long unit = 0; unit < w1.nc(); ++unit)
        removed += dlib::length(dlib::colm(w1, unit)) == 0 ? 1 : 0;
    const long pruned = std::count(w2.begin(), w2.end(), 0.0F);
    std::cout << "accuracy " << accuracy << ", hidden units removed " << removed << " of 64, "
              << "weights pruned " << pruned << " of " << w2.size() << '\n';
    return accuracy > 0.9 && removed > 0 && removed < 48 && 2 * pruned >= w2.size() ? 0 : 1;
}
