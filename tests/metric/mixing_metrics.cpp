// SPDX-License-Identifier: BSL-1.0
#include <temper/metric/calibration_metrics.hpp>
#include <temper/metric/local_linearity.hpp>
#include <temper/metric/mixup_ufm_optimum.hpp>
#include <temper/metric/neural_collapse_metrics.hpp>
#include <temper/metric/simplex_plane_projection.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <limits>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

/// Rows of a simplex equiangular tight frame, of length 1.
MatrixXd frame(Index k)
{
    MatrixXd w = MatrixXd::Constant(k, k, -1.0 / static_cast<double>(k));
    w.diagonal().array() += 1;
    return w * std::sqrt(static_cast<double>(k) / static_cast<double>(k - 1));
}

} // namespace

TEST_CASE("calibration at the edges of bins, of one sample and of none")
{
    const CalibrationMetrics metrics{.bins = 10};
    MatrixXd p(2, 2);
    p << 0.7, 0.3, 0.3, 0.7; // 0.7 belongs to (0.6, 0.7]
    const Calibration m = metrics(probabilities(p), labels(std::vector<int>{0, 0}));
    CHECK(m.ece == Approx(0.2));
    CHECK(m.mce == Approx(0.2));
    CHECK(m.overconfidence == Approx(0.7 * 0.2));
    CHECK(m.accuracy == 0.5);
    CHECK(m.aurc == Approx(0.25));
    MatrixXd sure(1, 3);
    sure << 0, 1, 0;
    CHECK(metrics(probabilities(sure), labels(std::vector<int>{1})).ece == 0);
    CHECK(metrics(probabilities(sure), labels(std::vector<int>{0})).nll ==
          Approx(-std::log(1e-300)));
    CHECK(metrics(probabilities(MatrixXd(0, 3)), labels(std::vector<int>{})).ece == 0);
    p(0, 0) = 0.8;
    CHECK_THROWS_AS(metrics(probabilities(p), labels(std::vector<int>{0, 0})), RangeError);
    p(0, 0) = std::numeric_limits<double>::quiet_NaN();
    CHECK(std::isnan(metrics(probabilities(p), labels(std::vector<int>{0, 0})).aurc));
    CHECK_THROWS_AS(
        (CalibrationMetrics{.bins = 0}(probabilities(sure), labels(std::vector<int>{0}))),
        RangeError);
}

TEST_CASE("collapse of classes that are not there, of one, and of points")
{
    const MatrixXd w = frame(4);
    MatrixXd h(4, 4);
    h << w.row(0), w.row(1), w.row(0), w.row(1);
    const std::vector<int> two{0, 1, 0, 1};
    const NeuralCollapse m = NeuralCollapseMetrics{}(h, labels(two), w);
    CHECK(m.nc1 == Approx(0).margin(1e-20));
    CHECK(m.nc2_equiangle_means == Approx(0).margin(1e-12)); // of two classes, opposite
    CHECK(m.nc4_disagreement == 0);
    const std::vector<int> one{2, 2, 2, 2};
    const NeuralCollapse single = NeuralCollapseMetrics{}(h, labels(one), w);
    CHECK(single.nc1 == std::numeric_limits<double>::infinity());
    CHECK(single.nc2_etf_means == 0);
    CHECK(NeuralCollapseMetrics{}(MatrixXd(MatrixXd::Ones(4, 4)), labels(one), w).nc1_ratio == 0);
    CHECK(NeuralCollapseMetrics{}(MatrixXd(0, 4), labels(std::vector<int>{}), w).nc1 == 0);
    // A bias that always wins for one class disagrees with the means of the others.
    const VectorXd bias = VectorXd::Unit(4, 0) * 100;
    CHECK(NeuralCollapseMetrics{}(h, labels(two), w, bias).nc4_disagreement == 0.5);
    CHECK_THROWS_AS(NeuralCollapseMetrics{}(h, labels(two), MatrixXd(4, 3)), ShapeError);
}

