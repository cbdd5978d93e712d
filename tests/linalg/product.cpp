// SPDX-License-Identifier: BSL-1.0
#include "linalg/matrices.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <temper/linalg/product.hpp>

#include <array>
#include <deque>
#include <vector>

namespace {

using namespace linalg_test;
namespace linalg = temper::linalg;
using temper::VectorView;

template <class T>
constexpr T not_a_number = std::numeric_limits<T>::quiet_NaN();

/// |c - (beta before + alpha a b)| in units of what rounding may do to each entry.
template <class T>
double error(MatrixView<T> c, double alpha, MatrixView<const T> a, MatrixView<const T> b,
             double beta, MatrixView<const T> before)
{
    double largest = 0;
    for (Index i = 0; i < c.rows(); ++i)
        for (Index j = 0; j < c.cols(); ++j) {
            double sum = 0;
            double size = 0;
            for (Index k = 0; k < a.cols(); ++k) {
                const double term = static_cast<double>(a(i, k)) * static_cast<double>(b(k, j));
                sum += term;
                size += std::fabs(term);
            }
            sum *= alpha;
            size *= std::fabs(alpha);
            if (beta != 0) {
                sum += beta * static_cast<double>(before(i, j));
                size += std::fabs(beta * static_cast<double>(before(i, j)));
            }
            const double unit = static_cast<double>(std::numeric_limits<T>::epsilon()) *
                                    std::sqrt(static_cast<double>(a.cols() + 1)) * size +
                                1e-300;
            const double e = std::fabs(static_cast<double>(c(i, j)) - sum) / unit;
            largest = e <= largest ? largest : e == e ? e : 1e300;
        }
    return largest;
}

template <class T>
double product_error(Index m, Index n, Index k, std::array<Layout, 3> layout, double alpha,
                     double beta)
{
    constexpr T gap = T(77);
    const Matrix<T> a(m, k, layout[1]);
    const Matrix<T> b(k, n, layout[2]);
    const Matrix<T> c(m, n, layout[0], gap);
    const Matrix<T> before(m, n);
    fill_normal(a.view, 1);
    fill_normal(b.view, 2);
    fill_normal(before.view, 3);
    for (Index i = 0; i < m; ++i)
        for (Index j = 0; j < n; ++j)
            c(i, j) = beta == 0 ? not_a_number<T> : before(i, j);
    linalg::product(c.view, alpha, a, b, beta);
    return c.gaps_are(gap) ? error<T>(c, alpha, a, b, beta, before) : 1e301;
}

template <class T>
double gram_error(Index n, Index d, std::array<Layout, 2> layout, double alpha, double beta)
{
    constexpr T gap = T(77);
    const Matrix<T> z(n, d, layout[1]);
    const Matrix<T> k(n, n, layout[0], gap);
    const Matrix<T> before(n, n);
    fill_normal(z.view, 1);
    fill_normal(before.view, 3);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j <= i; ++j) {
            before(j, i) = before(i, j);
            k(i, j) = k(j, i) = beta == 0 ? not_a_number<T> : before(i, j);
        }
    linalg::gram(k.view, alpha, z, beta);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < i; ++j)
            if (k(i, j) != k(j, i))
                return 1e302;
    return k.gaps_are(gap) ? error<T>(k, alpha, z, z.view.transposed(), beta, before) : 1e301;
}

struct Shape {
    Index m, n, k;
};
constexpr Shape small_shapes[] = {{0, 3, 4},  {3, 0, 4},  {3, 4, 0},    {1, 1, 1},   {1, 7, 5},
                                  {7, 1, 5},  {1, 1, 40}, {2, 3, 1},    {8, 8, 8},   {5, 17, 33},
                                  {33, 9, 2}, {64, 5, 3}, {32, 32, 10}, {31, 50, 19}};
// More rows, columns and inner entries than a tile and a panel have, and none of them a multiple.
constexpr Shape large_shapes[] = {{313, 271, 301}, {1, 700, 900}, {700, 1, 900}, {20, 1203, 9}};

template <class T>
void check_products()
{
    for (const Shape& s : small_shapes)
        for (const Layout c : layouts)
            for (const Layout a : layouts)
                for (const Layout b : layouts) {
                    INFO(s.m << " " << s.n << " " << s.k << " layouts " << int(c) << int(a)
                             << int(b));
                    CHECK(product_error<T>(s.m, s.n, s.k, {c, a, b}, 1, 0) < 4);
                    CHECK(product_error<T>(s.m, s.n, s.k, {c, a, b}, -1.5, 1) < 4);
                    CHECK(product_error<T>(s.m, s.n, s.k, {c, a, b}, 0.25, -0.75) < 4);
                }
    for (const Shape& s : large_shapes)
        for (const Layout layout : layouts) {
            INFO(s.m << " " << s.n << " " << s.k << " layout " << int(layout));
            CHECK(product_error<T>(s.m, s.n, s.k, {layout, Layout::rows, layout}, 1, 0) < 6);
            CHECK(product_error<T>(s.m, s.n, s.k, {Layout::rows, layout, Layout::columns}, 2, 0.5) <
                  6);
        }
}

