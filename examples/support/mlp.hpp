// SPDX-License-Identifier: BSL-1.0
#pragma once

// A multilayer perceptron in plain Eigen, as a person who trains in C++ may already have one.
//
//   Mlp<float> network({64, 128, 10}, Activation::relu);
//   network.initialize(rng);
//   Mlp<float>::Tape tape;
//   Mlp<float>::Parameters gradients = network.zeros();
//   const Matrix<float>& logits = network.forward(x, tape);     // x [n, 64], logits [n, 10]
//   network.backward(tape, grad_logits, gradients);
//
// Rows are samples. A layer is y = f(x W^T + b) with W [out, in]: row i of W is unit i, and the last
// layer has no f. The tape belongs to the caller, so that several forwards can be alive at once (two
// views of one batch); forward and backward allocate nothing when a shape comes back.

#include <cmath>
#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

#include "support/matrix.hpp"
#include "support/random.hpp"

namespace support {

enum class Activation { relu, tanh };

/// What backward does with the numbers that the gradients hold already.
enum class Gradients { overwrite, add };

template <class T>
class Mlp {
  public:
    /// W_1, b_1, W_2, b_2, ...; a bias is [1, out]. Gradients have the same form.
    using Parameters = std::vector<Matrix<T>>;

    /// What a forward leaves for its backward. values[0] is the input, values[l] what layer l gave.
    struct Tape {
        std::vector<Matrix<T>> values;
        std::vector<Matrix<T>> deltas;
    };

    Mlp() = default;

    /// widths = {inputs, hidden..., outputs}. All parameters are zero until initialize.
    explicit Mlp(const std::vector<Index>& widths, Activation hidden = Activation::relu)
        : hidden_(hidden)
    {
        if (widths.size() < 2)
            throw std::invalid_argument("Mlp: a network has at least an input and an output width");
        for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
            parameters_.emplace_back(Matrix<T>::Zero(widths[l + 1], widths[l]));
            parameters_.emplace_back(Matrix<T>::Zero(1, widths[l + 1]));
        }
    }

    /// Weights N(0, gain / inputs), biases 0. The gain is 2 before a ReLU (He et al. 2015), else 1.
    template <class Rng>
    void initialize(Rng& rng)
    {
        for (std::size_t l = 0; l < layers(); ++l) {
            const bool before_relu = hidden_ == Activation::relu && l + 1 < layers();
            Matrix<T>& w = weight(l);
            const double deviation =
                std::sqrt((before_relu ? 2.0 : 1.0) / static_cast<double>(w.cols()));
            for (Index i = 0; i < w.size(); ++i)
                w.data()[i] = static_cast<T>(deviation * support::normal(rng));
            bias(l).setZero();
        }
    }

    [[nodiscard]] std::size_t layers() const { return parameters_.size() / 2; }
    [[nodiscard]] Matrix<T>& weight(std::size_t layer) { return parameters_.at(2 * layer); }
    [[nodiscard]] Matrix<T>& bias(std::size_t layer) { return parameters_.at(2 * layer + 1); }
    [[nodiscard]] const Matrix<T>& weight(std::size_t layer) const
    {
        return parameters_.at(2 * layer);
    }
    [[nodiscard]] const Matrix<T>& bias(std::size_t layer) const
    {
        return parameters_.at(2 * layer + 1);
    }
    [[nodiscard]] Parameters& parameters() { return parameters_; }
    [[nodiscard]] const Parameters& parameters() const { return parameters_; }

    /// Zeros in the form of the parameters, to hold gradients.
    [[nodiscard]] Parameters zeros() const
    {
        Parameters out = parameters_;
        for (Matrix<T>& tensor : out)
            tensor.setZero();
        return out;
    }

    /// x [n, inputs] -> [n, outputs], which lives in the tape.
    const Matrix<T>& forward(const Matrix<T>& x, Tape& tape) const
    {
        tape.values.resize(layers() + 1);
        tape.values[0] = x;
        for (std::size_t l = 0; l < layers(); ++l) {
            Matrix<T>& y = tape.values[l + 1];
            y.noalias() = tape.values[l] * weight(l).transpose();
            y.rowwise() += bias(l).row(0);
            if (l + 1 == layers())
                break;
            if (hidden_ == Activation::relu)
                y = y.cwiseMax(T(0));
            else
                y = y.array().tanh();
        }
        return tape.values.back();
    }

    /// grad_output [n, outputs] -> the gradient of every parameter, and of the input if asked for.
    /// The tape must be that of the latest forward with these parameters.
    void backward(Tape& tape, const Matrix<T>& grad_output, Parameters& gradients,
                  Gradients mode = Gradients::overwrite, Matrix<T>* grad_input = nullptr) const
    {
        if (gradients.size() != parameters_.size())
            gradients = zeros();
        tape.deltas.resize(layers());
        for (std::size_t l = layers(); l-- > 0;) {
            const bool last = l + 1 == layers();
            if (!last)
                through_activation(tape.values[l + 1], tape.deltas[l]);
            const Matrix<T>& delta = last ? grad_output : tape.deltas[l];
            Matrix<T>& gw = gradients[2 * l];
            Matrix<T>& gb = gradients[2 * l + 1];
            if (mode == Gradients::overwrite) {
                gw.noalias() = delta.transpose() * tape.values[l];
                gb = delta.colwise().sum();
            }
            else {
                gw.noalias() += delta.transpose() * tape.values[l];
                gb += delta.colwise().sum();
            }
            if (l > 0)
                tape.deltas[l - 1].noalias() = delta * weight(l);
            else if (grad_input != nullptr)
                grad_input->noalias() = delta * weight(l);
        }
    }

  private:
    /// Both derivatives can be read off what the activation gave.
    void through_activation(const Matrix<T>& value, Matrix<T>& delta) const
    {
        if (hidden_ == Activation::relu)
            delta = (value.array() > T(0)).select(delta, T(0));
        else
            delta.array() *= T(1) - value.array().square();
    }

    Activation hidden_ = Activation::relu;
    Parameters parameters_;
};

} // namespace support
