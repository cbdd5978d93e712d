// SPDX-License-Identifier: BSL-1.0

// One is All: Bridging the Gap Between Neural Radiance Fields Architectures with Progressive Volume
// Distillation.

#include "effect/distillation.hpp"

#include <temper/recipe/progressive_volume_distillation.hpp>

using namespace effect::distillation;

namespace {

constexpr Index rays = 16;
constexpr Index samples = 8;
constexpr Index n = rays * samples;

struct Field {
    Matrix<float> log_density, feature, color, rgb;
};

/// A ray's pixel: what its points emit, thin as they are.
void render(Field& f)
{
    f.rgb.setZero(rays, 3);
    for (Index i = 0; i < n; ++i)
        f.rgb.row(i / samples) += std::exp(f.log_density(i, 0)) * f.color.row(i) / samples;
}

/// A field over [-1, 1] on a grid of bumps.
Field teacher_at(const Matrix<float>& x)
{
    Field f;
    f.feature.resize(n, 12);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < 12; ++j) {
            const float d = (x(i, 0) - (static_cast<float>(j) / 5.5F - 1)) / 0.15F;
            f.feature(i, j) = std::exp(-d * d / 2);
        }
    f.log_density.resize(n, 1);
    f.color.resize(n, 3);
    for (Index i = 0; i < n; ++i) {
        f.log_density(i, 0) = 2.0F * f.feature(i, 2) - 1.5F * f.feature(i, 6) + f.feature(i, 9);
        for (Index c = 0; c < 3; ++c)
            f.color(i, c) = f.feature(i, 1 + c) - f.feature(i, 5 + 2 * c) + 0.5F;
    }
    render(f);
    return f;
}

struct Run {
    double field = 0;
    double pixels = 0;
};

Run distil(bool staged)
{
    Run mean;
    constexpr int seeds = 3;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        Trained body({1, 32, 32, 13}, seed, 0.005, support::Activation::tanh);
        Trained colors({12, 3}, seed + 1, 0.005);
        auto rng = temper::stream(seed, 0, "rays");
        temper::Pvd pvd{.first_end = 500,
                        .second_end = 1200,
                        .feature = 1,
                        .decay = 0.9995,
                        .color = 1,
                        .density = 1};
        if (!staged)
            pvd = {.first_end = 0, .second_end = 0, .feature = 0, .color = 0, .density = 0};
        Matrix<float> x(n, 1), g(n, 13), g_color(n, 3), g_feature(n, 12), g_rgb(rays, 3),
            g_log(n, 1), back(n, 12);
        for (Index step = 0; step < 2000; ++step) {
            for (Index r = 0; r < rays; ++r) { // a ray is a short stretch
                const double at = 2 * temper::uniform(rng) - 1;
                for (Index i = 0; i < samples; ++i)
                    x(r * samples + i, 0) = static_cast<float>(
                        std::clamp(at + 0.05 * static_cast<double>(i - 4), -1.0, 1.0));
            }
            const Field t = teacher_at(x);
            Field s;
            const Matrix<float>& made = body.forward(x);
            s.log_density = made.leftCols(1);
            s.feature = made.rightCols(12);
            s.color = colors.forward(s.feature);
            render(s);
            const auto fields = [](const Field& f) {
                return temper::Pvd::Fields<float>{{f.log_density.data(), {n}, {1}},
                                                  temper::view(f.feature),
                                                  temper::view(f.color),
                                                  temper::view(f.rgb)};
            };
            const temper::VectorView<float> of_density{g_log.data(), {n}, {1}};
            pvd.at(step)(fields(s), fields(t),
                         temper::Pvd::Gradients<float>{into(of_density), into(g_feature),
                                                       into(g_color), into(g_rgb)});
            for (Index i = 0; i < n; ++i) {
                const float density = std::exp(s.log_density(i, 0)) / samples;
                g_color.row(i) += density * g_rgb.row(i / samples);
                g_log(i, 0) += density * g_rgb.row(i / samples).dot(s.color.row(i));
            }
            colors.backward(g_color, &back);
            g << g_log, g_feature + back;
            body.backward(g);
            body.step();
            colors.step();
            if (step >= 1900) {
                mean.pixels += (s.rgb - t.rgb).squaredNorm() / (rays * 3) / 100 / seeds;
                mean.field += ((s.log_density - t.log_density).squaredNorm() +
                               (s.color - t.color).squaredNorm()) /
                              (n * 4) / 100 / seeds;
            }
        }
    }
    std::printf("PVD: %s: squared error of the field %.5f, of pixels %.6f\n",
                staged ? "staged" : "pixels only", mean.field, mean.pixels);
    return mean;
}

} // namespace

TEST_CASE("a field distilled in stages is nearer to its teacher than one by pixels", "[effect]")
{
    const Run pixels = distil(false);
    const Run staged = distil(true);
    CHECK(staged.field < 0.5 * pixels.field);
}
