// SPDX-License-Identifier: BSL-1.0
#pragma once

// A linear latent space: the first principal components, each scaled to one standard deviation.

#include "support/matrix.hpp"

namespace support {

class Latent {
  public:
    /// Of the rows of x; every component of the code has this deviation.
    Latent(const Matrix<float>& x, Index components, float deviation);
    [[nodiscard]] Matrix<float> encode(const Matrix<float>& x) const;
    [[nodiscard]] Matrix<float> decode(const Matrix<float>& code) const;

  private:
    Matrix<float> mean_; // [1, columns]
    Matrix<float> axes_;
    Eigen::VectorXf up_, down_;
};

} // namespace support
