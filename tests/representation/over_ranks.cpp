// SPDX-License-Identifier: BSL-1.0
#include <temper/core/random.hpp>
#include <temper/representation/barlow_twins.hpp>
#include <temper/representation/column_standardize.hpp>
#include <temper/representation/mixed_barlow_regularizer.hpp>
#include <temper/representation/mixed_barlow_twins.hpp>

#include "support/catch.hpp"
#include "support/ranks.hpp"

#include <Eigen/Core>

#include <cmath>
#include <iostream>
#include <type_traits>
#include <vector>

using namespace temper;
using test::on_ranks;
using test::Shares;

namespace {

template <class T, int Order>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Order>;
using MatrixD = Matrix<double, Eigen::ColMajor>;
constexpr int by_columns = Eigen::ColMajor;
constexpr int by_rows = Eigen::RowMajor;

/// Normal numbers, `away` standard deviations from zero, other ones for each seed.
template <class M>
M noise(Index n, Index d, std::uint64_t seed, double away = 0)
{
    auto bits = stream(seed, 0, "ranks");
    M z(n, d);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j)
            z(i, j) = static_cast<typename M::Scalar>(temper::normal(bits) + away);
    return z;
}
/// Another view of the same samples.
template <class M>
M other_view(const M& z, std::uint64_t seed, double away = 0)
{
    using T = typename M::Scalar;
    return (T(0.8) * (z.array() - T(away)) + T(0.6) * noise<M>(z.rows(), z.cols(), seed).array() +
            T(away))
        .matrix();
}
template <class M>
M rows_of(const M& z, const Shares& shares, Index rank)
{
    return z.middleRows(shares.before(rank), shares.of(rank));
}

template <class M>
double apart(const M& got, const M& want)
{
    const MatrixD g = got.template cast<double>(), w = want.template cast<double>();
    return (g - w).norm() / w.norm();
}
template <class M>
void check_equal(const M& got, const M& want, bool to_the_bit)
{
    if (to_the_bit)
        CHECK((got.array() == want.array()).all());
    else
        CHECK(apart(got, want) < (std::is_same_v<typename M::Scalar, float> ? 1e-6 : 1e-13));
}
void check_value(double got, double want, bool to_the_bit, bool is_float)
{
    if (to_the_bit)
        CHECK(got == want);
    else
        CHECK(std::fabs(got - want) < (is_float ? 1e-6 : 1e-13) * std::fabs(want));
}

/// One process, equal and unequal shares of n rows, some of them empty.
std::vector<Shares> all_shares(Index n)
{
    REQUIRE(n % 8 == 0);
    const auto equal = [&](Index world) {
        return Shares{std::vector<Index>(static_cast<std::size_t>(world), n / world)};
    };
    return {equal(1),     equal(2), equal(4),           equal(8),
            {{n - 1, 1}}, {{0, n}}, {{3, n - 8, 0, 5}}, {{1, 2, 1, n - 12, 0, 1, 4, 3}}};
}

template <class M>
void barlow_over_ranks(Index n, Index d, double away)
{
    using T = typename M::Scalar;
    const bool gathered = n < d;
    const BarlowTwins barlow{.lambda = 0.05};
    const M a = noise<M>(n, d, 1, away), b = other_view(a, 2, away);
    M ga(n, d), gb(n, d);
    const double value = barlow(a, b, into(ga), into(gb));

    for (const Shares& shares : all_shares(n)) {
        M ha = M::Constant(n, d, 9), hb = M::Zero(n, d);
        const auto sizes = on_ranks(shares.world(), [&](Index rank, const auto& all_reduce) {
            const M mine_a = rows_of(a, shares, rank), mine_b = rows_of(b, shares, rank);
            auto into_a = ha.middleRows(shares.before(rank), shares.of(rank));
            auto into_b = hb.middleRows(shares.before(rank), shares.of(rank));
            const double got =
                barlow(mine_a, mine_b, into(into_a), add_to(into_b, 0.5),
                       over_ranks(shares.share(rank), all_reduce, gradients_are_summed));
            check_value(got, value, gathered, std::is_same_v<T, float>);
        });
        check_equal(ha, ga, gathered);
        check_equal<M>(2 * hb, gb, gathered);

        const auto number = sizeof(T);
        const auto un = static_cast<std::size_t>(n), ud = static_cast<std::size_t>(d);
        if (gathered)
            CHECK(sizes == std::vector{(un * (2 * ud + 1) + 2) * number});
        else
            CHECK(sizes ==
                  std::vector{(4 * ud + 1) * 8, 4 * ud * 8, (ud * ud + ud) * number, 2 * ud * 8});
    }
}

