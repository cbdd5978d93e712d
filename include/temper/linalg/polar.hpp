// SPDX-License-Identifier: BSL-1.0
#pragma once

// The nearest matrix with orthonormal rows or columns: the polar factor q of w.
//
//   polar(w, q[, rank_tolerance]) -> {nuclear_norm, rank}     w, q [m,n]
//
// q = sum of u_i v_i' over the singular values s_i > rank_tolerance s_1, and the nuclear norm is the
// sum of all s_i; q is then also its subgradient of least norm. w = 0 has q = 0 and rank 0. NaN or
// infinity in w makes both NaN.
//
// Large matrices go by Newton-Schulz iterations, which are products alone, first with the scaling of
// Chen and Chow ("A stable scaling of Newton-Schulz for improving the sign function computation of a
// Hermitian matrix", 2014). Where they do not get there, as with a singular value of 1e-4 of the
// largest or less, and for small matrices, the svd decides.

#include <temper/linalg/product.hpp>
#include <temper/linalg/svd.hpp>

#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

namespace temper::inline TEMPER_ABI::linalg {

struct Polar {
    double nuclear_norm = 0;
    Index rank = 0;
};

/// What singular values count as zero, relative to the largest.
template <class T>
inline constexpr double default_rank_tolerance = std::is_same_v<T, float> ? 1e-6 : 1e-12;

namespace detail {

/// The smallest side for which products beat the svd.
inline constexpr Index newton_schulz_side = 48;

/// sqrt(1 + the smallest eigenvalue) of a symmetric matrix of eigenvalues between -1 and 0, or more
/// where that one is not well apart from the others: some steps of the power method.
template <class T>
[[nodiscard]] double smallest_singular_value(MatrixView<const T> excess)
{
    const Index m = excess.rows();
    Workspace::Frame frame;
    MatrixView<T> x = frame.matrix<T>(m, 1);
    MatrixView<T> y = frame.matrix<T>(m, 1);
    for (Index i = 0; i < m; ++i)
        x.data[i] = T(1) + static_cast<T>(i % 7) / 8; // orthogonal to nothing in particular
    double eigenvalue = 0;
    for (int step = 0; step < 10; ++step) {
        const double norm = std::sqrt(squared_norm(x));
        product(y, 1 / norm, excess, x, 0);
        eigenvalue = inner(x, y) / norm;
        std::swap(x, y);
    }
    return std::sqrt((std::max)(0.0, 1 + eigenvalue));
}

/// q = (w w')^(-1/2) w, for w no higher than wide. False where it does not get there, or where not all
/// singular values are sure to be above rank_tolerance times the largest.
template <class T>
[[nodiscard]] bool newton_schulz(MatrixView<const T> w, MatrixView<T> q, double rank_tolerance)
{
    const double precision = std::sqrt(std::numeric_limits<T>::epsilon());
    const Index m = w.rows();
    Workspace::Frame frame;
    MatrixView<T> x = frame.matrix<T>(m, w.cols());
    MatrixView<T> next = frame.matrix<T>(m, w.cols());
    const MatrixView<T> excess = frame.matrix<T>(m, m); // x x' - I
    const auto add_to_diagonal = [&](double number) {
        for (Index i = 0; i < m; ++i)
            excess(i, i) += static_cast<T>(number);
    };
    // The singular values of x shall be 1 at most.
    gram(excess, 1, w, 0);
    const double bound = std::sqrt(squared_norm(excess));
    if (!(bound > static_cast<double>(negligible<T>)) || !std::isfinite(bound))
        return false;
    scale(excess, 1 / bound);
    add_to_diagonal(-1);
    combine(x, 0, w);
    scale(x, 1 / std::sqrt(bound));

    double smallest = 0; // singular value of x
    double growth = 1;   // of the smallest one since the beginning, at most
    double distance = (std::numeric_limits<double>::infinity)();
    for (bool last = false;;) {
        if (!(distance < 0.5) && !(smallest > 0.01 && smallest < 0.9)) {
            // Too large an estimate is found out when smaller ones lag behind; these stand out then.
            smallest = smallest_singular_value<T>(excess) / 2;
            if (!(smallest > (std::max)(1e-4, 4 * precision)) || growth * rank_tolerance > 0.5)
                return false;
        }
        // x = (3/2 rho - 1/2 rho^3 x x') x, where rho takes the smallest as far as the largest.
        const double rho = last ? 1 : std::sqrt(3 / (1 + smallest + smallest * smallest));
        const double cubic = -rho * rho * rho / 2;
        smallest *= rho * (3 - rho * rho * smallest * smallest) / 2;
        growth *= 1.5 * rho;
        scale(excess, cubic);
        add_to_diagonal(1.5 * rho + cubic);
        product(next, 1, excess, x, 0);
        std::swap(x, next);
        if (last)
            break;
        gram(excess, 1, x, 0);
        add_to_diagonal(-1);
        const double before = std::exchange(distance, std::sqrt(squared_norm(excess)));
        // The next step squares the distance, unless rounding is all that is left of it.
        last = distance < precision || (before < 0.1 && distance > before / 4);
    }
    combine(q, 0, x);
    return growth * rank_tolerance < 0.5;
}

} // namespace detail

/// q = u v' of w = u diag(s) v'.
template <class T>
Polar polar(std::type_identity_t<MatrixView<const T>> w, MatrixView<T> q,
            double rank_tolerance = default_rank_tolerance<T>)
{
    if (w.rows() > w.cols())
        return polar<T>(w.transposed(), q.transposed(), rank_tolerance);
    const Index m = w.rows();
    const Index n = w.cols();
    if (m >= detail::newton_schulz_side && detail::newton_schulz(w, q, rank_tolerance))
        return {inner(q, w), m};
    Workspace::Frame frame;
    const MatrixView<T> u = frame.matrix<T>(m, m);
    const MatrixView<T> v = frame.matrix<T>(n, m);
    const VectorView<T> s{frame.take<T>(m), {m}, {1}};
    svd(w, u, s, v);
    Polar result;
    for (Index i = 0; i < m; ++i) {
        const auto value = static_cast<double>(s(i));
        result.nuclear_norm += value;
        if (!(value <= rank_tolerance * static_cast<double>(s.data[0])))
            ++result.rank; // of NaN, all: the factor shall show it
    }
    product(q, 1, u.block(0, 0, m, result.rank), v.block(0, 0, n, result.rank).transposed(), 0);
    return result;
}

} // namespace temper::inline TEMPER_ABI::linalg
