// SPDX-License-Identifier: BSL-1.0
// Views of the owners that a C++ trainer may hold, each checked entry by entry against its owner.
#include "support/catch.hpp"

#include <temper/core/view.hpp>

#include <Eigen/Core>

#include <list>
#include <span>
#include <string>
#include <vector>

namespace {

using temper::Index;

template <class V, class O>
bool looks_at(const V& v, const O& owner)
{
    if (v.extents[0] != owner.rows() || v.extents[1] != owner.cols())
        return false;
    for (Index i = 0; i < owner.rows(); ++i)
        for (Index j = 0; j < owner.cols(); ++j)
            if (&v(i, j) != &owner.coeffRef(i, j))
                return false;
    return true;
}

/// An owner of another library, made known by specialising temper::Owner.
struct Image {
    float* pixels;
    int width, height;
};

} // namespace

template <>
struct temper::Owner<Image> {
    static constexpr int rank = 2;
    static auto view(const Image& image)
    {
        return temper::view(image.pixels, {image.height, image.width});
    }
};

TEST_CASE("Eigen owners", "[core]")
{
    using RowMajor = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    Eigen::MatrixXf m = Eigen::MatrixXf::Random(5, 7);
    RowMajor r = RowMajor::Random(5, 7);
    Eigen::ArrayXXf a = Eigen::ArrayXXf::Random(3, 4);
    Eigen::Map<Eigen::MatrixXf, 0, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>> strided(
        m.data(), 2, 3, Eigen::Stride<Eigen::Dynamic, Eigen::Dynamic>(10, 2));
    Eigen::Ref<Eigen::MatrixXf> ref(m);
    auto block = m.block(1, 2, 3, 4);
    auto transposed = r.transpose();
    auto nested = block.transpose();
    CHECK(looks_at(temper::view(m), m));
    CHECK(looks_at(temper::view(r), r));
    CHECK(looks_at(temper::view(a), a));
    CHECK(looks_at(temper::view(strided), strided));
    CHECK(looks_at(temper::view(ref), ref));
    CHECK(looks_at(temper::view(block), block));
    CHECK(looks_at(temper::view(transposed), transposed));
    CHECK(looks_at(temper::view(nested), nested));
    CHECK(looks_at(temper::view(m).transposed(), m.transpose()));
    CHECK(looks_at(temper::view(m).block(1, 2, 3, 4), block));

    Eigen::VectorXd v = Eigen::VectorXd::Random(4);
    auto row = r.row(2);
    auto column = r.col(3);
    STATIC_REQUIRE(temper::static_rank<Eigen::VectorXd>() == 1);
    STATIC_REQUIRE(temper::static_rank<Eigen::MatrixXf>() == 2);
    CHECK(&temper::view(v)(Index{3}) == &v(3));
    CHECK(&temper::view(row)(Index{4}) == &r(2, 4));
    CHECK(&temper::view(column)(Index{4}) == &r(4, 3));

    const Eigen::MatrixXf& constant = m;
    STATIC_REQUIRE(
        std::is_same_v<temper::ViewOf<decltype(constant)>, temper::View<const float, 2>>);
    STATIC_REQUIRE(std::is_same_v<temper::ViewOf<Eigen::MatrixXf>, temper::View<float, 2>>);
}

namespace {
struct IteratedMatrix {
    float* begin();
    float* end();
    std::size_t size() const;
};
struct CountedMatrix {
    float* data() const;
    std::size_t size() const;
};
} // namespace

TEST_CASE("lazy expressions are no owners", "[core]")
{
    using M = Eigen::MatrixXf;
    STATIC_REQUIRE(temper::LazyExpression<decltype(M() + M())>);
    STATIC_REQUIRE(temper::LazyExpression<decltype(M() * M())>);
    STATIC_REQUIRE(temper::LazyExpression<decltype((M() + M()).transpose())>);
    STATIC_REQUIRE(!temper::ViewLike<decltype(M() + M())>);
    STATIC_REQUIRE(!temper::LazyExpression<M>);
    STATIC_REQUIRE(!temper::ViewLike<int>);
    STATIC_REQUIRE(!temper::ViewLike<std::string>);
    STATIC_REQUIRE(!temper::ViewLike<std::vector<std::string>>);
    STATIC_REQUIRE(!temper::ViewLike<std::vector<bool>>);
    STATIC_REQUIRE(!temper::ViewLike<std::list<float>>);
    // A matrix of another library whose numbers happen to be iterated, or counted, in order is no vector.
    STATIC_REQUIRE(!temper::ViewLike<IteratedMatrix>);
    STATIC_REQUIRE(!temper::ViewLike<CountedMatrix>);
}

TEST_CASE("spans, vectors, arrays, pointers, other owners", "[core]")
{
    std::vector<float> numbers(12);
    const std::vector<float>& constant = numbers;
    std::span<float> span(numbers);
    float rows[3][4] = {};
    float row[5] = {};
    Image image{numbers.data(), 4, 3};
    CHECK(&temper::view(numbers)(Index{11}) == &numbers[11]);
    CHECK(&temper::view(constant)(Index{11}) == &numbers[11]);
    CHECK(&temper::view(span)(Index{5}) == &numbers[5]);
    CHECK(&temper::view(rows)(Index{2}, Index{3}) == &rows[2][3]);
    CHECK(&temper::view(row)(Index{4}) == &row[4]);
    CHECK(&temper::view(numbers.data(), {3, 4})(Index{2}, Index{1}) == &numbers[9]);
    CHECK(&temper::view(numbers.data(), {3, 2, 2})(Index{2}, Index{1}, Index{0}) == &numbers[10]);
    CHECK(&temper::view(numbers.data(), {3, 2}, {4, 2})(Index{2}, Index{1}) == &numbers[10]);
    CHECK(&temper::view(image)(Index{2}, Index{3}) == &numbers[11]);
    STATIC_REQUIRE(std::is_same_v<temper::ViewOf<const std::vector<float>>, //
                                  temper::View<const float, 1>>);
    CHECK(temper::view(numbers.data(), {0, 4}).size() == 0);
    CHECK(temper::AnyView<float>(temper::view(numbers.data(), {3, 2, 2})).size() == 12);
    CHECK(temper::shape_text(temper::view(numbers.data(), {3, 2, 2})) == "[3, 2, 2]");
}

TEST_CASE("a list of tensors copies no numbers", "[core]")
{
    Eigen::MatrixXf w = Eigen::MatrixXf::Random(2, 3);
    Eigen::VectorXf b = Eigen::VectorXf::Random(3);
    const auto list = temper::tensors(w, b);
    CHECK(list[0].data == w.data());
    CHECK(list[1].data == b.data());
    CHECK(list[0].rank == 2);
    CHECK(list[1].rank == 1);
}
