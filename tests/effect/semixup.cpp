// SPDX-License-Identifier: BSL-1.0

// Semixup: consistency in and out of the manifold, on two moons with a few labels.

#include "effect/mixing.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/loss/semixup_consistency.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include "support/catch.hpp"

using namespace mixing_effect;
using namespace temper;

namespace {

void moons(Index n, Stream& rng, Matrix& x, std::vector<int>& y)
{
    x.resize(n, 2);
    y.resize(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) {
        const bool second = i % 2 == 1;
        const double angle = 3.14159265358979 * uniform(rng);
        const double a = second ? 1 - std::cos(angle) : std::cos(angle);
        const double b = second ? 0.5 - std::sin(angle) : std::sin(angle);
        x(i, 0) = static_cast<float>(a + 0.1 * normal(rng));
        x(i, 1) = static_cast<float>(b + 0.1 * normal(rng));
        y[static_cast<std::size_t>(i)] = second;
    }
}
Matrix moved(const Matrix& x, double by, Stream& rng)
{
    Matrix out = x;
    for (Index i = 0; i < x.size(); ++i)
        out.data()[i] += static_cast<float>(by * normal(rng));
    return out;
}

double error(const SemixupConsistency& consistency, std::uint64_t seed)
{
    constexpr Index batch = 64;
    constexpr int steps = 600;
    auto rng = stream(seed, 0, "moons");
    Matrix labelled, unlabelled, test;
    std::vector<int> y, hidden, truth;
    moons(8, rng, labelled, y);
    moons(512, rng, unlabelled, hidden);
    moons(1000, rng, test, truth);
    Network network = demo::fresh_network({2, 64, 64, 2}, seed);
    demo::Optimizer optimizer({&network}, 5e-3, 1e-4, steps);
    Network::Tape tape;
    auto gradients = network.zeros();
    const Mixup<FlooredCoefficient<>, ReversedPairs> mixup{};
    support::Batches batches(unlabelled.rows(), batch);
    MixPlan plan;
    for (int step = 0; step < steps; ++step) {
        const Matrix x = support::take_rows(unlabelled, batches.next(rng));
        mixup.draw(rng, batch, plan);
        Matrix m(batch, 2);
        mixup.apply(plan, x, into(m));
        const Index few = labelled.rows();
        Matrix all(few + 3 * batch, 2);
        all << labelled, m, x, moved(x, 0.1, rng);
        const Matrix z = network.forward(all, tape);
        Matrix gz = Matrix::Zero(z.rows(), 2);
        SoftmaxCrossEntropy{}(z.topRows(few), labels(y), into(gz.topRows(few)));
        // The unlabelled terms come in as the labelled one takes hold.
        const double ramp = (std::min)(1.0, step / 200.0);
        const auto part = [&](auto& of, Index i) { return of.middleRows(few + i * batch, batch); };
        (ramp * consistency)(part(z, 0), part(z, 1), part(z, 2), plan, into(part(gz, 0)),
                             into(part(gz, 1)), into(part(gz, 2)));
        network.backward(tape, gz, gradients);
        optimizer.update({&gradients});
    }
    return 1 - support::accuracy(logits(network, test), truth);
}

} // namespace

TEST_CASE("Semixup's terms on two moons", "[effect]")
{
    struct Arm {
        const char* name;
        SemixupConsistency consistency;
        double error = 0;
    };
    std::array arms{
        Arm{"labels only", {.in_manifold = 0, .interpolation = 0, .out_of_manifold = 0}},
        Arm{"interpolation", {.in_manifold = 0, .interpolation = 4, .out_of_manifold = 0}},
        Arm{"with out-of-manifold", {.in_manifold = 0, .interpolation = 4, .out_of_manifold = 2}},
        Arm{"all of Semixup", {}}};
    constexpr int seeds = 8;
    std::printf("Semixup, two moons, 8 labels:\n");
    for (Arm& arm : arms) {
        arm.error = mean_over_seeds(seeds, [&](auto seed) { return error(arm.consistency, seed); });
        std::printf("  %-22s error %.4f\n", arm.name, arm.error);
    }
    CHECK(arms[3].error < arms[0].error);
    CHECK(arms[2].error < arms[1].error);
}
