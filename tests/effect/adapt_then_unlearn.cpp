// SPDX-License-Identifier: BSL-1.0

// Adapt then Unlearn: Exploring Parameter Space Semantics for Unlearning in Generative Adversarial Networks.

#include "effect/distillation.hpp"

#include <temper/regularizer/parameter_repulsion.hpp>

using namespace effect::distillation;

namespace {

struct Run {
    double unwanted = 0; ///< mass of the mode that is to go
    double kept = 0;     ///< distance of the other mode from where it belongs
};

/// A mixture of two Gaussians in the plane: logit of the first mode's mass, and both means.
struct Mixture {
    Matrix<float> numbers = Matrix<float>::Zero(1, 5);

    /// The gradient of the mean of -log likelihood.
    void pull(const Matrix<float>& x, Matrix<float>& g) const
    {
        g.setZero(1, 5);
        const float mass = 1 / (1 + std::exp(-numbers(0, 0)));
        for (Index i = 0; i < x.rows(); ++i) {
            const auto a = (x.row(i) - numbers.middleCols(1, 2)).eval();
            const auto b = (x.row(i) - numbers.middleCols(3, 2)).eval();
            const float pa = mass * std::exp(-a.squaredNorm() / 2);
            const float pb = (1 - mass) * std::exp(-b.squaredNorm() / 2);
            const float share = pa / (pa + pb + 1e-20F);
            const auto rows = static_cast<float>(x.rows());
            g(0, 0) -= (share - mass) / rows;
            g.middleCols(1, 2) -= share * a / rows;
            g.middleCols(3, 2) -= (1 - share) * b / rows;
        }
    }
};

Run unlearn(double gamma, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "modes");
    Mixture model;
    model.numbers << 0, -2, 0, 2, 0;
    const auto around = [&](float at) {
        Matrix<float> x = normal(rng, 64, 2);
        x.col(0).array() += at;
        return x;
    };
    Matrix<float> g(1, 5), bounded;
    // Adapt to what is to be unlearned: samples of the left mode.
    Mixture adapted = model;
    for (int step = 0; step < 100; ++step) {
        adapted.pull(around(-2), g);
        adapted.numbers -= 0.2F * g;
    }
    // Unlearn: what remains is trained on, away from the adapted numbers.
    for (int step = 0; step < 60; ++step) {
        model.pull(around(2), g);
        temper::ParameterRepulsion{.gamma = gamma}(model.numbers, adapted.numbers,
                                                   temper::add_to(g));
        model.numbers -= 0.1F * g;
    }
    return {1 / (1 + std::exp(-static_cast<double>(model.numbers(0, 0)))),
            static_cast<double>(std::hypot(model.numbers(0, 3) - 2, model.numbers(0, 4)))};
}

/// The means of three runs.
Run unlearn(double gamma)
{
    Run run;
    for (const std::uint64_t seed : {1, 2, 3}) {
        const Run one = unlearn(gamma, seed);
        run.unwanted += one.unwanted / 3;
        run.kept += one.kept / 3;
    }
    std::printf("Adapt then Unlearn: repulsion %.0f: mass of the unwanted mode %.3f, the other has "
                "moved by %.3f\n",
                gamma, run.unwanted, run.kept);
    return run;
}

} // namespace

TEST_CASE("repulsion from adapted parameters unlearns a mode sooner", "[effect]")
{
    const Run plain = unlearn(0);
    const Run repelled = unlearn(30);
    CHECK(repelled.unwanted < 0.05);
    CHECK(repelled.unwanted < 0.5 * plain.unwanted);
    CHECK(repelled.kept < 0.5);
}