std::vector<std::int64_t> local_partners(Index n)
{
    std::vector<std::int64_t> partner;
    for (Index i = 0; i < n; ++i)
        partner.push_back((i + n / 2) % n);
    return partner;
}

template <class Component, class M>
void mixed_over_ranks(const Component& mixed, Index n, Index d, double away)
{
    using T = typename M::Scalar;
    const bool gathered = n < d;
    const M a = noise<M>(n, d, 1, away), b = other_view(a, 2, away), m = other_view(a, 3, away);
    M ga(n, d), gb(n, d), gm(n, d);
    for (const Shares& shares : all_shares(n)) {
        std::vector<std::int64_t> partner; // each rank mixes its own rows
        for (Index rank = 0; rank < shares.world(); ++rank)
            for (const std::int64_t i : local_partners(shares.of(rank)))
                partner.push_back(shares.before(rank) + i);
        const double value = mixed(a, b, m, partner, 0.3, into(ga), into(gb), into(gm));

        M ha(n, d), hb(n, d), hm(n, d);
        const auto sizes = on_ranks(shares.world(), [&](Index rank, const auto& all_reduce) {
            const M mine_a = rows_of(a, shares, rank), mine_b = rows_of(b, shares, rank),
                    mine_m = rows_of(m, shares, rank);
            const auto place = [&](M& h) {
                return h.middleRows(shares.before(rank), shares.of(rank));
            };
            auto into_a = place(ha), into_b = place(hb), into_m = place(hm);
            const double got =
                mixed(mine_a, mine_b, mine_m, local_partners(shares.of(rank)), 0.3, into(into_a),
                      into(into_b), into(into_m),
                      over_ranks(shares.share(rank), all_reduce, gradients_are_summed));
            check_value(got, value, gathered, std::is_same_v<T, float>);
        });
        check_equal(ha, ga, gathered);
        check_equal(hb, gb, gathered);
        check_equal(hm, gm, gathered);

        const auto number = sizeof(T);
        const auto un = static_cast<std::size_t>(n), ud = static_cast<std::size_t>(d);
        const std::size_t products =
            std::is_same_v<Component, MixedBarlowTwins> ? 3 * ud * ud + ud : 2 * ud * ud;
        if (gathered)
            CHECK(sizes == std::vector{(un * (3 * ud + 4) + 4) * number});
        else
            CHECK(sizes ==
                  std::vector{(6 * ud + 1) * 8, 6 * ud * 8, products * number, 5 * ud * 8});
    }
}

