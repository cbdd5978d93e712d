// SPDX-License-Identifier: BSL-1.0

// ICON: mixing lesions that show the same makes what is said of two such lesions agree. Here: inputs that are
// attributes seen through a fixed map, under a nuisance as large.

#include "effect/mixing.hpp"

#include <temper/augment/lesion_mixup.hpp>
#include <temper/loss/lesion_mixup_loss.hpp>

#include "support/catch.hpp"

using namespace mixing_effect;
using namespace temper;

namespace {

constexpr Index attributes = 4;
constexpr Index width = 24;

struct Lesions {
    Matrix x;
    Eigen::Matrix<std::int64_t, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor> y;
    std::vector<std::int64_t> group; // which attributes there are
};

Lesions lesions(Index n, std::uint64_t seed, std::string_view part)
{
    auto fixed = stream(seed, 0, "map");
    Matrix map(attributes, width);
    for (Index i = 0; i < map.size(); ++i)
        map.data()[i] = static_cast<float>(normal(fixed));
    auto rng = stream(seed, 0, part);
    Lesions out{Matrix(n, width), {}, {}};
    out.y.resize(n, attributes);
    for (Index i = 0; i < n; ++i) {
        std::int64_t code = 0;
        out.x.row(i).setZero();
        for (Index j = 0; j < attributes; ++j) {
            const bool yes = bernoulli(rng, 0.5);
            out.y(i, j) = yes;
            code = 2 * code + yes;
            out.x.row(i) += (yes ? 0.5f : -0.5f) * map.row(j);
        }
        out.group.push_back(code);
        for (Index k = 0; k < width; ++k)
            out.x(i, k) += static_cast<float>(1.2 * normal(rng));
    }
    return out;
}

struct Scores {
    double accuracy = 0, agreement = 0, spread = 0;
};

Scores run(bool mixes, std::uint64_t seed)
{
    const Lesions train = lesions(160, seed, "train");
    const Lesions test = lesions(600, seed, "test");
    Network network = demo::fresh_network({width, 64, attributes}, seed);
    constexpr int steps = 1500;
    demo::Optimizer optimizer({&network}, 2e-3, 1e-4, steps);
    Network::Tape tape;
    auto gradients = network.zeros();
    support::Batches batches(train.x.rows(), train.x.rows());
    auto rng = stream(seed, 0, "lesions");
    for (int step = 0; step < steps; ++step) {
        const auto rows = batches.next(rng);
        const Matrix x = support::take_rows(train.x, rows);
        decltype(train.y) y(x.rows(), attributes);
        std::vector<std::int64_t> group;
        for (Index i = 0; i < x.rows(); ++i) {
            const Index row = rows[static_cast<std::size_t>(i)];
            y.row(i) = train.y.row(row);
            group.push_back(train.group[static_cast<std::size_t>(row)]);
        }
        const LesionMixup mixup = lesion_mixup(group, mixes ? 0.75 : 1);
        const MixPlan plan = mixup.draw(rng, x.rows());
        Matrix m(x.rows(), width);
        mixup.apply(plan, x, into(m));
        auto of_partner = y;
        for (Index i = 0; i < x.rows(); ++i)
            of_partner.row(i) = y.row(plan.partner[static_cast<std::size_t>(i)]);
        const Matrix& z = network.forward(m, tape);
        Matrix gz(z.rows(), z.cols());
        LesionMixupLoss{}(z, labels(y), labels(of_partner), plan.lambda, into(gz));
        network.backward(tape, gz, gradients);
        optimizer.update({&gradients});
    }
    const Matrix z = logits(network, test.x);
    Scores out;
    double pairs = 0;
    for (Index i = 0; i < z.rows(); ++i) {
        for (Index j = 0; j < attributes; ++j)
            out.accuracy += (z(i, j) > 0) == (test.y(i, j) == 1);
        for (Index other = 0; other < i; ++other)
            if (test.group[static_cast<std::size_t>(i)] ==
                test.group[static_cast<std::size_t>(other)])
                for (Index j = 0; j < attributes; ++j) {
                    pairs += 1;
                    out.agreement += (z(i, j) > 0) == (z(other, j) > 0);
                    const auto p = [&](Index row) { return 1 / (1 + std::exp(-z(row, j))); };
                    out.spread += static_cast<double>(std::abs(p(i) - p(other)));
                }
    }
    return {out.accuracy / static_cast<double>(z.size()), out.agreement / pairs,
            out.spread / pairs};
}

} // namespace

TEST_CASE("what is said of lesions that show the same agrees", "[effect]")
{
    Scores plain, mixed;
    constexpr int seeds = 5;
    for (std::uint64_t seed = 0; seed < seeds; ++seed)
        for (const bool mixes : {false, true}) {
            const Scores s = run(mixes, seed);
            Scores& to = mixes ? mixed : plain;
            to.accuracy += s.accuracy / seeds;
            to.agreement += s.agreement / seeds;
            to.spread += s.spread / seeds;
        }
    std::printf("ICON, lesions of equal attributes:\n");
    for (const auto& [name, s] : {std::pair{"without", plain}, std::pair{"lesion mixup", mixed}})
        std::printf("  %-14s accuracy %.3f, agreement %.3f, |p - p'| %.3f\n", name, s.accuracy,
                    s.agreement, s.spread);
    CHECK(mixed.agreement > plain.agreement + 0.002);
    CHECK(mixed.spread < 0.985 * plain.spread);
    CHECK(mixed.accuracy > plain.accuracy - 0.002);
}
