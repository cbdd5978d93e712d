// SPDX-License-Identifier: BSL-1.0
#include "support/latent.hpp"

#include <Eigen/Eigenvalues>

namespace support {

Latent::Latent(const Matrix<float>& x, Index components, float deviation)
    : mean_(x.colwise().mean())
{
    const Eigen::MatrixXd centred = (x.rowwise() - mean_.row(0)).cast<double>();
    const Eigen::MatrixXd covariance =
        centred.transpose() * centred / static_cast<double>(x.rows());
    const Eigen::SelfAdjointEigenSolver<Eigen::MatrixXd> solver(covariance);
    axes_ = solver.eigenvectors().rightCols(components).rowwise().reverse().cast<float>();
    const Eigen::VectorXf spread =
        solver.eigenvalues().tail(components).reverse().cwiseSqrt().cast<float>();
    up_ = deviation * spread.cwiseInverse();
    down_ = spread / deviation;
}

Matrix<float> Latent::encode(const Matrix<float>& x) const
{
    return (x.rowwise() - mean_.row(0)) * axes_ * up_.asDiagonal();
}

Matrix<float> Latent::decode(const Matrix<float>& code) const
{
    return (code * down_.asDiagonal() * axes_.transpose()).rowwise() + mean_.row(0);
}

} // namespace support
