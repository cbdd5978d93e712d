// SPDX-License-Identifier: BSL-1.0
#pragma once

// A linear latent space: the first principal components, each scaled to one standard deviation.

#include <algorithm>
#include <cmath>

#include <Eigen/Eigenvalues>

#include "support/matrix.hpp"

namespace support {

class Latent {
  public:
    /// Of the rows of x; every component of the code has this deviation.
    Latent(const Matrix<float>& x, Index components, float deviation) : mean_(x.colwise().mean())
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
    [[nodiscard]] Matrix<float> encode(const Matrix<float>& x) const
    {
        return (x.rowwise() - mean_.row(0)) * axes_ * up_.asDiagonal();
    }
    [[nodiscard]] Matrix<float> decode(const Matrix<float>& code) const
    {
        return (code * down_.asDiagonal() * axes_.transpose()).rowwise() + mean_.row(0);
    }

  private:
    Matrix<float> mean_; // [1, columns]
    Matrix<float> axes_;
    Eigen::VectorXf up_, down_;
};

} // namespace support
