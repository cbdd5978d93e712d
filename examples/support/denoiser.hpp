// SPDX-License-Identifier: BSL-1.0
#pragma once

// A small network F(x, sigma) in plain Eigen, as a person who trains diffusion models in C++ may already have
// one: layers of width w on [x, Fourier features of log(sigma) / 4], SiLU, and if asked for a layer
// normalisation without gain before each SiLU.
//
//   Denoiser network({.features = 16, .width = 128, .layers = 3});
//   network.initialize(rng);
//   const Matrix<float>& F = network.forward(x, sigma, tape);       x [n, features], sigma n numbers
//   network.backward(tape, gF, gradients);
//
// The tape is the caller's, so that two forwards can be alive at once.

#include <cmath>
#include <cstddef>
#include <numbers>
#include <span>
#include <vector>

#include <temper/core/random.hpp>
#include <temper/layer/non_scaling_layer_norm.hpp>

#include "support/matrix.hpp"

namespace support {

class Denoiser {
  public:
    struct Shape {
        Index features = 2;
        Index width = 64;
        Index layers = 2;
        bool normalise = false;
    };
    /// W_1, b_1, W_2, b_2, ...; a bias is [1, out].
    using Parameters = std::vector<Matrix<float>>;
    struct Tape {
        std::vector<Matrix<float>> inputs; ///< of each layer
        std::vector<Matrix<float>> sums;   ///< before the normalisation
        std::vector<Matrix<float>> shares; ///< before the SiLU
        Matrix<float> output;
        Matrix<float> delta, back;
    };

    Denoiser() = default;
    explicit Denoiser(const Shape& shape) : shape_(shape)
    {
        Index in = shape.features + 2 * frequencies;
        for (Index l = 0; l <= shape.layers; ++l) {
            const Index out = l == shape.layers ? shape.features : shape.width;
            parameters_.emplace_back(Matrix<float>::Zero(out, in));
            parameters_.emplace_back(Matrix<float>::Zero(1, out));
            in = out;
        }
    }
    template <class Rng>
    void initialize(Rng& rng)
    {
        for (std::size_t l = 0; l < parameters_.size(); l += 2) {
            Matrix<float>& w = parameters_[l];
            // The last layer begins small: at first the denoiser is its scaled input.
            const double gain = l + 2 == parameters_.size() ? 0.1 : std::numbers::sqrt2;
            for (Index i = 0; i < w.size(); ++i)
                w.data()[i] = static_cast<float>(gain * temper::normal(rng) /
                                                 std::sqrt(static_cast<double>(w.cols())));
        }
    }
    [[nodiscard]] Parameters& parameters() { return parameters_; }
    [[nodiscard]] const Parameters& parameters() const { return parameters_; }
    [[nodiscard]] Parameters zeros() const
    {
        Parameters out = parameters_;
        for (Matrix<float>& each : out)
            each.setZero();
        return out;
    }

    const Matrix<float>& forward(const Matrix<float>& x, std::span<const double> sigma,
                                 Tape& tape) const
    {
        const std::size_t layers = parameters_.size() / 2;
        tape.inputs.resize(layers);
        tape.sums.resize(layers);
        tape.shares.resize(layers);
        Matrix<float>& first = tape.inputs[0];
        first.resize(x.rows(), x.cols() + 2 * frequencies);
        first.leftCols(x.cols()) = x;
        for (Index i = 0; i < x.rows(); ++i)
            for (Index k = 0; k < frequencies; ++k) {
                const double phase = std::log(sigma[static_cast<std::size_t>(i)]) / 4 *
                                     std::exp2(static_cast<double>(k));
                first(i, x.cols() + 2 * k) = static_cast<float>(std::sin(phase));
                first(i, x.cols() + 2 * k + 1) = static_cast<float>(std::cos(phase));
            }
        for (std::size_t l = 0; l < layers; ++l) {
            const Matrix<float>& w = parameters_[2 * l];
            const auto b = parameters_[2 * l + 1].row(0);
            const bool last = l + 1 == layers;
            Matrix<float>& y = last ? tape.output : tape.shares[l];
            y.noalias() = tape.inputs[l] * w.transpose();
            if (shape_.normalise && !last) {
                tape.sums[l] = y;
                norm.forward(tape.sums[l], parameters_[2 * l + 1], temper::into(y));
            }
            else
                y.rowwise() += b;
            if (!last)
                tape.inputs[l + 1] = y.array() / (1.0F + (-y.array()).exp());
        }
        return tape.output;
    }
    /// Gradients of all parameters, overwritten.
    void backward(Tape& tape, const Matrix<float>& grad_output, Parameters& gradients) const
    {
        const std::size_t layers = parameters_.size() / 2;
        tape.delta = grad_output;
        for (std::size_t l = layers; l-- > 0;) {
            if (l + 1 < layers) {
                const auto s = (1.0F + (-tape.shares[l].array()).exp()).inverse().eval();
                tape.delta.array() *= s * (1.0F + tape.shares[l].array() * (1.0F - s));
                gradients[2 * l + 1] = tape.delta.colwise().sum();
                if (shape_.normalise) {
                    tape.back.resize(tape.delta.rows(), tape.delta.cols());
                    norm.pullback(tape.sums[l], tape.delta, temper::into(tape.back));
                    tape.delta.swap(tape.back);
                }
            }
            else
                gradients[2 * l + 1] = tape.delta.colwise().sum();
            gradients[2 * l].noalias() = tape.delta.transpose() * tape.inputs[l];
            if (l > 0) {
                tape.back.noalias() = tape.delta * parameters_[2 * l];
                tape.delta.swap(tape.back);
            }
        }
    }

  private:
    static constexpr Index frequencies = 4;
    static constexpr temper::NonScalingLayerNorm norm{};

    Shape shape_;
    Parameters parameters_;
};

} // namespace support
