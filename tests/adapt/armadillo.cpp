// SPDX-License-Identifier: BSL-1.0
// Armadillo's matrices, parts and cubes as inputs and destinations, against Armadillo's own arithmetic;
// regularizers in a FISTA that asks of them what ensmallen's does (ensmallen is no Debian package).
#include "support/catch.hpp"

#include <temper/adapt/armadillo.hpp>
#include <temper/augment/mixup.hpp>
#include <temper/core/random.hpp>
#include <temper/loss/mean_squared_error.hpp>
#include <temper/loss/robust_loss.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>
#include <temper/regularizer/elastic_net.hpp>
#include <temper/regularizer/group_lasso.hpp>
#include <temper/regularizer/l1.hpp>
#include <temper/regularizer/nuclear_norm.hpp>
#include <temper/representation/barlow_twins.hpp>

#include <string>

using namespace temper;

namespace {

arma::mat numbers(arma::uword rows, arma::uword cols, int seed)
{
    arma::arma_rng::set_seed(static_cast<arma::arma_rng::seed_type>(seed));
    return arma::randn<arma::mat>(rows, cols);
}

double largest_difference(const arma::mat& a, const arma::mat& b) { return arma::abs(a - b).max(); }

/// Does the view look at exactly the entries of a matrix, a part, or a cube?
template <class O>
bool looks_at(O&& owner)
{
    const auto v = view(owner);
    for (Index i = 0; i < v.extents[0]; ++i)
        for (Index j = 0; j < v.extents[1]; ++j) {
            const auto r = static_cast<arma::uword>(i), c = static_cast<arma::uword>(j);
            if constexpr (v.rank == 2) {
                if (&v(i, j) != &owner.at(r, c))
                    return false;
            }
            else
                for (Index k = 0; k < v.extents[2]; ++k)
                    if (&v(i, j, k) != &owner.at(r, c, static_cast<arma::uword>(k)))
                        return false;
        }
    return true;
}

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

/// 0.5 |y - w' X|^2, samples in columns, as ensmallen wants a differentiable function.
template <class M>
struct LeastSquares {
    M x, y;

    double Evaluate(const M& w) const { return 0.5 * arma::accu(arma::square(w.t() * x - y)); }
    void Gradient(const M& w, M& g) const { g = x * (w.t() * x - y).t(); }
    double EvaluateWithGradient(const M& w, M& g) const
    {
        Gradient(w, g);
        return Evaluate(w);
    }
};

/// FISTA with backtracking (Beck and Teboulle 2009), asking of the backward step what ensmallen's asks.
template <class Function, class Backward, class M>
double fista(const Function& f, const Backward& backward, M& w, int steps)
{
    using T = typename M::elem_type;
    M y = w, g, next;
    double step = 1, t = 1;
    for (int i = 0; i < steps; ++i) {
        const double value = f.EvaluateWithGradient(y, g);
        while (true) {
            next = y - T(step) * g;
            backward.ProximalStep(next, step);
            const M move = next - y;
            const double bound = value + arma::dot(move, g) + arma::dot(move, move) / (2 * step);
            if (f.Evaluate(next) <= bound * (1 + 1e-6))
                break;
            step /= 2;
        }
        const double faster = (1 + std::sqrt(1 + 4 * t * t)) / 2;
        y = next + T((t - 1) / faster) * (next - w);
        w = next;
        t = faster;
    }
    return f.Evaluate(w) + backward.Evaluate(w);
}

LeastSquares<arma::mat> regression()
{
    arma::mat w(12, 1, arma::fill::zeros);
    w(2) = 3, w(7) = -2, w(8) = 1;
    const arma::mat x = numbers(12, 60, 5);
    return {x, w.t() * x + 0.1 * numbers(1, 60, 6)};
}

} // namespace

