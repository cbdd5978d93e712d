// SPDX-License-Identifier: BSL-1.0

// Components that are wrong on purpose: each mistake is found by the law that is there to find it, and
// the same component without the mistake obeys all laws.

#include "laws.hpp"

#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <cmath>
#include <memory>

using namespace test;
using temper::AnyView;
using temper::MatrixView;

namespace {

enum class Mistake {
    none,
    sign_of_one_entry,
    missing_mean,
    wrong_tail,
    swapped_gradients,
    overwrites_always,
    ignores_scale,
    writes_discarded,
    leaves_last_row,
    assumes_dense_input,
    assumes_dense_gradient,
    writes_padding,
    imprecise_float,
    depends_on_threads,
    allocates,
    accepts_other_shape,
    writes_then_throws,
    writes_then_finds_gradient_wrong,
    drops_nan,
    remembers,
    nan_at_zero,
    nan_where_empty,
    overflows,
};

/// sum_i |x_i - y_i|^2 / n, a mistake apart.
struct Squares {
    Mistake mistake = Mistake::none;

    template <class T>
    double operator()(MatrixView<const T> x, MatrixView<const T> y, const Into<T>& gx,
                      const Into<T>& gy) const
    {
        const auto is = [&](Mistake m) { return mistake == m; };
        const Index n = x.rows();
        const Index d = x.cols();
        if (is(Mistake::writes_then_throws) && gx.mode != Mode::discard && gx.view.size() > 0)
            gx.view.data[0] = 0;
        if (x.extents != y.extents) {
            if (!is(Mistake::accepts_other_shape))
                temper::fail<temper::ShapeError>("Squares", "y", "has shape " + shape_text(y),
                                                 shape_text(x) + " as x");
        }
        const Index rows = (std::min)(n, y.rows());
        const Index cols = (std::min)(d, y.cols());
        for (const Into<T>* g : {&gx, &gy}) {
            if (g->view.extent(0) != n || g->view.extent(1) != d)
                temper::fail<temper::ShapeError>("Squares", "a gradient",
                                                 "has shape " + shape_text(g->view),
                                                 shape_text(x) + " as x");
            if (is(Mistake::writes_then_finds_gradient_wrong) && gx.mode != Mode::discard &&
                gx.view.size() > 0)
                gx.view.data[0] = 1;
        }

        double factor = n == 0 ? 0 : 1 / static_cast<double>(n);
        if (is(Mistake::nan_where_empty))
            factor = 1 / static_cast<double>(n * d) * static_cast<double>(d);
        if (is(Mistake::allocates)) {
            static std::unique_ptr<double> one; // static, so that no compiler does without it
            one = std::make_unique<double>(1.0);
            factor *= *one;
        }
        if (is(Mistake::depends_on_threads)) {
#ifdef _OPENMP
            factor *= 1 + 1e-15 * omp_get_max_threads();
#endif
        }
        if (is(Mistake::remembers))
            factor *= 1 + 1e-15 * ++calls();
        if (is(Mistake::imprecise_float) && std::is_same_v<T, float>)
            factor *= 1.001;

        double sum = 0;
        for (Index i = 0; i < rows; ++i)
            for (Index j = 0; j < cols; ++j) {
                const T u = is(Mistake::assumes_dense_input) ? x.data[i * d + j] : x(i, j);
                T difference = u - y(i, j);
                if (is(Mistake::drops_nan) && std::isnan(difference))
                    difference = 0;
                const auto e = static_cast<double>(difference);
                double square = e * e;
                if (is(Mistake::nan_at_zero))
                    square = square * square / square;
                if (is(Mistake::overflows))
                    square = std::sqrt(square * square * square * square / (square * square));
                sum += square;

                double slope = 2 * e * factor;
                if (is(Mistake::missing_mean))
                    slope = 2 * e;
                if (is(Mistake::wrong_tail) && j >= d / 8 * 8 && d > 8)
                    slope *= 0.5;
                double other = -slope;
                if (is(Mistake::sign_of_one_entry) && i == 1 && j == 2)
                    other = slope;
                if (is(Mistake::swapped_gradients))
                    std::swap(slope, other);
                if (is(Mistake::leaves_last_row) && i == n - 1)
                    continue;
                write(gx, i, j, slope);
                write(gy, i, j, other);
            }
        if (is(Mistake::writes_padding) && gx.mode != Mode::discard && gx.view.size() > 0)
            (&gx.view.data[(n - 1) * gx.view.stride(0) + (d - 1) * gx.view.stride(1)])[1] = 0;
        return sum * factor;
    }

