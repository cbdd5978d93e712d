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
//   Products(frame, work)           products of small matrices inside a parallel loop of the caller's
//
// Any strides will do; a transpose is a view. beta = 0 overwrites what it finds, NaN included, and
// alpha = 0 reads neither factor. Outputs must not share memory with inputs; extents are the
// caller's business, as everywhere in linalg/.
//
// The output is cut into tiles whose sizes depend on its extents alone, and k into panels; a tile is
// one serial call of Eigen's kernel (or of the BLAS, with EIGEN_USE_BLAS; bits and allocations are
// then the BLAS's), and tiles run in our own parallel loop. Eigen's `c.noalias() = a * b` is not used
// because it starts threads of its own, with other bits for each number of them, and takes its
// packing buffers from the heap. What it calls underneath takes buffers and a thread count from the
// caller, is what Eigen's own BLAS is made of, and has had one signature since Eigen 3.4.

#include <temper/core/parallel.hpp>
#include <temper/core/view.hpp>
#include <temper/core/workspace.hpp>

#include <Eigen/Core>

#include <algorithm>
#include <cmath>
#include <concepts>
#include <type_traits>

namespace temper::inline TEMPER_ABI::linalg {

static_assert(EIGEN_VERSION_AT_LEAST(3, 4, 0), "temper: Eigen 3.4 or newer is needed");

/// Inputs whose scalar type the output tells, so that views of mutable numbers convert.
template <class T>
using ConstMatrix = std::type_identity_t<MatrixView<const T>>;
template <class T>
using ConstVector = std::type_identity_t<VectorView<const T>>;

namespace detail {

/// Whether the columns are dense and do not overlap, as Eigen and BLAS want it.
template <class T>
[[nodiscard]] bool has_dense_columns(const MatrixView<T>& v)
{
    return (v.rows() <= 1 || v.strides[0] == 1) &&
           (v.cols() <= 1 || v.strides[1] >= (std::max)(v.rows(), Index{1}));
}
template <class T>
[[nodiscard]] bool has_dense_rows(const MatrixView<T>& v)
{
    return has_dense_columns(v.transposed());
}
/// The distance of two columns; BLAS looks at it even where there is only one.
template <class T>
[[nodiscard]] Index column_stride(const MatrixView<T>& v)
{
    return v.cols() > 1 ? v.strides[1] : (std::max)(v.rows(), Index{1});
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
/// v = beta v, and v = 0 for beta = 0, of dense columns or rows.
template <class T>
void scale(MatrixView<T> v, double beta)
{
    if (beta == 1)
        return;
    if (!has_dense_columns(v))
        v = v.transposed();
    const bool one_run = column_stride(v) == v.rows();
    const Index length = one_run ? v.size() : v.rows();
    for (Index j = 0; j < (one_run ? 1 : v.cols()); ++j) {
        T* column = v.data + j * column_stride(v);
        if (beta == 0)
            std::fill_n(column, length, T(0));
        else
            for (Index i = 0; i < length; ++i)
                column[i] *= static_cast<T>(beta);
    }
}

/// The same matrix with dense columns or dense rows: a packed copy of one that has neither.
template <class T>
[[nodiscard]] MatrixView<const T> packed(MatrixView<const T> v, Workspace::Frame& frame)
{
    if (has_dense_columns(v) || has_dense_rows(v))
        return v;
    const bool by_columns = std::abs(v.strides[0]) < std::abs(v.strides[1]);
    const MatrixView<T> copy = by_columns ? frame.matrix<T>(v.cols(), v.rows()).transposed()
                                          : frame.matrix<T>(v.rows(), v.cols());
    combine(copy, 0, v);
    return copy;
}

/// n in equal parts of at most about `target`, each but the last a multiple of `step`.
[[nodiscard]] inline Blocks even_blocks(Index n, Index target, Index step)
{
    if (n <= target) // without divisions: small products are paid for by the nanosecond
        return {n, (std::max)(n, Index{1})};
    const Index parts = (n + target - 1) / target;
    return {n, ((n + parts - 1) / parts + step - 1) / step * step};
}

/// How a product is cut. Small tiles are for threads to share, large ones because each packs its own
/// strips of a and b; these lose 2 to 10 % to one single tile.
struct Tiling {
    Blocks rows;
    Blocks cols;
    Index panel;

    Tiling(Index m, Index n, Index k)
        : rows(even_blocks(m, std::clamp(m / 4, Index{144}, Index{288}), 48)),
          cols(even_blocks(n, std::clamp(n / 4, Index{128}, Index{512}), 8)),
          panel(even_blocks(k, 256, 8).size)
    {
#ifdef EIGEN_USE_BLAS
        rows.size = m, cols.size = n;
#endif
    }
    [[nodiscard]] bool is_one_tile() const { return rows.n <= rows.size && cols.n <= cols.size; }
    /// Square tiles: fewer of them on the diagonal, where half of the work is for nothing.
    static Tiling square(Index n, Index k)
    {
        Tiling tiling(n, n, k);
        tiling.cols = tiling.rows;
        return tiling;
    }
};

/// Room for the packed strips of one tile, for each thread that may run.
template <class T>
class Buffers {
  public:
    Buffers(const Tiling& tiling, Index work, Workspace::Frame& frame)
        : Buffers(tiling, tiling.is_one_tile() ? 1 : threads_for(work), frame)
    {
    }
    Buffers(const Tiling& tiling, int threads, Workspace::Frame& frame)
        : rows_(tiling.rows.size), cols_((std::min)(tiling.cols.size, Index{128})),
          panel_(tiling.panel), parallel_(threads > 1)
    {
#ifndef EIGEN_USE_BLAS
        memory_ = frame.take<T>(size() * threads);
#endif
    }
    /// Those of the calling thread, as Eigen's kernel wants them.
    [[nodiscard]] auto mine() const
    {
        struct Blocking : Eigen::internal::level3_blocking<T, T> {
            Blocking(const Buffers& b, Index thread)
            {
                this->m_mc = b.rows_, this->m_nc = b.cols_, this->m_kc = b.panel_;
                this->m_blockA = b.memory_ + thread * b.size();
                this->m_blockB = this->m_blockA + padded(b.rows_ * b.panel_);
            }
        };
#ifdef _OPENMP
        return Blocking(*this, parallel_ ? omp_get_thread_num() : 0);
#else
        return Blocking(*this, 0);
#endif
    }

  private:
    /// Whole cache lines, so that every buffer is aligned.
    static Index padded(Index n) { return (n + 63) / 64 * 64; }
    [[nodiscard]] Index size() const { return padded(rows_ * panel_) + padded(cols_ * panel_); }

    Index rows_;
    Index cols_;
    Index panel_;
    bool parallel_;
    T* memory_ = nullptr;
};

/// c += alpha a b on the calling thread, for dense columns of c.
template <class T, int OrderA, int OrderB>
void accumulate(MatrixView<T> c, T alpha, MatrixView<const T> a, MatrixView<const T> b,
                const Buffers<T>& buffers)
{
    auto blocking = buffers.mine();
    Eigen::internal::general_matrix_matrix_product<
        Index, T, OrderA, false, T, OrderB, false, Eigen::ColMajor,
        1>::run(c.rows(), c.cols(), a.cols(), a.data,
                column_stride(OrderA == Eigen::ColMajor ? a : a.transposed()), b.data,
                column_stride(OrderB == Eigen::ColMajor ? b : b.transposed()), c.data, 1,
                column_stride(c), alpha, blocking, nullptr);
}
template <class T>
using Accumulate = void (*)(MatrixView<T>, T, MatrixView<const T>, MatrixView<const T>,
                            const Buffers<T>&);

template <class T>
[[nodiscard]] Accumulate<T> accumulate_for(MatrixView<const T> a, MatrixView<const T> b)
{
    constexpr int by_cols = Eigen::ColMajor;
    constexpr int by_rows = Eigen::RowMajor;
    if (has_dense_columns(a))
        return has_dense_columns(b) ? accumulate<T, by_cols, by_cols>
                                    : accumulate<T, by_cols, by_rows>;
    return has_dense_columns(b) ? accumulate<T, by_rows, by_cols> : accumulate<T, by_rows, by_rows>;
}

/// What a product costs, in entries touched, as parallel_for counts.
[[nodiscard]] inline Index work_of(Index m, Index n, Index k) { return m * n / 16 * k; }

/// Copies what a block of k holds below the diagonal to its place above; the columns of k are dense.
template <class T>
void mirror(MatrixView<T> k, Index row, Index col, Index height, Index width)
{
    constexpr Index side = 16;
    for (Index q = col; q < col + width; q += side)
        for (Index p = (std::max)(row, q); p < row + height; p += side) {
            const Index h = (std::min)(side, row + height - p);
            const Index w = (std::min)(side, col + width - q);
            if (h == side && w == side && p != q) {
                T buffer[side][side]; // as columns a power of two apart evict each other
                for (Index j = 0; j < side; ++j)
                    for (Index i = 0; i < side; ++i)
                        buffer[j][i] = (&k(p, q + j))[i];
                for (Index i = 0; i < side; ++i)
                    for (Index j = 0; j < side; ++j)
                        (&k(q, p + i))[j] = buffer[j][i];
                continue;
            }
            for (Index i = 0; i < h; ++i)
                for (Index j = 0; j < (std::min)(w, p + i - q); ++j)
                    k(q + j, p + i) = k(p + i, q + j);
        }
}

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
    using Vector = Eigen::Matrix<T, Eigen::Dynamic, 1>;
    const Index m = a.rows();
    const Index k = a.cols();
    Workspace::Frame frame;
    if (m > 1 && y.strides[0] != 1) {
        const VectorView<T> dense{frame.take<T>(m), {m}, {1}};
        product(dense, alpha, a, x, 0);
        return detail::combine<T>({y.data, {m, 1}, {y.strides[0], 1}}, beta,
                                  {dense.data, {m, 1}, {1, 1}});
    }
    const bool reads = alpha != 0 && k > 0;
    if (reads) {
        a = detail::packed(a, frame);
        if (k > 1 && x.strides[0] != 1) { // not `packed`, to which k rows of one entry are dense
            const MatrixView<T> dense = frame.matrix<T>(k, 1);
            detail::combine<T>(dense, 0, {x.data, {k, 1}, {x.strides[0], 1}});
            x = dense.col(0);
        }
    }
    const bool by_columns = detail::has_dense_columns(a);
    const Index stride = detail::column_stride(by_columns ? a : a.transposed());
    const Eigen::Map<const Vector> right(x.data, k);
    const Blocks rows{m, (std::max)(Index{16}, Index{1 << 14} / (k + 1) / 16 * 16)};
    parallel_for(rows.count(), m * k, [&](Index block) {
        const Index begin = rows.begin(block);
        const Index count = rows.end(block) - begin;
        detail::scale<T>({y.data + begin, {count, 1}, {1, 1}}, beta);
        if (!reads)
            return;
        const T* strip = a.data + begin * (by_columns ? 1 : stride);
        const auto add = [&]<int Order>(std::integral_constant<int, Order>) {
            using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>;
            const Eigen::Map<const Matrix, 0, Eigen::OuterStride<>> left(
                strip, count, k, Eigen::OuterStride<>(stride));
            Eigen::Map<Vector>(y.data + begin, count).noalias() +=
                static_cast<T>(alpha) * left * right;
        };
        if (by_columns)
            add(std::integral_constant<int, Eigen::ColMajor>{});
        else
            add(std::integral_constant<int, Eigen::RowMajor>{});
    });
}

/// c = beta c + alpha a b.
template <class T>
void product(MatrixView<T> c, double alpha, ConstMatrix<T> a, ConstMatrix<T> b, double beta)
{
    const Index m = c.rows();
    const Index n = c.cols();
    const Index k = a.cols();
    if (m == 0 || n == 0)
        return;
    if (n == 1)
        return product(c.col(0), alpha, a, b.col(0), beta);
    if (m == 1)
        return product(c.row(0), alpha, b.transposed(), a.row(0), beta);
    if (!detail::has_dense_columns(c) && detail::has_dense_rows(c))
        return product(c.transposed(), alpha, b.transposed(), a.transposed(), beta);
    Workspace::Frame frame;
    if (!detail::has_dense_columns(c)) {
        const MatrixView<T> dense = frame.matrix<T>(m, n);
        product(dense, alpha, a, b, 0);
        return detail::combine(c, beta, dense);
    }
    const bool reads = alpha != 0 && k > 0;
    if (reads) {
        a = detail::packed(a, frame);
        b = detail::packed(b, frame);
    }
    const detail::Tiling tiling(m, n, k);
    const Blocks rows = tiling.rows;
    const Blocks cols = tiling.cols;
    const Index work = detail::work_of(m, n, k);
    const detail::Buffers<T> buffers(tiling, work, frame);
    const auto accumulate = detail::accumulate_for(a, b);
    const auto tile_at = [&](Index i, Index j) {
        const Index height = (std::min)(rows.size, m - i);
        const Index width = (std::min)(cols.size, n - j);
        const MatrixView<T> tile = c.block(i, j, height, width);
        detail::scale(tile, beta);
        if (reads)
            accumulate(tile, static_cast<T>(alpha), a.block(i, 0, height, k),
                       b.block(0, j, k, width), buffers);
    };
    if (tiling.is_one_tile())
        return tile_at(0, 0);
    parallel_for(rows.count() * cols.count(), work, [&](Index t) {
        tile_at(rows.begin(t % rows.count()), cols.begin(t / rows.count()));
    });
}

/// Products for the body of a parallel loop over `work` entries, on the thread that calls: for kernels
/// that stream through a large matrix tile by tile. Made before the loop, whose threads share it.
///
///   const linalg::Products<T> products(frame, work);
///   parallel_for(n, work, [&](Index i) { products(tile, alpha, a, b, beta); ... });
template <class T>
class Products {
  public:
    Products(Workspace::Frame& frame, Index work)
        : buffers_(detail::Tiling(side, side, side), threads_for(work), frame)
    {
    }
    /// c = beta c + alpha a b. Each of the three has dense rows or dense columns.
    void operator()(MatrixView<T> c, double alpha, ConstMatrix<T> a, ConstMatrix<T> b,
                    double beta) const
    {
        if (!detail::has_dense_columns(c))
            return (*this)(c.transposed(), alpha, b.transposed(), a.transposed(), beta);
        detail::scale(c, beta);
        detail::accumulate_for(a, b)(c, static_cast<T>(alpha), a, b, buffers_);
    }
    /// Tiles of about this many rows and columns are worth their overhead and fit into the cache.
    static constexpr Index side = 256;

