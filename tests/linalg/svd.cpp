// SPDX-License-Identifier: BSL-1.0
#include "linalg/matrices.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <temper/linalg/svd.hpp>

#include <Eigen/SVD>

namespace {

using namespace linalg_test;
namespace linalg = temper::linalg;

template <class T>
struct Svd {
    Matrix<T> u;
    Matrix<T> s;
    Matrix<T> v;

    explicit Svd(MatrixView<const T> w, Layout layout = Layout::rows)
        : u(w.rows(), (std::min)(w.rows(), w.cols()), layout),
          s((std::min)(w.rows(), w.cols()), 1, layout),
          v(w.cols(), (std::min)(w.rows(), w.cols()), layout)
    {
        linalg::svd(w, u, s.view.col(0), v);
    }
};

template <class T>
double largest_entry(MatrixView<T> w)
{
    const Matrix<double> zero(w.rows(), w.cols());
    return distance(w, zero.view);
}

/// Largest violation of u' u = I, v' v = I, u diag(s) v' = w (by its size), s descending and >= 0.
template <class T>
double violation(const Svd<T>& f, MatrixView<const T> w)
{
    const Index r = f.s.view.rows();
    const Matrix<double> us(w.rows(), r);
    const Matrix<double> usv(w.rows(), w.cols());
    for (Index i = 0; i < w.rows(); ++i)
        for (Index k = 0; k < r; ++k)
            us(i, k) = static_cast<double>(f.u(i, k)) * static_cast<double>(f.s(k, 0));
    multiply(usv.view, us.view, f.v.view.transposed());
    const double size = largest_entry(w);
    double worst =
        (std::max)(distance_from_orthonormal(f.u.view), distance_from_orthonormal(f.v.view));
    worst = (std::max)(worst, distance(usv.view, w) / (size > 0 ? size : 1));
    for (Index k = 0; k < r; ++k)
        if (!(f.s(k, 0) >= 0) || (k > 0 && f.s(k, 0) > f.s(k - 1, 0)))
            worst = 1e300;
    return worst;
}

/// Matrices with something special about them.
template <class T>
void make(const std::string& kind, MatrixView<T> w)
{
    fill_normal(w, 21);
    const Index m = w.rows();
    const Index n = w.cols();
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j) {
            if (kind == "zero")
                w(i, j) = 0;
            else if (kind == "one entry")
                w(i, j) = i == m / 2 && j == n / 3 ? T(-4) : T(0);
            else if (kind == "ones")
                w(i, j) = 1;
            else if (kind == "identity")
                w(i, j) = i == j ? T(1) : T(0);
            else if (kind == "zero rows" && i % 2 == 1)
                w(i, j) = 0;
            else if (kind == "zero columns" && j % 3 != 1)
                w(i, j) = 0;
            else if (kind == "equal rows")
                w(i, j) = w(Index{0}, j);
            else if (kind == "equal columns")
                w(i, j) = w(i, Index{0});
            else if (kind == "graded columns")
                w(i, j) *= static_cast<T>(std::pow(10.0, -2.0 * static_cast<double>(j)));
            else if (kind == "graded rows")
                w(i, j) *= static_cast<T>(std::pow(10.0, -1.0 * static_cast<double>(i)));
            else if (kind == "tiny")
                w(i, j) *= std::numeric_limits<T>::min();
            else if (kind == "huge")
                w(i, j) *= std::numeric_limits<T>::max() / T(64 * 100);
        }
}

const char* const kinds[] = {"normal",        "zero",           "one entry",    "ones",
                             "identity",      "zero rows",      "zero columns", "equal rows",
                             "equal columns", "graded columns", "graded rows",  "tiny",
                             "huge"};
constexpr std::pair<Index, Index> shapes[] = {{1, 1}, {1, 9},   {9, 1},   {2, 2},  {3, 5},
                                              {8, 8}, {17, 12}, {12, 33}, {64, 3}, {70, 70}};

template <class T>
void check_laws(double tolerance)
{
    for (const char* kind : kinds)
        for (const auto& [m, n] : shapes) {
            const Matrix<T> w(m, n);
            make(kind, w.view);
            INFO(kind << " " << m << " x " << n);
            CHECK(violation(Svd<T>(w), MatrixView<const T>(w)) < tolerance);
        }
}

} // namespace

TEST_CASE("svd obeys its laws, float") { check_laws<float>(2e-5); }
TEST_CASE("svd obeys its laws, double") { check_laws<double>(4e-14); }

TEST_CASE("singular values agree with Eigen's")
{
    for (const char* kind : kinds)
        for (const auto& [m, n] : shapes) {
            const Matrix<double> w(m, n);
            make(kind, w.view);
            Eigen::MatrixXd same(m, n);
            for (Index i = 0; i < m; ++i)
                for (Index j = 0; j < n; ++j)
                    same(i, j) = w(i, j);
            const Eigen::VectorXd values = Eigen::JacobiSVD<Eigen::MatrixXd>(same).singularValues();
            const Svd<double> f(w);
            double worst = 0;
            for (Index i = 0; i < values.size(); ++i)
                worst = (std::max)(worst, std::fabs(f.s(i, 0) - values(i)));
            INFO(kind << " " << m << " x " << n);
            CHECK(worst <= 1e-13 * values(0));
        }
}

