// SPDX-License-Identifier: BSL-1.0
#pragma once

// Matrices in memory of their own, laid out as a test says, and what linalg's tests do with them.

#include <temper/core/random.hpp>
#include <temper/core/view.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

namespace linalg_test {

using temper::Index;
using temper::MatrixView;

enum class Layout {
    rows,
    columns,
    rows_of_block,    // a block of a larger matrix
    columns_of_block, // the same, stored by columns
    strided,          // every second entry of every second row
    reversed,         // rows and columns from the last to the first
};
inline constexpr Layout layouts[] = {Layout::rows,          Layout::columns,
                                     Layout::rows_of_block, Layout::columns_of_block,
                                     Layout::strided,       Layout::reversed};

template <class T>
struct Matrix {
    std::vector<T> memory{};
    MatrixView<T> view{};

    Matrix(Index rows, Index cols, Layout layout = Layout::rows, T filled_with = T(0))
    {
        switch (layout) {
        case Layout::rows:
            lay_out(rows, cols, cols, 1, filled_with);
            break;
        case Layout::columns:
            lay_out(rows, cols, 1, rows, filled_with);
            break;
        case Layout::rows_of_block:
            lay_out(rows, cols, cols + 3, 1, filled_with);
            break;
        case Layout::columns_of_block:
            lay_out(rows, cols, 1, rows + 3, filled_with);
            break;
        case Layout::strided:
            lay_out(rows, cols, 4 * cols + 1, 2, filled_with);
            break;
        case Layout::reversed:
            lay_out(rows, cols, cols, 1, filled_with);
            view.data += rows > 0 && cols > 0 ? rows * cols - 1 : 0;
            view.strides = {-cols, -1};
            break;
        }
    }
    Matrix(const Matrix&) = delete; // the view looks at this one's memory
    Matrix& operator=(const Matrix&) = delete;

    T& operator()(Index i, Index j) const { return view(i, j); }
    operator MatrixView<T>() const { return view; }
    operator MatrixView<const T>() const { return view; }

    /// Entries that no index reaches.
    [[nodiscard]] bool gaps_are(T value) const
    {
        std::vector<bool> reached(memory.size());
        for (Index i = 0; i < view.rows(); ++i)
            for (Index j = 0; j < view.cols(); ++j)
                reached[static_cast<std::size_t>(&view(i, j) - memory.data())] = true;
        for (std::size_t k = 0; k < memory.size(); ++k)
            if (!reached[k] && memory[k] != value)
                return false;
        return true;
    }

  private:
    void lay_out(Index rows, Index cols, Index row_stride, Index col_stride, T filled_with)
    {
        memory.assign(static_cast<std::size_t>(rows * row_stride + cols * col_stride + 1),
                      filled_with);
        view = {memory.data(), {rows, cols}, {row_stride, col_stride}};
    }
};

template <class T>
void fill_normal(MatrixView<T> a, std::uint64_t seed)
{
    auto random = temper::stream(seed, 0, "linalg test");
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < a.cols(); ++j)
            a(i, j) = static_cast<T>(temper::normal(random));
}

/// max |a - b|; infinity where one is NaN.
template <class A, class B>
double distance(MatrixView<A> a, MatrixView<B> b)
{
    double largest = 0;
    for (Index i = 0; i < a.rows(); ++i)
        for (Index j = 0; j < a.cols(); ++j) {
            const double d = std::fabs(static_cast<double>(a(i, j)) - static_cast<double>(b(i, j)));
            largest = d <= largest ? largest
                      : d == d     ? d
                                   : (std::numeric_limits<double>::infinity)();
        }
    return largest;
}

/// a b.
template <class A, class B>
void multiply(MatrixView<double> c, MatrixView<A> a, MatrixView<B> b)
{
    for (Index i = 0; i < c.rows(); ++i)
        for (Index j = 0; j < c.cols(); ++j) {
            double sum = 0;
            for (Index k = 0; k < a.cols(); ++k)
                sum += static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
            c(i, j) = sum;
        }
}

/// How far the columns are from orthonormal.
template <class T>
double distance_from_orthonormal(MatrixView<T> u)
{
    const Matrix<double> gram(u.cols(), u.cols());
    const Matrix<double> identity(u.cols(), u.cols());
    multiply(gram.view, u.transposed(), u);
    for (Index i = 0; i < u.cols(); ++i)
        identity(i, i) = 1;
    return distance(gram.view, identity.view);
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b)
{
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

/// Runs f with 1, 2, 3 and 4 threads; where there is no OpenMP, four times.
template <class F>
void with_each_number_of_threads(const F& f)
{
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    for (int threads = 1; threads <= 4; ++threads) {
        omp_set_num_threads(threads);
        f();
    }
    omp_set_num_threads(before);
#else
    for (int k = 0; k < 4; ++k)
        f();
#endif
}

} // namespace linalg_test