TEST_CASE("Armadillo owners", "[adapt]")
{
    arma::mat x = numbers(5, 7, 1);
    const arma::mat& constant = x;
    arma::fmat::fixed<3, 4> fixed;
    arma::vec column = x.col(2);
    arma::rowvec row = x.row(1);
    arma::cube cube(4, 3, 5, arma::fill::randn);
    const arma::cube& constant_cube = cube;
    CHECK(looks_at(x));
    CHECK(looks_at(constant));
    CHECK(looks_at(fixed));
    CHECK(looks_at(column));
    CHECK(looks_at(row));
    CHECK(looks_at(x.cols(2, 4)));
    CHECK(looks_at(x.rows(1, 3)));
    CHECK(looks_at(x.submat(1, 2, 3, 5)));
    CHECK(looks_at(x.col(3)));
    CHECK(looks_at(x.row(4)));
    CHECK(looks_at(x(arma::span(1, 2), arma::span::all)));
    CHECK(looks_at(cube));
    CHECK(looks_at(cube.slice(2)));
    CHECK(looks_at(cube.slices(1, 3)));
    CHECK(looks_at(cube.subcube(1, 0, 2, 2, 1, 4)));
    CHECK(looks_at(cube.tube(1, 2)));
    CHECK(view(column).extents == std::array<Index, 2>{5, 1});
    CHECK(view(row).extents == std::array<Index, 2>{1, 7});
    CHECK(view(x.row(4)).strides[1] == 5);

    STATIC_REQUIRE(std::is_same_v<ViewOf<arma::fmat>, View<float, 2>>);
    STATIC_REQUIRE(std::is_same_v<ViewOf<const arma::mat>, View<const double, 2>>);
    STATIC_REQUIRE(std::is_same_v<decltype(view(constant.cols(0, 1))), View<const double, 2>>);
    STATIC_REQUIRE(std::is_same_v<decltype(view(constant_cube)), View<const double, 3>>);
    STATIC_REQUIRE(LazyExpression<decltype(x.t())>);
    STATIC_REQUIRE(LazyExpression<decltype(x + x)>);
    STATIC_REQUIRE(LazyExpression<decltype(x.elem(arma::uvec{}))>);
    STATIC_REQUIRE(!ViewLike<arma::sp_mat>);
}

TEST_CASE("Armadillo: a column is a sample", "[adapt]")
{
    const arma::mat all = numbers(4, 20, 2);
    const arma::mat target = numbers(4, 6, 3);
    arma::mat g(4, 20, arma::fill::zeros);
    const MeanSquaredError mse{};
    const auto part = all.cols(3, 8);
    const double value = in_columns(mse)(part, target, into(g.cols(10, 15)));
    CHECK(value == Approx(arma::accu(arma::square(part - target)) / 24));
    CHECK(largest_difference(g.cols(10, 15), (part - target) / 12) < 1e-15);
    CHECK(arma::accu(g != 0) == 24);

    const arma::Row<arma::uword> y = {0, 3, 2, 1, 1, 3};
    arma::mat gz(4, 6);
    arma::rowvec each(6);
    arma::mat p = arma::exp(target);
    p.each_row() /= arma::sum(p, 0).eval();
    const double entropy =
        in_columns(SoftmaxCrossEntropy{})(target, labels(y), into(gz), per_sample(into(each)));
    arma::mat one_hot(4, 6, arma::fill::zeros);
    for (arma::uword i = 0; i < 6; ++i)
        one_hot(y(i), i) = 1;
    CHECK(entropy == Approx(-arma::accu(one_hot % arma::log(p)) / 6));
    CHECK(arma::mean(each) == Approx(entropy));
    CHECK(largest_difference(gz, (p - one_hot) / 6) < 1e-15);

    // A row is one number for each sample, so that each is an outlier on its own.
    const RobustLoss<Cauchy> robust{.kernel = {.c = 0.5}, .form = Form::sample};
    const arma::rowvec a = numbers(1, 9, 4), b = numbers(1, 9, 5);
    CHECK(in_columns(robust)(a, b) == Approx(arma::mean(arma::log1p(arma::square(a - b) / 0.5))));
}

