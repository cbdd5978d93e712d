// SPDX-License-Identifier: BSL-1.0

// What no law knows of the distillation of features.

#include "support/catch.hpp"

#include <temper/core/state.hpp>
#include <temper/recipe/progressive_volume_distillation.hpp>
#include <temper/representation/class_means.hpp>
#include <temper/representation/clusterwise_mode_seeking.hpp>
#include <temper/representation/feature_distance.hpp>
#include <temper/representation/layerwise_distillation.hpp>
#include <temper/representation/norm_direction.hpp>
#include <temper/representation/semantic_calibration.hpp>

#include <Eigen/Dense>

#include <vector>

using namespace temper;
using Eigen::MatrixXd;

TEST_CASE("the ND loss makes short features longer and only turns long ones")
{
    MatrixXd s(2, 2), t(2, 2), c(2, 2), g(2, 2);
    s << 1, 0, 3, 4;
    t << 2, 0, 1, 0;
    c << 0, 2, 3, 0;
    const std::vector<int> y{0, 1};
    NdLoss{}(s, labels(y), t, c, into(g));
    CHECK(g(0, 0) ==
          Approx(0).margin(1e-15)); // shorter than the teacher's: along the direction alone
    CHECK(g(0, 1) == Approx(-0.5 / 2));
    CHECK(g.row(1).dot(s.row(1)) == Approx(0).margin(1e-15)); // longer: no longer pulled

    // What has no direction costs 1 and sends nothing back.
    Eigen::VectorXd each(2);
    c.row(0).setZero();
    s.row(1).setZero();
    t.row(1).setZero();
    NdLoss{}(s, labels(y), t, c, into(g), per_sample(into(each)));
    CHECK(each(0) == 1);
    CHECK(each(1) == 1);
    CHECK(g.isZero());
}

TEST_CASE("class means of batches are those of all, and saved")
{
    const MatrixXd f = MatrixXd::Random(6, 2);
    const std::vector<int> y{0, 2, 2, 0, 2, 0};
    const ClassMeans means;
    auto at_once = means.init(4, 2), split = means.init(4, 2);
    means.observe(at_once, f, labels(y));
    means.observe(split, f.topRows(2), labels(std::vector<int>{0, 2}));
    auto loaded = means.init(4, 2);
    load(loaded, save(split));
    means.observe(loaded, f.bottomRows(4), labels(std::vector<int>{2, 0, 2, 0}));
    CHECK(loaded.counts == at_once.counts);
    MatrixXd m(4, 2), want(4, 2);
    means.means(at_once, into(want));
    means.means(loaded, into(m));
    CHECK((m - want).norm() < 1e-15);
    CHECK(m.row(1).isZero());
    CHECK(m(0, 0) == Approx((f(0, 0) + f(3, 0) + f(5, 0)) / 3));
}

TEST_CASE("layers of zeros have no weight, one layer is its mean square, frozen weights are used")
{
    const MatrixXd s = MatrixXd::Random(3, 2), t = MatrixXd::Random(3, 2), o = MatrixXd::Zero(2, 2);
    Eigen::VectorXd a(2);
    CHECK(normalized_distillation(tensors(s), tensors(t)) == Approx((s - t).squaredNorm() / 6));
    const MatrixXd anything = MatrixXd::Random(2, 2);
    normalized_distillation(tensors(anything, s), tensors(o, t), used_weights(into(a)));
    CHECK(a(0) == 0);
    CHECK(a(1) == 1);
    const Eigen::VectorXd w = Eigen::Vector2d(2, 0.5);
    CHECK(normalized_distillation(tensors(s, s), tensors(t, t), layer_weights(w)) ==
          Approx(2.5 * momentum_consistency(tensors(s), tensors(t))));
    CHECK(ghnd(tensors(s), tensors(t)) == Approx((s - t).squaredNorm()));
}

TEST_CASE("a distance of 0 has gradient 0; clamped densities have none")
{
    const MatrixXd x = MatrixXd::Random(3, 2);
    MatrixXd g(3, 2);
    CHECK(FeatureDistance{}(x, x, into(g)) == 0);
    CHECK(g.isZero());

    const Eigen::Vector3d s(-5, 7, 1), t(0, 0, 0);
    Eigen::Vector3d gs;
    const auto pvd = Pvd{.feature = 1, .decay = 1}.at(0);
    const double value = pvd(Pvd::Fields<double>{view(s)}, Pvd::Fields<double>{view(t)},
                             Pvd::Gradients<double>{.log_density = into(gs)});
    CHECK(value == Approx(std::sqrt(4 + 49 + 1)));
    CHECK(gs(0) == 0);
    CHECK(gs(1) == Approx(7 / value)); // at the end, still inside
    CHECK(Pvd{}.at(1999).stage() == 1);
    CHECK(Pvd{}.at(2000).stage() == 2);
    CHECK(Pvd{}.at(5000).stage() == 3);
    CHECK_THROWS_AS(Pvd{}.at(-1), RangeError);
}

TEST_CASE("calibration finds a rotation, and a class of one member goes where it is now")
{
    const MatrixXd x = MatrixXd::Random(40, 4), batch = 3 * MatrixXd::Identity(2, 4);
    MatrixXd q = Eigen::HouseholderQR<MatrixXd>(MatrixXd::Random(4, 4)).householderQ();
    if (q.determinant() < 0)
        q.col(0) *= -1;
    const MatrixXd y = x * q;
    const std::vector<int> one(40, 0);
    MatrixXd out(40, 4);
    const MatrixXd w = MatrixXd::Zero(2, 4); // all scores alike: plain means
    SemanticCalibration{}.forward(x, y, labels(one), w, batch, into(out));
    for (Index i = 0; i < 40; ++i) {
        CHECK(out.row(i).norm() == Approx(3));
        CHECK((out.row(i) / 3 - y.row(i).normalized()).norm() < 1e-10);
    }
    std::vector<int> alone(40, 0);
    alone[7] = 1;
    SemanticCalibration{.rotate = false}.forward(x, y, labels(alone), w, batch, into(out));
    CHECK((out.row(7) / 3 - y.row(7).normalized()).norm() < 1e-10);
}

TEST_CASE("equal styles have no gradient below a fraction line")
{
    const MatrixXd z = MatrixXd::Random(2, 3), images = MatrixXd::Random(2, 4);
    const MatrixXd w = MatrixXd::Ones(2, 3);
    MatrixXd gw(2, 3), g(2, 4);
    const std::vector<int> cluster{5, 5};
    const double value = ClusterwiseModeSeeking{}(z, w, tensors(images), labels(cluster), into(gw),
                                                  into(tensors(g)));
    CHECK(value > 0);
    CHECK(value < 1e-10);
    CHECK(gw.isZero());
    CHECK(g.allFinite());
}
