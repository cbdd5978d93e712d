// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one matrix type of the examples. A row is a sample (of data) or a unit (of weights), and rows
// are contiguous, so that taking a batch of rows is a few memory copies.

#include <Eigen/Core>

namespace support {

using Index = Eigen::Index;

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

} // namespace support
