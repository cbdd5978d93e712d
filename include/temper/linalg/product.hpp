// SPDX-License-Identifier: BSL-1.0
#pragma once

// Products of matrices over views, with the same bits for any number of threads and without
// allocation after the first call with given shapes.
//
//   product(c, alpha, a, b, beta)   c = beta c + alpha a b     c [m,n], a [m,k], b [k,n]
//   product(y, alpha, a, x, beta)   y = beta y + alpha a x     y [m], a [m,k], x [k]
//   gram(k, alpha, z, beta)         k = beta k + alpha z z'    k [n,n] symmetric, z [n,d]
//   inner(a, b)                     sum_ij a_ij b_ij, in double
//   squared_norm(a)                 inner(a, a)
//
// Any strides will do; a transpose is a view. beta = 0 overwrites what it finds, NaN included, and
// alpha = 0 reads neither factor. Outputs must not share memory with inputs; extents are the
// caller's business, as everywhere in linalg/.
//
// The output is cut into a part for each thread. Where it is cut changes no bit: see tile_product.hpp,
// whose kernel is 1.3 to 1.5 times as fast as Eigen 3.4's on AVX2 and as fast as OpenBLAS's. With
// EIGEN_USE_BLAS, products of matrices are the BLAS's, and so are their bits and allocations.

#include <temper/core/parallel.hpp>
#include <temper/core/view.hpp>
#include <temper/core/workspace.hpp>
#include <temper/linalg/tile_product.hpp>
#include <temper/simd/loops.hpp>

#ifdef EIGEN_USE_BLAS
#include <Eigen/Core>
#endif

#include <algorithm>
#include <cmath>
#include <concepts>
#include <type_traits>

namespace temper::inline TEMPER_ABI::linalg {

/// Inputs whose scalar type the output tells, so that views of mutable numbers convert.
template <class T>
using ConstMatrix = std::type_identity_t<MatrixView<const T>>;
template <class T>
using ConstVector = std::type_identity_t<VectorView<const T>>;

namespace detail {

/// Whether the rows are dense and do not overlap.
template <class T>
[[nodiscard]] bool has_dense_rows(const MatrixView<T>& v)
{
    return (v.cols() <= 1 || v.strides[1] == 1) &&
           (v.rows() <= 1 || v.strides[0] >= (std::max)(v.cols(), Index{1}));
}
template <class T>
[[nodiscard]] bool has_dense_columns(const MatrixView<T>& v)
{
    return has_dense_rows(v.transposed());
}

/// to = beta to + from, and to = from for beta = 0.
template <class T>
void combine(MatrixView<T> to, double beta, ConstMatrix<T> from)
{
    if (has_dense_columns(to) && !has_dense_rows(to))
        return combine(to.transposed(), beta, from.transposed());
    const T factor = static_cast<T>(beta);
    const Blocks rows{to.rows(), (std::max)(Index{1}, Index{4096} / (to.cols() + 1))};
    parallel_for(rows.count(), to.size(), [&](Index block) {
        for (Index i = rows.begin(block); i < rows.end(block); ++i)
            for (Index j = 0; j < to.cols(); ++j)
                to(i, j) = beta == 0 ? from(i, j) : factor * to(i, j) + from(i, j);
    });
}
/// v = beta v, and v = 0 for beta = 0.
template <class T>
void scale(MatrixView<T> v, double beta)
{
    if (beta == 1)
        return;
    if (!has_dense_rows(v))
        v = v.transposed();
    for (Index i = 0; i < v.rows(); ++i)
        for (Index j = 0; j < v.cols(); ++j)
            v(i, j) = beta == 0 ? T(0) : v(i, j) * static_cast<T>(beta);
}

/// What a product costs, in entries touched, as parallel_for counts.
[[nodiscard]] inline Index work_of(Index m, Index n, Index k) { return m * n / 16 * k; }

/// How c [m, n] is shared out: so that there is a part for each thread, and as little as can be of a and
/// b is packed more than once.
struct Shares {
    Blocks rows;
    Blocks cols;

