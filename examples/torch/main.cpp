// SPDX-License-Identifier: BSL-1.0

// temper_torch: one objective in two trainers. A network 64-64-64-10 learns real handwritten digits by
// cross-entropy with label smoothing and a soft orthogonality term of the hidden layers, once in plain
// Eigen, with gradients by hand, and once as a torch::nn::Sequential, with libtorch's autograd and
// optimiser. First weights and batches are the same, and so are the losses, up to rounding.
//
//   temper_torch                 20 epochs
//   temper_torch --epochs 2      ends with 1 where the losses differ by more than --tolerance

#include <temper/adapt/torch.hpp> // first: see there

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include <temper/core/random.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>

#include "support/data.hpp"
#include "support/mlp.hpp"
#include "support/program.hpp"

namespace {

using Network = support::Mlp;
using support::Matrix;

const temper::SoftmaxCrossEntropy cross_entropy{.label_smoothing = 0.1};
const auto orthogonality = 0.01 * temper::SoftOrthogonality{};
const temper::Sgd sgd{.learning_rate = 0.05, .momentum = 0.9};

/// The trainer of a person who has Eigen and nothing else.
class EigenTrainer {
  public:
    explicit EigenTrainer(const Network& network)
        : network_(network), gradients_(network.zeros()),
          state_(sgd.init(views(network_.parameters())))
    {
    }
    /// One step; the loss before it.
    double step(const Matrix<float>& x, const std::vector<int>& y)
    {
        const Matrix<float>& logits = network_.forward(x, tape_);
        grad_logits_.resizeLike(logits);
        double loss = cross_entropy(logits, temper::labels(y), temper::into(grad_logits_));
        network_.backward(tape_, grad_logits_, gradients_);
        for (std::size_t l = 0; l + 1 < network_.layers(); ++l)
            loss += orthogonality(network_.weight(l), temper::add_to(gradients_[2 * l]));
        sgd.step(state_, views(network_.parameters()), views(gradients_));
        return loss;
    }

  private:
    static std::vector<temper::AnyView<float>> views(Network::Parameters& list)
    {
        std::vector<temper::AnyView<float>> out;
        for (Matrix<float>& tensor : list)
            out.push_back(temper::view(tensor));
        return out;
    }

    Network network_;
    Network::Tape tape_;
    Network::Parameters gradients_;
    Matrix<float> grad_logits_;
    temper::Sgd::State<float> state_;
};

/// The trainer of a person who has libtorch.
class TorchTrainer {
  public:
    explicit TorchTrainer(const Network& network)
    {
        const torch::NoGradGuard no_grad;
        for (std::size_t l = 0; l < network.layers(); ++l) {
            const Matrix<float>& w = network.weight(l);
            torch::nn::Linear layer(w.cols(), w.rows());
            layer->weight.copy_(tensor(w));
            layer->bias.copy_(tensor(network.bias(l)).flatten());
            network_->push_back(layer);
            if (l + 1 < network.layers()) {
                network_->push_back(torch::nn::ReLU());
                hidden_.push_back(layer->weight);
            }
        }
        optimizer_ = std::make_unique<torch::optim::SGD>(
            network_->parameters(),
            torch::optim::SGDOptions(sgd.learning_rate).momentum(sgd.momentum));
    }
    double step(const Matrix<float>& x, const std::vector<int>& y)
    {
        const auto loss_of = temper::torch_function(cross_entropy);
        const auto penalty_of = temper::torch_function(orthogonality);

        torch::Tensor loss =
            loss_of(network_->forward(tensor(x)), temper::labels(torch::tensor(y)));
        for (const torch::Tensor& w : hidden_)
            loss = loss + penalty_of(w);
        optimizer_->zero_grad();
        loss.backward();
        optimizer_->step();
        return loss.item<double>();
    }

  private:
    /// The numbers of a matrix, without a copy.
    static torch::Tensor tensor(const Matrix<float>& m)
    {
        return torch::from_blob(const_cast<float*>(m.data()), {m.rows(), m.cols()}, torch::kFloat);
    }

    torch::nn::Sequential network_;
    std::vector<torch::Tensor> hidden_; // weights of the hidden layers
    std::unique_ptr<torch::optim::SGD> optimizer_;
};

int run(int argc, char** argv)
{
    support::Index epochs = 20;
    double tolerance = 1e-5;
    std::string data = TEMPER_EXAMPLE_DATA;
    CLI::App app{"one objective of temper, trained in plain Eigen and in libtorch"};
    app.add_option("--epochs", epochs, "how long to train")->capture_default_str();
    app.add_option("--tolerance", tolerance, "relative difference of losses that is let pass")
        ->capture_default_str();
    app.add_option("--data", data, "folder of digits.csv")->capture_default_str();
    CLI11_PARSE(app, argc, argv);

    const support::LabelledData digits = support::load_digits(data);
    auto rng = temper::stream(1, 0, "torch example");
    Network network({64, 64, 64, 10});
    network.initialize(rng);
    EigenTrainer eigen(network);
    TorchTrainer libtorch(network);

    support::Batches batches(digits.x.rows(), 64);
    Matrix<float> x;
    std::vector<int> y;
    double worst = 0;
    std::printf("epoch   Eigen      libtorch   largest relative difference of a step\n");
    for (support::Index epoch = 1; epoch <= epochs; ++epoch) {
        double sums[2] = {0, 0};
        double largest = 0;
        for (support::Index b = 0; b < batches.per_epoch(); ++b) {
            const auto rows = batches.next(rng);
            support::take_rows(digits.x, rows, x);
            support::take_labels(digits.y, rows, y);
            const double one = eigen.step(x, y);
            const double other = libtorch.step(x, y);
            sums[0] += one;
            sums[1] += other;
            largest = std::max(largest, std::abs(one - other) / std::abs(one));
        }
        worst = std::max(worst, largest);
        const auto steps = static_cast<double>(batches.per_epoch());
        std::printf("%5td   %.6f   %.6f   %.1e\n", epoch, sums[0] / steps, sums[1] / steps,
                    largest);
    }
    return worst <= tolerance ? 0 : 1; // NaN is a failure, too
}

} // namespace

int main(int argc, char** argv) { return support::program("temper_torch", run, argc, argv); }