template <class M>
void standardize_over_ranks(Index n, Index d, double away)
{
    const bool gathered = n < d;
    const M x = noise<M>(n, d, 1, away), gy = noise<M>(n, d, 2, 1);
    const auto un = static_cast<std::size_t>(n), ud = static_cast<std::size_t>(d);
    using Sizes = std::vector<std::size_t>;
    const auto number = sizeof(typename M::Scalar);
    const Sizes of_forward =
        gathered ? Sizes{(un * (ud + 1) + 1) * number} : Sizes{(2 * ud + 1) * 8, 2 * ud * 8};
    const Sizes of_pullback = gathered ? Sizes{(un * (2 * ud + 1) + 2) * number}
                                       : Sizes{(4 * ud + 1) * 8, 2 * ud * 8, ud * 8};
    for (const Variance variance : {Variance::biased, Variance::unbiased})
        for (const EpsilonPlacement where : {EpsilonPlacement::inside, EpsilonPlacement::outside}) {
            const ColumnStandardize standard{.variance = variance, .placement = where};
            M y(n, d), gx(n, d);
            standard.forward(x, into(y));
            standard.pullback(x, gy, into(gx));
            for (const Shares& shares : all_shares(n)) {
                M hy(n, d), hx(n, d);
                CHECK(on_ranks(shares.world(), [&](Index rank, const auto& all_reduce) {
                          auto to = hy.middleRows(shares.before(rank), shares.of(rank));
                          standard.forward(rows_of(x, shares, rank), into(to),
                                           over_ranks(shares.share(rank), all_reduce));
                      }) == of_forward);
                CHECK(on_ranks(shares.world(), [&](Index rank, const auto& all_reduce) {
                          auto to = hx.middleRows(shares.before(rank), shares.of(rank));
                          standard.pullback(rows_of(x, shares, rank), rows_of(gy, shares, rank),
                                            into(to), over_ranks(shares.share(rank), all_reduce));
                      }) == of_pullback);
                check_equal(hy, y, gathered);
                check_equal(hx, gx, gathered);
            }
        }
}

} // namespace

TEST_CASE("Barlow Twins over ranks is Barlow Twins of the whole batch")
{
    for (const double away : {0.0, 1000.0})
        for (const auto& [n, d] : {std::pair<Index, Index>{64, 24}, {24, 40}, {16, 16}}) {
            barlow_over_ranks<Matrix<float, by_columns>>(n, d, away);
            barlow_over_ranks<Matrix<float, by_rows>>(n, d, away);
            barlow_over_ranks<Matrix<double, by_columns>>(n, d, away);
            barlow_over_ranks<Matrix<double, by_rows>>(n, d, away);
        }
}

TEST_CASE("the mixed objective over ranks is that of the whole batch")
{
    for (const double away : {0.0, 1000.0})
        for (const auto& [n, d] : {std::pair<Index, Index>{64, 24}, {24, 40}}) {
            const MixedBarlowTwins whole{.lambda = 0.05, .scale = 3};
            const MixedBarlowRegularizer term{.lambda = 0.05, .scale = 3};
            mixed_over_ranks<MixedBarlowTwins, Matrix<float, by_rows>>(whole, n, d, away);
            mixed_over_ranks<MixedBarlowTwins, Matrix<double, by_columns>>(whole, n, d, away);
            mixed_over_ranks<MixedBarlowRegularizer, Matrix<float, by_columns>>(term, n, d, away);
            mixed_over_ranks<MixedBarlowRegularizer, Matrix<double, by_rows>>(term, n, d, away);
        }
}

TEST_CASE("columns standardised over ranks are those of the whole batch")
{
    for (const double away : {0.0, 1000.0})
        for (const auto& [n, d] : {std::pair<Index, Index>{64, 24}, {16, 70}}) {
            standardize_over_ranks<Matrix<float, by_columns>>(n, d, away);
            standardize_over_ranks<Matrix<float, by_rows>>(n, d, away);
            standardize_over_ranks<Matrix<double, by_columns>>(n, d, away);
            standardize_over_ranks<Matrix<double, by_rows>>(n, d, away);
        }
}

TEST_CASE("gradients over ranks come out whether the trainer sums or averages them")
{
    const Index n = 24, d = 7, world = 4;
    const MatrixD a = noise<MatrixD>(n, d, 1), b = other_view(a, 2);
    MatrixD ga(n, d);
    const double value = (0.1 * BarlowTwins{})(a, b, into(ga));
    const Shares shares{{6, 6, 6, 6}};
    for (const GradientScale& scale : {gradients_are_summed, gradients_are_averaged(world)}) {
        MatrixD ha(n, d);
        on_ranks(world, [&](Index rank, const auto& all_reduce) {
            auto to = ha.middleRows(shares.before(rank), shares.of(rank));
            const double got =
                (0.1 * BarlowTwins{})(rows_of(a, shares, rank), rows_of(b, shares, rank), into(to),
                                      over_ranks(shares.share(rank), all_reduce, scale));
            CHECK(got == Approx(value).epsilon(1e-13));
        });
        check_equal<MatrixD>(ha / scale.factor, ga, false);
    }
    CHECK(gradients_are_averaged(4).factor == 4);
    CHECK_THROWS_AS(gradients_are_averaged(0), RangeError);
}

