// SPDX-License-Identifier: BSL-1.0

// Consistency and what is made of it, at the edges: nothing sure, empty batches, equal views.

#include <temper/checkpoint.hpp>
#include <temper/loss/adawac.hpp>
#include <temper/loss/distribution_alignment.hpp>
#include <temper/loss/entropy_minimisation.hpp>
#include <temper/loss/masked_image_consistency.hpp>
#include <temper/loss/prediction_diversity.hpp>
#include <temper/loss/sharpen_distribution.hpp>
#include <temper/loss/shrink_match.hpp>
#include <temper/loss/soft_dice_loss.hpp>
#include <temper/loss/trimmed_loss.hpp>
#include <temper/loss/tsa_cross_entropy.hpp>
#include <temper/loss/uda_consistency.hpp>
#include <temper/mask/confidence_mask.hpp>
#include <temper/testing.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <limits>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double no_number = std::numeric_limits<double>::quiet_NaN();

MatrixXd logits(int n, int k, std::uint64_t seed)
{
    auto rng = stream(seed, 0, "logits");
    MatrixXd z(n, k);
    for (Eigen::Index i = 0; i < z.size(); ++i)
        z.data()[i] = 3 * normal(rng);
    return z;
}

// sum (sqrt p - sqrt q)^2, as a user writes it.
struct Hellinger {
    static constexpr bool hard_targets = true;
    template <class V>
    Divergence<V> operator()(V p, V, V q, V) const
    {
        using std::sqrt;
        const V d = sqrt(p) - sqrt(q);
        return {d * d, sqrt(p) * d, -sqrt(q) * d};
    }
};

} // namespace

TEST_CASE("views that differ by a constant agree")
{
    const MatrixXd z = logits(5, 7, 1);
    const MatrixXd t = z.array() + 3;
    MatrixXd gz(5, 7), gt(5, 7);
    const auto agree = [&](const auto& loss) {
        CHECK(std::fabs(loss(z, target_logits(t), into(gz), into(gt))) < 1e-14);
        CHECK(gz.cwiseAbs().maxCoeff() < 1e-14);
        CHECK(gt.cwiseAbs().maxCoeff() < 1e-14);
    };
    agree(Consistency<KullbackLeibler>{});
    agree(Consistency<ReverseKullbackLeibler>{});
    agree(Consistency<SymmetricKullbackLeibler>{});
    agree(Consistency<JensenShannon>{});
    agree(Consistency<SquaredDistance>{});
}

TEST_CASE(
    "logits of any size: Kullback and Leibler's are finite, Jensen and Shannon's at most log 2")
{
    MatrixXd z(2, 3), t(2, 3), g(2, 3);
    z << 1e6, 0, -1e6, 1000, 0, 0;
    t << -1e6, 0, 1e6, 0, 0, 1000;
    CHECK(Consistency<KullbackLeibler>{}(z, target_logits(t), into(g)) ==
          Approx(0.5 * (2e6 + 1000)));
    CHECK(g.allFinite());
    CHECK(Consistency<JensenShannon>{}(z, target_logits(t), into(g)) == Approx(std::log(2.0)));
    CHECK(g.allFinite());
    CHECK(std::isfinite(Consistency<SymmetricCrossEntropy>{}(z, target_logits(t), into(g))));
    CHECK(g.allFinite());
    // Sure and wrong: the gradient of mse and Jensen and Shannon's vanishes, Kullback and Leibler's stays.
    (void)Consistency<SquaredDistance>{}(z, target_logits(t), into(g));
    CHECK(g.norm() < 1e-10);
    (void)Consistency<KullbackLeibler>{}(z, target_logits(t), into(g));
    CHECK(g.norm() > 0.5);
}