TEST_CASE("Armadillo: Barlow Twins of columns", "[adapt]")
{
    arma::mat za = numbers(5, 12, 7), zb = za + 0.5 * numbers(5, 12, 8), ga(5, 12), gb(5, 12);
    const BarlowTwins barlow{.lambda = 0.1, .epsilon = 0};
    const auto by_hand = [&](const arma::mat& a, const arma::mat& b) {
        const arma::mat c = arma::cor(a.t(), b.t()) - arma::eye(5, 5);
        return arma::accu(arma::square(c.diag())) +
               0.1 * (arma::accu(arma::square(c)) - arma::accu(arma::square(c.diag())));
    };
    CHECK(in_columns(barlow)(za, zb, into(ga), into(gb)) == Approx(by_hand(za, zb)));
    for (arma::uword i : {3u, 17u, 44u}) {
        const double h = 1e-5, before = za(i);
        za(i) = before + h;
        const double above = by_hand(za, zb);
        za(i) = before - h;
        CHECK(ga(i) == Approx((above - by_hand(za, zb)) / (2 * h)).margin(1e-8));
        za(i) = before;
    }
}

TEST_CASE("Armadillo: a slice is a sample", "[adapt]")
{
    const arma::cube x(3, 4, 5, arma::fill::randn);
    arma::cube mixed(3, 4, 5);
    Stream rng = stream(1, 2, "mixup");
    const Mixup<> mixup{.alpha = 1, .per_sample = true};
    const auto plan = mixup.draw(rng, 5);
    in_columns(mixup).apply(plan, x, into(mixed));
    for (arma::uword i = 0; i < 5; ++i) {
        const auto partner = static_cast<arma::uword>(plan.partner[i]);
        const arma::mat expected =
            plan.lambda[i] * x.slice(i) + (1 - plan.lambda[i]) * x.slice(partner);
        CHECK(largest_difference(mixed.slice(i), expected) < 1e-15);
    }
}

TEST_CASE("Armadillo: errors and empty batches", "[adapt]")
{
    arma::mat x = numbers(4, 6, 9), y = numbers(6, 4, 10), g(4, 6);
    const arma::mat before = x;
    CHECK(message_of([&] { (void)MeanSquaredError{}(x, y); }) ==
          "MeanSquaredError: y has shape [6, 4], must be [4, 6] as x; samples in columns? say "
          "in_columns(...)");
    CHECK_THROWS_AS(in_columns(MeanSquaredError{})(x.cols(0, 2), x.cols(1, 3), into(x.cols(2, 4))),
                    OverlapError);
    CHECK_NOTHROW(
        in_columns(MeanSquaredError{})(before.cols(0, 2), x.cols(0, 2), into(x.cols(3, 5))));
    CHECK(largest_difference(x.cols(0, 2), before.cols(0, 2)) == 0);
    arma::mat empty(4, 0), nothing(4, 0);
    CHECK(in_columns(MeanSquaredError{})(empty, nothing, into(nothing)) == 0);
    arma::mat no_rows(0, 4), gradient(0, 4);
    CHECK(MeanSquaredError{}(no_rows, no_rows, into(gradient)) == 0);
    CHECK_THROWS_AS(ProximalPenalty(L1{}).ProximalStep(x, -1), RangeError);
}

