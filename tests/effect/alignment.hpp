// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the effect tests of alignment share: a network with its optimiser, and small random matrices.

#include <temper/core/random.hpp>
#include <temper/core/tensor_list.hpp>
#include <temper/gradient/adam.hpp>

#include "support/catch.hpp"
#include "support/data.hpp"
#include "support/mlp.hpp"

#include <cmath>
#include <cstdio>
#include <vector>

namespace alignment_effect {

using support::Index;
using Matrix = support::Matrix<float>;

[[nodiscard]] inline Matrix normals(temper::Stream& rng, Index rows, Index cols, double scale = 1)
{
    Matrix m(rows, cols);
    for (Index i = 0; i < m.size(); ++i)
        m.data()[i] = static_cast<float>(scale * temper::normal(rng));
    return m;
}

/// Matrices that one Adam moves.
class Trainable {
  public:
    explicit Trainable(const std::vector<Matrix*>& parameters, double learning_rate)
        : adam_{.learning_rate = learning_rate}
    {
        for (Matrix* tensor : parameters)
            gradients.emplace_back(Matrix::Zero(tensor->rows(), tensor->cols()));
        for (Matrix* tensor : parameters)
            parameters_.push_back(temper::view(*tensor));
        for (Matrix& tensor : gradients)
            views_.push_back(temper::view(tensor));
        state_ = adam_.init(parameters_);
    }
    Trainable(const Trainable&) = delete;
    Trainable& operator=(const Trainable&) = delete;

    void step() { adam_.step(state_, parameters_, views_); }

    std::vector<Matrix> gradients;

  private:
    temper::Adam adam_;
    std::vector<temper::AnyView<float>> parameters_;
    std::vector<temper::AnyView<float>> views_;
    temper::Adam::State<float> state_;
};

/// A multilayer perceptron that one Adam moves.
struct Network {
    support::Mlp net;
    support::Mlp::Tape tape;
    support::Mlp::Parameters gradients;
    temper::Adam adam;
    std::vector<temper::AnyView<float>> parameters;
    std::vector<temper::AnyView<float>> views;
    temper::Adam::State<float> state;

    Network(const std::vector<Index>& widths, temper::Stream& rng, double learning_rate,
            support::Activation hidden = support::Activation::relu)
        : net(widths, hidden), adam{.learning_rate = learning_rate}
    {
        net.initialize(rng);
        gradients = net.zeros();
        for (Matrix& tensor : net.parameters())
            parameters.push_back(temper::view(tensor));
        for (Matrix& tensor : gradients)
            views.push_back(temper::view(tensor));
        state = adam.init(parameters);
    }
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

    const Matrix& forward(const Matrix& x) { return net.forward(x, tape); }
    void backward(const Matrix& g, Matrix* gx = nullptr)
    {
        if (gx != nullptr)
            gx->resize(tape.values[0].rows(), tape.values[0].cols());
        net.backward(tape, g, gradients, support::Gradients::overwrite, gx);
    }
    void step() { adam.step(state, parameters, views); }
};

} // namespace alignment_effect
