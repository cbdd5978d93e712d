// SPDX-License-Identifier: BSL-1.0
// xtensor's containers, adaptors and strided views, row- and column-major, of rank 1 to 4: each kind as
// input and as destination, against xtensor's own arithmetic.
#include "support/xtensor.hpp"
#include "support/catch.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/core/random.hpp>
#include <temper/loss/mean_squared_error.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/conv_orthogonality.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/regularizer/l1.hpp>
#include <temper/representation/barlow_twins.hpp>

#include <algorithm>
#include <span>
#include <string>
#include <vector>

using namespace temper;

namespace {

template <int R>
using Shape = std::array<std::size_t, static_cast<std::size_t>(R)>;
template <class T, int R, xt::layout_type L = xt::layout_type::row_major>
using Tensor = xt::xtensor<T, static_cast<std::size_t>(R), L>;

constexpr xt::layout_type by_rows = xt::layout_type::row_major;
constexpr xt::layout_type by_columns = xt::layout_type::column_major;

template <int R>
Shape<R> shape_of_test()
{
    constexpr std::array<std::size_t, 4> extents{5, 3, 4, 2};
    Shape<R> shape;
    std::copy_n(extents.begin(), R, shape.begin());
    return shape;
}

/// Numbers of both signs, none of them zero.
template <class T, int R>
Tensor<T, R> numbers(const Shape<R>& shape, std::uint64_t seed)
{
    Tensor<T, R> x(shape);
    Stream rng = stream(seed, 0, "numbers");
    for (T& number : x)
        number = static_cast<T>(normal(rng));
    return x;
}

/// One kind of owner, of zeros: what temper makes of it as input and as destination, and the memory it is
/// a part of. Checks address by address that the view is the owner's; all else needs no owner's type.
template <class T>
struct Kind {
    std::string name;
    AnyView<const T> input;
    Into<T> overwritten;
    Into<T> half_added;
    std::span<const T> memory;

