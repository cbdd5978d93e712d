// SPDX-License-Identifier: BSL-1.0
#include <temper/core/random.hpp>
#include <temper/simd/softmax.hpp>
#include <temper/testing.hpp>

#include "support/catch.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

using namespace temper;
using testing::Layout;
using testing::Window;

namespace {

template <class T>
constexpr T nan_of = std::numeric_limits<T>::quiet_NaN();

template <class T>
Window<T> matrix(Index n, Index d, Layout layout)
{
    const std::array<Index, 2> extents{n, d};
    return Window<T>(extents, layout, nan_of<T>);
}

/// Row sums, row maxima and an element-wise result of every kind of layout, against plain loops.
template <class T>
std::string check(Index n, Index d, Layout in, Layout out, Mode mode)
{
    const auto x_window = matrix<T>(n, d, in);
    const auto y_window = matrix<T>(n, d, out);
    const auto x = x_window.view().template as<2>();
    const auto y = y_window.view().template as<2>();
    auto rng = stream(static_cast<std::uint64_t>(n * 1000 + d), 0, "tiles");
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j) {
            x(i, j) = static_cast<T>(normal(rng));
            y(i, j) = 1;
        }
    std::vector<double> weights(static_cast<std::size_t>(d));
    std::vector<T> of_columns(static_cast<std::size_t>(d));
    for (std::size_t j = 0; j < weights.size(); ++j)
        of_columns[j] = static_cast<T>(weights[j] = static_cast<double>(j % 5));

    const MatrixView<const T> xs = x;
    const VectorView<const T> c{of_columns.data(), {d}, {1}};
    const Destination<T, 2> to{y, 3, mode};
    std::vector<double> sums(static_cast<std::size_t>(n), -1);
    std::vector<T> largest(static_cast<std::size_t>(n), -1);
    for (const Index scratch : {0, 1}) {
        if (mode == Mode::add)
            for (Index i = 0; i < n; ++i)
                for (Index j = 0; j < d; ++j)
                    y(i, j) = 1;
        const double total =
            simd::sum_tiles<T>(simd::operands(xs, to), scratch, [&](const auto& tile) {
                const auto m = tile.max([=](auto at) { return at(xs); });
                const auto s = tile.sum([=](auto at) { return at(c) * at(xs); });
                const auto plain = tile.sum([=](auto at) { return at(xs); });
                const auto both = tile.template sums<2>(
                    [=](auto at) { return std::array{at(xs), at(c) * at(xs)}; });
                const auto shift = both[1].narrow();
                if (scratch == 1) {
                    const auto own = tile.scratch(0);
                    tile.each([=](auto at) { at.put(own, at(xs) + at(shift)); });
                    tile.each([=](auto at) { at.put(to, at(own)); });
                }
                else
                    tile.each([=](auto at) { at.put(to, at(xs) + at(shift)); });
                double sum = 0;
                const auto top = tile.top([=](auto at) { return at(xs); });
                const auto seen = tile.glance([=](auto at) { return at(xs); });
                for (Index i = 0; i < tile.rows(); ++i) {
                    const auto row = static_cast<std::size_t>(tile.row(i));
                    // Compilers may contract one formula and not the other.
                    const double size = 1e-5 * std::sqrt(static_cast<double>(d)) * 10;
                    const bool agree = std::fabs(both[1][i] - s[i]) <= size &&
                                       std::fabs(both[0][i] - plain[i]) <= size;
                    sums[row] = agree ? s[i] : nan_of<T>;
                    largest[row] = m[i] == top[i] && seen[i] <= m[i] ? m[i] : nan_of<T>;
                    sum += s[i];
                }
                return sum;
            });

        const double tolerance = std::is_same_v<T, float> ? 1e-5 : 1e-13;
        const double scale = 10.0 * std::sqrt(static_cast<double>(d) + 1);
        double want_total = 0;
        for (Index i = 0; i < n; ++i) {
            const auto at = static_cast<std::size_t>(i);
            double want = 0;
            T most = -std::numeric_limits<T>::infinity();
            for (Index j = 0; j < d; ++j) {
                want += weights[static_cast<std::size_t>(j)] * static_cast<double>(x(i, j));
                most = (std::max)(most, x(i, j));
            }
            want_total += want;
            if (!(std::fabs(sums[at] - want) <= tolerance * scale))
                return "sum of row " + std::to_string(i);
            if (largest[at] != most)
                return "maximum of row " + std::to_string(i);
            for (Index j = 0; j < d; ++j) {
                const double put =
                    3 * (static_cast<double>(x(i, j)) + want) + (mode == Mode::add ? 1 : 0);
                if (!(std::fabs(static_cast<double>(y(i, j)) - put) <= 3 * tolerance * scale))
                    return "entry " + std::to_string(i) + ", " + std::to_string(j);
            }
        }
        if (!(std::fabs(total - want_total) <= tolerance * scale * static_cast<double>(n + 1)))
            return "total";
        if (y_window.spilled())
            return "written outside";
    }
    return {};
}

