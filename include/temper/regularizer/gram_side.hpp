// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which vectors of a weight matrix W [m, n] shall be orthonormal.
//
//   rows        W W' = I_m, each unit or filter as it is stored; can hold only if m <= n
//   columns     W' W = I_n; can hold only if n <= m
//   automatic   whichever are fewer, rows if m = n
//
// The two residuals have the same gradient: |W W' - I|^2 - m = |W' W - I|^2 - n in the Frobenius norm.

#include <temper/core/config.hpp>

namespace temper::inline TEMPER_ABI {

enum class GramSide { rows, columns, automatic };

/// Does `side` mean the rows of an m x n matrix?
[[nodiscard]] constexpr bool means_rows(GramSide side, Index m, Index n)
{
    return side == GramSide::rows || (side == GramSide::automatic && m <= n);
}

} // namespace temper::inline TEMPER_ABI
