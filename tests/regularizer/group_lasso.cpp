// SPDX-License-Identifier: BSL-1.0

#include <temper/core/random.hpp>
#include <temper/regularizer/group_lasso.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <array>
#include <string>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;
using RowMajorXf = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

namespace {

template <class M>
M random_matrix(Index rows, Index cols)
{
    Stream bits = stream(3, 0, "group lasso");
    M w(rows, cols);
    for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < cols; ++j)
            w(i, j) = static_cast<typename M::Scalar>(normal(bits));
    return w;
}

template <class F>
std::string message_of(const F& f)
{
    try {
        f();
    }
    catch (const Error& e) {
        return e.what();
    }
    return "no error";
}

} // namespace

TEST_CASE("a prox in place is the prox, and its zeros are exact")
{
    const GroupLasso lasso;
    for (const auto* order : {"columns", "rows"}) {
        const auto check = [&](auto w) {
            w.row(2) *= 0.01F;
            auto out = w;
            out.setConstant(9);
            lasso.prox(w, 0.5, into(out));
            CHECK((out.row(2).array() == 0).all());
            CHECK((out.row(3).array() != 0).all());
            lasso.prox(w, 0.5, into(w));
            CHECK((w.array() == out.array()).all());
        };
        if (order[0] == 'c')
            check(random_matrix<MatrixXf>(37, 53));
        else
            check(random_matrix<RowMajorXf>(37, 53));
    }
}

TEST_CASE("rows, columns, blocks and ids say the same in their own ways")
{
    const MatrixXd w = random_matrix<MatrixXd>(12, 9);
    std::vector<int> row_of;
    for (int i = 0; i < 12; ++i)
        row_of.insert(row_of.end(), 9, i);
    const auto both = [&](const GroupLasso& lasso, const auto&... rest) {
        MatrixXd g(12, 9);
        MatrixXd p(12, 9);
        const double value = lasso(w, into(g), rest...);
        lasso.prox(w, 0.8, into(p), rest...);
        MatrixXd all(12, 19);
        all << g, p, MatrixXd::Constant(12, 1, value);
        return all;
    };
    const MatrixXd rows = both({.groups = Rows{}});
    CHECK((rows - both({.groups = BlocksOf{1, 9}})).norm() < 1e-12);
    CHECK((rows - both({}, group_ids(row_of))).norm() < 1e-12);
    const MatrixXd columns = both({.groups = Columns{}});
    CHECK((columns - both({.groups = BlocksOf{1000, 1}})).norm() < 1e-12);
    const MatrixXd turned = w.transpose();
    CHECK(GroupLasso{}(turned) == Approx(columns(0, 18)));
    CHECK(rows(0, 18) != Approx(columns(0, 18)));
}

TEST_CASE("norms of groups neither overflow nor vanish")
{
    for (const float size : {1e-30F, 1e-38F, 1e30F, 2e37F}) {
        // Long enough that packs and rests both matter; one row of zeros, one of the usual size.
        MatrixXf w = MatrixXf::Constant(4, 21, size);
        w.row(1).setZero();
        w.row(2).setOnes();
        MatrixXf g(4, 21);
        const std::vector<float> weights(4, 1);
        const double norm = std::sqrt(21.0);
        const double value = GroupLasso{}(w, into(g), group_weights(weights));
        CHECK(value == Approx(norm * (1 + 2 * static_cast<double>(size))).epsilon(1e-5));
        CHECK(g(0, 0) == Approx(1 / norm).epsilon(1e-5));
        CHECK(g(1, 5) == 0);
        CHECK(g(2, 20) == Approx(1 / norm).epsilon(1e-5));
        GroupLasso{}.prox(w, static_cast<double>(size) * norm / 2, into(g), group_weights(weights));
        CHECK(g(3, 20) == Approx(size / 2).epsilon(1e-4));
    }
}

TEST_CASE("a projection ends on the ball and stays there, and the dual norm bounds products")
{
    const MatrixXf w = random_matrix<MatrixXf>(40, 30);
    const MatrixXf v = random_matrix<MatrixXf>(41, 30).bottomRows(40);
    for (const Groups& groups : {Groups{Rows{}}, Groups{Columns{}}, Groups{BlocksOf{7, 4}}}) {
        const GroupLasso lasso{.groups = groups};
        MatrixXf p = w;
        lasso.project(p, 100, into(p));
        CHECK(lasso(p) == Approx(100).epsilon(1e-5));
        MatrixXf again = p;
        lasso.project(again, 100.001, into(again));
        CHECK((again.array() == p.array()).all());
        lasso.project(p, 0, into(p));
        CHECK((p.array() == 0).all());
        CHECK((w.array() * v.array()).sum() <= lasso.dual_norm(w) * lasso(v));
        // The bound is reached by the gradient.
        MatrixXf g(40, 30);
        lasso(w, into(g));
        CHECK(lasso.dual_norm(g) == Approx(1).epsilon(1e-5));
    }
}

TEST_CASE("a number times group lasso scales all of it")
{
    const MatrixXd w = random_matrix<MatrixXd>(6, 5);
    const std::vector<double> d{1, 2, 0.5, 1, 0, 3};
    MatrixXd a(6, 5);
    MatrixXd b(6, 5);
    const GroupLasso lasso{.l1 = 0.1};
    CHECK((0.5 * lasso)(w, into(a), group_weights(d)) ==
          Approx(lasso(w, into(b), group_weights(d)) / 2));
    CHECK((a - b / 2).norm() < 1e-14);
    (0.5 * lasso).prox(w, 0.4, into(a), group_weights(d));
    lasso.prox(w, 0.2, into(b), group_weights(d));
    CHECK((a.array() == b.array()).all());
    CHECK((b.row(4).array() != 0).any()); // weight 0: only l1 sees it
}

TEST_CASE("mistakes about groups are said")
{
    const MatrixXd w = MatrixXd::Ones(2, 3);
    const std::vector<int> ids{0, 1, 2, 3, 0, 1};
    const std::vector<double> three(3, 1.0);
    CHECK(message_of([&] { GroupLasso{}(w, group_weights(three)); }) ==
          "GroupLasso: group_weights has shape [3], must be [2], a number for each group");
    CHECK(message_of([&] { GroupLasso{}(w, group_ids(ids), group_weights(three)); }) ==
          "GroupLasso: group_ids is 3 at 3, must be an integer from 0 to 2");
    CHECK(message_of([&] { GroupLasso{}(w, group_weights(std::vector<double>{1, -1})); }) ==
          "GroupLasso: group_weights is -1, must be non-negative");
    CHECK(message_of([&] { GroupLasso{.groups = BlocksOf{2, 0}}(w); }) ==
          "GroupLasso: groups.cols is 0, must be at least 1");
    CHECK(message_of([&] { GroupLasso{.l1 = 1}.dual_norm(w); }) ==
          "GroupLasso: l1 is 1, must be 0 for a dual norm");
    MatrixXd out = w;
    CHECK(message_of([&] { GroupLasso{}.prox(w, -1, into(out)); }) ==
          "GroupLasso: step is -1, must be non-negative");
    const std::array<double, 8> cube{};
    CHECK(message_of([&] { GroupLasso{}(view(cube.data(), {2, 2, 2})); }) ==
          "GroupLasso: w has shape [2, 2, 2], must be a matrix or a vector");
}
