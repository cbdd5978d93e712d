// SPDX-License-Identifier: BSL-1.0

#include "temper.hpp"

#include <Eigen/Core>

#include <array>

double loss_of_other_unit(const Eigen::MatrixXd& logits, const std::array<int, 3>& y,
                          Eigen::MatrixXd& gradient);
double loss_of_other_unit(const Eigen::MatrixXd& logits, const std::array<int, 3>& y,
                          Eigen::MatrixXd& gradient)
{
    return temper::SoftmaxCrossEntropy{}(logits, temper::labels(y), temper::into(gradient));
}
