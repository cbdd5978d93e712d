// SPDX-License-Identifier: BSL-1.0

// FiTv2: Scalable and Improved Flexible Vision Transformer for Diffusion Model.

#include "effect/alignment.hpp"

#include <temper/diffusion/masked_flow_loss.hpp>
#include <temper/layer/qk_norm.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

using namespace alignment_effect;
using temper::into;

namespace {

struct Attention {
    double largest = 0; ///< logit of the last batches
    double loss = 0;    ///< of the last batches
};

/// One head that learns which of 16 keys belongs to a query, at a learning rate of `rate`.
Attention attend(bool normalised, double rate, std::uint64_t seed)
{
    constexpr Index tokens = 16;
    constexpr Index d = 16;
    auto rng = temper::stream(seed, 0, "attention");
    Matrix wq = normals(rng, d, d, 0.25);
    Matrix wk = normals(rng, d, d, 0.25);
    Trainable weights({&wq, &wk}, rate);
    const temper::QkNorm norm;
    Attention out;
    std::vector<int> y(tokens);
    for (int i = 0; i < tokens; ++i)
        y[static_cast<std::size_t>(i)] = i;
    constexpr Index steps = 600;
    for (Index step = 0; step < steps; ++step) {
        const Matrix key = normals(rng, tokens, d);
        const Matrix query = 0.7F * key + normals(rng, tokens, d, 0.7);
        const Matrix q = query * wq;
        const Matrix k = key * wk;
        Matrix z(tokens, tokens);
        if (normalised)
            norm.forward(q, k, into(z));
        else
            z = q * k.transpose() / 4.0F;
        Matrix gz(tokens, tokens);
        const double value = temper::SoftmaxCrossEntropy{}(z, temper::labels(y), into(gz));
        Matrix gq(tokens, d);
        Matrix gk(tokens, d);
        if (normalised)
            norm.pullback(q, k, gz, into(gq), into(gk));
        else {
            gq = gz * k / 4.0F;
            gk = gz.transpose() * q / 4.0F;
        }
        weights.gradients[0] = query.transpose() * gq;
        weights.gradients[1] = key.transpose() * gk;
        weights.step();
        if (step >= steps - 100) {
            out.loss += value / 100;
            out.largest = (std::max)(out.largest, static_cast<double>(z.cwiseAbs().maxCoeff()));
        }
    }
    return out;
}

} // namespace

TEST_CASE("normalised queries and keys: logits stay bounded at a high learning rate", "[effect]")
{
    std::array<Attention, 4> mean;
    constexpr double seeds = 3;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        for (std::size_t i = 0; i < 4; ++i) {
            const Attention one = attend(i % 2 == 1, i < 2 ? 0.01 : 0.3, seed);
            mean[i].loss += one.loss / seeds;
            mean[i].largest += one.largest / seeds;
        }
    std::printf("attention at 0.01: loss %.3f, largest logit %.1f; normalised %.3f, %.1f\n",
                mean[0].loss, mean[0].largest, mean[1].loss, mean[1].largest);
    std::printf("attention at 0.3:  loss %.3f, largest logit %.1f; normalised %.3f, %.1f\n",
                mean[2].loss, mean[2].largest, mean[3].loss, mean[3].largest);
    CHECK(mean[3].largest <= 4.0001);
    CHECK(mean[2].largest > 10 * mean[3].largest);
    CHECK(mean[3].loss < 0.5 * mean[2].loss);
}

TEST_CASE("padding changes nothing for the sequences in a batch", "[effect]")
{
    constexpr Index c = 3;
    auto rng = temper::stream(1, 0, "padding");
    const std::vector<Index> lengths{5, 2, 7, 1};
    const Index n = static_cast<Index>(lengths.size());
    const Index longest = 7;
    const Matrix pred = normals(rng, n * longest, c);
    const Matrix target = normals(rng, n * longest, c);
    Matrix mask = Matrix::Zero(n, longest);
    for (Index i = 0; i < n; ++i)
        mask.row(i).head(lengths[static_cast<std::size_t>(i)]).setOnes();
    Matrix g(n * longest, c);
    const auto batch = [&](auto& m) { return temper::view(m.data(), {n, longest, c}); };
    const temper::MaskedFlowLoss loss;
    const double value = loss(batch(pred), batch(target), mask, into(batch(g)));
    double alone = 0;
    for (Index i = 0; i < n; ++i) {
        const Index length = lengths[static_cast<std::size_t>(i)];
        const Matrix p = pred.middleRows(i * longest, length);
        const Matrix y = target.middleRows(i * longest, length);
        const Matrix ones = Matrix::Ones(1, length);
        Matrix gp(length, c);
        const auto one = [&](auto& m) { return temper::view(m.data(), {1, length, c}); };
        alone += loss(one(p), one(y), ones, into(one(gp))) / static_cast<double>(n);
        const Matrix part = g.middleRows(i * longest, length);
        CHECK((part * static_cast<float>(n) - gp).norm() < 1e-5F * gp.norm());
        const Matrix padding = g.middleRows(i * longest + length, longest - length);
        CHECK(padding.isZero(0));
    }
    CHECK(value == Approx(alone));
}