TEST_CASE(
    "what other libraries compute over ranks is another objective, or a fraction of its gradient")
{
    // Views x_a, x_b go through one linear encoder; what counts is the gradient of its weights after the
    // trainer has averaged it over ranks.
    const Index n = 64, inputs = 12, d = 10, world = 4;
    const auto each = static_cast<double>(n / world);
    const double lambda = 0.0051;
    const MatrixD x_a = noise<MatrixD>(n, inputs, 1), x_b = other_view(x_a, 2),
                  w = noise<MatrixD>(inputs, d, 3);
    const MatrixD a = x_a * w, b = x_b * w;
    const Shares shares{std::vector<Index>(4, n / world)};
    const BarlowTwins barlow{.lambda = lambda};

    MatrixD ga(n, d), gb(n, d);
    const double one_process = barlow(a, b, into(ga), into(gb));
    const MatrixD gradient = x_a.transpose() * ga + x_b.transpose() * gb;

    double ours = 0;
    MatrixD our_gradient = MatrixD::Zero(inputs, d);
    on_ranks(world, [&](Index rank, const auto& all_reduce) {
        const MatrixD mine_a = rows_of(a, shares, rank), mine_b = rows_of(b, shares, rank);
        MatrixD ha(n / world, d), hb(n / world, d);
        ours = barlow(mine_a, mine_b, into(ha), into(hb),
                      over_ranks(shares.share(rank), all_reduce, gradients_are_averaged(world)));
        our_gradient += (rows_of(x_a, shares, rank).transpose() * ha +
                         rows_of(x_b, shares, rank).transpose() * hb) /
                        static_cast<double>(world);
    });

    // solo-learn and others after it: each rank standardises its own rows, only the correlations are
    // averaged, by an all_reduce that autograd does not see.
    const ColumnStandardize standard{};
    MatrixD c = MatrixD::Zero(d, d);
    for (Index rank = 0; rank < world; ++rank) {
        MatrixD y_a(n / world, d), y_b(n / world, d);
        standard.forward(rows_of(a, shares, rank), into(y_a));
        standard.forward(rows_of(b, shares, rank), into(y_b));
        c += y_a.transpose() * y_b / each / static_cast<double>(world);
    }
    const MatrixD off = c - MatrixD(c.diagonal().asDiagonal());
    const double theirs =
        (c.diagonal().array() - 1).matrix().squaredNorm() + lambda * off.squaredNorm();
    MatrixD of_c = 2 * lambda * off;
    of_c.diagonal() = 2 * (c.diagonal().array() - 1);
    MatrixD their_gradient = MatrixD::Zero(inputs, d);
    for (Index rank = 0; rank < world; ++rank) {
        const MatrixD mine_a = rows_of(a, shares, rank), mine_b = rows_of(b, shares, rank);
        MatrixD y_a(n / world, d), y_b(n / world, d), ha(n / world, d), hb(n / world, d);
        standard.forward(mine_a, into(y_a));
        standard.forward(mine_b, into(y_b));
        const double through = 1 / each / static_cast<double>(world);
        standard.pullback(mine_a, MatrixD(through * y_b * of_c.transpose()), into(ha));
        standard.pullback(mine_b, MatrixD(through * y_a * of_c), into(hb));
        their_gradient += (rows_of(x_a, shares, rank).transpose() * ha +
                           rows_of(x_b, shares, rank).transpose() * hb) /
                          static_cast<double>(world);
    }

    const auto error = [&](const MatrixD& g) { return (g - gradient).norm() / gradient.norm(); };
    std::cout << "Barlow Twins of 64 samples on 4 ranks, and its gradient to the weights after "
                 "averaging\n"
              << "  one process              " << one_process << ", norm " << gradient.norm()
              << '\n'
              << "  over_ranks               " << ours << ", norm " << our_gradient.norm() << '\n'
              << "  ranks standardise alone  " << theirs << ", norm " << their_gradient.norm()
              << " (" << their_gradient.norm() * static_cast<double>(world) << " times 4)\n";
    CHECK(ours == Approx(one_process).epsilon(1e-13));
    CHECK(error(our_gradient) < 1e-12);
    CHECK(std::fabs(theirs - one_process) > 0.02 * one_process);
    CHECK(their_gradient.norm() < 0.5 * gradient.norm());
    CHECK(error(static_cast<double>(world) * their_gradient) > 0.05);
    // The right objective with the factor forgotten.
    CHECK(error(our_gradient / static_cast<double>(world)) == Approx(0.75));
}