TEST_CASE("a target of temperature 0 is a label")
{
    const MatrixXd z = logits(6, 4, 2), t = logits(6, 4, 3);
    std::vector<std::int64_t> y(6);
    (void)ConfidenceMask{}.apply(target_logits(t), pseudo_labels(into(y)));
    MatrixXd g(6, 4), want(6, 4), gt(6, 4);
    const double hard = Consistency<TargetCrossEntropy>{.target_temperature = 0}(
        z, target_logits(t), into(g), into(gt));
    CHECK(hard == Approx(SoftmaxCrossEntropy{}(z, labels(y), into(want))));
    CHECK(g.isApprox(want, 1e-12));
    CHECK(gt.isZero(0));
    const MatrixXd ties = MatrixXd::Zero(6, 4); // of equal ones the first
    CHECK(
        Consistency<TargetCrossEntropy>{.target_temperature = 0}(z, target_logits(ties), into(g)) ==
        Approx(SoftmaxCrossEntropy{}(z, labels(std::vector<int>(6, 0)), into(want))));
    CHECK(g.isApprox(want, 1e-12));
    CHECK_THROWS_AS((Consistency<ReverseKullbackLeibler>{.target_temperature =
                                                             0}(z, target_logits(t), into(g))),
                    RangeError);
}

TEST_CASE("all samples under the threshold: nothing comes of them, whatever is in them")
{
    MatrixXd z = MatrixXd::Constant(4, 3, no_number);
    const MatrixXd t = MatrixXd::Zero(4, 3);
    MatrixXd g = MatrixXd::Ones(4, 3);
    VectorXd mask(4), each(4);
    CHECK(UdaConsistency{}(z, target_logits(t), into(g), kept(into(mask)),
                           per_sample(into(each))) == 0);
    CHECK(g.isZero(0));
    CHECK(mask.isZero(0));
    CHECK(each.isZero(0));
    CHECK(fixmatch(z, target_logits(t), add_to(g)) == 0);
    CHECK(g.isZero(0));
    CHECK(MaskedImageConsistency{}(z, target_logits(t), into(g)) == 0);
    CHECK(g.isZero(0));
    z.setZero();
    CHECK(TsaCrossEntropy{.threshold = 0.1}(z, labels(std::vector<int>(4, 1)), into(g)) == 0);
    CHECK(g.isZero(0));
    const MatrixXd p = MatrixXd::Constant(4, 3, 1.0 / 3);
    auto state = ShrinkMatch::init();
    CHECK(ShrinkMatch{}.observe(state, probabilities(p)) == 0);
    CHECK(ShrinkMatch{}(state, z, probabilities(p), into(g)) == 0);
    CHECK(g.isZero(0));
}

TEST_CASE("empty batches have value 0")
{
    const MatrixXd none(0, 3);
    MatrixXd g(0, 3);
    const std::vector<int> y;
    CHECK(Consistency<>{}(none, target_logits(none), into(g), into(g)) == 0);
    CHECK(UdaConsistency{}(none, target_logits(none), into(g)) == 0);
    CHECK(Consistency<>{}(none, probabilities(none), into(g)) == 0);
    CHECK(ConfidenceMask{}.apply(probabilities(none)) == 0);
    CHECK(MaskedImageConsistency{}(none, target_logits(none), into(g)) == 0);
    CHECK(EntropyMinimisation{}(none, into(g)) == 0);
    CHECK(PredictionDiversity{}(none, into(g)) == 0);
    CHECK(TsaCrossEntropy{}(none, labels(y), into(g)) == 0);
    CHECK(SoftDiceLoss{}(none, labels(y), into(g)) == 0);
    auto state = ShrinkMatch::init();
    CHECK(ShrinkMatch{}.observe(state, probabilities(none)) == 0);
    CHECK(state == ShrinkMatch::init());
    CHECK(ShrinkMatch{}(state, none, probabilities(none), into(g)) == 0);
    const DistributionAlignment align{.length = 2};
    auto queue = align.init(3);
    align.observe(queue, probabilities(none));
    CHECK(queue == align.init(3));
    const VectorXd losses(0);
    CHECK(TrimmedLoss{}(losses) == 0);
    CHECK(Adawac{}(Adawac{}.init(4), y, losses, losses) == 0);
}

