// SPDX-License-Identifier: BSL-1.0

// Harnessing Hard Mixed Samples with Decoupled Regularizer: mixup withstands wrong labels, and with the
// regulariser the two classes of a mixed sample are told with more confidence.

#include "effect/mixing.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/loss/decoupled_mixup_cross_entropy.hpp>
#include <temper/loss/mixup_cross_entropy.hpp>

#include "support/catch.hpp"

using namespace mixing_effect;
using namespace temper;

namespace {

template <class Loss>
auto mixed(const Loss& loss, std::uint64_t seed)
{
    return [=, rng = stream(seed, 0, "mixup")](const Matrix& x, const std::vector<int>& y, double,
                                               const auto& forward, Matrix& gz) mutable {
        const Mixup<> mixup{};
        const MixPlan plan = mixup.draw(rng, x.rows());
        Matrix m(x.rows(), x.cols());
        mixup.apply(plan, x, into(m));
        std::vector<int> partner;
        support::take_labels(y, plan.partner, partner);
        loss(forward(m), labels(y), labels(partner), plan.lambda, into(gz));
    };
}

/// What the network gives to the two true classes of mixed test samples, at lambda = 1/2.
double confidence_of_two(const Network& network, const Data& data)
{
    auto rng = stream(0, 0, "pairs");
    const Mixup<ConstantCoefficient> mixup{.coefficient = {0.5}};
    const MixPlan plan = mixup.draw(rng, data.x.rows());
    Matrix m(data.x.rows(), data.x.cols());
    mixup.apply(plan, data.x, into(m));
    const Matrix p = support::softmax(logits(network, m));
    double sum = 0;
    double pairs = 0;
    for (Index i = 0; i < m.rows(); ++i) {
        const auto a = data.y[static_cast<std::size_t>(i)];
        const auto b = data.y[static_cast<std::size_t>(plan.partner[static_cast<std::size_t>(i)])];
        if (a != b) {
            sum += static_cast<double>(p(i, a) + p(i, b));
            pairs += 1;
        }
    }
    return sum / pairs;
}

} // namespace

TEST_CASE("mixup and its decoupled regulariser", "[effect]")
{
    Average plain;
    Average mixup;
    Average decoupled;
    Average clean;
    Average clean_decoupled;
    double confidence = 0;
    double confidence_decoupled = 0;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        auto data = parts({1000}, seed);
        relabel(data[0], 0.4, seed);
        const Training how{};
        const auto run = [&](const Data& on, Average& to, const auto& loss) {
            const Network network = train(on, how, seed, loss);
            to.add(measure(network, data[1]));
            return network;
        };
        run(data[0], plain, cross_entropy);
        run(data[0], mixup, mixed(MixupCrossEntropy{}, seed));
        run(data[0], decoupled, mixed(DecoupledMixupCrossEntropy{}, seed));
        const auto few = parts({200}, seed);
        confidence +=
            confidence_of_two(run(few[0], clean, mixed(MixupCrossEntropy{}, seed)), data[1]);
        confidence_decoupled += confidence_of_two(
            run(few[0], clean_decoupled, mixed(DecoupledMixupCrossEntropy{}, seed)), data[1]);
    }
    std::printf("decoupled regulariser, 1000 digits, 40%% of the labels drawn anew:\n");
    plain.print("cross-entropy");
    mixup.print("mixup");
    decoupled.print("mixup, eta 0.1");
    std::printf("200 clean digits, and what the two classes of mixed test digits are given:\n");
    clean.print("mixup");
    clean_decoupled.print("mixup, eta 0.1");
    std::printf("  confidence in the two %.3f, with eta 0.1 %.3f\n", confidence / 3,
                confidence_decoupled / 3);
    CHECK(mixup.mean().accuracy > plain.mean().accuracy + 0.04);
    CHECK(decoupled.mean().accuracy > mixup.mean().accuracy - 0.01);
    CHECK(clean_decoupled.mean().nll < clean.mean().nll);
    CHECK(confidence_decoupled > confidence);
}