TEST_CASE("each rank may mix by a coefficient of its own")
{
    // The equation with one alpha per row, in double.
    for (const auto& [n, d] : {std::pair<Index, Index>{12, 4}, {6, 9}}) {
        const MatrixD a = noise<MatrixD>(n, d, 1), b = other_view(a, 2), m = other_view(a, 3);
        const Shares shares{{n / 3, 0, n - n / 3}};
        const std::vector<double> alpha{0.2, 0.5, 0.9};
        const auto standard = [&](const MatrixD& z) {
            MatrixD y(n, d);
            ColumnStandardize{.epsilon = 0, .variance = Variance::unbiased}.forward(z, into(y));
            return y;
        };
        const auto by_definition = [&](const MatrixD& z_a) {
            const MatrixD y_a = standard(z_a), y_b = standard(b);
            MatrixD difference = standard(m);
            for (Index rank = 0; rank < 3; ++rank)
                for (Index i = 0; i < shares.of(rank); ++i) {
                    const Index from = shares.before(rank);
                    const double p = alpha[static_cast<std::size_t>(rank)];
                    const Index partner =
                        local_partners(shares.of(rank))[static_cast<std::size_t>(i)];
                    difference.row(from + i) -=
                        p * y_a.row(from + i) + (1 - p) * y_b.row(from + partner);
                }
            const auto count = static_cast<double>(n);
            return 0.3 * ((difference.transpose() * y_a / count).squaredNorm() +
                          (difference.transpose() * y_b / count).squaredNorm());
        };
        MatrixD ha(n, d);
        on_ranks(3, [&](Index rank, const auto& all_reduce) {
            auto to = ha.middleRows(shares.before(rank), shares.of(rank));
            const double got = MixedBarlowRegularizer{.lambda = 0.1, .scale = 3}(
                rows_of(a, shares, rank), rows_of(b, shares, rank), rows_of(m, shares, rank),
                local_partners(shares.of(rank)), alpha[static_cast<std::size_t>(rank)], into(to),
                over_ranks(shares.share(rank), all_reduce, gradients_are_summed));
            CHECK(got == Approx(by_definition(a)));
        });
        const MatrixD direction = noise<MatrixD>(n, d, 5);
        const double h = 1e-5;
        const double slope =
            (by_definition(a + h * direction) - by_definition(a - h * direction)) / (2 * h);
        CHECK(ha.cwiseProduct(direction).sum() == Approx(slope).epsilon(1e-6));
    }
}

