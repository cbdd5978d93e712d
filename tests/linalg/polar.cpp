// SPDX-License-Identifier: BSL-1.0
#include "linalg/matrices.hpp"
#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <temper/linalg/polar.hpp>

namespace {

using namespace linalg_test;
namespace linalg = temper::linalg;

/// u diag(s) v' with the singular vectors of a random matrix.
template <class T, class F>
void with_singular_values(MatrixView<T> w, const F& value)
{
    const Index r = (std::min)(w.rows(), w.cols());
    const Matrix<T> random(w.rows(), w.cols());
    const Matrix<T> u(w.rows(), r);
    const Matrix<T> v(w.cols(), r);
    const Matrix<T> s(r, 1);
    fill_normal(random.view, 31);
    linalg::svd(random, u, s.view.col(0), v);
    for (Index k = 0; k < r; ++k)
        for (Index i = 0; i < w.rows(); ++i)
            u(i, k) *= static_cast<T>(value(k));
    linalg::product(w, 1, u, v.view.transposed(), 0);
}

/// |q - u v'| over the singular vectors of values above `tolerance` times the largest.
template <class T>
double distance_from_definition(MatrixView<const T> w, MatrixView<T> q, double tolerance)
{
    const Index r = (std::min)(w.rows(), w.cols());
    const Matrix<double> wide(w.rows(), w.cols());
    const Matrix<double> u(w.rows(), r);
    const Matrix<double> v(w.cols(), r);
    const Matrix<double> s(r, 1);
    const Matrix<double> uv(w.rows(), w.cols());
    for (Index i = 0; i < w.rows(); ++i)
        for (Index j = 0; j < w.cols(); ++j)
            wide(i, j) = static_cast<double>(w(i, j));
    linalg::svd(wide, u, s.view.col(0), v);
    Index rank = 0;
    while (rank < r && s(rank, 0) > tolerance * s(0, 0))
        ++rank;
    multiply(uv.view, u.view.block(0, 0, w.rows(), rank),
             v.view.block(0, 0, w.cols(), rank).transposed());
    return distance(q, uv.view);
}

// The second half is large enough for Newton-Schulz iterations.
constexpr std::pair<Index, Index> shapes[] = {{1, 1},  {1, 6},   {6, 1},    {9, 9},
                                              {20, 7}, {64, 64}, {60, 150}, {150, 60}};

} // namespace

TEST_CASE("polar factor and nuclear norm of matrices of full rank")
{
    for (const auto& [m, n] : shapes)
        for (const double smallest : {0.5, 1e-2, 1e-3}) {
            const Index r = (std::min)(m, n);
            const auto value = [&](Index k) {
                return 3 * std::pow(smallest, static_cast<double>(k) / static_cast<double>(r));
            };
            double sum = 0;
            for (Index k = 0; k < r; ++k)
                sum += value(k);
            INFO(m << " x " << n << " smallest " << smallest);

            const Matrix<double> w(m, n, Layout::strided);
            const Matrix<double> q(m, n, Layout::reversed);
            with_singular_values(w.view, value);
            const linalg::Polar p = linalg::polar(w, q.view);
            CHECK(p.rank == r);
            CHECK(p.nuclear_norm == Approx(sum).epsilon(1e-12));
            CHECK(distance_from_orthonormal(m < n ? q.view.transposed() : q.view) < 1e-13);
            CHECK(distance_from_definition<double>(w, q, 1e-12) < 1e-10);

            const Matrix<float> wf(m, n);
            const Matrix<float> qf(m, n, Layout::columns);
            with_singular_values(wf.view, value);
            const linalg::Polar pf = linalg::polar(wf, qf.view);
            CHECK(pf.rank == r);
            CHECK(pf.nuclear_norm == Approx(sum).epsilon(1e-5));
            CHECK(distance_from_orthonormal(m < n ? qf.view.transposed() : qf.view) < 2e-5);
            CHECK(distance_from_definition<float>(wf, qf, 1e-6) < 1e-3);
        }
}

TEST_CASE("polar factor of matrices of low rank has that rank")
{
    for (const auto& [m, n] : shapes) {
        const Index r = (std::min)(m, n);
        const Index rank = (r + 2) / 3;
        const Matrix<double> w(m, n);
        const Matrix<double> q(m, n);
        with_singular_values(w.view, [&](Index k) { return k < rank ? 2.0 : 0.0; });
        const linalg::Polar p = linalg::polar(w, q.view);
        INFO(m << " x " << n);
        CHECK(p.rank == rank);
        CHECK(p.nuclear_norm == Approx(2 * static_cast<double>(rank)).epsilon(1e-12));
        CHECK(linalg::squared_norm(q.view) == Approx(static_cast<double>(rank)).epsilon(1e-12));
        CHECK(distance_from_definition<double>(w, q, 1e-12) < 1e-12);
    }
}

TEST_CASE("the rank tolerance decides what is left out")
{
    for (const Index n : {Index{12}, Index{70}}) {
        const Matrix<double> w(n, n);
        const Matrix<double> q(n, n);
        with_singular_values(w.view, [&](Index k) { return k < n - 1 ? 1.0 : 1e-3; });
        CHECK(linalg::polar(w, q.view).rank == n);
        CHECK(linalg::polar(w, q.view, 1e-4).rank == n);
        CHECK(linalg::polar(w, q.view, 1e-2).rank == n - 1);
        CHECK(linalg::squared_norm(q.view) == Approx(static_cast<double>(n - 1)));
    }
}

TEST_CASE("polar factor of zero, of tiny and huge entries, of NaN")
{
    for (const Index n : {Index{5}, Index{80}}) {
        const Matrix<float> q(n, n + 1);
        const Matrix<float> zero(n, n + 1);
        const linalg::Polar none = linalg::polar(zero, q.view);
        CHECK(none.rank == 0);
        CHECK(none.nuclear_norm == 0);
        CHECK(linalg::squared_norm(q.view) == 0);

        for (const float scale : {1e-30F, 1e30F}) {
            const Matrix<float> w(n, n + 1);
            fill_normal(w.view, 32);
            for (float& number : const_cast<std::vector<float>&>(w.memory))
                number *= scale;
            CHECK(linalg::polar(w, q.view).rank == n);
            CHECK(distance_from_orthonormal(q.view.transposed()) < 2e-5);
        }

        const Matrix<float> bad(n, n + 1, Layout::rows, 1.0F);
        bad(n - 1, n - 1) = std::numeric_limits<float>::quiet_NaN();
        CHECK(std::isnan(linalg::polar(bad, q.view).nuclear_norm));
        CHECK(std::isnan(q(0, 0)));
    }
}

TEST_CASE("polar has the same bits for any number of threads and allocates once")
{
    for (const Index n : {Index{30}, Index{160}}) {
        const Matrix<float> w(n, n);
        const Matrix<float> expected(n, n);
        const Matrix<float> q(n, n);
        fill_normal(w.view, 33);
        const double norm = linalg::polar(w, expected.view).nuclear_norm;
        with_each_number_of_threads([&] {
            CHECK(linalg::polar(w, q.view).nuclear_norm == norm);
            CHECK(same_bits(q.memory, expected.memory));
            const AllocationCounter counter;
            (void)linalg::polar(w, q.view);
            CHECK(counter.count() == 0);
        });
    }
}