TEST_CASE("Armadillo: proximal steps of regularizers", "[adapt]")
{
    const arma::mat x = numbers(6, 5, 11);
    arma::mat w = x;
    const ProximalPenalty lasso(0.5 * L1{});
    CHECK(lasso.Evaluate(x) == Approx(0.5 * arma::accu(arma::abs(x))));
    lasso.ProximalStep(w, 0.4);
    CHECK(largest_difference(w, arma::sign(x) % arma::clamp(arma::abs(x) - 0.2, 0, 1e9)) < 1e-15);

    // Column groups, then the same groups by name.
    arma::mat by_columns = x, by_name = x;
    ProximalPenalty(GroupLasso{.groups = Columns{}}).ProximalStep(by_columns, 0.3);
    for (arma::uword j = 0; j < 5; ++j) {
        const double size = arma::norm(x.col(j));
        const arma::vec shrunk = x.col(j) * std::max(0.0, 1 - 0.3 * std::sqrt(6.0) / size);
        CHECK(largest_difference(by_columns.col(j), shrunk) < 1e-14);
    }
    std::vector<int> ids; // entries counted row by row
    for (int i = 0; i < 30; ++i)
        ids.push_back(i % 5);
    const ProximalPenalty named(GroupLasso{}, group_ids(ids));
    named.ProximalStep(by_name, 0.3);
    CHECK(largest_difference(by_name, by_columns) < 1e-14);
    CHECK(named.Evaluate(x) == Approx(GroupLasso{.groups = Columns{}}(x)));

    // Singular values are soft-thresholded.
    arma::mat low = x;
    ProximalPenalty(NuclearNorm{}).ProximalStep(low, 0.7);
    CHECK(largest_difference(arma::svd(low), arma::clamp(arma::svd(x) - 0.7, 0, 1e9)) < 1e-12);

    // The elastic net of a float vector.
    arma::fvec f = arma::conv_to<arma::fvec>::from(x.col(0)), g = f;
    ProximalPenalty(ElasticNet{.l1 = 1, .l2 = 0.5}).ProximalStep(g, 0.1);
    CHECK(ElasticNet{.l1 = 1, .l2 = 0.5}(g) < ElasticNet{.l1 = 1, .l2 = 0.5}(f));
}

TEST_CASE("Armadillo: FISTA with a penalty finds the lasso's solution", "[adapt]")
{
    const auto f = regression();
    const double lambda = 8;
    arma::mat w(12, 1, arma::fill::zeros), g;
    fista(f, ProximalPenalty(lambda * L1{}), w, 600);
    f.Gradient(w, g);
    for (arma::uword i = 0; i < 12; ++i) { // its optimality conditions
        if (w(i) != 0)
            CHECK(g(i) == Approx(w(i) > 0 ? -lambda : lambda).epsilon(1e-6));
        else
            CHECK(std::abs(g(i)) <= lambda * (1 + 1e-9));
    }
    CHECK(arma::accu(w != 0) == 3);

    const LeastSquares<arma::fmat> single{arma::conv_to<arma::fmat>::from(f.x),
                                          arma::conv_to<arma::fmat>::from(f.y)};
    arma::fmat v(12, 1, arma::fill::zeros);
    fista(single, ProximalPenalty(lambda * L1{}), v, 200);
    CHECK(largest_difference(w, arma::conv_to<arma::mat>::from(v)) < 1e-4);
}

TEST_CASE("Armadillo: FISTA inside a ball", "[adapt]")
{
    const auto f = regression();
    arma::mat w(12, 1, arma::fill::zeros), g;
    const ProximalConstraint ball(L1{}, 4.0);
    const double value = fista(f, ball, w, 600);
    CHECK(arma::accu(arma::abs(w)) == Approx(4));
    CHECK(value == Approx(f.Evaluate(w)));
    f.Gradient(w, g); // at the optimum all that is not zero has the gradient's largest magnitude
    const double steepest = arma::abs(g).max();
    for (arma::uword i = 0; i < 12; ++i)
        if (w(i) != 0)
            CHECK(g(i) == Approx(w(i) > 0 ? -steepest : steepest).epsilon(1e-5));
    CHECK(ball.Evaluate(arma::mat(2 * w)) == std::numeric_limits<double>::infinity());
    CHECK(ball.Evaluate(arma::mat(0.5 * w)) == 0);

    arma::fmat single = arma::conv_to<arma::fmat>::from(numbers(200, 30, 12));
    ball.ProximalStep(single, 1);
    CHECK(ball.Evaluate(single) == 0);

    const ProximalConstraint rank(NuclearNorm{}, 2.0);
    arma::mat m = numbers(6, 4, 13);
    rank.ProximalStep(m, 0);
    CHECK(arma::accu(arma::svd(m)) == Approx(2));
}