TEST_CASE(
    "a threshold is of the target before it is sharpened, and of given probabilities as they are")
{
    MatrixXd p(3, 2);
    p << 0.5, 0.5, 0.75, 0.25, 1, 0;
    const MatrixXd z = MatrixXd::Zero(3, 2);
    const MatrixXd t = p.array().log();
    VectorXd mask(3);
    Consistency<> loss{.target_temperature = 0.1, .threshold = 0.75};
    (void)loss(z, probabilities(p), kept(into(mask)));
    CHECK(mask == Eigen::Vector3d(0, 1, 1));
    loss.strict = true;
    (void)loss(z, probabilities(p), kept(into(mask)));
    CHECK(mask == Eigen::Vector3d(0, 0, 1));
    loss.threshold = 0.7;
    (void)loss(z, target_logits(t), kept(into(mask)));
    CHECK(mask == Eigen::Vector3d(0, 1, 1));
    // A class of probability 0 costs nothing.
    CHECK(std::isfinite(loss(z, probabilities(p))));
}

TEST_CASE("probabilities and logits are the same target")
{
    const MatrixXd z = logits(5, 9, 4), t = logits(5, 9, 5);
    MatrixXd p = t.array().exp();
    p.array().colwise() /= p.rowwise().sum().array().eval();
    MatrixXd a(5, 9), b(5, 9);
    const UdaConsistency uda{.threshold = 0.5};
    CHECK(uda(z, target_logits(t), into(a)) == Approx(uda(z, probabilities(p), into(b))));
    CHECK(a.isApprox(b, 1e-10));
    // Sharpened beforehand is sharpened.
    MatrixXd sharp(5, 9);
    SharpenDistribution{.temperature = 0.4}.forward(probabilities(p), into(sharp));
    CHECK(Consistency<>{.target_temperature = 0.4}(z, probabilities(p)) ==
          Approx(Consistency<>{}(z, probabilities(sharp))));
    const MatrixXd zt = z.transpose(), tt = t.transpose();
    MatrixXd at(9, 5);
    CHECK(in_columns(uda)(zt, target_logits(tt), into(at)) == Approx(uda(z, target_logits(t))));
    CHECK(at.transpose().isApprox(a, 1e-10));
}

TEST_CASE("a divergence of one's own")
{
    const MatrixXd t = logits(4, 5, 6);
    const Consistency<Hellinger> loss{.temperature = 1.5};
    const auto of_z = [&](const auto& z, const auto&... rest) {
        return loss(z, target_logits(t), rest...);
    };
    const auto checked = testing::check_gradient(of_z, logits(4, 5, 7));
    CHECK(checked.message == "");
}

TEST_CASE("sharpening lowers the entropy, down to the largest entry alone")
{
    MatrixXd p(1, 4), s(1, 4);
    p << 0.4, 0.3, 0.3, 0;
    double before = 10;
    for (const double t : {2.0, 1.0, 0.5, 0.1, 0.01}) {
        SharpenDistribution{.temperature = t}.forward(probabilities(p), into(s));
        double entropy = 0;
        for (int j = 0; j < 3; ++j)
            entropy -= s(0, j) > 0 ? s(0, j) * std::log(s(0, j)) : 0;
        CHECK(entropy < before);
        CHECK(s(0, 3) == 0);
        before = entropy;
    }
    SharpenDistribution{.temperature = 1e-6}.forward(probabilities(p), into(s));
    CHECK(s == Eigen::RowVector4d(1, 0, 0, 0));
}

TEST_CASE("entropy of sure and of uniform rows")
{
    MatrixXd z = MatrixXd::Zero(2, 4), g(2, 4);
    CHECK(EntropyMinimisation{}(z, into(g)) == Approx(std::log(4.0)));
    CHECK(g.isZero(0));
    z.col(1).setConstant(800);
    CHECK(EntropyMinimisation{}(z, into(g)) == 0);
    CHECK(g.isZero(0));
    // All in one class: no diversity. Half and half: log 2.
    CHECK(PredictionDiversity{}(z, into(g)) == 0);
    z(1, 1) = 0, z(1, 2) = 800;
    CHECK(PredictionDiversity{}(z, into(g)) == Approx(std::log(2.0)));
    CHECK(g.allFinite());
}

