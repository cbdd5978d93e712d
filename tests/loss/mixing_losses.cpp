// SPDX-License-Identifier: BSL-1.0
#include <temper/loss/decoupled_mixup_cross_entropy.hpp>
#include <temper/loss/intrusion_loss.hpp>
#include <temper/loss/lesion_mixup_loss.hpp>
#include <temper/loss/mixup_cross_entropy.hpp>
#include <temper/loss/semixup_consistency.hpp>
#include <temper/loss/smmix_loss.hpp>
#include <temper/loss/temperature_scaling.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <limits>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

MatrixXd some_logits(Index n = 4, Index k = 3, double scale = 1)
{
    MatrixXd z(n, k);
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < k; ++j)
            z(i, j) = scale * std::sin(static_cast<double>(5 * i + 3 * j + 1));
    return z;
}
const std::vector<int> a{0, 1, 2, 1};
const std::vector<int> b{2, 1, 0, 0};

} // namespace

TEST_CASE("without eta the decoupled loss is mixup cross-entropy")
{
    const MatrixXd z = some_logits();
    const VectorXd lambda = VectorXd::LinSpaced(4, 0, 1);
    MatrixXd g(4, 3), g_plain(4, 3), h(4, 3), h_plain(4, 3);
    const DecoupledMixupCrossEntropy decoupled{.eta_a = 0, .eta_b = 0};
    CHECK(decoupled(z, labels(a), labels(b), lambda, into(g), curvature(into(h))) ==
          Approx(MixupCrossEntropy{}(z, labels(a), labels(b), lambda, into(g_plain),
                                     curvature(into(h_plain)))));
    CHECK(g.isApprox(g_plain, 1e-13));
    CHECK(h.isApprox(h_plain, 1e-13));
}

TEST_CASE("of two classes the decoupled regulariser is nothing")
{
    const MatrixXd z = some_logits(4, 2);
    const std::vector<int> first{0, 1, 1, 0};
    const std::vector<int> second{1, 0, 1, 1};
    MatrixXd g(4, 2), g_plain(4, 2);
    CHECK(DecoupledMixupCrossEntropy{.eta_a = 3, .eta_b = 5}(z, labels(first), labels(second), 0.3,
                                                             into(g)) ==
          Approx(MixupCrossEntropy{}(z, labels(first), labels(second), 0.3, into(g_plain))));
    CHECK(g.isApprox(g_plain, 1e-13));
}

TEST_CASE("a logit that towers above the others leaves the decoupled loss finite")
{
    for (const double height : {100.0, 1e4, 1e30})
        for (Index at = 0; at < 4; ++at) {
            MatrixXd z = some_logits(1, 4);
            z(0, at) = height;
            MatrixXd g(1, 4);
            const std::vector<int> first{0};
            const std::vector<int> second{1};
            const double value =
                DecoupledMixupCrossEntropy{}(z, labels(first), labels(second), 0.6, into(g));
            CHECK(std::isfinite(value));
            CHECK(g.allFinite());
            // Each softmax's gradient sums to 0.
            CHECK(g.sum() == Approx(0).margin(1e-12));
            // A towering label does not hide from the other what it wins without it.
            if (at == 0)
                CHECK(g(0, 1) < -0.4);
        }
}

TEST_CASE("which of the two decoupled terms count, and how much")
{
    DecoupledMixupCrossEntropy loss{.eta_a = 1, .eta_b = 1, .power = 2, .threshold = 0.5};
    CHECK(loss.weights(0.25)[0] == Approx(0.25));
    CHECK(loss.weights(0.25)[1] == 1);
    loss.terms = DecoupledTerms::less;
    CHECK(loss.weights(0.25)[1] == 0);
    CHECK(loss.weights(0.75)[0] == 0);
    loss.terms = DecoupledTerms::more;
    CHECK(loss.weights(0.25)[0] == 0);
    CHECK(loss.weights(0.75)[0] == 1);
    CHECK_THROWS_AS(
        (DecoupledMixupCrossEntropy{.threshold = 0}(some_logits(), labels(a), labels(b), 0.5)),
        RangeError);
}

TEST_CASE("SMMix's terms, switched off and at the ends of lambda")
{
    const MatrixXd z = some_logits();
    const MatrixXd u = some_logits(4, 3, 2);
    MixPlan plan{{3, 2, 1, 0}, {1.0}, {1.0}, {}, {}, {}};
    std::array<double, 3> parts{};
    SmmixLoss loss{.label_smoothing = 0};
    loss(z, z, z, u, labels(a), plan, terms(into(parts)));
    const SoftmaxCrossEntropy cross{};
    CHECK(parts[0] == Approx(cross(z, labels(a))));
    // Against one's own mixture there is nothing to gain.
    loss(u, z, z, u, labels(a), plan, terms(into(parts)));
    CHECK(parts[2] == Approx(0).margin(1e-14));
    loss.consistency = loss.fine_grained = 0;
    MatrixXd g(4, 3), gt(4, 3);
    CHECK(loss(z, z, z, u, labels(a), plan, into(g), into(gt)) == Approx(cross(z, labels(a))));
    CHECK(gt.isZero());
    plan.partner[0] = 4;
    CHECK_THROWS_AS(loss(z, z, z, u, labels(a), plan), RangeError);
    plan.partner = {0};
    CHECK_THROWS_AS(loss(z, z, z, u, labels(a), plan), RangeError);
}

