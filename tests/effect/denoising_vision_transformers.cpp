// SPDX-License-Identifier: BSL-1.0

// Denoising Vision Transformers.

#include "effect/alignment.hpp"

#include <temper/representation/artifact_decomposition_loss.hpp>

using namespace alignment_effect;
using temper::into;

namespace {

constexpr Index world = 16; // side of the image, in patches
constexpr Index crop = 8;
constexpr Index d = 8;

/// The correlation of two matrices, each column less its mean.
double correlation(Matrix a, Matrix b)
{
    a.rowwise() -= a.colwise().mean().eval();
    b.rowwise() -= b.colwise().mean().eval();
    return static_cast<double>(a.cwiseProduct(b).sum()) / static_cast<double>(a.norm() * b.norm());
}

struct Recovered {
    double raw = 0;   ///< correlation of single crops' features with the truth
    double mean = 0;  ///< of their mean over crops
    double clean = 0; ///< of the field that was fitted
};

/// Smooth content, a pattern that stays with the crop, and now and then a wild entry.
Recovered fit(bool decompose, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "artifacts");
    Matrix truth(world * world, d);
    for (Index j = 0; j < d; ++j) {
        const double u = temper::normal(rng) / 4;
        const double v = temper::normal(rng) / 4;
        const double phase = 6.28 * temper::uniform(rng);
        for (Index i = 0; i < world * world; ++i)
            truth(i, j) = static_cast<float>(std::sin(phase + u * static_cast<double>(i / world) +
                                                      v * static_cast<double>(i % world)));
    }
    const Matrix pattern = normals(rng, crop * crop, d, 0.8);
    Matrix clean = normals(rng, world * world, d, 0.1);
    Matrix shared = Matrix::Zero(crop * crop, d);
    Trainable field({&clean}, 0.03);
    Trainable artifact({&shared}, 0.03);
    Network predictor({d, 32, d}, rng, 1e-3);
    predictor.net.weight(1).setZero();
    Recovered out;
    Matrix sum = Matrix::Zero(world * world, d);
    Matrix count = Matrix::Constant(world * world, 1, 1e-6F);
    constexpr Index steps = 1500;
    Matrix raw(crop * crop, d);
    Matrix c(crop * crop, d);
    Matrix g_c(crop * crop, d);
    Matrix g_r(crop * crop, d);
    for (Index step = 0; step < steps; ++step) {
        const Index top = temper::uniform_index(rng, world - crop + 1);
        const Index left = temper::uniform_index(rng, world - crop + 1);
        const auto where = [&](Index p) { return (top + p / crop) * world + left + p % crop; };
        Matrix here(crop * crop, d);
        for (Index p = 0; p < crop * crop; ++p) {
            here.row(p) = truth.row(where(p));
            raw.row(p) = here.row(p) + pattern.row(p);
            if (temper::uniform(rng) < 0.1)
                raw.row(p) += normals(rng, 1, d, 2);
            c.row(p) = clean.row(where(p));
            sum.row(where(p)) += raw.row(p);
            count(where(p), 0) += 1;
        }
        out.raw += correlation(raw, here) / static_cast<double>(steps);
        const temper::ArtifactDecompositionLoss loss{.use_residual = step >= steps / 2};
        const Matrix r = predictor.forward(raw);
        Matrix& g_s = artifact.gradients[0];
        loss(raw, c, shared, r, into(g_c), into(g_s), into(g_r));
        field.gradients[0].setZero();
        for (Index p = 0; p < crop * crop; ++p)
            field.gradients[0].row(where(p)) += g_c.row(p);
        field.step();
        if (decompose && step < steps / 2) // then frozen
            artifact.step();
        if (step >= steps / 2) {
            predictor.backward(g_r);
            predictor.step();
        }
    }
    const Matrix averaged = (sum.array().colwise() / count.col(0).array()).matrix();
    out.mean = correlation(averaged, truth);
    out.clean = correlation(clean, truth);
    return out;
}

} // namespace

TEST_CASE("features without the artifacts of their positions", "[effect]")
{
    std::array<Recovered, 2> mean;
    constexpr double seeds = 3;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        for (const std::size_t with : {0U, 1U}) {
            const Recovered one = fit(with == 1, seed);
            mean[with].raw += one.raw / seeds;
            mean[with].mean += one.mean / seeds;
            mean[with].clean += one.clean / seeds;
        }
    std::printf("artifacts: correlation with the truth %.3f of raw features, %.3f of their means, "
                "%.3f of the field alone, %.3f of the field beside the artifact\n",
                mean[1].raw, mean[1].mean, mean[0].clean, mean[1].clean);
    CHECK(mean[1].clean > mean[1].raw + 0.1);
    CHECK(mean[1].clean > mean[0].clean + 0.01);
}
