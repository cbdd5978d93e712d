// SPDX-License-Identifier: BSL-1.0

// Run under mpiexec with any number of ranks: every rank computes the whole batch, too, and compares.

#include <temper/adapt/mpi.hpp>
#include <temper/core/random.hpp>
#include <temper/representation/column_standardize.hpp>
#include <temper/representation/mixed_barlow_twins.hpp>

#include "support/catch.hpp"
#include "support/ranks.hpp"

#include <Eigen/Core>

#include <numeric>
#include <utility>
#include <vector>

using namespace temper;
using test::Shares;

namespace {

class Mpi {
  public:
    Mpi() { MPI_Init(nullptr, nullptr); }
    Mpi(const Mpi&) = delete;
    Mpi& operator=(const Mpi&) = delete;
    ~Mpi() { MPI_Finalize(); }
};

struct Here {
    int rank = 0;
    int world = 0;
    Here()
    {
        static const Mpi mpi;
        MPI_Comm_rank(MPI_COMM_WORLD, &rank);
        MPI_Comm_size(MPI_COMM_WORLD, &world);
    }
};

template <class T>
using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;

/// The same on every rank.
template <class T>
Matrix<T> noise(Index n, Index d, std::uint64_t seed, double away = 1000)
{
    auto bits = stream(seed, 0, "mpi");
    Matrix<T> z(n, d);
    for (Index j = 0; j < d; ++j)
        for (Index i = 0; i < n; ++i)
            z(i, j) = static_cast<T>(normal(bits) + away);
    return z;
}

/// Equal shares, unequal ones with an empty one among them, and all rows on the last rank.
std::vector<Shares> all_shares(Index n, Index world)
{
    std::vector<Index> equal(static_cast<std::size_t>(world), n / world);
    equal.back() = n - (world - 1) * (n / world);
    std::vector<Index> unequal(equal), last(equal.size(), 0);
    if (world > 1)
        unequal.front() += std::exchange(unequal.back(), 0);
    last.back() = n;
    return {{equal}, {unequal}, {last}};
}

template <class T>
void check(const Matrix<T>& got, const Matrix<T>& want, bool to_the_bit)
{
    if (to_the_bit)
        CHECK((got.array() == want.array()).all());
    else if (want.size() > 0)
        CHECK((got - want).norm() <=
              (sizeof(T) == 4 ? 1e-6 : 1e-13) * static_cast<double>(want.norm()));
}

template <class T>
void check_techniques(Index n, Index d)
{
    const Here here;
    const bool to_the_bit = n < d;
    const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-13;
    const Matrix<T> a = noise<T>(n, d, 1), b = noise<T>(n, d, 2), m = noise<T>(n, d, 3),
                    gy = noise<T>(n, d, 4, 0);
    Matrix<T> ga(n, d), gb(n, d), gm(n, d), y(n, d), gx(n, d);
    const BarlowTwins barlow{};
    const MixedBarlowTwins mixed{};
    const double value = barlow(a, b, into(ga), into(gb));
    ColumnStandardize{}.forward(a, into(y));
    ColumnStandardize{}.pullback(a, gy, into(gx));
    for (const Shares& shares : all_shares(n, here.world)) {
        const Index from = shares.before(here.rank), rows = shares.of(here.rank);
        const auto mine = [&](const Matrix<T>& z) -> Matrix<T> { return z.middleRows(from, rows); };
        const Share share = mpi_share(MPI_COMM_WORLD, rows);
        CHECK(share == shares.share(here.rank));
        const auto sum = mpi_sum(MPI_COMM_WORLD);
        const auto ranks = over_ranks(share, sum, gradients_are_summed);
        Matrix<T> ha(rows, d), hb(rows, d), hm(rows, d);

        double got = barlow(mine(a), mine(b), into(ha), into(hb), ranks);
        CHECK(got == Approx(value).epsilon(to_the_bit ? 0 : tolerance));
        check(ha, mine(ga), to_the_bit);
        check(hb, mine(gb), to_the_bit);
        double least = 0, most = 0;
        MPI_Allreduce(&got, &least, 1, MPI_DOUBLE, MPI_MIN, MPI_COMM_WORLD);
        MPI_Allreduce(&got, &most, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD);
        CHECK(least == most);

        std::vector<std::int64_t> partner(static_cast<std::size_t>(rows)), all;
        std::iota(partner.rbegin(), partner.rend(), 0);
        for (Index rank = 0; rank < here.world; ++rank)
            for (Index i = shares.of(rank); i-- > 0;)
                all.push_back(shares.before(rank) + i);
        Matrix<T> mixed_ga(n, d), mixed_gb(n, d);
        const double mixed_value =
            mixed(a, b, m, all, 0.25, into(mixed_ga), into(mixed_gb), into(gm));
        got = mixed(mine(a), mine(b), mine(m), partner, 0.25, into(ha), into(hb), into(hm), ranks);
        CHECK(got == Approx(mixed_value).epsilon(to_the_bit ? 0 : tolerance));
        check(ha, mine(mixed_ga), to_the_bit);
        check(hb, mine(mixed_gb), to_the_bit);
        check(hm, mine(gm), to_the_bit);

        ColumnStandardize{}.forward(mine(a), into(ha), over_ranks(share, sum));
        check(ha, mine(y), to_the_bit);
        ColumnStandardize{}.pullback(mine(a), mine(gy), into(ha), over_ranks(share, sum));
        check(ha, mine(gx), to_the_bit);
    }
}

} // namespace

TEST_CASE("techniques over the ranks of MPI are those of one process")
{
    for (const auto& [n, d] : {std::pair<Index, Index>{61, 24}, {23, 40}}) {
        check_techniques<float>(n, d);
        check_techniques<double>(n, d);
    }
}

TEST_CASE("gradients of weights come out, summed and averaged over the ranks of MPI")
{
    const Here here;
    const Index n = 40, d = 6;
    const Matrix<double> x = noise<double>(n, 5, 1, 0), w = noise<double>(5, d, 2, 0);
    const Matrix<double> z = x * w, other = noise<double>(n, d, 3);
    Matrix<double> g(n, d);
    BarlowTwins{}(z, other, into(g));
    const Matrix<double> want = x.transpose() * g;

    const Shares shares = all_shares(n, here.world)[1];
    const Index from = shares.before(here.rank), rows = shares.of(here.rank);
    const Matrix<double> mine = z.middleRows(from, rows), mine_too = other.middleRows(from, rows);
    const auto sum = mpi_sum(MPI_COMM_WORLD);
    for (const bool averages : {false, true}) {
        Matrix<double> h(rows, d);
        BarlowTwins{}(
            mine, mine_too, into(h),
            over_ranks(mpi_share(MPI_COMM_WORLD, rows), sum,
                       averages ? gradients_are_averaged(here.world) : gradients_are_summed));
        Matrix<double> of_w = x.middleRows(from, rows).transpose() * h;
        sum(std::span(of_w.data(), static_cast<std::size_t>(of_w.size()))); // the trainer's own
        if (averages)
            of_w /= here.world;
        CHECK((of_w - want).norm() < 1e-12 * want.norm());
    }
}

TEST_CASE("an error of MPI that its handler returns is thrown")
{
    const Here here;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    std::vector<double> numbers(3);
    CHECK_THROWS_AS(mpi_sum(MPI_COMM_NULL)(std::span(numbers)), Error);
    CHECK_THROWS_AS(mpi_share(MPI_COMM_NULL, 3), Error);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL);
}