TEST_CASE("a column that is constant over all ranks is exactly zero")
{
    const Shares shares{{3, 0, 4, 1}};
    for (const double number : {0.1, -3e7, 1e-20, 1.0 / 3}) {
        MatrixD x = noise<MatrixD>(8, 3, 1), y(8, 3), gx(8, 3);
        x.col(1).setConstant(number);
        const ColumnStandardize standard{.epsilon = 0};
        on_ranks(4, [&](Index rank, const auto& all_reduce) {
            auto to = y.middleRows(shares.before(rank), shares.of(rank));
            standard.forward(rows_of(x, shares, rank), into(to),
                             over_ranks(shares.share(rank), all_reduce));
        });
        on_ranks(4, [&](Index rank, const auto& all_reduce) {
            auto to = gx.middleRows(shares.before(rank), shares.of(rank));
            standard.pullback(rows_of(x, shares, rank), rows_of(y, shares, rank), into(to),
                              over_ranks(shares.share(rank), all_reduce));
        });
        CHECK(y.col(1).isZero(0));
        CHECK(gx.col(1).isZero(0));
        CHECK(y.col(0).norm() > 1);
    }
    // Constant on each rank, but not over ranks.
    MatrixD steps(8, 3), y(8, 3), want(8, 3);
    for (Index i = 0; i < 8; ++i)
        steps.row(i).setConstant(i < 3 ? 0.1 : i < 7 ? 0.2 : 0.7);
    ColumnStandardize{}.forward(steps, into(want));
    on_ranks(4, [&](Index rank, const auto& all_reduce) {
        auto to = y.middleRows(shares.before(rank), shares.of(rank));
        ColumnStandardize{}.forward(rows_of(steps, shares, rank), into(to),
                                    over_ranks(shares.share(rank), all_reduce));
    });
    check_equal(y, want, false);
}

TEST_CASE("next to nothing over ranks")
{
    const MatrixD row = noise<MatrixD>(1, 4, 1), none(0, 4), no_columns(2, 0);
    MatrixD g(1, 4), nothing(0, 4);
    const Shares shares{{0, 1}};
    on_ranks(2, [&](Index rank, const auto& all_reduce) {
        const MatrixD& mine = rank == 0 ? none : row;
        const double got =
            BarlowTwins{}(mine, mine, into(rank == 0 ? nothing : g),
                          over_ranks(shares.share(rank), all_reduce, gradients_are_summed));
        CHECK(got == 4);
    });
    CHECK(g.isZero(0));
    CHECK(on_ranks(2, [&](Index, const auto& all_reduce) {
              const double got = BarlowTwins{}(
                  none, none,
                  over_ranks({.offset = 0, .n_global = 0}, all_reduce, gradients_are_summed));
              CHECK(got == 0);
          }).empty());
    on_ranks(2, [&](Index rank, const auto& all_reduce) {
        const double got = BarlowTwins{}(
            no_columns, no_columns,
            over_ranks({.offset = 2 * rank, .n_global = 4}, all_reduce, gradients_are_summed));
        CHECK(got == 0);
    });
}

TEST_CASE("samples in columns over ranks")
{
    for (const auto& [n, d] : {std::pair<Index, Index>{12, 5}, {6, 9}}) {
        const MatrixD a = noise<MatrixD>(n, d, 1), b = other_view(a, 2);
        MatrixD ga(n, d), turned(d, n), y(n, d), turned_y(d, n);
        const double value = BarlowTwins{}(a, b, into(ga));
        ColumnStandardize{}.forward(a, into(y));
        const Shares shares{{n - 4, 4}};
        const auto columns = [&](MatrixD& m, Index rank) {
            return m.middleCols(shares.before(rank), shares.of(rank));
        };
        on_ranks(2, [&](Index rank, const auto& all_reduce) {
            const MatrixD mine_a = rows_of(a, shares, rank).transpose(),
                          mine_b = rows_of(b, shares, rank).transpose();
            auto to = columns(turned, rank);
            const double got = in_columns(finite_checked(BarlowTwins{}))(
                mine_a, mine_b, into(to),
                over_ranks(shares.share(rank), all_reduce, gradients_are_summed));
            CHECK(got == Approx(value));
        });
        on_ranks(2, [&](Index rank, const auto& all_reduce) {
            const MatrixD mine = rows_of(a, shares, rank).transpose();
            auto to = columns(turned_y, rank);
            in_columns(ColumnStandardize{})
                .forward(mine, into(to), over_ranks(shares.share(rank), all_reduce));
        });
        check_equal<MatrixD>(turned.transpose(), ga, false);
        check_equal<MatrixD>(turned_y.transpose(), y, false);
    }
}

