// SPDX-License-Identifier: BSL-1.0
// What the border promises of every component, on two of them.
#include "support/allocations.hpp"
#include "support/catch.hpp"

#include <temper/core/compose.hpp>
#include <temper/loss/mean_squared_error.hpp>
#include <temper/regularizer/l1.hpp>

#include <Eigen/Core>

#include <limits>
#include <string>
#include <vector>

using namespace temper;

namespace {

template <class F>
std::string message_of(const F& f)
{
    try {
        f();
    }
    catch (const Error& error) {
        return error.what();
    }
    return "no error";
}

const MeanSquaredError mse{};
const double inf = std::numeric_limits<double>::infinity();

} // namespace

TEST_CASE("messages name component, argument, what it was and what it must be", "[core]")
{
    const Eigen::MatrixXf x = Eigen::MatrixXf::Random(3, 2);
    Eigen::MatrixXf g = x;
    Eigen::VectorXf w(2);
    CHECK(message_of([&] { (void)mse(x, g.topRows(2)); }) ==
          "MeanSquaredError: y has shape [2, 2], must be [3, 2] as x");
    CHECK(message_of([&] { (void)mse(x, g.transpose()); }) ==
          "MeanSquaredError: y has shape [2, 3], must be [3, 2] as x; samples in columns? say "
          "in_columns(...)");
    CHECK(message_of([&] { (void)mse(x, x, into(g.transpose())); }) ==
          "MeanSquaredError: the destination for x has shape [2, 3], must be [3, 2]; samples in "
          "columns? say in_columns(...)");
    CHECK(message_of([&] { (void)mse(x, x, sample_weights(w)); }) ==
          "MeanSquaredError: sample_weights has shape [2], must be [3] as x has rows");
    CHECK(message_of([&] { L1{}.prox(x, -1.0, into(g)); }) ==
          "L1: step is -1, must be non-negative");
    CHECK(message_of([&] {
              (void)mse(x, AnyView<float>(view(g.data(), {3, 1, 2})));
          }).find("rank 3") != std::string::npos);
}

TEST_CASE("nothing is written before an error", "[core]")
{
    const Eigen::MatrixXf x = Eigen::MatrixXf::Random(3, 2);
    const Eigen::MatrixXf before = Eigen::MatrixXf::Random(3, 2);
    Eigen::MatrixXf g = before;
    Eigen::MatrixXf wrong(2, 2);
    CHECK_THROWS_AS(mse(x, x, into(g), into(wrong)), ShapeError);
    CHECK(g == before);
    CHECK_THROWS_AS(mse(x, x, into(g), per_sample(into(wrong))), ShapeError);
    CHECK(g == before);
}

TEST_CASE("destinations: modes, scales, siamese, other floating types", "[core]")
{
    const Eigen::MatrixXf x = Eigen::MatrixXf::Random(4, 3);
    const Eigen::MatrixXf y = Eigen::MatrixXf::Random(4, 3);
    Eigen::MatrixXf g(4, 3);
    const double value = mse(x, y, into(g));
    Eigen::MatrixXf sum = Eigen::MatrixXf::Ones(4, 3);
    CHECK(mse(x, y, add_to(sum, 3)) == value);
    CHECK((sum - (3 * g + Eigen::MatrixXf::Ones(4, 3))).norm() < 1e-6F);
    CHECK((0.5 * mse)(x, y, into(sum)) == 0.5 * value);
    CHECK((sum - 0.5F * g).norm() < 1e-7F);

    Eigen::MatrixXf shared(4, 3); // dL/dy = -dL/dx: the two cancel
    mse(x, y, into(shared), add_to(shared));
    CHECK(shared.norm() == 0);
    mse(x, y, discard, into(shared));
    CHECK((shared + g).norm() == 0);

    Eigen::MatrixXd wide(4, 3);
    mse(x, y, into(wide));
    CHECK((wide.cast<float>() - g).norm() == 0);
    Eigen::MatrixXd wide_sum = Eigen::MatrixXd::Ones(4, 3);
    mse(x, y, add_to(wide_sum, 2));
    CHECK((wide_sum.cast<float>() - (2 * g + Eigen::MatrixXf::Ones(4, 3))).norm() < 1e-6F);
}

