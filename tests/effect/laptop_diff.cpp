// SPDX-License-Identifier: BSL-1.0

// LAPTOP-Diff: Layer Pruning and Normalized Distillation for Compressing Diffusion Models.

#include "effect/distillation.hpp"

#include <temper/mask/layer_importance.hpp>
#include <temper/mask/layer_knapsack.hpp>
#include <temper/representation/layerwise_distillation.hpp>

#include <numeric>

using namespace effect::distillation;

namespace {

/// The relative errors of two layers of sizes 100 and 1 that a narrow student learns at once.
std::array<double, 2> errors(double power)
{
    auto rng = temper::stream(1, 0, "layers");
    Trained teacher({8, 24, 12}, 7, 0, support::Activation::tanh);
    Trained student({8, 6, 12}, 8, 0.01, support::Activation::tanh);
    Matrix<float> s1, s2, t1, t2, g(64, 12), g1(64, 6), g2(64, 6);
    std::array<double, 2> error{};
    for (int step = 0; step < 3000; ++step) {
        const Matrix<float> x = normal(rng, 64, 8);
        const Matrix<float>& t = teacher.forward(x);
        const Matrix<float>& s = student.forward(x);
        t1 = 100 * t.leftCols(6);
        t2 = t.rightCols(6);
        s1 = 100 * s.leftCols(6);
        s2 = s.rightCols(6);
        temper::LayerwiseDistillation{.power = power}(
            temper::tensors(s1, s2), temper::tensors(t1, t2), into(temper::tensors(g1, g2)));
        g << 100 * g1, g2;
        student.backward(g);
        student.step();
        error = {static_cast<double>((s1 - t1).norm() / t1.norm()),
                 static_cast<double>((s2 - t2).norm() / t2.norm())};
    }
    std::printf("LAPTOP-Diff: power %.0f: relative errors %.3f of the large layer, %.3f of the "
                "small\n",
                power, error[0], error[1]);
    return error;
}

} // namespace

TEST_CASE("normalised distillation does not forget small layers", "[effect]")
{
    const auto raw = errors(0);
    (void)errors(1);
    const auto normalised = errors(2);
    CHECK(normalised[1] < 0.75 * raw[1]);
    CHECK((std::max)(normalised[0], normalised[1]) < (std::max)(raw[0], raw[1]));
}

TEST_CASE("layers that a knapsack takes out are missed less than the last ones", "[effect]")
{
    double chosen = 0;
    double last = 0;
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
        auto rng = temper::stream(seed, 0, "blocks");
        constexpr Index layers = 8;
        std::vector<Matrix<float>> in, out;
        std::vector<std::int64_t> params;
        for (Index l = 0; l < layers; ++l) {
            const Index width = 4 + temper::uniform_index(rng, 12);
            in.push_back(normal(rng, width, 16, 0.25));
            out.push_back(normal(rng, 16, width, 0.02 + 0.3 * temper::uniform(rng)));
            params.push_back(2 * 16 * width);
        }
        const Matrix<float> x = normal(rng, 200, 16);
        const auto without = [&](const std::vector<std::int64_t>& removed) {
            Matrix<float> h = x;
            for (std::size_t l = 0; l < params.size(); ++l)
                if (removed[l] == 0)
                    h += (h * in[l].transpose()).array().tanh().matrix() * out[l].transpose();
            return h;
        };
        std::vector<std::int64_t> none(layers, 0);
        const Matrix<float> full = without(none);
        std::vector<Matrix<float>> alone;
        std::vector<temper::AnyView<const float>> views;
        for (std::size_t l = 0; l < params.size(); ++l) {
            auto removed = none;
            removed[l] = 1;
            alone.push_back(without(removed));
        }
        for (const auto& output : alone)
            views.emplace_back(temper::view(output));
        std::vector<float> importance(layers);
        temper::LayerImportance{}.apply(full, std::span<const temper::AnyView<const float>>(views),
                                        into(importance));
        const auto half = std::accumulate(params.begin(), params.end(), std::int64_t{0}) / 2;
        std::vector<std::int64_t> removed(layers);
        temper::LayerKnapsack{}.apply(importance, params, half, into(removed));
        std::vector<std::int64_t> tail(layers, 0);
        std::int64_t gone = 0;
        for (std::size_t l = params.size(); gone < half;) {
            tail[--l] = 1;
            gone += params[l];
        }
        chosen += (without(removed) - full).squaredNorm() / full.squaredNorm() / 5;
        last += (without(tail) - full).squaredNorm() / full.squaredNorm() / 5;
    }
    std::printf("LAPTOP-Diff: half of the parameters gone, relative squared error %.3f by the "
                "knapsack, %.3f of the last layers\n",
                chosen, last);
    CHECK(chosen < 0.7 * last);
}
