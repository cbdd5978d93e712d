// SPDX-License-Identifier: BSL-1.0

// Pushing Boundaries: Mixup's Influence on Neural Collapse: plain training collapses the features; mixup
// leaves those of unmixed samples spread, while mixtures of one class align with the classifier, and mixtures of
// two lie where the unconstrained features model says.

#include "effect/mixing.hpp"

#include <temper/augment/mixup.hpp>
#include <temper/metric/mixup_ufm_optimum.hpp>
#include <temper/metric/neural_collapse_metrics.hpp>
#include <temper/metric/simplex_plane_projection.hpp>

#include "support/catch.hpp"

using namespace mixing_effect;
using namespace temper;

namespace {

/// The features under the last layer.
Matrix features(const Network& network, const Matrix& x)
{
    Network::Tape tape;
    network.forward(x, tape);
    return tape.values[tape.values.size() - 2];
}
NeuralCollapse collapse(const Network& network, const Matrix& x, const std::vector<int>& y)
{
    const std::size_t last = network.layers() - 1;
    const Eigen::VectorXf bias = network.bias(last).row(0).transpose();
    return NeuralCollapseMetrics{}(features(network, x), labels(y), network.weight(last), bias);
}
auto mixed(std::uint64_t seed)
{
    return [rng = stream(seed, 0, "mixup")](const Matrix& x, const std::vector<int>& y, double,
                                            const auto& forward, Matrix& gz) mutable {
        const Mixup<> mixup{};
        const MixPlan plan = mixup.draw(rng, x.rows());
        Matrix m(x.rows(), x.cols());
        Matrix t(x.rows(), 10);
        mixup.apply(plan, x, into(m));
        mixup.mix_labels(plan, labels(y), 10, into(t));
        SoftmaxCrossEntropy{}(forward(m), probabilities(t), into(gz));
    };
}
/// Mixtures of samples of one class.
Matrix within_classes(const Data& data, std::uint64_t seed)
{
    auto rng = stream(seed, 0, "within");
    std::vector<Index> partner(data.y.size());
    for (std::size_t i = 0; i < partner.size(); ++i)
        do
            partner[i] = uniform_index(rng, data.x.rows());
        while (data.y[static_cast<std::size_t>(partner[i])] != data.y[i]);
    const Mixup<BetaCoefficient, ListedPairs> mixup{.pairing = {partner}, .per_sample = true};
    const MixPlan plan = mixup.draw(rng, data.x.rows());
    Matrix m(data.x.rows(), data.x.cols());
    mixup.apply(plan, data.x, into(m));
    return m;
}

} // namespace

TEST_CASE("collapse with and without mixup", "[effect]")
{
    NeuralCollapse early, late, mixup, within;
    constexpr int seeds = 3;
    const auto add = [](NeuralCollapse& to, const NeuralCollapse& m) {
        to.nc1 += m.nc1 / seeds;
        to.nc1_ratio += m.nc1_ratio / seeds;
        to.nc2_etf_means += m.nc2_etf_means / seeds;
        to.nc3_duality += m.nc3_duality / seeds;
        to.nc3_alignment += m.nc3_alignment / seeds;
        to.nc4_disagreement += m.nc4_disagreement / seeds;
    };
    for (std::uint64_t seed = 0; seed < seeds; ++seed) {
        const auto data = parts({500}, seed);
        const auto& [x, y, classes] = data[0];
        Training how{.epochs = 5, .weight_decay = 5e-4};
        add(early, collapse(train(data[0], how, seed, cross_entropy), x, y));
        how.epochs = 300;
        add(late, collapse(train(data[0], how, seed, cross_entropy), x, y));
        const Network with = train(data[0], how, seed, mixed(seed));
        add(mixup, collapse(with, x, y));
        add(within, collapse(with, within_classes(data[0], seed), y));
    }
    std::printf("neural collapse, 500 digits:\n");
    for (const auto& [name, m] :
         {std::pair{"5 epochs", early}, std::pair{"300 epochs", late},
          std::pair{"300 with mixup", mixup}, std::pair{"  its same-class mixtures", within}})
        std::printf(
            "  %-26s nc1 %.3f  ratio %.3f  nc2 %.3f  duality %.3f  alignment %.3f  nc4 %.3f\n",
            name, m.nc1, m.nc1_ratio, m.nc2_etf_means, m.nc3_duality, m.nc3_alignment,
            m.nc4_disagreement);
    // The traces' ratio; with the pseudo-inverse, which weighs the narrowest directions most, this small
    // network's features do not collapse in 300 epochs.
    CHECK(late.nc1_ratio < 0.8 * early.nc1_ratio);
    CHECK(late.nc3_duality < early.nc3_duality);
    CHECK(late.nc4_disagreement < early.nc4_disagreement);
    CHECK(mixup.nc1_ratio > 1.3 * late.nc1_ratio);
    CHECK(within.nc1_ratio < mixup.nc1_ratio);
    CHECK(within.nc3_duality < 0.7 * late.nc3_duality);
}

TEST_CASE("the channels of mixed features, without any training", "[effect]")
{
    // In the plane of three classes the optimum moves from corner to corner as lambda does, and stays in
    // the half plane that faces away from the third.
    Eigen::Matrix3d w = Eigen::Matrix3d::Constant(-1.0 / 3);
    w.diagonal().array() += 1;
    const Eigen::VectorXd lambda = Eigen::VectorXd::LinSpaced(11, 0, 1);
    const std::vector<int> a(11, 0);
    const std::vector<int> b(11, 1);
    Eigen::MatrixXd h(11, 3);
    Eigen::MatrixXd seen(11, 2);
    MixupUfmOptimum{.mu = 0.01}(w, labels(a), labels(b), lambda, into(h));
    SimplexPlaneProjection{}(h, w, into(seen));
    for (Index i = 0; i < 11; ++i) {
        CHECK(seen(i, 0) == Approx(-seen(10 - i, 0)).margin(1e-9));
        CHECK(seen(i, 1) == Approx(seen(10 - i, 1)));
        CHECK(seen(i, 1) < 0);
        if (i > 0)
            CHECK(seen(i, 0) > seen(i - 1, 0));
    }
    CHECK(seen(5, 1) < 1.2 * seen(0, 1)); // the channel bulges outwards
}
