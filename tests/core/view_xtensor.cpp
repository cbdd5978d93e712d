// SPDX-License-Identifier: BSL-1.0
// xtensor's containers, adaptors and strided views as inputs and destinations, where it is installed.
#include "support/catch.hpp"

#if __has_include(<xtensor/xtensor.hpp>) || __has_include(<xtensor/containers/xtensor.hpp>)
#include "support/xtensor.hpp"

#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

using namespace temper;

TEST_CASE("xtensor owners", "[core]")
{
    xt::xarray<double> dynamic = xt::arange<double>(24).reshape({2, 3, 4});
    xt::xtensor<float, 2> matrix = xt::arange<float>(12).reshape({3, 4});
    xt::xtensor<float, 2, xt::layout_type::column_major> columns = matrix;
    xt::xtensor_fixed<double, xt::xshape<2, 3>> fixed{{0, 1, 2}, {3, 4, 5}};
    std::vector<double> memory(12, 1.0);
    auto adaptor = xt::adapt(memory, std::vector<std::size_t>{3, 4});
    auto part = xt::view(matrix, xt::all(), xt::range(1, 3));
    auto strided = xt::strided_view(dynamic, {1, xt::all(), xt::range(0, 4, 2)});

    CHECK(view(dynamic).rank == 3);
    CHECK(view(dynamic).data == dynamic.data());
    CHECK(view(matrix)(Index{2}, Index{3}) == matrix(2, 3));
    CHECK(&view(columns)(Index{2}, Index{1}) == &columns(2, 1));
    CHECK(view(fixed)(Index{1}, Index{2}) == 5);
    CHECK(view(adaptor).data == memory.data());
    CHECK(&view(part)(Index{1}, Index{0}) == &matrix(1, 1));
    CHECK(view(strided).data == &dynamic(1, 0, 0));
    CHECK(view(strided).extents[1] == 2);
    CHECK(view(strided).strides[1] == 2);
    STATIC_REQUIRE(static_rank<decltype(matrix)>() == 2);
    STATIC_REQUIRE(static_rank<decltype(dynamic)>() == any_rank);
    STATIC_REQUIRE(LazyExpression<decltype(matrix + matrix)>);
    STATIC_REQUIRE(!ViewLike<decltype(matrix + matrix)>);
}

TEST_CASE("xtensor containers go through a component", "[core]")
{
    xt::xarray<double> x = xt::arange<double>(12).reshape({3, 4});
    xt::xtensor<double, 2, xt::layout_type::column_major> y = xt::ones<double>({3, 4});
    xt::xtensor<double, 2> g = xt::zeros<double>({3, 4});
    xt::xarray<double> wide = xt::zeros<double>({3, 8});
    auto every_other = xt::strided_view(wide, {xt::all(), xt::range(0, 8, 2)});
    const MeanSquaredError mse{};
    const double value = mse(x, y, into(g));
    CHECK(value == Approx(xt::mean((x - y) * (x - y))()));
    CHECK(mse(x, y, into(every_other)) == value);
    CHECK(xt::sum(xt::abs(every_other - g))() == 0);
    CHECK(xt::sum(wide)() == Approx(xt::sum(g)()));
    CHECK_THROWS_AS(mse(x, xt::xarray<double>(xt::zeros<double>({3, 4, 1}))), ShapeError);

    xt::xtensor<double, 1> one = xt::ones<double>({1}); // its stride is 0 in xtensor's own terms
    CHECK(L1{}(one) == 1);
}

#endif
