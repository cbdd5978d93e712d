// SPDX-License-Identifier: BSL-1.0
#pragma once

#include "support.hpp"

#include <Eigen/Core>

namespace bench {

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

template <class T>
[[nodiscard]] Matrix<T> matrix(Index n, Index d, std::uint64_t seed)
{
    const auto values = numbers<T>(n * d, seed);
    return Eigen::Map<const Matrix<T>>(values.data(), n, d);
}

} // namespace bench
