// SPDX-License-Identifier: BSL-1.0

#include <temper/loss/mean_squared_error.hpp>

#include <Eigen/Core>

int main()
{
    const Eigen::MatrixXd prediction = Eigen::MatrixXd::Constant(4, 3, 2.5);
    const Eigen::MatrixXd target = Eigen::MatrixXd::Constant(4, 3, 0.5);
    Eigen::MatrixXd gradient(4, 3);
    const double value = temper::MeanSquaredError{}(prediction, target, temper::into(gradient));
    return value == 4.0 && gradient.isApproxToConstant(4.0 / 12.0) ? 0 : 1;
}
