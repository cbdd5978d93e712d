// SPDX-License-Identifier: BSL-1.0
#include "support/denoiser.hpp"

#include <temper/layer/non_scaling_layer_norm.hpp>

namespace support {

namespace {
constexpr temper::NonScalingLayerNorm norm{};
} // namespace

Denoiser::Denoiser(const Shape& shape) : shape_(shape)
{
    Index in = shape.features + 2 * frequencies;
    for (Index l = 0; l <= shape.layers; ++l) {
        const Index out = l == shape.layers ? shape.features : shape.width;
        parameters_.emplace_back(Matrix<float>::Zero(out, in));
        parameters_.emplace_back(Matrix<float>::Zero(1, out));
        in = out;
    }
}

Denoiser::Parameters Denoiser::zeros() const
{
    Parameters out = parameters_;
    for (Matrix<float>& each : out)
        each.setZero();
    return out;
}

const Matrix<float>& Denoiser::forward(const Matrix<float>& x, std::span<const double> sigma,
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

void Denoiser::backward(Tape& tape, const Matrix<float>& grad_output, Parameters& gradients) const
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

} // namespace support