    template <class O, class M>
    Kind(const char* what, xt::layout_type layout, O& owner, const M& all)
        : name(std::string(what) + (layout == by_rows ? ", by rows" : ", by columns")),
          input(view(std::as_const(owner))), overwritten(into(owner)),
          half_added(add_to(owner, 0.5)), memory(all.data(), all.size())
    {
        INFO(name);
        REQUIRE(input.rank == static_cast<int>(owner.dimension()));
        REQUIRE(input.size() == static_cast<Index>(owner.size()));
        REQUIRE(overwritten.view.data == input.data);
        std::size_t wrong = 0;
        std::vector<std::size_t> at(owner.dimension());
        for (std::size_t flat = 0; flat < owner.size(); ++flat) {
            std::size_t rest = flat;
            Index offset = 0;
            for (std::size_t i = 0; i < at.size(); ++i) {
                at[i] = rest % owner.shape()[i];
                rest /= owner.shape()[i];
                offset += static_cast<Index>(at[i]) * input.strides[i];
            }
            wrong += &owner.element(at.begin(), at.end()) == input.data + offset ? 0 : 1;
        }
        CHECK(wrong == 0);
    }
};

/// Calls f with every kind of owner.
template <class T, int R, xt::layout_type L, class F>
void each_kind(const F& f)
{
    const Shape<R> shape = shape_of_test<R>();
    const std::vector<std::size_t> dynamic(shape.begin(), shape.end());
    Shape<R> wide = shape, reversed = shape;
    for (std::size_t& extent : wide)
        extent = 2 * extent + 1;
    std::reverse(reversed.begin(), reversed.end());
    Shape<R + 1> larger{3};
    std::copy(shape.begin(), shape.end(), larger.begin() + 1);
    const auto even = [&](std::size_t i) {
        return xt::range(1, static_cast<std::ptrdiff_t>(2 * shape[i]), 2);
    };

    Tensor<T, R, L> tensor(shape, T(0)), flipped(shape, T(0)), turned(reversed, T(0));
    f(Kind<T>("xtensor", L, tensor, tensor));
    auto backwards = xt::flip(flipped, 0);
    f(Kind<T>("flipped", L, backwards, flipped));
    auto transposed = xt::transpose(turned);
    f(Kind<T>("transposed", L, transposed, turned));

    xt::xarray<T, L> array(dynamic, T(0));
    f(Kind<T>("xarray", L, array, array));
    Tensor<T, R, xt::layout_type::dynamic> either(shape, L);
    either.fill(T(0));
    f(Kind<T>("xtensor of dynamic layout", L, either, either));

    std::vector<T> memory(tensor.size()), more(tensor.size());
    auto adapted = xt::adapt<L>(memory, shape);
    f(Kind<T>("adapted vector", L, adapted, memory));
    auto borrowed = xt::adapt<L>(more.data(), more.size(), xt::no_ownership(), dynamic);
    f(Kind<T>("adapted pointer", L, borrowed, more));

    Tensor<T, R, L> around(wide, T(0)), about(wide, T(0));
    Tensor<T, R + 1, L> stack(larger, T(0));
    [&]<std::size_t... I>(std::index_sequence<I...>) {
        auto part = xt::view(around, even(I)...);
        f(Kind<T>("view", L, part, around));
    }(std::make_index_sequence<static_cast<std::size_t>(R)>{});
    xt::xstrided_slice_vector slices;
    for (std::size_t i = 0; i < shape.size(); ++i)
        slices.emplace_back(even(i));
    auto strided = xt::strided_view(about, slices);
    f(Kind<T>("strided view", L, strided, about));
    auto layer = xt::strided_view(stack, {1, xt::ellipsis()});
    f(Kind<T>("one of a stack", L, layer, stack));
}

template <class T>
double sum_of_magnitudes(std::span<const T> numbers)
{
    double sum = 0;
    for (const T number : numbers)
        sum += std::abs(static_cast<double>(number));
    return sum;
}

/// The numbers of a view, row by row.
template <class T>
std::vector<T> in_order(const AnyView<const T>& v)
{
    std::vector<T> out;
    const auto e = v.extents;
    for (Index i = 0; i < e[0]; ++i)
        for (Index j = 0; j < e[1]; ++j)
            for (Index k = 0; k < e[2]; ++k)
                for (Index l = 0; l < e[3]; ++l)
                    out.push_back(v.data[i * v.stride(0) + j * v.stride(1) + k * v.stride(2) +
                                         l * v.stride(3)]);
    return out;
}

/// The value, gradient and prox of L1, which takes any shape, from and into every kind of owner.
template <class T, int R>
void every_kind_of_rank()
{
    const Tensor<T, R> x = numbers<T, R>(shape_of_test<R>(), 1);
    std::vector<T> values(x.begin(), x.end()), signs, shrunk;
    for (const T number : values) {
        signs.push_back(number > 0 ? T(1) : T(-1));
        shrunk.push_back(signs.back() * std::max(std::abs(number) - T(0.25), T(0)));
    }
    const double value = sum_of_magnitudes<T>(values);
    const auto size = static_cast<double>(x.size());

    int kinds = 0;
    const auto check = [&](const Kind<T>& kind) {
        INFO(kind.name);
        ++kinds;
        // As a destination: overwritten, added to, and nothing around it touched.
        CHECK(L1{}(x, kind.overwritten) == Approx(value));
        CHECK(in_order(kind.input) == signs);
        CHECK(L1{}(x, kind.half_added) == Approx(value));
        CHECK(in_order(kind.input)[0] == T(1.5) * signs[0]);
        CHECK(sum_of_magnitudes(kind.memory) == Approx(1.5 * size));
        // As an input, and as both.
        L1{}.prox(x, 0, kind.overwritten);
        Tensor<T, R> g(x.shape());
        CHECK(L1{}(kind.input, into(g)) == Approx(value));
        CHECK(std::vector<T>(g.begin(), g.end()) == signs);
        L1{}.prox(kind.input, 0.25, kind.overwritten);
        CHECK(in_order(kind.input) == shrunk);
        CHECK(sum_of_magnitudes(kind.memory) == Approx(sum_of_magnitudes<T>(shrunk)));
    };
    each_kind<T, R, by_rows>(check);
    each_kind<T, R, by_columns>(check);
    CHECK(kinds == 20);
}

} // namespace

TEST_CASE("xtensor: every kind of owner, rank 1", "[adapt]") { every_kind_of_rank<float, 1>(); }
TEST_CASE("xtensor: every kind of owner, rank 2", "[adapt]") { every_kind_of_rank<double, 2>(); }
TEST_CASE("xtensor: every kind of owner, rank 3", "[adapt]") { every_kind_of_rank<float, 3>(); }
TEST_CASE("xtensor: every kind of owner, rank 4", "[adapt]") { every_kind_of_rank<double, 4>(); }