TEST_CASE("destinations of another floating type, whatever they look like", "[core]")
{
    // Of |w| the gradient is the sign of w, so that each entry can be told.
    const auto check = [](const Index(&extents)[3], const Index(&strides)[3]) {
        const Index size = extents[0] * extents[1] * extents[2];
        std::vector<float> w(static_cast<std::size_t>(size));
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = i % 3 == 0 ? 1.0F : i % 3 == 1 ? -1.0F : 0.0F;
        const auto in = view(w.data(), extents);
        std::vector<double> memory(400, 7);
        const auto g = view(memory.data() + 200, extents, strides);
        L1{}(in, into(g));
        L1{}(in, add_to(g, 2));
        double rest = 0;
        for (const double number : memory)
            rest += number;
        for (Index i = 0; i < extents[0]; ++i)
            for (Index j = 0; j < extents[1]; ++j)
                for (Index k = 0; k < extents[2]; ++k) {
                    CHECK(g(i, j, k) == 3 * static_cast<double>(in(i, j, k)));
                    rest -= g(i, j, k);
                }
        CHECK(rest == 7.0 * static_cast<double>(400 - size)); // and nothing else was written
    };
    check({2, 3, 4}, {12, 4, 1});
    check({2, 3, 4}, {1, 2, 6});
    check({2, 3, 4}, {4, 8, 1});
    check({2, 3, 4}, {-30, 2, -7});
    check({5, 1, 1}, {1, 1, 1});
    check({1, 5, 1}, {1, 3, 0});
    check({2, 0, 4}, {1, 1, 1});
}

TEST_CASE("weights may be of the other floating type", "[core]")
{
    const Eigen::MatrixXd x = Eigen::MatrixXd::Random(4, 3);
    const Eigen::MatrixXd y = Eigen::MatrixXd::Random(4, 3);
    const Eigen::VectorXf w(Eigen::Vector4f(1, 0.5F, 2, 0));
    const Eigen::VectorXd wide = w.cast<double>();
    const Eigen::MatrixXf xf = x.cast<float>();
    const Eigen::MatrixXf yf = y.cast<float>();
    CHECK(mse(x, y, sample_weights(w)) == mse(x, y, sample_weights(wide)));
    CHECK(mse(xf, yf, sample_weights(wide)) == mse(xf, yf, sample_weights(w)));
    CHECK(message_of([&] { mse(x, y, sample_weights(Eigen::VectorXf(3))); }) ==
          "MeanSquaredError: sample_weights has shape [3], must be [4] as x has rows");
}

TEST_CASE("half-precision inputs are read through float", "[core]")
{
    const Eigen::MatrixXf x = Eigen::MatrixXf::Random(4, 3);
    const Eigen::Matrix<Eigen::half, -1, -1> half = x.cast<Eigen::half>();
    const Eigen::Matrix<Eigen::bfloat16, -1, -1> brain = x.cast<Eigen::bfloat16>();
    Eigen::MatrixXf g(4, 3), h(4, 3);
    Eigen::Matrix<Eigen::half, -1, -1> narrow(4, 3);
    CHECK(mse(half, brain, into(g)) ==
          mse(half.cast<float>().eval(), brain.cast<float>().eval(), into(h)));
    CHECK(g == h);
    mse(half, brain, into(narrow));
    CHECK((narrow.cast<float>() - h).norm() < 1e-3F);
}

TEST_CASE("overlaps are refused, exact in-place use allowed where a header says so", "[core]")
{
    Eigen::MatrixXf x = Eigen::MatrixXf::Random(4, 3);
    const Eigen::MatrixXf y = Eigen::MatrixXf::Random(4, 3);
    CHECK_THROWS_AS(mse(x, y, into(x)), OverlapError);
    Eigen::MatrixXf both(7, 3);
    CHECK_THROWS_AS(mse(x, y, into(both.topRows(4)), into(both.bottomRows(4))), OverlapError);
    CHECK_THROWS_AS(mse(x, y, into(both.topRows(4)), into(both.topRows(4))), OverlapError);
    Eigen::MatrixXf stacked(8, 3);
    CHECK_NOTHROW(mse(x, y, into(stacked.topRows(4)), into(stacked.bottomRows(4))));
    CHECK_THROWS_AS(mse(x, y, into(view(stacked.data(), {4, 3}, {0, 1}))), OverlapError);

    Eigen::MatrixXf out(4, 3);
    L1{}.prox(x, 0.1, into(out));
    L1{}.prox(x, 0.1, into(x));
    CHECK(x == out);
    CHECK_THROWS_AS(L1{}.prox(both.topRows(4), 0.1, into(both.bottomRows(4))), OverlapError);
}