/// Softmax and log-sum-exp of rows against long double.
template <class T>
std::string check_softmax(Index n, Index k, Layout layout, double size)
{
    const auto z_window = matrix<T>(n, k, layout);
    const auto p_window = matrix<T>(n, k, layout);
    const auto z = z_window.view().template as<2>();
    const auto p = p_window.view().template as<2>();
    auto rng = stream(static_cast<std::uint64_t>(n * 1000 + k), 1, "tiles");
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < k; ++j)
            z(i, j) = static_cast<T>(size * normal(rng));
    std::vector<T> l(static_cast<std::size_t>(n));
    simd::softmax_rows<T>(z, {p, 1, Mode::overwrite});
    simd::log_sum_exp_rows<T>(z, {view(l), 1, Mode::overwrite});

    const long double epsilon = std::numeric_limits<T>::epsilon();
    for (Index i = 0; i < n; ++i) {
        long double most = z(i, Index{0});
        for (Index j = 0; j < k; ++j)
            most = (std::max)(most, static_cast<long double>(z(i, j)));
        long double sum = 0;
        for (Index j = 0; j < k; ++j)
            sum += std::exp(static_cast<long double>(z(i, j)) - most);
        const long double lse = most + std::log(sum);
        if (!(std::fabs(static_cast<long double>(l[static_cast<std::size_t>(i)]) - lse) <=
              8 * epsilon * (1 + std::fabs(lse))))
            return "log-sum-exp of row " + std::to_string(i);
        for (Index j = 0; j < k; ++j) {
            const long double below = most - static_cast<long double>(z(i, j));
            const long double want = std::exp(-below) / sum;
            // The difference of logits is rounded before it is raised; what is too small is 0.
            if (!(std::fabs(static_cast<long double>(p(i, j)) - want) <=
                  epsilon * (16 + below) * want + 2 * std::numeric_limits<T>::min()))
                return "entry " + std::to_string(i) + ", " + std::to_string(j);
        }
    }
    return {};
}

} // namespace

TEST_CASE("tiles of every layout")
{
    constexpr std::array layouts{Layout::rows, Layout::columns, Layout::strided};
    for (const Index n : {0, 1, 2, 7, 33, 70})
        for (const Index d : {0, 1, 3, 8, 17, 50, 200, 1030})
            for (const Layout in : layouts)
                for (const Layout out : layouts)
                    for (const Mode mode : {Mode::overwrite, Mode::add}) {
                        INFO(n << " x " << d << ", layouts " << static_cast<int>(in) << " and "
                               << static_cast<int>(out));
                        CHECK(check<float>(n, d, in, out, mode) == "");
                        CHECK(check<double>(n, d, in, out, mode) == "");
                    }
}