TEST_CASE("xtensor: views look at the owner's numbers", "[adapt]")
{
    xt::xarray<double> dynamic = xt::arange<double>(24).reshape({2, 3, 4});
    xt::xtensor<float, 2> matrix = xt::arange<float>(12).reshape({3, 4});
    xt::xtensor<float, 2, by_columns> columns = matrix;
    xt::xtensor_fixed<double, xt::xshape<2, 3>> fixed{{0, 1, 2}, {3, 4, 5}};
    auto part = xt::view(matrix, xt::all(), xt::range(1, 3));
    auto row = xt::row(matrix, 1);
    auto framed = xt::view(matrix, xt::newaxis(), 1, xt::all());
    auto strided = xt::strided_view(dynamic, {1, xt::all(), xt::range(0, 4, 2)});
    CHECK(view(dynamic).rank == 3);
    CHECK(view(dynamic).data == dynamic.data());
    CHECK(&view(matrix)(Index{2}, Index{3}) == &matrix(2, 3));
    CHECK(&view(columns)(Index{2}, Index{1}) == &columns(2, 1));
    CHECK(&view(fixed)(Index{1}, Index{2}) == &fixed(1, 2));
    CHECK(&view(part)(Index{1}, Index{0}) == &matrix(1, 1));
    CHECK(&view(row)(Index{3}) == &matrix(1, 3));
    CHECK(&view(framed)(Index{0}, Index{3}) == &matrix(1, 3));
    CHECK(view(strided).data == &dynamic(1, 0, 0));
    CHECK(view(strided).extents[1] == 2);
    CHECK(view(strided).strides[1] == 2);
    STATIC_REQUIRE(static_rank<decltype(matrix)>() == 2);
    STATIC_REQUIRE(static_rank<decltype(part)>() == 2);
    STATIC_REQUIRE(static_rank<decltype(row)>() == 1);
    STATIC_REQUIRE(static_rank<decltype(dynamic)>() == any_rank);
    STATIC_REQUIRE(std::is_same_v<ViewOf<const decltype(matrix)>, View<const float, 2>>);

    // What has no strides is refused: sums, broadcasts, chosen rows, diagonals.
    STATIC_REQUIRE(LazyExpression<decltype(matrix + matrix)>);
    STATIC_REQUIRE(LazyExpression<decltype(xt::broadcast(matrix, {2, 3, 4}))>);
    STATIC_REQUIRE(LazyExpression<decltype(xt::view(matrix, xt::keep(0, 2), xt::all()))>);
    STATIC_REQUIRE(LazyExpression<decltype(xt::view(matrix + matrix, 1, xt::all()))>);
    STATIC_REQUIRE(LazyExpression<decltype(xt::diagonal(matrix))>);
}

TEST_CASE("xtensor: a loss of mixed owners", "[adapt]")
{
    const auto x = numbers<double, 2>({5, 3}, 2);
    const xt::xarray<double, by_columns> y = numbers<double, 2>({5, 3}, 3);
    const xt::xtensor<double, 1> w{1, 0.5, 2, 0, 0.25};
    xt::xtensor<double, 1> each(std::array<std::size_t, 1>{5});
    xt::xarray<double> wide = xt::zeros<double>({5, 6});
    auto gx = xt::strided_view(wide, {xt::all(), xt::range(0, 6, 2)});
    auto gy = xt::view(wide, xt::all(), xt::range(1, 6, 2));
    const double value =
        MeanSquaredError{}(x, y, sample_weights(w), into(gx), into(gy), per_sample(into(each)));
    double expected = 0;
    for (std::size_t i = 0; i < 5; ++i) {
        double squares = 0;
        for (std::size_t j = 0; j < 3; ++j) {
            const double r = x(i, j) - y(i, j);
            squares += r * r;
            CHECK(gx(i, j) == Approx(2 * w(i) * r / (3 * 3.75)));
            CHECK(gy(i, j) == Approx(-gx(i, j)));
        }
        CHECK(each(i) == Approx(squares / 3));
        expected += w(i) * squares / (3 * 3.75);
    }
    CHECK(value == Approx(expected));
}

