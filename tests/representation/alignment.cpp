// SPDX-License-Identifier: BSL-1.0
#include <temper/representation/alignment.hpp>
#include <temper/representation/artifact_decomposition_loss.hpp>
#include <temper/representation/cosine_alignment.hpp>
#include <temper/representation/gram_alignment.hpp>
#include <temper/representation/l2_alignment.hpp>
#include <temper/representation/repa_projection.hpp>
#include <temper/representation/sync_cosine_bce.hpp>
#include <temper/representation/trepa.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;

namespace {

std::vector<double> wave(std::size_t n, double speed)
{
    std::vector<double> out(n);
    for (std::size_t i = 0; i < n; ++i)
        out[i] = std::sin(speed * static_cast<double>(i + 1));
    return out;
}

/// Sums of frames.
struct Sum {
    [[nodiscard]] static Index features() { return 3; }
    static void forward(const AnyView<const double>& x, const Into<double>& to)
    {
        const auto frames = x.as<3>();
        const auto y = to.view.as<2>();
        for (Index i = 0; i < frames.extents[0]; ++i)
            for (Index j = 0; j < 3; ++j) {
                y(i, j) = 0;
                for (Index t = 0; t < frames.extents[1]; ++t)
                    y(i, j) += static_cast<double>(t + 1) * frames(i, t, j);
            }
    }
    static void pullback(const AnyView<const double>& x, const MatrixView<const double>& gy,
                         const Into<double>& to)
    {
        const auto g = to.view.as<3>();
        for (Index i = 0; i < x.extent(0); ++i)
            for (Index t = 0; t < x.extent(1); ++t)
                for (Index j = 0; j < 3; ++j)
                    g(i, t, j) = static_cast<double>(t + 1) * gy(i, j);
    }
};

} // namespace

TEST_CASE("tokens are rows, of dense tensors without a copy and of others with one")
{
    constexpr Index n = 3, tokens = 4, d = 5, apart = 7;
    const auto x = wave(n * tokens * apart, 1.1);
    const auto t = wave(n * tokens * d, 0.7);
    std::vector<double> g(n * tokens * apart, 9), dense(n * tokens * d), expected(n * tokens * d);
    // Tokens of all samples one behind the other: rows (i, j) are not evenly apart.
    AnyView<const double> swapped;
    swapped.data = x.data();
    swapped.rank = 3;
    swapped.extents = {n, tokens, d, 1, 1, 1};
    swapped.strides = {apart, n * apart, 1, 0, 0, 0};
    AnyView<double> to;
    to.data = g.data();
    to.rank = 3;
    to.extents = swapped.extents;
    to.strides = swapped.strides;
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < tokens; ++j)
            for (Index k = 0; k < d; ++k)
                dense[static_cast<std::size_t>((i * tokens + j) * d + k)] =
                    x[static_cast<std::size_t>(i * apart + j * n * apart + k)];
    const Alignment align{Tokens{}, CosineAlignment{}};
    const auto target = view(t.data(), {n, tokens, d});
    const double plain =
        CosineAlignment{}(view(dense.data(), {n * tokens, d}), view(t.data(), {n * tokens, d}),
                          into(view(expected.data(), {n * tokens, d})));
    CHECK(align(swapped, target, add_to(to, 2)) == plain);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < tokens; ++j)
            for (Index k = 0; k < apart; ++k) {
                const double got = g[static_cast<std::size_t>(i * apart + j * n * apart + k)];
                if (k < d)
                    CHECK(got ==
                          Approx(9 +
                                 2 * expected[static_cast<std::size_t>((i * tokens + j) * d + k)]));
                else
                    CHECK(got == 9); // what stands between the tokens
            }
    std::vector<double> each(n * tokens);
    CHECK((2 * align)(swapped, target, per_sample(into(each))) == Approx(2 * plain));
    CHECK(each.back() != 0);
    CHECK_THROWS_WITH(align(swapped, view(t.data(), {n, d, tokens})),
                      "CosineAlignment: t has shape [3, 5, 4], must be [3, 4, 5] as x");
}

TEST_CASE("samples of rank 4 are rows, and samples may stand in columns")
{
    const auto x = wave(48, 0.3);
    const auto t = wave(48, 0.9);
    std::vector<double> g(48), expected(48);
    const auto four = [](auto& v) { return view(v.data(), {2, 2, 3, 4}); };
    const auto two = [](auto& v) { return view(v.data(), {2, 24}); };
    const Alignment align{Samples{}, L2Alignment{.directions = true}};
    CHECK(align(four(x), four(t), into(four(g))) ==
          L2Alignment{.directions = true}(two(x), two(t), into(two(expected))));
    CHECK(g == expected);

    const Eigen::MatrixXd a = Eigen::MatrixXd::Random(5, 3);
    const Eigen::MatrixXd b = Eigen::MatrixXd::Random(5, 3);
    CHECK(in_columns(align)(a, b) ==
          Approx(L2Alignment{.directions = true}(a.transpose(), b.transpose())));
}

TEST_CASE("a target may have been through the encoder before")
{
    const auto x = wave(24, 0.3);
    const auto t = wave(24, 0.9);
    std::vector<double> g(24), other(24), features(6);
    const auto clip = [](auto& v) { return view(v.data(), {2, 4, 3}); };
    Sum encoder;
    const auto known = view(features.data(), {2, 3});
    Sum::forward(clip(t), into(known));
    const Alignment align{through(encoder), Trepa{}};
    CHECK(align(clip(x), clip(t), into(clip(g))) ==
          align(clip(x), encoded(known), into(clip(other))));
    CHECK(g == other);
    CHECK(align(clip(x), clip(t)) == Trepa{}.through(encoder)(clip(x), clip(t)));
    CHECK_THROWS_WITH(
        align(clip(x), encoded(view(features.data(), {1, 3}))),
        "Trepa: target has shape [1, 3], must be [2, 3] the encoder's features of each sample");
}