  private:
    static double& calls()
    {
        static double n = 0;
        return n;
    }
    template <class T>
    void write(const Into<T>& g, Index i, Index j, double slope) const
    {
        if (g.mode == Mode::discard && mistake != Mistake::writes_discarded)
            return;
        T& entry = mistake == Mistake::assumes_dense_gradient
                       ? g.view.data[i * g.view.extent(1) + j]
                       : temper::testing::entry(g.view, i * g.view.extent(1) + j);
        const auto scaled =
            static_cast<T>((mistake == Mistake::ignores_scale ? 1 : g.scale) * slope);
        entry =
            g.mode == Mode::add && mistake != Mistake::overwrites_always ? entry + scaled : scaled;
    }
};

Entry squares(Mistake mistake)
{
    return make_entry({"squares"}, batches({"x", "y"}), [mistake](auto& c) {
        c.value(Squares{mistake}(c.matrix("x"), c.matrix("y"), c.grad("x"), c.grad("y")));
    });
}

bool found(Law law, Mistake mistake) { return !check(law, squares(mistake)).empty(); }

bool fuzzed(Mistake mistake)
{
    for (std::uint64_t seed = 0; seed < 60; ++seed)
        if (!fuzz(squares(mistake), seed).empty())
            return true;
    return false;
}

} // namespace

TEST_CASE("a component without mistakes obeys all laws")
{
    const Entry right = squares(Mistake::none);
    for (const Law law : laws())
        CHECK(text(check(law, right)) == "");
    for (std::uint64_t seed = 0; seed < 60; ++seed)
        CHECK(text(fuzz(right, seed)) == "");
}

TEST_CASE("wrong gradients are found")
{
    CHECK(found(Law::gradient, Mistake::sign_of_one_entry));
    CHECK(found(Law::gradient, Mistake::missing_mean));
    CHECK(found(Law::gradient, Mistake::wrong_tail));
    CHECK(found(Law::gradient, Mistake::swapped_gradients));
}

TEST_CASE("wrong modes are found")
{
    CHECK(found(Law::modes, Mistake::overwrites_always));
    CHECK(found(Law::modes, Mistake::ignores_scale));
    CHECK(found(Law::modes, Mistake::writes_discarded));
    CHECK(found(Law::modes, Mistake::leaves_last_row));
}

TEST_CASE("wrong strides are found")
{
    CHECK(found(Law::layouts, Mistake::assumes_dense_input));
    CHECK(found(Law::layouts, Mistake::assumes_dense_gradient));
    CHECK(found(Law::layouts, Mistake::writes_padding));
}

TEST_CASE("bits that change are found")
{
    CHECK(found(Law::precision, Mistake::imprecise_float));
    CHECK(found(Law::purity, Mistake::remembers));
#ifdef _OPENMP
    CHECK(found(Law::threads, Mistake::depends_on_threads));
#endif
}

TEST_CASE("allocations are found")
{
    CHECK(found(Law::allocation, Mistake::allocates) == allocations_counted);
}

TEST_CASE("shapes that are not checked first are found")
{
    CHECK(found(Law::shapes, Mistake::accepts_other_shape));
    CHECK(found(Law::shapes, Mistake::writes_then_throws));
    CHECK(found(Law::shapes, Mistake::writes_then_finds_gradient_wrong));
}

TEST_CASE("NaN that disappears or appears is found")
{
    CHECK(found(Law::nan, Mistake::drops_nan));
    CHECK(!fuzzed(Mistake::none));
    CHECK(fuzzed(Mistake::nan_at_zero));
    CHECK(fuzzed(Mistake::nan_where_empty));
    CHECK(fuzzed(Mistake::overflows));
    CHECK(fuzzed(Mistake::overwrites_always));
    CHECK(fuzzed(Mistake::assumes_dense_gradient));
}

// ---- maps and proximal operators -----------------------------------------------------------------