TEST_CASE("xtensor: labels, products and groups of strided matrices", "[adapt]")
{
    const auto z = numbers<double, 2>({6, 4}, 5);
    const xt::xtensor<int, 1> y{0, 3, 2, 1, 1, 3};
    const Tensor<double, 2> e = xt::exp(z);
    const Tensor<double, 2> p = e / xt::view(xt::eval(xt::sum(e, {1})), xt::all(), xt::newaxis());
    xt::xarray<double> wide = xt::zeros<double>({6, 8});
    auto gz = xt::strided_view(wide, {xt::all(), xt::range(0, 8, 2)});
    double value = 0;
    for (std::size_t i = 0; i < 6; ++i)
        value -= std::log(p(i, static_cast<std::size_t>(y(i)))) / 6;
    CHECK(SoftmaxCrossEntropy{}(z, labels(y), into(gz)) == Approx(value));
    for (std::size_t i = 0; i < 6; ++i)
        for (std::size_t j = 0; j < 4; ++j)
            CHECK(gz(i, j) == Approx((p(i, j) - (static_cast<int>(j) == y(i) ? 1 : 0)) / 6));

    // Flipped samples are other strides of the same batch.
    auto za = numbers<double, 2>({7, 5}, 6), zb = numbers<double, 2>({7, 5}, 7);
    Tensor<double, 2> ga(za.shape());
    Tensor<double, 2, by_columns> ga_flipped(za.shape());
    auto za_flipped = xt::flip(za, 0), zb_flipped = xt::flip(zb, 0);
    auto ga_back = xt::flip(ga_flipped, 0);
    const BarlowTwins barlow{.lambda = 0.2};
    CHECK(barlow(za, zb, into(ga)) == Approx(barlow(za_flipped, zb_flipped, into(ga_flipped))));
    CHECK(xt::allclose(ga, ga_back));

    Tensor<double, 2> w = numbers<double, 2>({3, 4}, 8), out(w.shape());
    auto turned = xt::transpose(w);
    auto out_turned = xt::transpose(out);
    GroupLasso{.groups = Columns{}}.prox(turned, 0.1, into(out_turned));
    for (std::size_t i = 0; i < 3; ++i) {
        const auto row = xt::row(w, static_cast<std::ptrdiff_t>(i));
        const double share = std::max(0.0, 1 - 0.2 / std::sqrt(xt::sum(row * row)()));
        CHECK(xt::allclose(xt::row(out, static_cast<std::ptrdiff_t>(i)), share * row));
    }
}

TEST_CASE("xtensor: batches of images and kernels of rank 4", "[adapt]")
{
    const auto x = numbers<float, 4>({5, 3, 4, 2}, 9);
    Stream rng = stream(1, 0, "mixup");
    const Mixup<> mixup{.alpha = 1, .per_sample = true};
    const MixPlan plan = mixup.draw(rng, 5);
    Tensor<float, 4> expected(x.shape());
    for (std::size_t i = 0; i < 5; ++i) {
        const auto at = static_cast<std::ptrdiff_t>(i);
        const auto lambda = static_cast<float>(plan.lambda[i]);
        xt::view(expected, at) =
            lambda * xt::view(x, at) + (1 - lambda) * xt::view(x, plan.partner[i]);
    }
    xt::xarray<float, by_columns> mixed(std::vector<std::size_t>{5, 3, 4, 2});
    const auto backwards = xt::flip(x, 3);
    auto mixed_backwards = xt::flip(mixed, 3);
    mixup.apply(plan, backwards, into(mixed_backwards));
    CHECK(xt::allclose(mixed, expected));

    const auto kernel = numbers<double, 4>({4, 2, 3, 3}, 10);
    const xt::xarray<double, by_columns> stored_by_columns = kernel;
    Tensor<double, 4> g(kernel.shape());
    xt::xarray<double, by_columns> g_by_columns = xt::zeros<double>({4, 2, 3, 3});
    CHECK(ConvOrthogonality{}(kernel, into(g)) ==
          Approx(ConvOrthogonality{}(stored_by_columns, into(g_by_columns))));
    CHECK(xt::allclose(g, g_by_columns));
}

TEST_CASE("xtensor: errors, single entries and empty batches", "[adapt]")
{
    const auto x = numbers<double, 2>({3, 4}, 11);
    const MeanSquaredError mse{};
    CHECK_THROWS_AS(mse(x, xt::xarray<double>(xt::zeros<double>({3, 4, 1}))), ShapeError);
    CHECK_THROWS_AS(mse(x, xt::xarray<double>(xt::zeros<double>({4, 3}))), ShapeError);
    Tensor<double, 2> shared = x;
    auto left = xt::view(shared, xt::all(), xt::range(0, 2));
    auto right = xt::view(shared, xt::all(), xt::range(2, 4));
    auto middle = xt::view(shared, xt::all(), xt::range(1, 3));
    CHECK_THROWS_AS(mse(left, right, into(middle)), OverlapError);
    CHECK(xt::all(xt::equal(shared, x)));

    const xt::xtensor<double, 1> one{2}; // its stride is 0 in xtensor's own terms
    CHECK(L1{}(one) == 2);
    const Tensor<double, 2> single = xt::ones<double>({1, 4});
    Tensor<double, 2> g(single.shape());
    CHECK(mse(single, xt::xarray<double>(2 * single), into(g)) == 1);
    CHECK(xt::all(xt::equal(g, -0.5 * single)));
    for (const Shape<2> empty : {Shape<2>{0, 4}, Shape<2>{3, 0}}) {
        Tensor<double, 2> a(empty);
        Tensor<double, 2, by_columns> b(empty), gradient(empty);
        CHECK(mse(a, b, into(gradient)) == 0);
    }
}
