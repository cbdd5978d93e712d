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
    explicit Denoiser(const Shape& shape);
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
    [[nodiscard]] Parameters zeros() const;

    const Matrix<float>& forward(const Matrix<float>& x, std::span<const double> sigma,
                                 Tape& tape) const;
    /// Gradients of all parameters, overwritten.
    void backward(Tape& tape, const Matrix<float>& grad_output, Parameters& gradients) const;

  private:
    static constexpr Index frequencies = 4;

    Shape shape_;
    Parameters parameters_;
};

} // namespace support
