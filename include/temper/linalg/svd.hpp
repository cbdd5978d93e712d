// SPDX-License-Identifier: BSL-1.0
#pragma once

// The thin singular value decomposition w = u diag(s) v'.
//
//   svd(w, u, s, v)         w [m,n], r = min(m,n): u [m,r], s [r] descending, v [n,r]
//   singular_values(w, s)   s alone
//
// A u or v without data is not computed, which saves more than half of the work. The columns of u and
// of v are orthonormal whatever the rank (those of singular values that are 0 complete the others).
// The sign of a pair of vectors, and the basis of repeated values, are not defined.
//
// Method: Householder QR with column pivoting of w (of w' if w is wide), then one-sided Jacobi on the
// rows of R: rows are rotated in pairs until every two are orthogonal to working precision. Their
// norms are then the singular values, with a small relative error also where they are small, as far
// as scaling the columns of w explains that they are (Drmac and Veselic, "New fast and accurate Jacobi
// SVD algorithm", 2008; pivoting by norms: de Rijk 1989). Of about 1e-15 times the largest (double:
// 1e-146) and less, singular values become 0. Entries of any size are fine; NaN or infinity in w makes
// all outputs NaN. No threads, no allocation after the first call, the same bits every time.

#include <temper/core/parallel.hpp>
#include <temper/core/view.hpp>
#include <temper/core/workspace.hpp>
#include <temper/simd/pack.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>

namespace temper::inline TEMPER_ABI::linalg {

namespace detail {

/// Vectors that lie in rows, each of whole packs with zeros behind its last entry; loops have no tails.
template <class T>
struct PaddedRows {
    using Pack = simd::Pack<T>;
    static constexpr Index step = 4 * Pack::size;

    static Index padded(Index n) { return (n + step - 1) / step * step; }

    /// x . y over n entries.
    static T dot(const T* x, const T* y, Index n)
    {
        Pack sum[4] = {Pack(0), Pack(0), Pack(0), Pack(0)};
        for (Index i = 0; i < n; i += step)
            for (Index l = 0; l < 4; ++l)
                sum[l] = fma(Pack::load(x + i + l * Pack::size), Pack::load(y + i + l * Pack::size),
                             sum[l]);
        return ((sum[0] + sum[1]) + (sum[2] + sum[3])).sum();
    }
    /// y += a x.
    static void add(T a, const T* x, T* y, Index n)
    {
        for (Index i = 0; i < n; i += Pack::size)
            fma(Pack(a), Pack::load(x + i), Pack::load(y + i)).store(y + i);
    }
    /// (x, y) = (c x - s y, s x + c y).
    static void rotate(T c, T s, T* x, T* y, Index n)
    {
        const Pack cosine(c);
        const Pack sine(s);
        for (Index i = 0; i < n; i += Pack::size) {
            const Pack a = Pack::load(x + i);
            const Pack b = Pack::load(y + i);
            (cosine * a - sine * b).store(x + i);
            (sine * a + cosine * b).store(y + i);
        }
    }
};

/// Squared norms below this have lost digits to underflow; the vector counts as zero.
template <class T>
inline constexpr T negligible = std::numeric_limits<T>::min() / std::numeric_limits<T>::epsilon();

/// Householder QR with column pivoting of an m x n matrix, m >= n, whose columns are rows here.
template <class T>
class PivotedQr {
    using Rows = PaddedRows<T>;

  public:
    /// The columns of w times `factor`; r [n][padded(n)] gets the rows of R.
    PivotedQr(MatrixView<const T> w, double factor, T* r, Workspace::Frame& frame)
        : m_(w.rows()), n_(w.cols()), length_(Rows::padded(m_)), rows_(frame.take<T*>(n_)),
          taus_(frame.take<T>(n_)), order_(frame.take<Index>(n_))
    {
        T* memory = frame.take_zeros<T>(n_ * length_);
        for (Index j = 0; j < n_; ++j) {
            rows_[j] = memory + j * length_;
            for (Index i = 0; i < m_; ++i)
                rows_[j][i] = static_cast<T>(static_cast<double>(w(i, j)) * factor);
        }
        std::iota(order_, order_ + n_, Index{0});
        factorize(r, Rows::padded(n_), frame.take<T>(2 * n_));
    }
    /// Column i of w times the permutation is column order(i) of w.
    [[nodiscard]] Index order(Index i) const { return order_[i]; }