TEST_CASE("Semixup's gradients can be taken of one side alone")
{
    const MatrixXd m = some_logits();
    const MatrixXd z = some_logits(4, 3, 2);
    const MatrixXd aug = some_logits(4, 3, -1);
    const MixPlan plan{{3, 2, 1, 0}, {0.7}, {0.7}, {}, {}, {}};
    for (const auto divergence : {SemixupDivergence::mse, SemixupDivergence::kl}) {
        const SemixupConsistency loss{.divergence = divergence};
        MatrixXd gm(4, 3), gz(4, 3), ga(4, 3), alone(4, 3);
        std::array<double, 3> parts{};
        const double value = loss(m, z, aug, plan, into(gm), into(gz), into(ga));
        CHECK(loss(m, z, aug, plan, into(alone), terms(into(parts))) == value);
        CHECK(alone == gm);
        CHECK(parts[0] + parts[1] + parts[2] == Approx(value));
        for (const MatrixXd* g : {&gm, &gz, &ga})
            CHECK(g->rowwise().sum().isZero(1e-12)); // a shift of a row's logits changes nothing
        loss(m, z, aug, plan, discard, into(alone));
        CHECK(alone == gz);
        MixPlan self = plan;
        self.partner = {0, 1, 2, 3};
        CHECK(loss(z, z, z, self) == Approx(0).margin(1e-15));
    }
}

TEST_CASE("the intrusion loss of one batch alone, and of single logits")
{
    const MatrixXd z = some_logits(5, 2);
    const MatrixXd v = z.col(1) - z.col(0);
    const MatrixXd none(0, 2);
    const IntrusionLoss loss{};
    double by_hand = 0;
    for (Index i = 0; i < 5; ++i)
        by_hand += std::log1p(std::exp(-v(i))) / 5;
    CHECK(loss(z, none) == Approx(by_hand));
    CHECK(loss(none, none) == 0);
    MatrixXd g(5, 2), gv(5, 1);
    CHECK(loss(z, z, into(g)) == Approx(loss(v, v, into(gv))));
    CHECK(g.col(1).isApprox(gv.col(0), 1e-14));
    CHECK_THROWS_AS(loss(z, v), ShapeError);
    CHECK_THROWS_AS(loss(some_logits(2, 3), some_logits(2, 3)), ShapeError);
}

TEST_CASE("lesions: padding, no partners, samples in columns")
{
    const MatrixXd z = some_logits(3, 4);
    using Labels = Eigen::Matrix<std::int64_t, Eigen::Dynamic, Eigen::Dynamic>;
    Labels y = Labels::Zero(3, 4);
    y(0, 1) = y(2, 3) = 1;
    const VectorXd w = VectorXd::LinSpaced(4, 0, 3);
    const VectorXd one = VectorXd::Ones(3);
    for (const auto mode : {LesionMode::paired, LesionMode::official}) {
        const LesionMixupLoss loss{.mode = mode};
        MatrixXd g(3, 4);
        const Labels padded = Labels::Constant(3, 4, -100);
        CHECK(loss(z, labels(padded), labels(padded), 0.5, positive_weight(w), into(g)) == 0);
        CHECK(g.isZero());
        double plain = 0;
        for (Index i = 0; i < 3; ++i)
            for (Index j = 0; j < 4; ++j)
                plain += (y(i, j) == 1 ? 1 + w(j) : 1) *
                         std::log1p(std::exp(y(i, j) == 1 ? -z(i, j) : z(i, j))) / 12;
        CHECK(loss(z, labels(y), labels(padded), one, positive_weight(w)) == Approx(plain));
        const MatrixXd zt = z.transpose();
        const Labels yt = y.transpose();
        MatrixXd gt(4, 3);
        loss(z, labels(y), labels(y), 0.75, into(g));
        in_columns(loss)(zt, labels(yt), labels(yt), 0.75, into(gt));
        CHECK(gt.transpose().isApprox(g, 1e-15));
    }
    y(1, 1) = 2;
    CHECK_THROWS_AS(LesionMixupLoss{}(z, labels(y), labels(y), 0.5), RangeError);
}

TEST_CASE("temperatures at the ends, and where none is better")
{
    MatrixXd z(3, 2);
    z << 3, 0, 0, 2, 1, -1;
    const std::vector<int> right{0, 1, 0};
    const std::vector<int> wrong{1, 0, 1};
    const TemperatureScaling scaling{};
    CHECK(scaling.fit(z, labels(right)).temperature == Approx(1e-3));
    CHECK(scaling.fit(z, labels(wrong)).temperature == Approx(1e3));
    CHECK(scaling.fit(MatrixXd(MatrixXd::Zero(3, 2)), labels(right)).temperature == 1);
    CHECK(scaling.fit(MatrixXd(0, 2), labels(std::vector<int>{})).temperature == 1);
    CHECK_THROWS_AS(scaling(z, labels(right), 0.0), RangeError);
    CHECK_THROWS_AS((TemperatureScaling{.least = 2}.fit(z, labels(right))), RangeError);

    // The slope at the fit is 0, and the fit of scaled logits scales with them.
    const MatrixXd mixed = some_logits(40, 3, 4);
    std::vector<int> y;
    for (Index i = 0; i < 40; ++i) {
        Index best = 0;
        mixed.row(i).maxCoeff(&best);
        y.push_back(static_cast<int>(i % 3 == 0 ? 0 : best));
    }
    const TemperatureFit fit = scaling.fit(mixed, labels(y));
    double slope = 1;
    CHECK(scaling(mixed, labels(y), fit.temperature, discard, into(slope)) ==
          Approx(fit.nll_after));
    CHECK(std::abs(slope) < 1e-10);
    CHECK(fit.nll_after < fit.nll_before);
    CHECK(scaling.fit(MatrixXd(10 * mixed), labels(y)).temperature ==
          Approx(10 * fit.temperature).epsilon(1e-9));
}