    template <class T>
    [[nodiscard]] static Shares of(Index m, Index n, int threads)
    {
        using S = ProductSizes<T>;
        Index across = 1;
        for (Index parts = 1; parts <= threads; ++parts)
            if (threads % parts == 0 &&
                m * parts + n * (threads / parts) < m * across + n * (threads / across))
                across = parts;
        const auto shared_out = [](Index size, Index parts, Index step) {
            return Blocks{size,
                          (std::max)(Index{1}, (size + parts * step - 1) / (parts * step)) * step};
        };
        return {shared_out(m, threads / across, S::rows), shared_out(n, across, S::cols)};
    }
};

/// Copies what rows [begin, end) of k hold below the diagonal to its place above; rows of k are dense.
template <class T>
void mirror(MatrixView<T> k, Index begin, Index end)
{
    constexpr Index side = 16;
    for (Index p = begin; p < end; p += side)
        for (Index q = 0; q < end; q += side) {
            const Index h = (std::min)(side, end - p);
            const Index w = (std::min)(side, end - q);
            if (q + w <= p && h == side && w == side) {
                T buffer[side][side]; // as rows a power of two apart evict each other
                for (Index i = 0; i < side; ++i)
                    for (Index j = 0; j < side; ++j)
                        buffer[j][i] = (&k(p + i, q))[j];
                for (Index j = 0; j < side; ++j)
                    std::copy_n(buffer[j], side, &k(q + j, p));
                continue;
            }
            for (Index i = 0; i < h; ++i)
                for (Index j = 0; j < (std::min)(w, p + i - q); ++j)
                    k(q + j, p + i) = k(p + i, q + j);
        }
}

#ifdef EIGEN_USE_BLAS
/// The same matrix with dense columns or dense rows: a packed copy of one that has neither.
template <class T>
[[nodiscard]] MatrixView<const T> packed(MatrixView<const T> v, Workspace::Frame& frame)
{
    if (has_dense_columns(v) || has_dense_rows(v))
        return v;
    const MatrixView<T> copy = frame.matrix<T>(v.rows(), v.cols());
    combine(copy, 0, v);
    return copy;
}
/// The same for a c with dense rows and alpha != 0, by the BLAS.
template <class T>
void blas_product(MatrixView<T> c, double alpha, MatrixView<const T> a, MatrixView<const T> b,
                  double beta)
{
    using Rows = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    using Stride = Eigen::OuterStride<>;
    Workspace::Frame frame;
    a = packed(a, frame);
    b = packed(b, frame);
    // The distance of two rows; the BLAS looks at it even where there is only one.
    const auto row_stride = [](const auto& v) {
        return Stride(v.rows() > 1 ? v.strides[0] : (std::max)(v.cols(), Index{1}));
    };
    const auto map = [&](const MatrixView<const T>& v) {
        return Eigen::Map<const Rows, 0, Stride>(v.data, v.rows(), v.cols(), row_stride(v));
    };
    Eigen::Map<Rows, 0, Stride> out(c.data, c.rows(), c.cols(), row_stride(c));
    scale(c, beta);
    const auto add = [&](const auto& left, const auto& right) {
        out.noalias() += static_cast<T>(alpha) * left * right;
    };
    const auto with_left = [&](const auto& left) {
        if (has_dense_rows(b))
            add(left, map(b));
        else
            add(left, map(b.transposed()).transpose());
    };
    if (has_dense_rows(a))
        with_left(map(a));
    else
        with_left(map(a.transposed()).transpose());
}
#endif

/// Sum of n products, in double: exact products of floats, sixteen running sums.
template <class T>
[[nodiscard]] double dot(const T* a, Index step_a, const T* b, Index step_b, Index n)
{
    constexpr Index lanes = 16;
    double sums[lanes] = {};
    Index i = 0;
    if (step_a == 1 && step_b == 1)
        for (; i + lanes <= n; i += lanes)
            for (Index l = 0; l < lanes; ++l)
                sums[l] += static_cast<double>(a[i + l]) * static_cast<double>(b[i + l]);
    for (; i < n; ++i)
        sums[i % lanes] += static_cast<double>(a[i * step_a]) * static_cast<double>(b[i * step_b]);
    for (Index half = lanes / 2; half > 0; half /= 2)
        for (Index l = 0; l < half; ++l)
            sums[l] += sums[l + half];
    return sums[0];
}

} // namespace detail

/// y = beta y + alpha a x.
template <class T>
void product(VectorView<T> y, double alpha, ConstMatrix<T> a, ConstVector<T> x, double beta)
{
    const Index m = a.rows();
    const Index k = alpha == 0 ? 0 : a.cols();
    const bool by_rows = std::abs(a.strides[1]) <= std::abs(a.strides[0]);
    const auto put = [&](Index i, double product) {
        const auto term = static_cast<T>(alpha * product);
        y(i) = beta == 0 ? term : static_cast<T>(beta) * y(i) + term;
    };
    constexpr Index most = 1024;
    const Index rows = by_rows ? Index{1 << 14} / (k + 1) + 1 : Index{most};
    const Blocks blocks{m, (std::min)(rows, most)};
    parallel_for(blocks.count(), m * k, [&](Index block) {
        const Index begin = blocks.begin(block);
        const Index count = blocks.end(block) - begin;
        if (by_rows) {
            for (Index i = begin; i < begin + count; ++i)
                put(i, k == 0 ? 0 : simd::dot(k, simd::source(a.row(i)), simd::source(x)));
            return;
        }
        // Down four columns at a time.
        T sums[most] = {};
        const std::array to{simd::Sink<T>{sums, 1, T(1), Mode::add}};
        const auto column = [&](Index j) {
            return simd::Source<T>{a.data + begin * a.strides[0] + j * a.strides[1], a.strides[0]};
        };
        Index j = 0;
        for (; j + 4 <= k; j += 4)
            simd::row_map(count, std::array{column(j), column(j + 1), column(j + 2), column(j + 3)},
                          to,
                          [p = x(j), q = x(j + 1), r = x(j + 2),
                           s = x(j + 3)](auto t, auto u, auto v, auto w, auto& sum) {
                              using V = decltype(t);
                              sum = fma(V(p), t, V(q) * u) + fma(V(r), v, V(s) * w);
                          });
        for (; j < k; ++j)
            simd::row_map(count, std::array{column(j)}, to,
                          [p = x(j)](auto t, auto& sum) { sum = decltype(t)(p) * t; });
        for (Index i = 0; i < count; ++i)
            put(begin + i, static_cast<double>(sums[i]));
    });
}

/// c = beta c + alpha a b.
template <class T>
void product(MatrixView<T> c, double alpha, ConstMatrix<T> a, ConstMatrix<T> b, double beta)
{
    const Index m = c.rows();
    const Index n = c.cols();
    const Index k = alpha == 0 ? 0 : a.cols();
    if (m == 0 || n == 0)
        return;
    if (n == 1)
        return product(c.col(0), alpha, a, b.col(0), beta);
    if (m == 1)
        return product(c.row(0), alpha, b.transposed(), a.row(0), beta);
    if (!detail::has_dense_rows(c) && detail::has_dense_columns(c))
        return product(c.transposed(), alpha, b.transposed(), a.transposed(), beta);
    Workspace::Frame frame;
    if (!detail::has_dense_rows(c)) {
        const MatrixView<T> dense = frame.matrix<T>(m, n);
        product(dense, alpha, a, b, 0);
        return detail::combine(c, beta, dense);
    }
    if (k == 0)
        return detail::scale(c, beta);
#ifdef EIGEN_USE_BLAS
    detail::blas_product<T>(c, alpha, a, b, beta);
#else
    const Index work = detail::work_of(m, n, k);
    const auto shares = detail::Shares::of<T>(m, n, threads_for(work));
    const simd::Slices<T> memory(frame, work,
                                 detail::Panels<T>::size(shares.rows.size, shares.cols.size, k));
    parallel_for(shares.rows.count() * shares.cols.count(), work, [&](Index share) {
        const Index i = shares.rows.begin(share % shares.rows.count());
        const Index j = shares.cols.begin(share / shares.rows.count());
        const Index height = (std::min)(shares.rows.size, m - i);
        const Index width = (std::min)(shares.cols.size, n - j);
        detail::tile_product<T>(c.block(i, j, height, width), static_cast<T>(alpha),
                                a.block(i, 0, height, k), b.block(0, j, k, width),
                                static_cast<T>(beta), {memory.mine(), height, k}, m + n);
    });
#endif
}

/// k = beta k + alpha z z', exactly symmetric: what is below the diagonal is computed and mirrored.
/// Unless beta is 0, k must be symmetric.
template <class T>
void gram(MatrixView<T> k, double alpha, ConstMatrix<T> z, double beta)
{
    const Index n = k.rows();
    const Index d = alpha == 0 ? 0 : z.cols();
    if (!detail::has_dense_rows(k))
        k = k.transposed();
    Workspace::Frame frame;
    if (!detail::has_dense_rows(k)) {
        const MatrixView<T> dense = frame.matrix<T>(n, n);
        gram(dense, alpha, z, 0);
        return detail::combine(k, beta, dense);
    }
    if (d == 0 || n == 0)
        return detail::scale(k, beta);
    const Index work = detail::work_of(n, n, d) / 2;
    const int threads = threads_for(work);
    // Strips of rows, of the same area below the diagonal.
    const auto begin = [&](Index strip) {
        return static_cast<Index>(static_cast<double>(n) *
                                  std::sqrt(static_cast<double>(strip) / threads));
    };
#ifdef EIGEN_USE_BLAS
    detail::blas_product<T>(k, alpha, z, z.transposed(), beta);
    parallel_for(threads, work, [&](Index s) { detail::mirror(k, begin(s), begin(s + 1)); });
#else
    const simd::Slices<T> memory(frame, work, detail::Panels<T>::size(n, n, d));
    parallel_for(threads, work, [&](Index strip) {
        const Index i = begin(strip);
        const Index end = begin(strip + 1);
        detail::tile_product<T>(k.block(i, 0, end - i, end), static_cast<T>(alpha),
                                z.block(i, 0, end - i, d), z.block(0, 0, end, d).transposed(),
                                static_cast<T>(beta), {memory.mine(), end - i, d}, i);
    });
    parallel_for(threads, work, [&](Index s) { detail::mirror(k, begin(s), begin(s + 1)); });
#endif
}

/// sum_ij a_ij b_ij.
template <class A, class B>
    requires std::same_as<std::remove_const_t<A>, std::remove_const_t<B>>
[[nodiscard]] double inner(MatrixView<A> a, MatrixView<B> b)
{
    if (std::abs(a.strides[0]) < std::abs(a.strides[1]))
        return inner(a.transposed(), b.transposed());
    const auto is_one_run = [](const auto& v) {
        return v.strides[1] == 1 && v.strides[0] == v.cols();
    };
    if (is_one_run(a) && is_one_run(b)) {
        a = {a.data, {1, a.size()}, {a.size(), 1}};
        b = {b.data, {1, b.size()}, {b.size(), 1}};
    }
    constexpr Index block = 1 << 14;
    const auto sum_of = [&](Index row, Index begin, Index end) {
        return detail::dot(&a(row, begin), a.strides[1], &b(row, begin), b.strides[1], end - begin);
    };
    if (a.rows() == 1)
        return parallel_sum({a.cols(), block}, a.cols(),
                            [&](Index begin, Index end) { return sum_of(0, begin, end); });
    return parallel_sum({a.rows(), block / (a.cols() + 1) + 1}, a.size(),
                        [&](Index begin, Index end) {
                            double sum = 0;
                            for (Index row = begin; row < end; ++row)
                                sum += sum_of(row, 0, a.cols());
                            return sum;
                        });
}

/// sum_ij a_ij^2.
template <class A>
[[nodiscard]] double squared_norm(MatrixView<A> a)
{
    return inner(a, a);
}

} // namespace temper::inline TEMPER_ABI::linalg