  private:
    detail::Buffers<T> buffers_;
};

/// k = beta k + alpha z z', exactly symmetric: tiles below the diagonal are computed and mirrored.
/// Unless beta is 0, k must be symmetric.
template <class T>
void gram(MatrixView<T> k, double alpha, ConstMatrix<T> z, double beta)
{
    const Index n = k.rows();
    const Index d = z.cols();
    if (!detail::has_dense_columns(k))
        k = k.transposed();
    Workspace::Frame frame;
    if (!detail::has_dense_columns(k)) {
        const MatrixView<T> dense = frame.matrix<T>(n, n);
        gram(dense, alpha, z, 0);
        return detail::combine(k, beta, dense);
    }
    const bool reads = alpha != 0 && d > 0;
    if (reads)
        z = detail::packed(z, frame);
    const detail::Tiling tiling = detail::Tiling::square(n, d);
    const Blocks rows = tiling.rows;
    const Index work = detail::work_of(n, n, d) / 2;
    const detail::Buffers<T> buffers(tiling, work, frame);
    const auto accumulate = detail::accumulate_for<T>(z, z.transposed());
    parallel_for(rows.count() * (rows.count() + 1) / 2, work, [&](Index t) {
        Index column = 0;
        for (; t >= rows.count() - column; ++column)
            t -= rows.count() - column;
        const Index i = rows.begin(column + t);
        const Index j = rows.begin(column);
        const Index height = (std::min)(rows.size, n - i);
        const Index width = (std::min)(rows.size, n - j);
        const MatrixView<T> tile = k.block(i, j, height, width);
        detail::scale(tile, beta);
        if (reads)
            accumulate(tile, static_cast<T>(alpha), z.block(i, 0, height, d),
                       z.block(j, 0, width, d).transposed(), buffers);
        detail::mirror(k, i, j, height, width);
    });
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