TEST_CASE("samples in columns", "[core]")
{
    const Eigen::MatrixXd x = Eigen::MatrixXd::Random(4, 3);
    const Eigen::MatrixXd y = Eigen::MatrixXd::Random(4, 3);
    Eigen::VectorXd w = Eigen::VectorXd::Random(4).cwiseAbs();
    Eigen::MatrixXd g(4, 3), gt(3, 4), h(4, 3), ht(3, 4);
    Eigen::VectorXd v(4), vt(4);
    const double value =
        mse(x, y, sample_weights(w), into(g), per_sample(into(v)), curvature(into(h)));
    CHECK(in_columns(mse)(x.transpose(), y.transpose(), sample_weights(w), into(gt),
                          per_sample(into(vt)), curvature(into(ht))) == value);
    CHECK(gt.transpose() == g);
    CHECK(ht.transpose() == h);
    CHECK(vt == v);
    CHECK(in_columns(2.0 * mse)(x.transpose(), y.transpose(), sample_weights(w)) == 2 * value);
}

TEST_CASE("a vector is a batch of one feature", "[core]")
{
    const Eigen::VectorXd x = Eigen::VectorXd::Random(5);
    const Eigen::VectorXd y = Eigen::VectorXd::Random(5);
    Eigen::VectorXd g(5);
    const std::vector<double> z(y.begin(), y.end());
    const double value = mse(x, y, into(g));
    CHECK(value == Approx((x - y).squaredNorm() / 5));
    CHECK(mse(x, z) == value);
}

TEST_CASE("composition", "[core]")
{
    const Eigen::MatrixXd x = Eigen::MatrixXd::Random(4, 3);
    const Eigen::MatrixXd y = Eigen::MatrixXd::Random(4, 3);
    const auto ramp = [](Index t) { return 0.1 * static_cast<double>(t); };
    CHECK((ramp * L1{}).at(3)(x) == Approx(0.3 * x.lpNorm<1>()));
    CHECK(3.0 * (2.0 * mse) == 3.0 * (2.0 * mse));

    const auto scaled = 2.0 * L1{};
    Eigen::MatrixXd a(4, 3), b(4, 3);
    scaled.prox(x, 0.1, into(a));
    L1{}.prox(x, 0.2, into(b));
    CHECK(a == b);
    scaled.project(x, 1.0, into(a));
    CHECK(scaled(a) == Approx(1.0));
    CHECK(scaled.dual_norm(x) == Approx(x.cwiseAbs().maxCoeff() / 2));
    CHECK_THROWS_AS((-1.0 * L1{}).prox(x, 0.1, into(a)), RangeError);

    Report report;
    const double value = report.add("fit", mse(x, y));
    report.add("sparsity", L1{}(x));
    CHECK(report["fit"] == value);
    CHECK(report.total() == value + L1{}(x));
    CHECK_THROWS_AS(report["fat"], RangeError);
    CHECK(report.begin()->first == "fit");

    // A training loop: the names come back, in any order, and nothing is allocated for them.
    report.clear();
    CHECK(report.begin() == report.end());
    CHECK_THROWS_AS(report["fit"], RangeError);
    report.add("a name too long for the string itself", 1);
    report.clear();
    const AllocationCounter counter;
    report.add("a name too long for the string itself", 2);
    report.add("a name too long for the string itself", 3);
    CHECK(counter.count() == 0);
    CHECK(report.size() == 1);
    CHECK(report.total() == 5);
}

TEST_CASE("finite_checked finds what was not finite", "[core]")
{
    Eigen::MatrixXd x = Eigen::MatrixXd::Random(4, 3);
    const Eigen::MatrixXd y = Eigen::MatrixXd::Random(4, 3);
    CHECK(finite_checked(mse)(x, y) == mse(x, y));
    x(2, 1) = inf;
    CHECK_THROWS_AS(finite_checked(mse)(x, y), NonFiniteError);
    x(2, 1) = std::nan("");
    CHECK_THROWS_AS(finite_checked(mse)(x, y), NonFiniteError);
    CHECK(std::isnan(mse(x, y)));
}

TEST_CASE("mean over nothing is 0 with a zero gradient", "[core]")
{
    const Eigen::MatrixXd x = Eigen::MatrixXd::Random(4, 3);
    const Eigen::MatrixXd y = Eigen::MatrixXd::Random(4, 3);
    const Eigen::VectorXd none = Eigen::VectorXd::Zero(4);
    Eigen::MatrixXd g(4, 3);
    CHECK(mse(x, y, sample_weights(none), into(g)) == 0);
    CHECK(g.norm() == 0);
    Eigen::MatrixXd empty(0, 3);
    CHECK(mse(empty, empty) == 0);
}
