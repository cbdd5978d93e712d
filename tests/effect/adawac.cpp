// SPDX-License-Identifier: BSL-1.0

// AdaWAC on a toy of segmentation: "images" of 32 pixels with four features. In half of them half of the
// pixels are foreground, in the other half next to none; features overlap. What all of them together are
// best served by is not what the first half wants.

#include "effect/semi_supervised.hpp"

#include <temper/loss/adawac.hpp>
#include <temper/loss/mean_squared_error.hpp>

#include "support/catch.hpp"

#include <iostream>

using namespace effect;
using temper::into;

namespace {

constexpr Index pixels = 32;

struct Toy {
    Matrix x; // [images * pixels, 4]
    std::vector<int> y;
    Toy(Index images, std::uint64_t seed)
    {
        auto rng = temper::stream(seed, 0, "toy");
        x.resize(images * pixels, 4);
        for (Index i = 0; i < images * pixels; ++i) {
            const bool dense = i / pixels % 2 == 0;
            const bool foreground = temper::bernoulli(rng, dense ? 0.5 : 0.005);
            for (Index j = 0; j < 4; ++j)
                x(i, j) = static_cast<float>(temper::normal(rng) + (foreground ? 0.6 : 0));
            y.push_back(foreground ? 1 : 0);
        }
    }
};

struct Run {
    double worst = 0;    // the larger error of the two groups
    double dense_b = 0;  // mean weight of supervision, label-dense images
    double sparse_b = 0; // and label-sparse ones
};

Run train(bool adaptive, std::uint64_t seed)
{
    constexpr Index images = 200, batch = 20;
    const Toy train(images, seed), test(2000, seed + 50);
    Classifier net({4, 16, 16}, 2, seed);
    constexpr Index steps = 600;
    demo::Optimizer optimizer({&net.trunk, &net.head}, 3e-3, 0, steps);
    auto rng = temper::stream(seed, 0, "training");
    support::Batches batches(images, batch);
    const temper::Adawac adawac{.eta = 0.1};
    auto state = adawac.init(images);
    Classifier::Tape first, second;
    Matrix a(batch * pixels, 4), b = a, grad(batch * pixels, 2), ga(batch * pixels, 16), gb = ga;
    std::vector<int> y;
    std::vector<float> rows(static_cast<std::size_t>(batch * pixels)), s(batch), c(batch),
        gs(batch), gc(batch), weights(static_cast<std::size_t>(batch * pixels));
    constexpr float coefficient = 20;

    for (Index step = 0; step < steps; ++step) {
        const auto ids = batches.next(rng);
        y.clear();
        for (Index i = 0; i < batch; ++i)
            for (Index p = 0; p < pixels; ++p) {
                const Index from = ids[static_cast<std::size_t>(i)] * pixels + p;
                for (Index j = 0; j < 4; ++j) {
                    a(i * pixels + p, j) =
                        train.x(from, j) + 0.3f * static_cast<float>(temper::normal(rng));
                    b(i * pixels + p, j) =
                        train.x(from, j) + 0.3f * static_cast<float>(temper::normal(rng));
                }
                y.push_back(train.y[static_cast<std::size_t>(from)]);
            }
        net.clear();
        const Matrix& z = net.forward(a, first);
        temper::SoftmaxCrossEntropy{}(z, temper::labels(y), into(grad),
                                      temper::per_sample(into(rows)));
        if (!adaptive) {
            net.backward(first, grad);
            optimizer.update({&net.trunk_gradients, &net.head_gradients});
            continue;
        }
        net.forward(b, second);
        const Matrix apart = first.features - second.features;
        for (Index i = 0; i < batch; ++i) {
            const auto at = static_cast<std::size_t>(i);
            s[at] = 0;
            for (Index p = 0; p < pixels; ++p)
                s[at] += rows[static_cast<std::size_t>(i * pixels + p)] / pixels;
            c[at] = coefficient * apart.middleRows(i * pixels, pixels).array().square().mean();
        }
        adawac.observe(state, ids, s, c);
        adawac(state, ids, s, c, into(gs), into(gc));
        for (Index i = 0; i < batch * pixels; ++i) {
            const auto of = static_cast<std::size_t>(i / pixels);
            weights[static_cast<std::size_t>(i)] = gs[of] / pixels;
            ga.row(i) = gc[of] * coefficient * 2 / (pixels * 16) * apart.row(i);
        }
        gb = -ga;
        temper::SoftmaxCrossEntropy{.reduction = temper::Reduction::sum}(
            z, temper::labels(y), into(grad), temper::sample_weights(weights));
        net.backward(first, grad, &ga);
        grad.setZero();
        net.backward(second, grad, &gb);
        optimizer.update({&net.trunk_gradients, &net.head_gradients});
    }

    Run run;
    const Matrix& z = net.forward(test.x, first);
    double wrong[2] = {0, 0};
    for (Index i = 0; i < z.rows(); ++i)
        wrong[i / pixels % 2] += (z(i, 1) > z(i, 0) ? 1 : 0) != test.y[static_cast<std::size_t>(i)];
    run.worst = (std::max)(wrong[0], wrong[1]) / (static_cast<double>(z.rows()) / 2);
    for (std::size_t i = 0; i < state.supervised.size(); ++i)
        (i % 2 == 0 ? run.dense_b : run.sparse_b) += state.supervised[i] / (images / 2.0);
    return run;
}

} // namespace

TEST_CASE("AdaWAC tells images with labels from images next to without", "[effect]")
{
    std::vector<double> erm, worst, dense, sparse;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) {
        erm.push_back(train(false, seed).worst);
        const Run run = train(true, seed);
        worst.push_back(run.worst);
        dense.push_back(run.dense_b);
        sparse.push_back(run.sparse_b);
    }
    std::cout << "worst group's error: plain " << mean(erm) << ", AdaWAC " << mean(worst)
              << "; weight of supervision: label-dense " << mean(dense) << ", label-sparse "
              << mean(sparse) << '\n';
    CHECK(mean(dense) > mean(sparse) + 0.2);
    CHECK(mean(worst) < mean(erm) - 0.005);
}
