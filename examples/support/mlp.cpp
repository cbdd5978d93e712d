// SPDX-License-Identifier: BSL-1.0
#include "support/mlp.hpp"

#include <stdexcept>

namespace support {

Mlp::Mlp(const std::vector<Index>& widths, Activation hidden) : hidden_(hidden)
{
    if (widths.size() < 2)
        throw std::invalid_argument("Mlp: a network has at least an input and an output width");
    for (std::size_t l = 0; l + 1 < widths.size(); ++l) {
        parameters_.emplace_back(Matrix<float>::Zero(widths[l + 1], widths[l]));
        parameters_.emplace_back(Matrix<float>::Zero(1, widths[l + 1]));
    }
}

Mlp::Parameters Mlp::zeros() const
{
    Parameters out = parameters_;
    for (Matrix<float>& tensor : out)
        tensor.setZero();
    return out;
}

const Matrix<float>& Mlp::forward(const Matrix<float>& x, Tape& tape) const
{
    tape.values.resize(layers() + 1);
    tape.values[0] = x;
    for (std::size_t l = 0; l < layers(); ++l) {
        Matrix<float>& y = tape.values[l + 1];
        y.noalias() = tape.values[l] * weight(l).transpose();
        y.rowwise() += bias(l).row(0);
        if (l + 1 == layers())
            break;
        if (hidden_ == Activation::relu)
            y = y.cwiseMax(0.0F);
        else
            y = y.array().tanh();
    }
    return tape.values.back();
}

void Mlp::backward(Tape& tape, const Matrix<float>& grad_output, Parameters& gradients,
                   Gradients mode, Matrix<float>* grad_input) const
{
    if (gradients.size() != parameters_.size())
        gradients = zeros();
    tape.deltas.resize(layers());
    for (std::size_t l = layers(); l-- > 0;) {
        const bool last = l + 1 == layers();
        if (!last)
            through_activation(tape.values[l + 1], tape.deltas[l]);
        const Matrix<float>& delta = last ? grad_output : tape.deltas[l];
        Matrix<float>& gw = gradients[2 * l];
        Matrix<float>& gb = gradients[2 * l + 1];
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

void Mlp::through_activation(const Matrix<float>& value, Matrix<float>& delta) const
{
    if (hidden_ == Activation::relu)
        delta = (value.array() > 0.0F).select(delta, 0.0F);
    else
        delta.array() *= 1.0F - value.array().square();
}

} // namespace support
