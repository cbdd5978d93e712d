// SPDX-License-Identifier: BSL-1.0
#pragma once

// A multilayer perceptron in plain Eigen, as a person who trains in C++ may already have one.
//
//   Mlp network({64, 128, 10}, Activation::relu);
//   network.initialize(rng);
//   Mlp::Tape tape;
//   Mlp::Parameters gradients = network.zeros();
//   const Matrix<float>& logits = network.forward(x, tape);     // x [n, 64], logits [n, 10]
//   network.backward(tape, grad_logits, gradients);
//
// Rows are samples. A layer is y = f(x W^T + b) with W [out, in]: row i of W is unit i, and the last
// layer has no f. The tape belongs to the caller, so that several forwards can be alive at once (two
// views of one batch); forward and backward allocate nothing when a shape comes back.

#include <cmath>
#include <cstddef>
#include <vector>

#include "support/matrix.hpp"
#include "support/random.hpp"

namespace support {

enum class Activation { relu, tanh };

/// What backward does with the numbers that the gradients hold already.
enum class Gradients { overwrite, add };

class Mlp {
  public:
    /// W_1, b_1, W_2, b_2, ...; a bias is [1, out]. Gradients have the same form.
    using Parameters = std::vector<Matrix<float>>;

    /// What a forward leaves for its backward. values[0] is the input, values[l] what layer l gave.
    struct Tape {
        std::vector<Matrix<float>> values;
        std::vector<Matrix<float>> deltas;
    };

    Mlp() = default;

    /// widths = {inputs, hidden..., outputs}. All parameters are zero until initialize.
    explicit Mlp(const std::vector<Index>& widths, Activation hidden = Activation::relu);

    /// Weights N(0, gain / inputs), biases 0. The gain is 2 before a ReLU (He et al. 2015), else 1.
    template <class Rng>
    void initialize(Rng& rng)
    {
        for (std::size_t l = 0; l < layers(); ++l) {
            const bool before_relu = hidden_ == Activation::relu && l + 1 < layers();
            Matrix<float>& w = weight(l);
            const double deviation =
                std::sqrt((before_relu ? 2.0 : 1.0) / static_cast<double>(w.cols()));
            for (Index i = 0; i < w.size(); ++i)
                w.data()[i] = static_cast<float>(deviation * support::normal(rng));
            bias(l).setZero();
        }
    }

    [[nodiscard]] std::size_t layers() const { return parameters_.size() / 2; }
    [[nodiscard]] Matrix<float>& weight(std::size_t layer) { return parameters_.at(2 * layer); }
    [[nodiscard]] Matrix<float>& bias(std::size_t layer) { return parameters_.at(2 * layer + 1); }
    [[nodiscard]] const Matrix<float>& weight(std::size_t layer) const
    {
        return parameters_.at(2 * layer);
    }
    [[nodiscard]] const Matrix<float>& bias(std::size_t layer) const
    {
        return parameters_.at(2 * layer + 1);
    }
    [[nodiscard]] Parameters& parameters() { return parameters_; }
    [[nodiscard]] const Parameters& parameters() const { return parameters_; }

    /// Zeros in the form of the parameters, to hold gradients.
    [[nodiscard]] Parameters zeros() const;

    /// x [n, inputs] -> [n, outputs], which lives in the tape.
    const Matrix<float>& forward(const Matrix<float>& x, Tape& tape) const;

    /// grad_output [n, outputs] -> the gradient of every parameter, and of the input if asked for.
    /// The tape must be that of the latest forward with these parameters.
    void backward(Tape& tape, const Matrix<float>& grad_output, Parameters& gradients,
                  Gradients mode = Gradients::overwrite, Matrix<float>* grad_input = nullptr) const;

  private:
    /// Both derivatives can be read off what the activation gave.
    void through_activation(const Matrix<float>& value, Matrix<float>& delta) const;

    Activation hidden_ = Activation::relu;
    Parameters parameters_;
};

} // namespace support