template <class T>
void check_grams()
{
    for (const Shape& s : {Shape{0, 0, 3},
                           {1, 1, 0},
                           {1, 1, 6},
                           {5, 5, 1},
                           {16, 16, 3},
                           {33, 33, 20},
                           {150, 150, 7},
                           {310, 310, 270}})
        for (const Layout k : layouts)
            for (const Layout z : layouts) {
                INFO(s.m << " " << s.k << " layouts " << int(k) << int(z));
                CHECK(gram_error<T>(s.m, s.k, {k, z}, 1, 0) < 6);
                CHECK(gram_error<T>(s.m, s.k, {k, z}, -0.5, 2) < 6);
            }
}

} // namespace

TEST_CASE("product agrees with its definition in every layout, float") { check_products<float>(); }
TEST_CASE("product agrees with its definition in every layout, double")
{
    check_products<double>();
}
TEST_CASE("gram agrees with its definition in every layout and is symmetric, float")
{
    check_grams<float>();
}
TEST_CASE("gram agrees with its definition in every layout and is symmetric, double")
{
    check_grams<double>();
}

TEST_CASE("product of a matrix and a vector, both with strides")
{
    for (const Layout layout : layouts)
        for (const Index m : {0, 1, 5, 40, 1500})
            for (const Index k : {0, 1, 3, 29}) {
                const Matrix<float> a(m, k, layout);
                const Matrix<float> x(k, 3);
                const Matrix<float> y(m, 2, Layout::rows, 5.0F);
                const Matrix<float> before(m, 1, Layout::rows, 5.0F);
                fill_normal(a.view, 4);
                fill_normal(x.view, 5);
                linalg::product(y.view.col(1), 2, a, x.view.col(2), -1);
                INFO(m << " " << k << " layout " << int(layout));
                CHECK(error<float>(y.view.block(0, 1, m, 1), 2, a, x.view.block(0, 2, k, 1), -1,
                                   before) < 4);
                for (Index i = 0; i < m; ++i)
                    CHECK(y(i, 0) == 5.0F);
            }
}

TEST_CASE("product reads its factors only if alpha is not 0")
{
    const Matrix<double> a(20, 30, Layout::rows, not_a_number<double>);
    const Matrix<double> b(30, 10, Layout::strided, not_a_number<double>);
    const Matrix<double> c(20, 10, Layout::rows, 3.0);
    linalg::product(c.view, 0, a, b, 2);
    CHECK(c(19, 9) == 6.0);
    linalg::product(c.view.col(0), 0, a, b.view.col(0), 0.5);
    CHECK(c(7, 0) == 3.0);
    const Matrix<double> k(20, 20, Layout::rows, 3.0);
    linalg::gram(k.view, 0, a, 0);
    CHECK(k(3, 17) == 0.0);
    linalg::product(c.view, 1, a, b, 0);
    CHECK(std::isnan(c(0, 0)));
}

TEST_CASE("factors may repeat their rows")
{
    const Matrix<float> row(1, 40);
    fill_normal(row.view, 6);
    const MatrixView<const float> a{row.memory.data(), {30, 40}, {0, 1}};
    const Matrix<float> b(40, 20);
    fill_normal(b.view, 7);
    const Matrix<float> c(30, 20);
    linalg::product(c.view, 1, a, b, 0);
    CHECK(error<float>(c, 1, a, b, 0, c) < 4);
}

TEST_CASE("inner product in double, in every layout")
{
    for (const Layout one : layouts)
        for (const Layout other : layouts)
            for (const auto& [m, n] : {std::pair<Index, Index>{0, 5},
                                       {5, 0},
                                       {1, 1},
                                       {1, 40},
                                       {40, 1},
                                       {7, 19},
                                       {300, 200}}) {
                const Matrix<float> a(m, n, one);
                const Matrix<float> b(m, n, other);
                fill_normal(a.view, 8);
                fill_normal(b.view, 9);
                double sum = 0;
                double size = 0;
                for (Index i = 0; i < m; ++i)
                    for (Index j = 0; j < n; ++j) {
                        const double term =
                            static_cast<double>(a(i, j)) * static_cast<double>(b(i, j));
                        sum += term;
                        size += std::fabs(term);
                    }
                INFO(m << " " << n << " layouts " << int(one) << int(other));
                CHECK(std::fabs(linalg::inner(a.view, b.view) - sum) <= 1e-14 * size);
            }
    const Matrix<float> large(50, 3, Layout::columns, 1e30F);
    CHECK(linalg::squared_norm(large.view) == Approx(1.5e62)); // beyond float
}

