// SPDX-License-Identifier: BSL-1.0

// Sharpness-aware steps: the way back, and where they lead.

#include <temper/gradient/sgd.hpp>
#include <temper/gradient/sharpness_aware.hpp>

#include <Eigen/Core>

#include "support/catch.hpp"

using namespace temper;

TEST_CASE("the descent comes back to the bit, and only once")
{
    Eigen::MatrixXf w = Eigen::MatrixXf::Random(100, 60), g = Eigen::MatrixXf::Random(100, 60);
    const Eigen::MatrixXf w0 = w;
    Eigen::MatrixXf e(100, 60);
    const SharpnessAware sam{.rho = 0.3};
    auto state = sam.init(w);
    sam.descend(state, w); // nothing to come back from
    CHECK(w == w0);
    sam.apply(w, g, into(e));
    CHECK(e.norm() == Approx(0.3).epsilon(1e-5));
    sam.ascend(state, w, g);
    CHECK((w - w0 - e).norm() < 1e-5F);
    CHECK_THROWS_AS(sam.ascend(state, w, g), RangeError);
    sam.descend(state, w);
    CHECK(w == w0);

    // By columns or by rows, the list is one vector to the norm.
    const Eigen::MatrixXf top = w.topRows(40), bottom = w.bottomRows(60);
    Eigen::MatrixXf e_top(40, 60), e_bottom(60, 60);
    sam.apply(tensors(top, bottom), tensors(g.topRows(40), g.bottomRows(60)),
              into(tensors(e_top, e_bottom)));
    CHECK(e_top.isApprox(e.topRows(40), 1e-5F));
    CHECK(e_bottom.isApprox(e.bottomRows(60), 1e-5F));

    sam.apply(w, Eigen::MatrixXf::Zero(100, 60).eval(), into(e));
    CHECK(e.isZero(0));
}

TEST_CASE("adaptive sharpness does not see the scale of a layer")
{
    // Two layers u, v with loss of u v alone: (c u, v / c) is the same function, with gradients scaled
    // the other way round. e is scaled as its layer is.
    Eigen::VectorXd w = Eigen::VectorXd::Random(8), g = Eigen::VectorXd::Random(8), e(8), scaled(8);
    const SharpnessAware asam{.rho = 0.5, .adaptive = true};
    asam.apply(w, g, into(e));
    const Eigen::VectorXd c = Eigen::VectorXd::Random(8).array().exp();
    asam.apply((w.array() * c.array()).matrix().eval(), (g.array() / c.array()).matrix().eval(),
               into(scaled));
    CHECK(scaled.isApprox((e.array() * c.array()).matrix(), 1e-12));
}

// (u v - 1)^2 / 2 is least on a whole curve, and there its sharpness, the largest eigenvalue of the
// Hessian, is u^2 + v^2: 2 where u = v = 1, and as large as one likes elsewhere.
TEST_CASE("minima are flatter than those of plain gradient descent")
{
    const auto sharpness_after = [](bool aware) {
        Eigen::Vector2d w(3.0, 0.3), g;
        const auto gradient = [&] {
            const double r = w[0] * w[1] - 1;
            g << r * w[1], r * w[0];
        };
        const Sgd sgd{.learning_rate = 0.02, .momentum = 0};
        const SharpnessAware sam{.rho = 0.1};
        auto moments = sgd.init(w);
        auto ascent = sam.init(w);
        for (int t = 0; t < 5000; ++t) {
            gradient();
            if (aware) {
                sam.ascend(ascent, w, g);
                gradient();
                sam.descend(ascent, w);
            }
            sgd.step(moments, w, g);
        }
        CHECK(std::abs(w[0] * w[1] - 1) < 0.05);
        return w.squaredNorm();
    };
    const double plain = sharpness_after(false);
    CHECK(plain > 8);
    CHECK(sharpness_after(true) < plain / 2);
}