TEST_CASE("the rows' maximum is NaN where one entry is")
{
    for (const Layout layout : {Layout::rows, Layout::columns})
        for (const Index d : {3, 40, 300}) {
            const auto window = matrix<float>(5, d, layout);
            const auto x = window.view().as<2>();
            for (Index i = 0; i < 5; ++i)
                for (Index j = 0; j < d; ++j)
                    x(i, j) = static_cast<float>(j);
            x(Index{2}, d / 2) = nan_of<float>;
            const MatrixView<const float> xs = x;
            std::vector<float> most(5);
            (void)simd::sum_tiles<float>(simd::operands(xs), 1, [&](const auto& tile) {
                const auto m = tile.max([=](auto at) { return at(xs); });
                for (Index i = 0; i < tile.rows(); ++i)
                    most[static_cast<std::size_t>(tile.row(i))] = m[i];
                return 0.0;
            });
            for (std::size_t i = 0; i < 5; ++i)
                CHECK(std::isnan(most[i]) == (i == 2));
        }
}

TEST_CASE("softmax and log-sum-exp of rows")
{
    for (const Index n : {1, 5, 40})
        for (const Index k : {1, 2, 10, 33, 190, 400, 2100})
            for (const Layout layout : {Layout::rows, Layout::columns, Layout::strided})
                for (const double size : {1.0, 100.0, 1e4}) {
                    INFO(n << " x " << k << ", logits of size " << size);
                    CHECK(check_softmax<float>(n, k, layout, size) == "");
                    CHECK(check_softmax<double>(n, k, layout, size) == "");
                }
}

TEST_CASE("rows that a glance does not do justice to")
{
    // The largest logit is where nobody looks, and so large that the first sums are of no use.
    for (const Index k : {300, 1000, 5000})
        for (const double height : {15.0, 25.0, 200.0, 1e4})
            for (const Index place : {Index{11}, k / 2 + 9, k - 1}) {
                std::vector<float> z(static_cast<std::size_t>(2 * k));
                for (std::size_t i = 0; i < z.size(); ++i)
                    z[i] = static_cast<float>(std::sin(static_cast<double>(i)));
                z[static_cast<std::size_t>(k + place)] = static_cast<float>(height);
                std::vector<float> p(z.size());
                std::vector<float> l(2);
                simd::softmax_rows<float>(view(z.data(), {2, k}),
                                          {view(p.data(), {2, k}), 1, Mode::overwrite});
                simd::log_sum_exp_rows<float>(view(z.data(), {2, k}),
                                              {view(l), 1, Mode::overwrite});
                double sum = 0;
                for (Index j = 0; j < k; ++j)
                    sum +=
                        std::exp(static_cast<double>(z[static_cast<std::size_t>(k + j)]) - height);
                CHECK(l[1] == Approx(height + std::log(sum)).epsilon(1e-6));
                CHECK(p[static_cast<std::size_t>(k + place)] == Approx(1 / sum).epsilon(1e-6));
                CHECK(std::accumulate(p.begin(), p.begin() + k, 0.0) == Approx(1));
                CHECK(std::accumulate(p.begin() + k, p.end(), 0.0) == Approx(1));
            }
}

TEST_CASE("softmax of logits that are not finite")
{
    constexpr double infinity = std::numeric_limits<double>::infinity();
    const std::vector<double> z{-infinity, 0, 0, -infinity, -infinity, -infinity, 0, infinity, 0};
    std::vector<double> p(9);
    std::vector<double> l(3);
    simd::softmax_rows<double>(view(z.data(), {3, 3}),
                               {view(p.data(), {3, 3}), 1, Mode::overwrite});
    simd::log_sum_exp_rows<double>(view(z.data(), {3, 3}), {view(l), 1, Mode::overwrite});
    CHECK(p[0] == 0);
    CHECK(p[1] == 0.5);
    CHECK(l[0] == Approx(std::log(2.0)));
    CHECK(std::isnan(p[3]));
    CHECK(std::isnan(p[8]));
}