TEST_CASE("REPA averages over tokens, then encoders")
{
    const auto a = wave(12, 0.3), b = wave(12, 0.8), c = wave(20, 0.5), d = wave(20, 1.3);
    std::vector<double> ga(12), gc(20);
    const auto three = [](auto& v, Index width) { return view(v.data(), {2, 2, width}); };
    const RepaProjection repa;
    const double both = repa(tensors(three(a, 3), three(c, 5)), tensors(three(b, 3), three(d, 5)),
                             into(tensors(three(ga, 3), three(gc, 5))));
    const double first = repa(three(a, 3), three(b, 3));
    CHECK(both == Approx((first + repa(three(c, 5), three(d, 5))) / 2));
    CHECK(first == Approx(Alignment{Tokens{}, CosineAlignment{}}(three(a, 3), three(b, 3))));
    const RepaNtXent of_images{.negatives = Negatives::sample};
    const double separate =
        (RepaNtXent{}(view(a.data(), {1, 2, 3}), view(b.data(), {1, 2, 3})) +
         RepaNtXent{}(view(a.data() + 6, {1, 2, 3}), view(b.data() + 6, {1, 2, 3}))) /
        2;
    CHECK(of_images(three(a, 3), three(b, 3)) == Approx(separate));
    CHECK_THROWS_WITH(repa(tensors(three(a, 3), three(c, 5)), tensors(three(b, 3))),
                      "RepaProjection: target has 1 tensors, must be 2 as projected");
}

TEST_CASE("relations do not see rotations")
{
    const Eigen::MatrixXd x = Eigen::MatrixXd::Random(6, 3);
    Eigen::MatrixXd turned(6, 3);
    turned << x.col(1), -x.col(2), x.col(0);
    Eigen::MatrixXd g(6, 3);
    CHECK(GramAlignment{}(x, turned, into(g)) < 1e-28);
    CHECK(g.norm() < 1e-14);
    CHECK(GramAlignment{.similarity = Similarity::dot}(x, (2 * turned).eval()) > 0.1);
    CHECK(GramAlignment{}(x, (2 * turned).eval()) < 1e-28);
}

TEST_CASE("out of sync: floors, clamps and refusals")
{
    const double v[3][2] = {{1, 0}, {1, 0}, {1, 0}};
    const double a[3][2] = {{0, 2}, {-1, 1}, {3, 0}};
    const double in_sync[3] = {1, 1, 1};
    const double out[3] = {0, 0, 0};
    Eigen::MatrixXd g(3, 2);
    std::vector<double> each(3);
    const SyncCosineBce loss;
    loss(v, a, in_sync, into(g), per_sample(into(each)));
    CHECK(each == std::vector<double>{100, 100, 0});
    CHECK(g.row(0).norm() > 1e11); // the slope at a right angle
    CHECK(g.row(1).isZero(0));     // beyond it there is none
    CHECK(g.row(2).isZero(0));
    loss(v, a, out, into(g), per_sample(into(each)));
    CHECK(each[0] == 0);
    CHECK(each[1] == 0);
    CHECK(each[2] == 100);
    CHECK(g.allFinite());
    const SyncCosineBce affine{.range = CosineRange::affine};
    affine(v, a, in_sync, into(g), per_sample(into(each)));
    CHECK(each[0] == Approx(std::log(2)));
    CHECK(g.row(1).norm() > 0.1);
    g.setConstant(7);
    CHECK_THROWS_AS((SyncCosineBce{.range = CosineRange::refuse}(v, a, in_sync, into(g))),
                    RangeError);
    CHECK(g == Eigen::MatrixXd::Constant(3, 2, 7));
    const double no[3] = {0, 1.5, 0};
    CHECK_THROWS_WITH(loss(v, a, no), "SyncCosineBce: y is 1.5, must be in [0, 1]");
}

TEST_CASE("artifacts: what is held fixed sends nothing back")
{
    const Eigen::MatrixXd raw = Eigen::MatrixXd::Random(5, 4);
    const Eigen::MatrixXd clean = Eigen::MatrixXd::Random(5, 4);
    const Eigen::MatrixXd shared = Eigen::MatrixXd::Random(5, 4);
    Eigen::MatrixXd residual = Eigen::MatrixXd::Random(5, 4);
    residual(2, 1) = 0;
    Eigen::MatrixXd gc(5, 4), gs(5, 4), gr(5, 4), plain(5, 4);
    const ArtifactDecompositionLoss loss{.use_residual = true};
    const double value = loss(raw, clean, shared, residual, into(gc), into(gs), into(gr));
    // To the first two terms, the residual is a part of `shared` that does not move.
    const Eigen::MatrixXd moved = shared + residual;
    const double first = ArtifactDecompositionLoss{}(raw, clean, moved, residual, into(plain));
    CHECK((gc - plain).norm() < 1e-13);
    CHECK((gs - plain).norm() < 1e-13);
    const Eigen::MatrixXd missed = residual - (raw - clean - shared);
    CHECK(value ==
          Approx(first + 0.1 * missed.squaredNorm() / 20 + 0.02 * residual.cwiseAbs().sum() / 20));
    const Eigen::MatrixXd expected = 0.2 / 20 * missed + 0.02 / 20 * residual.cwiseSign();
    CHECK((gr - expected).norm() < 1e-13);
    ArtifactDecompositionLoss{}(raw, clean, shared, residual, discard, discard, into(gr));
    CHECK(gr.isZero(0));
}
