// SPDX-License-Identifier: BSL-1.0

// Losses over all pairs of rows: what they need of memory, and what the tiles they work in must not change.

#include <temper/representation/info_nce.hpp>
#include <temper/representation/nt_xent.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <string>

using namespace temper;
using Eigen::MatrixXd;

namespace {

using RowsF = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

MatrixXd batch(Index n, Index d, int seed)
{
    MatrixXd z(n, d);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j)
            z(i, j) = std::sin(static_cast<double>((i + 1) * (j + 2) * (seed + 3)) * 0.37 +
                               static_cast<double>(seed));
    return z;
}

/// Values and gradients by the rows of z that are compared, from the whole matrix of similarities.
struct Whole {
    double value = 0;
    MatrixXd gradient;

    static MatrixXd softmax(MatrixXd s, const Eigen::VectorXd& top)
    {
        s = (s.colwise() - top).array().exp();
        return s.array().colwise() / s.rowwise().sum().array();
    }
};
Whole nt_xent(const MatrixXd& a, const MatrixXd& b, double tau)
{
    const Index n = a.rows();
    MatrixXd z(2 * n, a.cols());
    z << a, b;
    MatrixXd s = z * z.transpose() / tau;
    s.diagonal().setConstant(-1e300);
    const Eigen::VectorXd top = s.rowwise().maxCoeff();
    MatrixXd g = Whole::softmax(s, top);
    Whole whole;
    for (Index r = 0; r < 2 * n; ++r) {
        const Index partner = r < n ? r + n : r - n;
        whole.value -= std::log(g(r, partner)) / static_cast<double>(2 * n);
        g(r, partner) -= 1;
    }
    whole.gradient = (g + g.transpose()) * z / (tau * static_cast<double>(2 * n));
    return whole;
}

} // namespace

TEST_CASE("NT-Xent in tiles is NT-Xent of the whole matrix")
{
    for (const Index n : {2, 63, 64, 65, 130, 300}) // one tile, and up to sixteen
        for (const double tau : {0.5, 0.05}) {
            const MatrixXd a = batch(n, 5, 1);
            const MatrixXd b = batch(n, 5, 2);
            const Whole whole = nt_xent(a, b, tau);
            const NtXent loss{.temperature = tau, .similarity = Similarity::dot};
            MatrixXd ga(n, 5), gb(n, 5), alone(n, 5);
            CHECK(loss(a, b, into(ga), into(gb)) == Approx(whole.value));
            CHECK(ga.isApprox(whole.gradient.topRows(n), 1e-9));
            CHECK(gb.isApprox(whole.gradient.bottomRows(n), 1e-9));
            (void)loss(a, b, discard, into(alone));
            CHECK(alone.isApprox(gb, 1e-12));

            // So sharp in float that rows need shifts of their own, or nearly.
            const NtXent cosine{.temperature = tau / 20};
            const RowsF a_f = a.cast<float>();
            const RowsF b_f = b.cast<float>();
            RowsF ga_f(n, 5);
            const double value = cosine(a, b, into(ga));
            CHECK(cosine(a_f, b_f, into(ga_f)) == Approx(value).epsilon(1e-4).margin(1e-4));
            CHECK((ga_f.cast<double>() - ga).norm() < 2e-3 * (1e-3 + ga.norm()));
        }
}

TEST_CASE("both directions of InfoNCE are two of its calls")
{
    const MatrixXd q = batch(150, 4, 1);
    const MatrixXd k = batch(150, 4, 2);
    const InfoNce loss{.temperature = 0.1};
    MatrixXd gq(150, 4), gk(150, 4), turned_q(150, 4), turned_k(150, 4);
    const double value = loss(q, k, into(gq), into(gk));
    // Of a softmax over all keys, by a matrix of similarities.
    const MatrixXd u = q.rowwise().normalized();
    const MatrixXd s = u * k.rowwise().normalized().transpose() / 0.1;
    const MatrixXd p = Whole::softmax(s, s.rowwise().maxCoeff());
    CHECK(value == Approx(-p.diagonal().array().log().mean()));
    const double other = loss(k, q, into(turned_k), into(turned_q));
    CHECK(other != Approx(value));
    CHECK(gq.isApprox(turned_q, 1e-12) == false);
    MatrixXd alone(150, 4);
    CHECK(loss(q, k, discard, into(alone)) == value);
    CHECK(alone.isApprox(gk, 1e-12));
}

TEST_CASE("a pair that is found for certain keeps the digits of its loss")
{
    // Orthogonal directions: l = log(1 + 2 (n - 1) exp(-1 / tau)).
    const RowsF z = RowsF::Identity(4, 4);
    RowsF g(4, 4);
    const double value = NtXent{.temperature = 0.05}(z, z, into(g));
    CHECK(value == Approx(std::log1p(6 * std::exp(-20.0))).epsilon(1e-5));
    CHECK(InfoNce{.temperature = 0.05}(z, z) ==
          Approx(std::log1p(3 * std::exp(-20.0))).epsilon(1e-5));
    CHECK(g(0, 1) == Approx(2 * std::exp(-20.0) / 4 / 0.05).epsilon(1e-4));
}

TEST_CASE("memory grows with the rows, not with their pairs")
{
    const MatrixXd a = batch(3000, 4, 1);
    MatrixXd ga(3000, 4), gb(3000, 4);
    Workspace workspace;
    const Workspace::Use use(workspace);
    (void)NtXent{}(a, a, into(ga), into(gb));
    (void)InfoNce{}(a, a, into(ga), into(gb));
    // The similarities of 6000 rows would be 288 MB.
    CHECK(workspace.capacity() < (std::size_t{24} << 20));
}

TEST_CASE("contrast of samples in columns, and bad input")
{
    const MatrixXd a = batch(6, 3, 1);
    const MatrixXd b = batch(6, 3, 2);
    const MatrixXd at = a.transpose();
    const MatrixXd bt = b.transpose();
    MatrixXd g(6, 3), gt(3, 6);
    const NtXent loss;
    CHECK(in_columns(loss)(at, bt, into(gt)) == Approx(loss(a, b, into(g))));
    CHECK(gt.isApprox(g.transpose(), 1e-12));
    CHECK_THROWS_WITH((NtXent{.temperature = 0}(a, b)),
                      "NtXent: temperature is 0, must be positive");
    CHECK_THROWS_WITH((InfoNce{}(a, at)), "InfoNce: k has shape [3, 6], must be [6, 3] as q; "
                                          "samples in columns? say in_columns(...)");
}
