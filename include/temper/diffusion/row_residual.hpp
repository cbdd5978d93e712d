// SPDX-License-Identifier: BSL-1.0
#pragma once

// The kernel of the losses of this folder. All of them compare a network's output with something that is
// linear in what was given, so that a sample's residual is a sum of its rows:
//
//   e_i = sum_k factor_k,i X_k,i       s_i = |e_i|^2        L = sum_i scale_i rho(s_i)
//   dL/dX_0,i = 2 scale_i rho'(s_i) factor_0,i e_i
//
// and two such terms over the same rows may share one pass. X_0 is the network's output. Factors are found
// in double, where differences of neighbouring noise levels have digits left.

#include <temper/core/component.hpp>
#include <temper/loss/robust_kernels.hpp>

namespace temper::inline TEMPER_ABI {

template <std::size_t N>
struct ResidualTerm {
    std::array<const double*, N> factor;
    RhoReference rho;
    const double* scale;
};

namespace kernel {

template <class T>
struct RowResidual {
    template <std::size_t N>
    using Rows = std::array<MatrixView<const T>, N>;
    struct Outputs {
        Destination<T, 2> gradient{};   ///< of X_0
        Destination<T, 1> per_sample{}; ///< rho(s_i), times `each` where it is given
        const double* each = nullptr;
    };

    /// Returns the two terms' values; the second may be missing.
    static std::array<double, 2> run(const Rows<2>& x, const ResidualTerm<2>& first,
                                     const ResidualTerm<2>* second, const Outputs& out);
    static std::array<double, 2> run(const Rows<3>& x, const ResidualTerm<3>& first,
                                     const ResidualTerm<3>* second, const Outputs& out);
    static std::array<double, 2> run(const Rows<4>& x, const ResidualTerm<4>& first,
                                     const ResidualTerm<4>* second, const Outputs& out);
};

} // namespace kernel

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel::row_residual {

/// The factors of a tile's rows, and the residual as a formula of them.
template <class Tile, class T, std::size_t N>
auto residual(const Tile& tile, const std::array<MatrixView<const T>, N>& x,
              const std::array<const double*, N>& factor)
{
    std::array<typename Tile::Numbers, N> f;
    for (std::size_t k = 0; k < N; ++k)
        for (Index i = 0; i < tile.rows(); ++i)
            f[k][i] = static_cast<T>(factor[k][tile.row(i)]);
    return [x, f](auto at) {
        auto sum = at(f[0]) * at(x[0]);
        [&]<std::size_t... k>(std::index_sequence<k...>) {
            ((sum = fma(at(f[k + 1]), at(x[k + 1]), sum)), ...);
        }(std::make_index_sequence<N - 1>{});
        return sum;
    };
}

/// Squares of the residuals, which are left in e.
template <class Tile, class Matrix, class F>
auto squares(const Tile& tile, const Matrix& e, const F& residual)
{
    return tile.sum([=](auto at) {
        const auto r = residual(at);
        at.put(e, r);
        return r * r;
    });
}

/// The slopes of a tile's rows, and what the term adds to the value.
template <class Tile, std::size_t N, class Sums, class Numbers, class Each>
double slopes(const Tile& tile, const ResidualTerm<N>& term, const Sums& s, Numbers& slope,
              const Each& each)
{
    double total = 0;
    for (Index i = 0; i < tile.rows(); ++i) {
        const Index row = tile.row(i);
        const Rho<double> rho = term.rho(s[i]);
        total += term.scale[row] == 0 ? 0 : term.scale[row] * rho.value;
        using T = std::remove_cvref_t<decltype(slope[i])>;
        slope[i] = static_cast<T>(2 * term.scale[row] * rho.first * term.factor[0][row]);
        each(i, rho.value);
    }
    return total;
}

template <class T, std::size_t N>
std::array<double, 2> run(const std::array<MatrixView<const T>, N>& x, const ResidualTerm<N>& first,
                          const ResidualTerm<N>* second,
                          const typename RowResidual<T>::Outputs& out)
{
    const Index n = x[0].rows();
    Workspace::Frame frame;
    double* const seconds = second != nullptr ? frame.take_zeros<double>(n) : nullptr;
    auto all = simd::operands(x[0], out.gradient);
    for (const auto& each : x)
        all.add(each);
    const double value = simd::sum_tiles<T>(all, 2, [&](const auto& tile) {
        const auto of_sample = [&](Index i, double rho) {
            const Index row = tile.row(i);
            if (out.per_sample)
                out.per_sample.put(out.per_sample.view(row),
                                   static_cast<T>(out.each ? out.each[row] * rho : rho));
        };
        bool both = false;
        for (Index i = 0; second != nullptr && i < tile.rows(); ++i)
            both = both || second->scale[tile.row(i)] != 0;
        const auto e = both ? tile.scratch(0) : tile.scratch(0, out.gradient);
        auto slope = tile.numbers();
        const auto s = squares(tile, e, residual(tile, x, first.factor));
        const double total = slopes(tile, first, s, slope, of_sample);
        if (!both) {
            if (out.gradient)
                tile.each([=, to = out.gradient](auto at) { at.put(to, at(slope) * at(e)); });
            return total;
        }
        const auto e2 = tile.scratch(1);
        auto slope2 = tile.numbers();
        const auto s2 = squares(tile, e2, residual(tile, x, second->factor));
        (void)slopes(tile, *second, s2, slope2, [&](Index i, double rho) {
            seconds[tile.row(i)] = second->scale[tile.row(i)] * rho;
        });
        if (out.gradient)
            tile.each([=, to = out.gradient](auto at) {
                at.put(to, fma(at(slope), at(e), at(slope2) * at(e2)));
            });
        return total;
    });
    double extra = 0;
    for (Index i = 0; second != nullptr && i < n; ++i)
        extra += seconds[i];
    return {value, extra};
}

} // namespace kernel::row_residual

template <class T>
std::array<double, 2> kernel::RowResidual<T>::run(const Rows<2>& x, const ResidualTerm<2>& first,
                                                  const ResidualTerm<2>* second, const Outputs& out)
{
    return row_residual::run<T>(x, first, second, out);
}
template <class T>
std::array<double, 2> kernel::RowResidual<T>::run(const Rows<3>& x, const ResidualTerm<3>& first,
                                                  const ResidualTerm<3>* second, const Outputs& out)
{
    return row_residual::run<T>(x, first, second, out);
}
template <class T>
std::array<double, 2> kernel::RowResidual<T>::run(const Rows<4>& x, const ResidualTerm<4>& first,
                                                  const ResidualTerm<4>* second, const Outputs& out)
{
    return row_residual::run<T>(x, first, second, out);
}

TEMPER_INSTANTIATE(kernel::RowResidual);

} // namespace temper::inline TEMPER_ABI
#endif