TEST_CASE("nc1 by its definition")
{
    MatrixXd h(6, 3);
    for (Index i = 0; i < 18; ++i)
        h.data()[i] = std::sin(static_cast<double>(i * i + 1));
    const std::vector<int> y{0, 1, 0, 1, 0, 1};
    // Of two classes S_B has one eigenvector, along the difference of the means.
    const Eigen::RowVectorXd first = (h.row(0) + h.row(2) + h.row(4)) / 3;
    const Eigen::RowVectorXd second = (h.row(1) + h.row(3) + h.row(5)) / 3;
    const Eigen::RowVectorXd apart = (first - second) / 2;
    double along = 0;
    for (Index i = 0; i < 6; ++i) {
        const double x = (h.row(i) - (i % 2 == 0 ? first : second)).dot(apart.normalized());
        along += x * x / 6;
    }
    CHECK(NeuralCollapseMetrics{}(h, labels(y), MatrixXd(MatrixXd::Ones(2, 3))).nc1 ==
          Approx(along / apart.squaredNorm() / 2));
}

TEST_CASE("a plane of rows on a line has one direction")
{
    MatrixXd w(3, 2);
    w << 0, 0, 1, 1, 3, 3;
    const MatrixXd h = MatrixXd::Random(5, 2);
    MatrixXd y(5, 2);
    SimplexPlaneProjection{}(h, w, into(y));
    CHECK(y.col(1).isZero());
    CHECK(y.col(0).isApprox(-(h.rowwise().sum()) / std::sqrt(2.0), 1e-12));
    SimplexPlaneProjection{}(h, MatrixXd(MatrixXd::Ones(3, 2)), into(y));
    CHECK(y.isZero());
}

TEST_CASE("the optimum of mixed features at its corners")
{
    const MatrixXd w = frame(5);
    const std::vector<int> a{0, 2, 1};
    const std::vector<int> b{3, 2, 4};
    const std::vector<double> lambda{0.5, 0.3, 1.0};
    for (const double mu : {10.0, 0.05, 1e-8}) {
        MatrixXd h(3, 5), z(3, 5), p(3, 5);
        MixupUfmOptimum{.mu = mu}(w, labels(a), labels(b), lambda, into(h), into(z), into(p));
        CHECK(z(0, 0) == Approx(z(0, 3)));
        CHECK((w * h.transpose()).transpose().isApprox(z, 1e-9));
        CHECK(p.rowwise().sum().isApprox(VectorXd::Ones(3), 1e-12));
        // Without mixing the feature is along its class.
        CHECK(h.row(1).normalized().isApprox(w.row(2), 1e-9));
        CHECK(h.row(2).normalized().isApprox(w.row(1), 1e-9));
    }
    MatrixXd h(3, 5);
    const MixupUfmOptimum optimum{.mu = 0.1};
    CHECK_THROWS_AS(
        optimum(MatrixXd(MatrixXd::Identity(5, 5)), labels(a), labels(b), lambda, into(h)),
        RangeError);
    CHECK_THROWS_AS(MixupUfmOptimum{.mu = 0}(w, labels(a), labels(b), lambda, into(h)), RangeError);
    CHECK_THROWS_AS(optimum(w, labels(a), labels(b), 1.5, into(h)), RangeError);
}

TEST_CASE("a linear map is locally linear")
{
    const MatrixXd x = MatrixXd::Random(6, 3);
    const MatrixXd w = MatrixXd::Random(3, 2);
    const MixPlan plan{{5, 4, 3, 2, 1, 0}, {0.3}, {0.3}, {}, {}, {}};
    const MatrixXd m = 0.3 * x + 0.7 * x.colwise().reverse();
    const MatrixXd of_m = m * w;
    const MatrixXd of_x = x * w;
    CHECK(LocalLinearity{}(of_m, of_x, plan) == Approx(0).margin(1e-28));
    const MatrixXd squared = of_m.array().square();
    const MatrixXd plain = of_x.array().square();
    CHECK(LocalLinearity{}(squared, plain, plan) > 1e-6);
}
