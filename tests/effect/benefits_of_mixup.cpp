// SPDX-License-Identifier: BSL-1.0

// The Benefits of Mixup for Feature Learning: the gain is made early, so mixup may stop half way; and the
// labels' coefficient need not be the inputs'.

#include "effect/mixing.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/schedule/mixup_until.hpp>

#include "support/catch.hpp"

using namespace mixing_effect;
using namespace temper;

namespace {

/// Mixup until this share of the training.
template <class Mix>
auto mixed(const Mix& mixup, double until, std::uint64_t seed)
{
    return
        [=, rng = stream(seed, 0, "mixup")](const Matrix& x, const std::vector<int>& y,
                                            double share, const auto& forward, Matrix& gz) mutable {
            const MixupUntil schedule{.stop = static_cast<Index>(until * 1000)};
            if (!schedule.on(static_cast<Index>(share * 1000)))
                return cross_entropy(x, y, share, forward, gz);
            const MixPlan plan = mixup.draw(rng, x.rows());
            Matrix m(x.rows(), x.cols());
            Matrix t(x.rows(), 10);
            mixup.apply(plan, x, into(m));
            mixup.mix_labels(plan, labels(y), 10, into(t));
            SoftmaxCrossEntropy{}(forward(m), probabilities(t), into(gz));
        };
}

} // namespace

TEST_CASE("mixup for the first half, and with a label coefficient of its own", "[effect]")
{
    Average erm;
    Average full;
    Average half;
    Average separate;
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
        const auto data = parts({200}, seed);
        const Training how{};
        const auto run = [&](Average& to, const auto& loss) {
            to.add(measure(train(data[0], how, seed, loss), data[1]));
        };
        run(erm, cross_entropy);
        run(full, mixed(Mixup<>{}, 1, seed));
        run(half, mixed(Mixup<>{}, 0.5, seed));
        run(separate, mixed(Mixup<BetaCoefficient, ShuffledPairs, LinearBlend,
                                  SeparateLabels<ConstantCoefficient>>{.label_rule = {{0.5}}},
                            0.5, seed));
    }
    std::printf("benefits of mixup, 200 clean digits:\n");
    erm.print("cross-entropy");
    full.print("mixup");
    half.print("mixup, first half");
    separate.print("label lambda 1/2, first half");
    CHECK(half.mean().nll < 0.95 * erm.mean().nll);
    CHECK(half.mean().nll < full.mean().nll);
    CHECK(half.mean().accuracy > erm.mean().accuracy);
    CHECK(separate.mean().accuracy > erm.mean().accuracy - 0.005);
}
