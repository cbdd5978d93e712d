// SPDX-License-Identifier: BSL-1.0

// Policy Gradient-Driven Noise Mask.

#include "effect/label_noise.hpp"

#include <temper/augment/beta_noise_policy.hpp>
#include <temper/augment/noise_mask.hpp>

using namespace effect;

namespace {

constexpr Index n = 64;
constexpr Index side = 8;

/// Two classes that differ in the upper left quarter; a classifier that adds up all pixels, so that the rest
/// is noise to it. Its loss under masks, and a policy of one Beta variable for each quarter.
struct Bandit {
    std::vector<float> x = std::vector<float>(n * side * side);
    std::vector<float> masked = x;
    std::vector<double> t = std::vector<double>(n);

    void draw(temper::Stream& rng)
    {
        for (Index i = 0; i < n; ++i) {
            t[static_cast<std::size_t>(i)] = i % 2 == 0 ? 1 : -1;
            for (Index p = 0; p < side * side; ++p) {
                const bool informative = p / side < 4 && p % side < 4;
                const double mean = informative ? 0.3 * t[static_cast<std::size_t>(i)] : 0;
                x[static_cast<std::size_t>(i * side * side + p)] =
                    static_cast<float>(mean + 0.6 * temper::normal(rng));
            }
        }
    }
    [[nodiscard]] std::vector<float> losses(const Matrix<float>& mask)
    {
        temper::NoiseMask{.kernel = 3, .sigma = 1}.forward(
            mask, temper::view(x.data(), {n, side, side}),
            temper::into(temper::view(masked.data(), {n, side, side})));
        std::vector<float> out;
        for (Index i = 0; i < n; ++i) {
            double score = 0;
            for (Index p = 0; p < side * side; ++p)
                score += static_cast<double>(masked[static_cast<std::size_t>(i * side * side + p)]);
            out.push_back(
                static_cast<float>(std::log1p(std::exp(-t[static_cast<std::size_t>(i)] * score))));
        }
        return out;
    }
};

} // namespace

TEST_CASE("the policy lets through what is informative, and blocks what is not", "[effect]")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
        for (const auto form :
             {temper::BetaNoisePolicy::Form::reinforce, temper::BetaNoisePolicy::Form::published}) {
            const bool reinforce = form == temper::BetaNoisePolicy::Form::reinforce;
            auto rng = temper::stream(seed, 0, "bandit");
            Bandit bandit;
            Matrix<float> raw = Matrix<float>::Zero(2, 4); // alpha, beta of the four quarters
            Matrix<float> mask(n, 4);
            Matrix<float> ga(n, 4);
            Matrix<float> gb(n, 4);
            std::vector<float> gl(n);
            const temper::BetaNoisePolicy policy{form};
            double negative = 0;
            constexpr int steps = 1000;
            for (int step = 0; step < steps; ++step) {
                bandit.draw(rng);
                const Matrix<float> a = raw.row(0).replicate(n, 1);
                const Matrix<float> b = raw.row(1).replicate(n, 1);
                policy.draw(rng, a, b, temper::into(mask));
                std::vector<float> l = bandit.losses(mask);
                if (reinforce) { // a baseline changes no expectation
                    float mean = 0;
                    for (const float x : l)
                        mean += x / n;
                    for (float& x : l)
                        x -= mean;
                }
                policy(a, b, mask, l, temper::into(ga), temper::into(gb), temper::into(gl));
                negative += gl[0] < 0 ? 1.0 / steps : 0;
                raw.row(0) -= 0.1F * ga.colwise().sum();
                raw.row(1) -= 0.1F * gb.colwise().sum();
                raw = raw.cwiseMax(-2.0F).cwiseMin(2.0F);
            }
            const Eigen::Array<float, 1, Eigen::Dynamic> alpha = raw.row(0).array().exp();
            const Eigen::Array<float, 1, Eigen::Dynamic> beta = raw.row(1).array().exp();
            const Eigen::Array<float, 1, Eigen::Dynamic> mean = alpha / (alpha + beta);
            const auto informative = static_cast<double>(mean(0));
            const auto rest = static_cast<double>((mean(1) + mean(2) + mean(3)) / 3);
            std::printf(
                "noise policy, %s: mean mask %.2f where informative, %.2f elsewhere; factor on "
                "the classifier's loss negative in %.0f %% of the steps\n",
                reinforce ? "reinforce" : "published", informative, rest, 100 * negative);
            if (reinforce)
                CHECK(informative > rest + 0.3);
        }
}