    /// x = Q x, x [padded(m)].
    void apply(T* x) const
    {
        for (Index k = n_; k-- > 0;)
            reflect(k, x);
    }

  private:
    void factorize(T* r, Index width, T* norms)
    {
        T* reference = norms + n_;
        for (Index j = 0; j < n_; ++j)
            norms[j] = reference[j] = Rows::dot(rows_[j], rows_[j], length_);
        for (Index k = 0; k < n_; ++k) {
            const auto pivot = std::max_element(norms + k, norms + n_) - norms;
            std::swap(rows_[k], rows_[pivot]);
            std::swap(order_[k], order_[pivot]);
            std::swap(norms[k], norms[pivot]);
            std::swap(reference[k], reference[pivot]);

            // What stands above the diagonal is finished; zeros in its place make the reflector.
            T* x = rows_[k];
            for (Index i = 0; i < k; ++i)
                r[i * width + k] = std::exchange(x[i], T(0));
            const T squared = Rows::dot(x, x, length_);
            taus_[k] = 0;
            if (!(squared > negligible<T>))
                continue; // R has a row of zeros
            const T norm = std::sqrt(squared);
            const T diagonal = x[k] > 0 ? -norm : norm;
            taus_[k] = 1 / (norm * (norm + std::abs(x[k])));
            r[k * width + k] = diagonal;
            x[k] -= diagonal;
            for (Index j = k + 1; j < n_; ++j) {
                reflect(k, rows_[j]);
                norms[j] -= rows_[j][k] * rows_[j][k];
                if (norms[j] < T(0.01) * reference[j]) { // digits are lost
                    norms[j] = 0;
                    for (Index i = k + 1; i < m_; ++i)
                        norms[j] += rows_[j][i] * rows_[j][i];
                    reference[j] = norms[j];
                }
            }
        }
    }
    void reflect(Index k, T* x) const
    {
        const Index begin = k / Rows::step * Rows::step;
        const T* reflector = rows_[k] + begin;
        const Index n = length_ - begin;
        Rows::add(-taus_[k] * Rows::dot(reflector, x + begin, n), reflector, x + begin, n);
    }