TEST_CASE("products have the same bits for any number of threads")
{
    const Matrix<float> a(500, 330);
    const Matrix<float> b(330, 390, Layout::columns);
    fill_normal(a.view, 10);
    fill_normal(b.view, 11);
    std::vector<std::vector<float>> products;
    std::vector<std::vector<float>> grams;
    std::vector<std::vector<float>> vectors;
    std::vector<double> inners;
    with_each_number_of_threads([&] {
        const Matrix<float> c(500, 390);
        const Matrix<float> k(500, 500);
        const Matrix<float> y(500, 1);
        linalg::product(c.view, 1, a, b, 0);
        linalg::gram(k.view, 1, a, 0);
        linalg::product(y.view.col(0), 1, a, b.view.col(0), 0);
        products.push_back(c.memory);
        grams.push_back(k.memory);
        vectors.push_back(y.memory);
        inners.push_back(linalg::inner(a.view, a.view));
    });
    for (std::size_t i = 1; i < products.size(); ++i) {
        CHECK(same_bits(products[i], products[0]));
        CHECK(same_bits(grams[i], grams[0]));
        CHECK(same_bits(vectors[i], vectors[0]));
        CHECK(inners[i] == inners[0]);
    }
}

#ifdef _OPENMP
TEST_CASE("products inside a parallel region stay on their thread")
{
    const Matrix<double> a(300, 200);
    const Matrix<double> b(200, 300);
    fill_normal(a.view, 12);
    fill_normal(b.view, 13);
    const Matrix<double> alone(300, 300);
    linalg::product(alone.view, 1, a, b, 0);
    const Matrix<double> first(300, 300);
    const Matrix<double> second(300, 300);
#pragma omp parallel for num_threads(2)
    for (int i = 0; i < 2; ++i)
        linalg::product((i == 0 ? first : second).view, 1, a, b, 0);
    CHECK(same_bits(first.memory, alone.memory));
    CHECK(same_bits(second.memory, alone.memory));
}
#endif

TEST_CASE("products of tiles inside a loop of the caller's")
{
    // More than a tile has in each direction, and little.
    for (const Shape& s :
         {Shape{3, 5, 2}, {1, 1, 1}, {1, 9, 4}, {40, 1, 7}, {300, 270, 290}, {4, 3, 0}})
        for (const Layout c : {Layout::rows, Layout::columns})
            for (const Layout ab : {Layout::rows, Layout::columns}) {
                INFO(s.m << " " << s.n << " " << s.k << " layouts " << int(c) << int(ab));
                const Matrix<float> a(s.m, s.k, ab);
                const Matrix<float> b(s.k, s.n, ab);
                const Matrix<float> before(s.m, s.n);
                fill_normal(a.view, 1);
                fill_normal(b.view, 2);
                fill_normal(before.view, 3);
                std::deque<Matrix<float>> results; // as matrices do not move
                for (int tile = 0; tile < 5; ++tile)
                    results.emplace_back(s.m, s.n, c);
                for (const double beta : {0.0, 0.5}) {
                    for (const Matrix<float>& result : results)
                        for (Index i = 0; i < s.m; ++i)
                            for (Index j = 0; j < s.n; ++j)
                                result(i, j) = beta == 0 ? not_a_number<float> : before(i, j);
                    temper::Workspace::Frame frame;
                    const linalg::Products<float> products(frame, temper::worth_threads);
                    temper::parallel_for(5, temper::worth_threads, [&](Index tile) {
                        products(results[static_cast<std::size_t>(tile)].view, 2, a, b, beta);
                    });
                    for (const Matrix<float>& result : results)
                        CHECK(error<float>(result, 2, a, b, beta, before) < 6);
                }
            }
}

TEST_CASE("products allocate nothing on the second call")
{
    with_each_number_of_threads([] {
        for (const Layout layout : layouts) {
            const Matrix<float> a(310, 320, layout);
            const Matrix<float> b(320, 290, layout);
            const Matrix<float> c(310, 290, layout);
            const Matrix<float> k(310, 310, layout);
            const auto all = [&] {
                linalg::product(c.view, 1, a, b, 0);
                linalg::product(c.view.col(0), 1, a, b.view.col(0), 0);
                linalg::gram(k.view, 1, a, 0);
                return linalg::inner(a.view, a.view);
            };
            (void)all();
            const AllocationCounter counter;
            (void)all();
            CHECK(counter.count() == 0);
        }
    });
}