TEST_CASE("ranks that do not fit together say what is wrong, before anything is written")
{
    const auto alone = [](auto) {};
    const MatrixD tall = noise<MatrixD>(6, 5, 1), wide = noise<MatrixD>(4, 5, 1);
    MatrixD g = MatrixD::Constant(6, 5, 7), h = MatrixD::Constant(4, 5, 7);
    const auto call = [&](const MatrixD& z, MatrixD& to, const Share& share) {
        return BarlowTwins{}(z, z, into(to), over_ranks(share, alone, gradients_are_summed));
    };
    CHECK_THROWS_WITH(
        call(tall, g, {.offset = 3, .n_global = 8}),
        "BarlowTwins: offset is 3, must be from 0 to 2, n_global less the rows of this rank");
    CHECK_THROWS_AS(call(tall, g, {.offset = -1, .n_global = 8}), RangeError);
    CHECK_THROWS_WITH(call(tall, g, {.offset = 0, .n_global = 5}),
                      "BarlowTwins: n_global is 5, must be at least 6, the rows of this rank");
    CHECK_THROWS_WITH(call(tall, g, {.offset = 0, .n_global = 8}),
                      "BarlowTwins: n_global is 8, must be 6, the rows of all ranks");
    const MatrixD three = wide.topRows(3);
    MatrixD of_three = h.topRows(3);
    CHECK_THROWS_WITH(call(three, of_three, {.offset = 1, .n_global = 4}),
                      "BarlowTwins: offset is such that row 0 is there 0 times, must be such that "
                      "every row is there once");

    // All ranks say so alike: two hold the same rows, or the sum is no sum.
    int thrown = 0;
    const auto on_two = [&](const MatrixD& z, MatrixD& to, const Share& first, const Share& second,
                            double divisor) {
        on_ranks(
            2,
            [&](Index rank, const auto& all_reduce) {
                try {
                    BarlowTwins{}(
                        z, z, into(to),
                        over_ranks(rank == 0 ? first : second, all_reduce, gradients_are_summed));
                }
                catch (const ShapeError&) {
                    ++thrown;
                }
            },
            divisor);
    };
    on_two(tall, g, {.offset = 0, .n_global = 11}, {.offset = 5, .n_global = 11}, 1);
    CHECK(thrown == 2);
    on_two(three, of_three, {.offset = 0, .n_global = 4}, {.offset = 1, .n_global = 4}, 1);
    CHECK(thrown == 4);
    on_two(tall, g, {.offset = 0, .n_global = 12}, {.offset = 6, .n_global = 12}, 2);
    CHECK(thrown == 6);
    on_two(three, of_three, {.offset = 0, .n_global = 4}, {.offset = 1, .n_global = 4}, 2);
    CHECK(thrown == 8);

    // What is wrong without ranks is wrong with them.
    const auto rest = over_ranks({.offset = 0, .n_global = 6}, alone, gradients_are_summed);
    CHECK_THROWS_AS(BarlowTwins{}(tall, wide, into(g), rest), ShapeError);
    CHECK_THROWS_AS(BarlowTwins{}(tall, tall, into(h), rest), ShapeError);
    CHECK_THROWS_AS(BarlowTwins{.lambda = -1}(tall, tall, into(g), rest), RangeError);
    const std::vector<int> twice{0, 1, 2, 3, 4, 4};
    CHECK_THROWS_AS(MixedBarlowTwins{}(tall, tall, tall, twice, 0.5, into(g), rest), RangeError);
    CHECK_THROWS_AS(
        ColumnStandardize{}.forward(tall, into(g), over_ranks({.offset = 1, .n_global = 6}, alone)),
        RangeError);
    CHECK((g.array() == 7).all());
    CHECK((h.array() == 7).all());
    CHECK((of_three.array() == 7).all());
}
