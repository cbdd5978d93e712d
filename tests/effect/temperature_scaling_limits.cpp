// SPDX-License-Identifier: BSL-1.0

// On the Limitations of Temperature Scaling for Distributions with Overlaps: where labels overlap, mixing
// while training calibrates better than any temperature afterwards.

#include "effect/mixing.hpp"

#include <temper/augment/simplex_mix.hpp>
#include <temper/loss/temperature_scaling.hpp>

#include "support/catch.hpp"

using namespace mixing_effect;
using namespace temper;

namespace {

auto mixed(Index order, std::uint64_t seed)
{
    return [=, rng = stream(seed, 0, "mix")](const Matrix& x, const std::vector<int>& y, double,
                                             const auto& forward, Matrix& gz) mutable {
        const SimplexMix mix{.order = order};
        const SimplexPlan plan = mix.draw(rng, x.rows());
        Matrix m(x.rows(), x.cols());
        Matrix t(x.rows(), 10);
        mix.apply(plan, x, into(m));
        mix.mix_labels(plan, labels(y), 10, into(t));
        SoftmaxCrossEntropy{}(forward(m), probabilities(t), into(gz));
    };
}

struct Nll {
    double raw = 0, scaled = 0;
};

} // namespace

TEST_CASE("mixing against temperature scaling under label noise", "[effect]")
{
    std::array<Nll, 3> nll{};
    constexpr double seeds = 3;
    for (std::uint64_t seed = 0; seed < 3; ++seed) {
        auto data = parts({900, 350}, seed);
        for (std::size_t part = 0; part < 3; ++part)
            relabel(data[part], 0.2, 10 * seed + part);
        const Training how{};
        const auto run = [&](Nll& to, const auto& loss) {
            const Network network = train(data[0], how, seed, loss);
            const TemperatureScaling scaling{};
            const TemperatureFit fit = scaling.fit(logits(network, data[1].x), labels(data[1].y));
            CHECK(fit.nll_after <= fit.nll_before);
            const Matrix z = logits(network, data[2].x);
            Matrix scaled(z.rows(), z.cols());
            scaling.forward(z, fit.temperature, into(scaled));
            CHECK(support::predictions(scaled) == support::predictions(z));
            to.raw += scaling(z, labels(data[2].y), 1.0) / seeds;
            to.scaled += scaling(z, labels(data[2].y), fit.temperature) / seeds;
        };
        run(nll[0], cross_entropy);
        run(nll[1], mixed(2, seed));
        run(nll[2], mixed(4, seed));
    }
    std::printf("limits of temperature scaling, 900 digits, 20%% of all labels drawn anew:\n");
    const char* names[] = {"cross-entropy", "mixing 2", "mixing 4"};
    for (std::size_t i = 0; i < 3; ++i)
        std::printf("  %-14s nll %.3f, scaled %.3f\n", names[i], nll[i].raw, nll[i].scaled);
    CHECK(nll[2].raw < nll[0].scaled - 0.03);
    CHECK(nll[1].raw < nll[0].raw - 0.3);
    CHECK(nll[1].scaled < nll[0].scaled);
}
