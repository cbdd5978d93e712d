// SPDX-License-Identifier: BSL-1.0

// MixUp as Locally Linear Out-Of-Manifold Regularization: in a strip of classes 0 | 1 | 0, mixtures of the two
// outer parts land on the middle one with the wrong label; a learned policy keeps them off it.

#include "effect/mixing.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/metric/local_linearity.hpp>
#include <temper/recipe/adamixup.hpp>

#include "support/catch.hpp"

using namespace mixing_effect;
using namespace temper;

namespace {

constexpr Index half = 64; // pairs in a batch of 2 * half
constexpr int steps = 1500;
constexpr double rate = 5e-3;

/// Points of the strip: class 1 where |x| < 0.25, class 0 where 0.35 < |x| < 1.
void strip(Index n, Stream& rng, Matrix& x, std::vector<int>& y)
{
    x.resize(n, 2);
    y.resize(static_cast<std::size_t>(n));
    for (Index i = 0; i < n; ++i) {
        const bool middle = bernoulli(rng, 0.34);
        const double side = bernoulli(rng, 0.5) ? 1 : -1;
        x(i, 0) =
            static_cast<float>(side * (middle ? 0.25 * uniform(rng) : 0.35 + 0.65 * uniform(rng)));
        x(i, 1) = static_cast<float>(2 * uniform(rng) - 1);
        y[static_cast<std::size_t>(i)] = middle;
    }
}

Network fresh(std::vector<Index> widths, std::uint64_t seed)
{
    return demo::fresh_network(widths, seed);
}

/// The pairs of a batch side by side, what the policy sees.
Matrix beside(const Matrix& a, const Matrix& b)
{
    Matrix out(a.rows(), a.cols() + b.cols());
    out << a, b;
    return out;
}
Matrix stacked(const Matrix& a, const Matrix& b)
{
    Matrix out(a.rows() + b.rows(), a.cols());
    out << a, b;
    return out;
}

struct Scores {
    double middle = 0, outer = 0, intrusion = 0;
};

/// What the network gives to the right class, over test samples of a class.
double confidence(const Network& network, int wanted, std::uint64_t seed)
{
    auto rng = stream(seed, 1, "test");
    Matrix x;
    std::vector<int> y;
    strip(2000, rng, x, y);
    const Matrix p = support::softmax(logits(network, x));
    double right = 0;
    double all = 0;
    for (std::size_t i = 0; i < y.size(); ++i)
        if (y[i] == wanted) {
            all += 1;
            right += static_cast<double>(p(static_cast<Index>(i), wanted));
        }
    return right / all;
}
/// The share of mixtures of two outer points that land in the middle.
double intruding(const Matrix& m, const std::vector<int>& a, const std::vector<int>& b)
{
    double inside = 0;
    double pairs = 0;
    for (Index i = 0; i < m.rows(); ++i)
        if (a[static_cast<std::size_t>(i)] == 0 && b[static_cast<std::size_t>(i)] == 0) {
            pairs += 1;
            inside += std::abs(m(i, 0)) < 0.25f;
        }
    return inside / pairs;
}

Scores run(bool adaptive, std::uint64_t seed)
{
    Network classifier = fresh({2, 64, 64, 2}, seed);
    Network discriminator = fresh({2, 64, 64, 2}, seed + 100);
    Network policy = fresh({4, 64, 3}, seed + 200);
    policy.weight(1) *= 1e-3f; // regions begin at thirds
    demo::Optimizer optimizer({&classifier, &discriminator, &policy}, rate, 1e-4, steps);
    Network::Tape of_classes, of_data, of_gates;
    auto g_classifier = classifier.zeros();
    auto g_discriminator = discriminator.zeros();
    auto g_policy = policy.zeros();

    const AdaMixup ada{};
    PolicyPlan plan;
    auto rng = stream(seed, 0, "adamixup");
    Matrix x, g_input, g_data;
    std::vector<int> y;
    double intrusion = 0;
    for (int step = 0; step < steps; ++step) {
        strip(2 * half, rng, x, y);
        const Matrix x1 = x.topRows(half);
        std::vector<Index> partner(half);
        permutation(rng, std::span<Index>(partner));
        const Matrix x2 = support::take_rows(x1, partner);
        const std::vector<int> y1(y.begin(), y.begin() + half);
        std::vector<int> y2;
        support::take_labels(y1, partner, y2);
        const Matrix t1 = support::one_hot(y1, 2);
        const Matrix t2 = support::one_hot(y2, 2);

        Matrix gate = Matrix::Zero(half, 3);
        if (adaptive)
            gate = policy.forward(beside(x1, x2), of_gates);
        ada.region.draw(rng, half, plan);
        if (adaptive)
            ada.region.decide(gate, plan);
        else { // plain mixup: the region is [0, 1]
            gate.col(1).setConstant(200);
            ada.region.decide(gate, plan);
        }
        Matrix m(half, 2), t(half, 2);
        ada.region.apply(plan, x1, x2, into(m));
        ada.region.mix_labels(plan, probabilities(t1), probabilities(t2), into(t));
        if (step >= steps - 100)
            intrusion += intruding(m, y1, y2) / 100;

        const Matrix z = classifier.forward(stacked(m, x1), of_classes);
        Matrix gz(2 * half, 2), gt(half, 2);
        Matrix gzm(half, 2), gz1(half, 2);
        ada.classification(Matrix(z.topRows(half)), probabilities(t), Matrix(z.bottomRows(half)),
                           labels(y1), into(gzm), into(gt), into(gz1));
        gz << gzm, gz1;
        classifier.backward(of_classes, gz, g_classifier, support::Gradients::overwrite, &g_input);
        if (!adaptive) {
            optimizer.update({&g_classifier, &g_discriminator, &g_policy});
            continue;
        }
        const Matrix r = discriminator.forward(stacked(m, x), of_data);
        Matrix gr(3 * half, 2), gm(half, 2), g_real(2 * half, 2);
        ada.intrusion(Matrix(r.bottomRows(2 * half)), Matrix(r.topRows(half)), into(g_real),
                      into(gm));
        gr << gm, g_real;
        discriminator.backward(of_data, gr, g_discriminator, support::Gradients::overwrite,
                               &g_data);
        const Matrix gx = g_input.topRows(half) + g_data.topRows(half);
        Matrix g_gate(half, 3);
        ada.region.pullback(plan, x1, x2, probabilities(t1), probabilities(t2), gx, gt,
                            into(g_gate));
        policy.backward(of_gates, g_gate, g_policy);
        optimizer.update({&g_classifier, &g_discriminator, &g_policy});
    }
    return {confidence(classifier, 1, seed), confidence(classifier, 0, seed), intrusion};
}

} // namespace

TEST_CASE("a learned mixing policy does not intrude", "[effect]")
{
    Scores plain;
    Scores learned;
    constexpr int seeds = 3;
    for (std::uint64_t seed = 0; seed < seeds; ++seed)
        for (const bool adaptive : {false, true}) {
            const Scores s = run(adaptive, seed);
            Scores& to = adaptive ? learned : plain;
            to.middle += s.middle / seeds;
            to.outer += s.outer / seeds;
            to.intrusion += s.intrusion / seeds;
        }
    std::printf("AdaMixUp, a strip of classes 0 | 1 | 0:\n");
    for (const auto& [name, s] : {std::pair{"mixup", plain}, std::pair{"AdaMixUp", learned}})
        std::printf(
            "  %-10s confidence in the middle %.3f, outside %.3f; intruding mixtures %.3f\n", name,
            s.middle, s.outer, s.intrusion);
    CHECK(learned.intrusion < 0.7 * plain.intrusion);
    CHECK(learned.middle > plain.middle + 0.02);
}