TEST_CASE("ShrinkMatch with two classes has nothing to shrink, and its state is a running share")
{
    MatrixXd p(2, 2), z(2, 2), g(2, 2);
    p << 0.6, 0.4, 0.99, 0.01;
    z << 1, 2, 3, 4;
    const ShrinkMatch loss{.decay = 0.5};
    auto state = loss.init();
    CHECK(loss.observe(state, probabilities(p)) == 0.5);
    CHECK(state.sure == 0.5);
    std::vector<std::int64_t> c(2);
    CHECK(loss(state, z, probabilities(p), into(g), removed(into(c))) == 0);
    CHECK(g.isZero(0));
    CHECK(c == std::vector<std::int64_t>{1, 0});
    p.row(0) = p.row(1);
    (void)loss.observe(state, probabilities(p));
    CHECK(state.sure == 0.75);
    auto restored = loss.init();
    load(restored, save(state));
    CHECK(restored == state);
}

TEST_CASE("alignment takes a habit away")
{
    const DistributionAlignment align{.length = 3};
    auto state = align.init(2);
    MatrixXd p(4, 2), a(4, 2);
    p << 0.9, 0.1, 0.8, 0.2, 0.6, 0.4, 0.9, 0.1;
    align.observe(state, probabilities(p));
    align.forward(state, probabilities(p), into(a));
    CHECK(a.rowwise().sum().isOnes(1e-12));
    CHECK(std::fabs(a.col(0).mean() - 0.5) < std::fabs(p.col(0).mean() - 0.5));
    auto restored = align.init(2);
    load(restored, save(state));
    CHECK(restored == state);
    const auto other = align.init(5);
    CHECK_THROWS_AS(align.forward(other, probabilities(p), into(a)), ShapeError);
    MatrixXd never(1, 2); // a class that no prediction has had
    never << 1, 0;
    state = align.init(2);
    align.observe(state, probabilities(never));
    align.forward(state, probabilities(never), into(a.topRows(1)));
    CHECK(a.topRows(1) == never);
}

TEST_CASE("AdaWAC: weights go to the larger loss, and the ends stay")
{
    const Adawac loss{};
    auto state = loss.init(3);
    state.supervised = {1, 0, 0.5};
    const std::vector<int> ids{0, 1, 2};
    VectorXd s(3), c(3);
    s << 3, 900, 1000;
    c << 900, 0, 0;
    loss.observe(state, ids, s, c);
    CHECK(state.supervised == std::vector<double>{1, 0, 1});
    s.setOnes(), c.setOnes();
    state.supervised = {0.3, 0.5, 0.9};
    loss.observe(state, ids, s, c);
    CHECK(state.supervised[0] == Approx(0.3));
    CHECK(state.supervised[1] == Approx(0.5));
    auto restored = loss.init(3);
    load(restored, save(state));
    CHECK(restored == state);
    CHECK_THROWS_AS(loss(state, std::vector<int>{0, 1, 3}, s, c), RangeError);
}

TEST_CASE("trimmed losses keep the large ones, or those with foreground")
{
    VectorXd l(5), g(5), m(5);
    l << 1, 5, 2, 4, 3;
    CHECK(TrimmedLoss{.ratio = 0.5}(l, into(g), kept(into(m))) == Approx(4.5));
    CHECK(m.sum() == 2);
    CHECK(g(1) == 0.5);
    CHECK(g(4) == 0);
    CHECK(TrimmedLoss{.ratio = 0.625}(l) == Approx(4.5)); // the limit, 3.5, is between two samples
    const VectorXd equal = VectorXd::Ones(4);
    CHECK(TrimmedLoss{}(equal) == 0);
    Eigen::MatrixXi y = Eigen::MatrixXi::Zero(5, 3);
    y(2, 1) = 1, y(3, 2) = 4;
    CHECK(TrimmedLoss{}(l, labels(y), into(g), kept(into(m))) == Approx(3));
    CHECK(m(2) + m(3) == 2);
    CHECK(m.sum() == 2);
}
