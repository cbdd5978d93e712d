// SPDX-License-Identifier: BSL-1.0

// Causal Diffusion Autoencoders: Toward Counterfactual Generation via Diffusion Probabilistic Models.

#include "effect/alignment.hpp"

#include <temper/layer/linear_scm.hpp>
#include <temper/regularizer/label_gaussian_kl.hpp>

using namespace alignment_effect;
using temper::into;

namespace {

struct Counterfactual {
    double effect_of_cause = 0; ///< how far the second factor goes when the first is moved by 1
    double cause_of_effect = 0; ///< how far the first goes when the second is set
};

/// An encoder u(x) of a mixture of two labelled factors, y2 = 0.8 y1 + noise, and the model over them.
Counterfactual learn(bool causal, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "pendulum");
    const Matrix mixing = normals(rng, 2, 6);
    const auto labels = [&](Index n) {
        Matrix y = normals(rng, n, 2);
        y.col(1) = 0.8F * y.col(0) + 0.4F * y.col(1);
        return y;
    };
    const auto observe = [&](const Matrix& y) { return Matrix((y * mixing).array().tanh()); };
    constexpr Index n = 64;
    Network encoder({6, 32, 2}, rng, 3e-3);
    Matrix a = Matrix::Zero(2, 2);
    Trainable graph({&a}, 3e-3);
    const temper::LinearScm scm;
    const temper::LabelGaussianKl kl;
    const Matrix logvar = Matrix::Constant(n, 2, -3.0F);
    const Eigen::RowVector2f of_labels(-3.0F, -3.0F); // labels are sharp,
    const Eigen::RowVector2f of_noise(0.0F, 0.0F);    // the noise is standard normal
    const Matrix zero = Matrix::Zero(n, 2);
    for (Index step = 0; step < 2000; ++step) {
        const Matrix y = labels(n);
        const Matrix u = encoder.forward(observe(y));
        Matrix z(n, 2);
        Matrix gz(n, 2);
        Matrix gu(n, 2);
        scm.forward(u, a, into(z));
        kl(z, logvar, y, of_labels, into(gz));
        scm.pullback(u, a, gz, into(gu), into(graph.gradients[0]));
        kl(u, logvar, zero, of_noise, temper::add_to(gu)); // KL(q(u | x) || N(0, 1))
        encoder.backward(gu);
        encoder.step();
        if (causal)
            graph.step();
    }
    // Interventions on new samples.
    const Matrix u = encoder.forward(observe(labels(500)));
    Matrix z(500, 2);
    Matrix moved(500, 2);
    Counterfactual out;
    temper::LinearScm{.do_index = 0, .do_value = 0}.forward(u, a, into(z));
    temper::LinearScm{.do_index = 0, .do_value = 1}.forward(u, a, into(moved));
    out.effect_of_cause = static_cast<double>((moved - z).col(1).mean());
    temper::LinearScm{}.forward(u, a, into(z));
    temper::LinearScm{.do_index = 1, .do_value = 1}.forward(u, a, into(moved));
    out.cause_of_effect = static_cast<double>((moved - z).col(0).cwiseAbs().maxCoeff());
    return out;
}

} // namespace

TEST_CASE("interventions on a learned causal model", "[effect]")
{
    double found = 0;
    double without = 0;
    for (std::uint64_t seed = 1; seed <= 3; ++seed) {
        const Counterfactual model = learn(true, seed);
        found += model.effect_of_cause / 3;
        without += learn(false, seed).effect_of_cause / 3;
        CHECK(model.cause_of_effect == 0);
    }
    std::printf("causal model: do(cause + 1) moves the effect by %.2f (0.8 is true; %.2f without a "
                "graph), do(effect) leaves the cause\n",
                found, without);
    CHECK(found == Approx(0.8).margin(0.15));
    CHECK(std::abs(without) < 1e-6);
}