    Index m_;
    Index n_;
    Index length_;
    T** rows_;
    T* taus_;
    Index* order_;
};

/// Rotates n rows in pairs until all are orthogonal, and sorts them by descending norm. Each row has
/// `length` entries that count and `rest` more that are rotated with them.
template <class T>
void orthogonalize(T** rows, T* norms, Index n, Index length, Index rest)
{
    using Rows = PaddedRows<T>;
    constexpr int most_sweeps = 60; // six to ten are usual
    const T tolerance =
        4 * std::numeric_limits<T>::epsilon() * std::sqrt(static_cast<T>((std::max)(n, Index{4})));
    const auto squared_norm = [&](Index i) { return Rows::dot(rows[i], rows[i], length); };
    const auto put_largest_at = [&](Index i) {
        const auto largest = std::max_element(norms + i, norms + n) - norms;
        std::swap(rows[i], rows[largest]);
        std::swap(norms[i], norms[largest]);
    };
    bool rotated = true;
    for (int sweep = 0; rotated && sweep < most_sweeps; ++sweep) {
        rotated = false;
        for (Index i = 0; i < n; ++i)
            norms[i] = squared_norm(i);
        for (Index i = 0; i + 1 < n; ++i) {
            put_largest_at(i);
            for (Index j = i + 1; j < n; ++j) {
                if (!(norms[j] > negligible<T>))
                    continue;
                const T product = Rows::dot(rows[i], rows[j], length);
                if (!(std::abs(product) > tolerance * std::sqrt(norms[i]) * std::sqrt(norms[j])))
                    continue;
                rotated = true;
                const T zeta = (norms[j] - norms[i]) / (2 * product);
                const T t = std::copysign(1 / (std::abs(zeta) + std::hypot(T(1), zeta)), zeta);
                const T c = 1 / std::hypot(T(1), t);
                Rows::rotate(c, c * t, rows[i], rows[j], length + rest);
                const T before = norms[j];
                norms[i] -= t * product;
                norms[j] += t * product;
                if (norms[j] < before / 2) // digits are lost
                    norms[j] = squared_norm(j);
            }
        }
    }
    for (Index i = 0; i < n; ++i)
        norms[i] = squared_norm(i);
    for (Index i = 0; i < n; ++i) {
        put_largest_at(i);
        if (!(norms[i] > negligible<T>)) {
            norms[i] = 0;
            std::fill_n(rows[i], length, T(0));
        }
        norms[i] = std::sqrt(norms[i]);
    }
}

/// Rows [from, n) become unit vectors orthogonal to all rows before them; those are orthonormal.
template <class T>
void complete(T** rows, Index from, Index n, Index length)
{
    using Rows = PaddedRows<T>;
    for (Index k = from; k < n; ++k) {
        // The axis that the rows before cover least.
        Index axis = 0;
        T least = 2;
        for (Index j = 0; j < n; ++j) {
            T covered = 0;
            for (Index i = 0; i < k; ++i)
                covered += rows[i][j] * rows[i][j];
            if (covered < least)
                least = covered, axis = j;
        }
        std::fill_n(rows[k], length, T(0));
        rows[k][axis] = 1;
        for (int pass = 0; pass < 2; ++pass)
            for (Index i = 0; i < k; ++i)
                Rows::add(-Rows::dot(rows[i], rows[k], length), rows[i], rows[k], length);
        const T norm = std::sqrt(Rows::dot(rows[k], rows[k], length));
        for (Index j = 0; j < n; ++j)
            rows[k][j] /= norm;
    }
}

} // namespace detail

/// w = u diag(s) v'; a u or v without data is left out.
template <class T>
void svd(std::type_identity_t<MatrixView<const T>> w, std::type_identity_t<MatrixView<T>> u,
         VectorView<T> s, std::type_identity_t<MatrixView<T>> v)
{
    const Index m = w.rows();
    const Index n = w.cols();
    if (m < n)
        return svd(w.transposed(), v, s, u);
    if (n == 0)
        return;

    T largest = 0;
    bool finite = true;
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
            finite = finite && std::isfinite(w(i, j));
            largest = (std::max)(largest, std::abs(w(i, j)));
        }
    if (!finite) {
        const auto fill = [](MatrixView<T> x) {
            for (Index i = 0; x.data != nullptr && i < x.rows(); ++i)
                for (Index j = 0; j < x.cols(); ++j)
                    x(i, j) = std::numeric_limits<T>::quiet_NaN();
        };
        return fill(u), fill(v), fill({s.data, {n, 1}, {s.strides[0], 1}});
    }
    // Squares neither overflow nor vanish once the largest entry is about 1.
    int exponent = 0;
    std::frexp(static_cast<double>(largest), &exponent);
    exponent = std::clamp(exponent, -1000, 1000);

    using Rows = detail::PaddedRows<T>;
    const Index width = Rows::padded(n);
    const Index rest = u.data != nullptr ? width : 0; // accumulates the rotations
    Workspace::Frame frame;
    T* r = frame.take_zeros<T>(n * width);
    const detail::PivotedQr<T> qr(w, std::ldexp(1.0, -exponent), r, frame);
    T* memory = frame.take_zeros<T>(n * (width + rest));
    T** rows = frame.take<T*>(n);
    for (Index i = 0; i < n; ++i) {
        rows[i] = memory + i * (width + rest);
        std::copy_n(r + i * width, n, rows[i]);
        if (rest > 0)
            rows[i][width + i] = 1;
    }
    T* norms = frame.take<T>(n);
    detail::orthogonalize(rows, norms, n, width, rest);

    for (Index i = 0; i < n; ++i)
        s(i) = static_cast<T>(std::ldexp(static_cast<double>(norms[i]), exponent));
    if (u.data != nullptr) {
        const Index length = Rows::padded(m);
        T* columns = frame.take_zeros<T>(n * length);
        parallel_for(n, 2 * n * m * n / 16, [&](Index i) {
            T* column = columns + i * length;
            std::copy_n(rows[i] + width, n, column);
            qr.apply(column);
            for (Index j = 0; j < m; ++j)
                u(j, i) = column[j];
        });
    }
    if (v.data != nullptr) {
        Index rank = 0;
        for (; rank < n && norms[rank] > 0; ++rank)
            for (Index j = 0; j < n; ++j)
                rows[rank][j] /= norms[rank];
        detail::complete(rows, rank, n, width);
        for (Index i = 0; i < n; ++i)
            for (Index j = 0; j < n; ++j)
                v(qr.order(j), i) = rows[i][j];
    }
}

/// The s of svd(w, u, s, v).
template <class T>
void singular_values(std::type_identity_t<MatrixView<const T>> w, VectorView<T> s)
{
    svd(w, {}, s, {});
}

} // namespace temper::inline TEMPER_ABI::linalg