TEST_CASE("small singular values that the columns' scales explain are relatively accurate")
{
    // Orthonormal columns times powers of two: those are the singular values.
    const auto worst = [](auto zero, int step) {
        using T = decltype(zero);
        const Matrix<T> a(40, 20);
        fill_normal(a.view, 22);
        const Svd<T> f(a);
        const Matrix<T> w(40, 20);
        for (Index i = 0; i < 40; ++i)
            for (Index j = 0; j < 20; ++j) // in no order
                w(i, j) = std::ldexp(f.u(i, j), -step * static_cast<int>(7 * j % 20));
        const Svd<T> g(w);
        double error = 0;
        for (Index j = 0; j < 20; ++j) {
            const double exact = std::ldexp(1.0, -step * static_cast<int>(j));
            error = (std::max)(error, std::fabs(static_cast<double>(g.s(j, 0)) / exact - 1));
        }
        return error;
    };
    CHECK(worst(0.0, 20) < 1e-13); // down to 1e-114
    CHECK(worst(0.0F, 2) < 1e-5);  // down to 1e-11
}

TEST_CASE("singular values scale with the matrix")
{
    const Matrix<double> w(9, 6);
    fill_normal(w.view, 23);
    const Svd<double> f(w);
    for (const int exponent : {-1000, -600, 600, 1000}) {
        const Matrix<double> scaled(9, 6);
        for (Index i = 0; i < 9; ++i)
            for (Index j = 0; j < 6; ++j)
                scaled(i, j) = std::ldexp(w(i, j), exponent);
        const Svd<double> g(scaled);
        for (Index k = 0; k < 6; ++k)
            CHECK(g.s(k, 0) == std::ldexp(f.s(k, 0), exponent));
        CHECK(same_bits(f.u.memory, g.u.memory));
    }
}

TEST_CASE("svd reads and writes any layout")
{
    for (const auto& [m, n] : {std::pair<Index, Index>{11, 6}, {6, 11}})
        for (const Layout in : layouts)
            for (const Layout out : layouts) {
                const Matrix<double> dense(m, n);
                const Matrix<double> w(m, n, in);
                fill_normal(dense.view, 24);
                fill_normal(w.view, 24);
                const Svd<double> expected(dense);
                const Svd<double> f(w, out);
                CHECK(distance(f.u.view, expected.u.view) == 0);
                CHECK(distance(f.s.view, expected.s.view) == 0);
                CHECK(distance(f.v.view, expected.v.view) == 0);
                CHECK(f.u.gaps_are(0));
                CHECK(f.v.gaps_are(0));
            }
}

TEST_CASE("svd leaves out what is not asked for")
{
    for (const auto& [m, n] : {std::pair<Index, Index>{15, 9}, {9, 15}}) {
        const Matrix<float> w(m, n);
        fill_normal(w.view, 25);
        const Svd<float> all(w);
        const Matrix<float> u(m, 9);
        const Matrix<float> v(n, 9);
        const Matrix<float> s(9, 1);
        linalg::svd(w, u, s.view.col(0), {});
        CHECK(same_bits(u.memory, all.u.memory));
        CHECK(same_bits(s.memory, all.s.memory));
        linalg::svd(w, {}, s.view.col(0), v);
        CHECK(same_bits(v.memory, all.v.memory));
        CHECK(same_bits(s.memory, all.s.memory));
        linalg::singular_values(w, s.view.col(0));
        CHECK(same_bits(s.memory, all.s.memory));
    }
}

TEST_CASE("svd of nothing, of NaN and of infinity")
{
    for (const auto& [m, n] : {std::pair<Index, Index>{0, 4}, {4, 0}, {0, 0}}) {
        const Matrix<double> w(m, n);
        CHECK(Svd<double>(w).s.view.rows() == 0);
    }
    for (const double bad :
         {std::numeric_limits<double>::quiet_NaN(), -std::numeric_limits<double>::infinity()}) {
        const Matrix<double> w(5, 3, Layout::rows, 1.0);
        w(4, 1) = bad;
        const Svd<double> f(w);
        CHECK(std::isnan(f.s(0, 0)));
        CHECK(std::isnan(f.s(2, 0)));
        CHECK(std::isnan(f.u(0, 2)));
        CHECK(std::isnan(f.v(2, 0)));
    }
}

TEST_CASE("svd has the same bits for any number of threads and allocates once")
{
    const Matrix<float> w(210, 90);
    fill_normal(w.view, 26);
    const Svd<float> expected(w);
    with_each_number_of_threads([&] {
        const Svd<float> f(w);
        CHECK(same_bits(f.u.memory, expected.u.memory));
        CHECK(same_bits(f.s.memory, expected.s.memory));
        CHECK(same_bits(f.v.memory, expected.v.memory));
        const AllocationCounter counter;
        linalg::svd(w, f.u, f.s.view.col(0), f.v);
        CHECK(counter.count() == 0);
    });
}