namespace {

/// y = x^2, whose pullback is 2 x dy: `factor` should be 2.
Entry square_map(double factor)
{
    return make_entry(
        {"square_map"},
        [](const Sizes& s, Random& random) {
            return std::vector{Inputs()
                                   .tensor("x", random.normal({s.n, s.d}))
                                   .tensor("dy", random.normal({s.n, s.d}))};
        },
        [factor](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const auto apply = [](const AnyView<const T>& x, const Into<T>& to, const auto& f) {
                if (to.mode == Mode::discard)
                    return;
                for (Index i = 0; i < x.size(); ++i) {
                    T& entry = temper::testing::entry(to.view, i);
                    const auto scaled = static_cast<T>(to.scale) * f(i);
                    entry = to.mode == Mode::add ? entry + scaled : scaled;
                }
            };
            const auto x = c.tensor("x");
            const auto dy = c.tensor("dy");
            const auto at = [](const AnyView<const T>& v, Index i) {
                return temper::testing::entry(v, i);
            };
            apply(x, c.out("y", c.shape("x")), [&](Index i) { return at(x, i) * at(x, i); });
            apply(x, c.grad("x"),
                  [&](Index i) { return static_cast<T>(factor) * at(x, i) * at(dy, i); });
        });
}

/// |w|_1, its sign, and as its proximal point: w shrunk by `shrink` steps where it is longer than `cut`
/// steps, else 0. Right: 1 and 1. `cut` without shrinking is the proximal point of another function,
/// and not continuous.
Entry absolute(double shrink, double cut)
{
    return make_entry(
        {"absolute"},
        [](const Sizes& s, Random& random) {
            return std::vector{Inputs().param("step", 0.4).tensor("w", random.normal({s.n, s.d}))};
        },
        [=](auto& c) {
            using T = typename std::remove_cvref_t<decltype(c)>::Scalar;
            const AnyView<const T> w = c.tensor("w");
            const Into<T> g = c.grad("w");
            const Into<T> prox = c.out("prox", c.shape("w"));
            const double step = c.number("step");
            double sum = 0;
            for (Index i = 0; i < w.size(); ++i) {
                const auto v = static_cast<double>(temper::testing::entry(w, i));
                const auto put = [&](const Into<T>& to, double number) {
                    if (to.mode == Mode::discard)
                        return;
                    T& entry = temper::testing::entry(to.view, i);
                    const auto scaled = static_cast<T>(to.scale * number);
                    entry = to.mode == Mode::add ? entry + scaled : scaled;
                };
                sum += std::fabs(v);
                put(g, v > 0 ? 1 : v < 0 ? -1 : 0);
                put(prox, std::fabs(v) > cut * step ? v - std::copysign(shrink * step, v) : 0);
            }
            c.value(sum);
        });
}

} // namespace

TEST_CASE("a wrong pullback is found")
{
    CHECK(text(check(Law::gradient, square_map(2))) == "");
    CHECK(!check(Law::gradient, square_map(1)).empty());
    CHECK(text(check(Law::modes, square_map(2))) == "");
}

TEST_CASE("a wrong proximal operator is found")
{
    for (const Law law : {Law::gradient, Law::prox, Law::firm})
        CHECK(text(check(law, absolute(1, 1))) == "");
    CHECK(!check(Law::prox, absolute(0.5, 0.5)).empty());
    CHECK(!check(Law::prox, absolute(2, 2)).empty());
    CHECK(!check(Law::prox, absolute(0, 1)).empty());
    CHECK(text(check(Law::firm, absolute(0.5, 0.5))) == "");
    CHECK(!check(Law::firm, absolute(0, 1)).empty());
}

TEST_CASE("entries that ask for what is not there are found")
{
    const auto lacks_input = make_entry({"lacks_input"}, batches({"x"}), [](auto& c) {
        c.value(c.matrix("z")(Index{0}, Index{0}));
    });
    CHECK(text(check(Law::purity, lacks_input)).find("needs the input z") != std::string::npos);
    const auto lacks_param =
        make_entry({"lacks_param"}, batches({"x"}), [](auto& c) { c.value(c.number("eps")); });
    CHECK(text(check(Law::purity, lacks_param)).find("needs the parameter eps") !=
          std::string::npos);
    const auto throws =
        make_entry({"throws"}, batches({"x"}), [](auto&) { temper::fail("It", "x", "is 1", "2"); });
    CHECK(text(check(Law::modes, throws)).find("It: x is 1, must be 2") != std::string::npos);
}
