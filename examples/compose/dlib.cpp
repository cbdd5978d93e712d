// SPDX-License-Identifier: BSL-1.0

// The training of eigen.cpp in dlib's trainer, with its Adam. Cross-entropy is temper's loss layer; what a
// layer derived from it adds is Barlow Twins between the features of the batch's two halves, one layer
// below. The proximal step of the growing group lasso comes between the trainer's steps. In dlib's fc a
// column of weights makes one unit.
//
//   temper_compose_dlib [epochs]

#include <temper/adapt/dlib.hpp>
#include <temper/gradient/proximal_step.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/schedule/cosine.hpp>
#include <temper/schedule/linear.hpp>

#include <dlib/dnn.h>

#include "support/two_views.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using Sample = dlib::matrix<float, 64, 1>;
using CrossEntropy = temper::loss_temper_<temper::SoftmaxCrossEntropy, unsigned long>;

struct loss_two_views_ : CrossEntropy {
    temper::Scaled<temper::BarlowTwins> redundancy = 0.02 * temper::BarlowTwins{};
    mutable temper::Report report;

    loss_two_views_() : CrossEntropy(temper::SoftmaxCrossEntropy{.label_smoothing = 0.05}) {}

    template <class Labels, class Network>
    double compute_loss_value_and_gradient(const dlib::tensor& x, Labels truth, Network& sub) const
    {
        report.clear();
        report.add("classification", CrossEntropy::compute_loss_value_and_gradient(x, truth, sub));
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

using Features = dlib::fc<32, dlib::relu<dlib::fc<128, dlib::input<Sample>>>>;
using Network = dlib::add_loss_layer<loss_two_views_, dlib::fc<10, Features>>;

std::vector<Sample> samples(const support::Matrix<float>& x)
{
    std::vector<Sample> out;
    for (support::Index i = 0; i < x.rows(); ++i)
        out.emplace_back(dlib::mat(x.row(i).data(), 64, 1));
    return out;
}

} // namespace

int main(int argc, char** argv)
{
    const temper::Index epochs = argc > 1 ? std::atol(argv[1]) : 40;
    support::TwoViews digits(TEMPER_EXAMPLE_DATA);
    const temper::Index steps = epochs * digits.per_epoch();
    const temper::Cosine rate{.from = 5e-3, .to = 0, .steps = steps};
    const auto sparsity = temper::Linear{.from = 0, .to = 0.4, .steps = steps / 2} *
                          temper::GroupLasso{.groups = temper::Columns{}};

    std::srand(1); // dlib's first weights
    Network net;
    dlib::dnn_trainer<Network, dlib::adam> trainer(net, dlib::adam(0, 0.9F, 0.999F));
    dlib::matrix<double> rates(1, steps);
    for (temper::Index step = 0; step < steps; ++step)
        rates(step) = rate(step);
    trainer.set_learning_rate_schedule(rates);

    for (temper::Index step = 0; step < steps; ++step) {
        digits.next();
        trainer.train_one_step(samples(digits.x),
                               std::vector<unsigned long>(digits.y.begin(), digits.y.end()));
        trainer.get_net(dlib::force_flush_to_disk::no); // waits for the step
        const auto w1 = temper::matrix_view(dlib::layer<4>(net).layer_details().get_weights());
        temper::ProximalStep{.regularizer = sparsity.at(step), .learning_rate = rate(step)}.apply(
            w1);
    }
    for (const auto& [name, value] : net.loss_details().report)
        std::printf("%s %.4f   ", name.c_str(), value);

    const dlib::matrix<float> w1 = dlib::mat(dlib::layer<4>(net).layer_details().get_weights());
    const dlib::matrix<float> sizes = dlib::sum_rows(dlib::abs(w1));
    const std::vector<unsigned long> predicted = net(samples(digits.test.x));
    double right = 0;
    for (std::size_t i = 0; i < predicted.size(); ++i)
        right += static_cast<int>(predicted[i]) == digits.test.y[i] ? 1 : 0;
    std::printf("\n%td of 128 units are exactly zero, test accuracy %.1f %%\n",
                std::count(sizes.begin(), sizes.end(), 0.0F),
                100 * right / static_cast<double>(predicted.size()));
}
