// SPDX-License-Identifier: BSL-1.0
#include <temper/diffusion/masked_flow_loss.hpp>
#include <temper/diffusion/x0_from_eps.hpp>
#include <temper/layer/linear_scm.hpp>
#include <temper/layer/qk_norm.hpp>
#include <temper/layer/repa_projector.hpp>
#include <temper/regularizer/stepwise_variation_penalty.hpp>
#include <temper/regularizer/wave_potential_loss.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <vector>

using namespace temper;

TEST_CASE("a projector of one layer is a linear map, and says what does not fit")
{
    Eigen::MatrixXf w(4, 3), x = Eigen::MatrixXf::Random(5, 3), y(5, 4);
    Eigen::VectorXf b(4);
    const RepaProjector head;
    auto rng = stream(3, 0, "head");
    b.setOnes();
    head.initialize(rng, tensors(w, b));
    CHECK(b.isZero(0));
    CHECK(w.cwiseAbs().maxCoeff() <= std::sqrt(6.0F / 7));
    CHECK(w.cwiseAbs().maxCoeff() > 0.5F * std::sqrt(6.0F / 7));
    b.setConstant(0.5F);
    head.forward(x, tensors(w, b), into(y));
    CHECK((y - (x * w.transpose()).eval() - Eigen::MatrixXf::Constant(5, 4, 0.5F)).norm() < 1e-5F);
    CHECK_THROWS_WITH(head.forward(x, tensors(w), into(y)),
                      "RepaProjector: parameters has 1 tensors, must be a weight and a bias for "
                      "each layer");
    Eigen::MatrixXf wide(2, 5), gx(5, 3);
    Eigen::VectorXf two(2);
    CHECK_THROWS_AS(head.forward(x, tensors(w, b, wide, two), into(y)), ShapeError);
    const Eigen::MatrixXf none(0, 3);
    Eigen::MatrixXf out(0, 4);
    head.forward(none, tensors(w, b), into(out));
}

TEST_CASE("normalised logits are bounded whatever the scale")
{
    const Eigen::MatrixXd q = 1e6 * Eigen::MatrixXd::Random(4, 9);
    Eigen::MatrixXd k = 1e-2 * Eigen::MatrixXd::Random(3, 9);
    k.row(1).setConstant(5);
    Eigen::MatrixXd s(4, 3);
    QkNorm{}.forward(q, k, into(s));
    CHECK(s.cwiseAbs().maxCoeff() <= 3);
    CHECK(s.col(1).isZero(0));
    QkNorm{.kind = QkNormKind::rms_norm}.forward(q, k, into(s));
    CHECK(s.cwiseAbs().maxCoeff() <= 3);
    QkNorm{.kind = QkNormKind::l2}.forward(q, k, into(s));
    CHECK(s.cwiseAbs().maxCoeff() <= 1.0 / 3 + 1e-12);
    CHECK_THROWS_AS((QkNorm{.epsilon = 0}.forward(q, k, into(s))), RangeError);
}

TEST_CASE("interventions go down the graph, not up")
{
    Eigen::MatrixXd a =
        Eigen::MatrixXd::Constant(3, 3, 9); // what is not above the diagonal is not read
    a(0, 1) = 2;
    a(0, 2) = -1;
    a(1, 2) = 0.5;
    const Eigen::MatrixXd u = Eigen::MatrixXd::Ones(2, 3);
    Eigen::MatrixXd z(2, 3), g(2, 3), ga(3, 3);
    LinearScm{}.forward(u, a, into(z));
    CHECK(z.row(0) == Eigen::RowVector3d(1, 3, 1 - 1 + 1.5));
    const LinearScm cause{.do_index = 0, .do_value = 2};
    cause.forward(u, a, into(z));
    CHECK(z.row(0) == Eigen::RowVector3d(2, 5, 1 - 2 + 2.5));
    const LinearScm effect{.do_index = 2, .do_value = 7};
    effect.forward(u, a, into(z));
    CHECK(z.row(1) == Eigen::RowVector3d(1, 3, 7));
    const LinearScm middle{.do_index = 1, .do_value = 7};
    middle.pullback(u, a, Eigen::MatrixXd::Ones(2, 3).eval(), into(g), into(ga));
    CHECK(g.row(0) == Eigen::RowVector3d(1 - 1, 0, 1));
    CHECK(ga.col(1).isZero(0));
    CHECK(ga(1, 2) == 14); // what z_1 is set to, twice
    CHECK_THROWS_AS((LinearScm{.do_index = 3}.forward(u, a, into(z))), RangeError);
}

TEST_CASE("the running mean moves when it is told to")
{
    const StepwiseVariationPenalty penalty{.decay = 0.5};
    auto state = penalty.init();
    const double vjp[3][2] = {{3, 4}, {0, 0}, {0, 1}};
    Eigen::MatrixXd g(3, 2);
    std::vector<double> v(3);
    const double value = penalty(state, vjp, into(g), per_sample(into(v)));
    CHECK(state.mean == 0);
    CHECK(v == std::vector<double>{5, 0, 1});
    CHECK(value == Approx((16 + 1 + 0) / 3.0)); // around half of the mean of 2
    CHECK(g.row(1).isZero(0));
    penalty.observe(state, vjp);
    CHECK(state.mean == 1);
    CHECK(penalty(state, vjp) == Approx((3.5 * 3.5 + 1.5 * 1.5 + 0.25) / 3));
    const Eigen::MatrixXd nothing(0, 2);
    CHECK(penalty(state, nothing) == 0);
    penalty.observe(state, nothing);
    CHECK(state.mean == 1);
    auto rng = stream(1, 0, "probe");
    std::vector<float> probe;
    const std::vector<double> alpha_bar{0.0, 1.0};
    penalty.draw(rng, alpha_bar, 50, probe);
    REQUIRE(probe.size() == 100);
    double square = 0;
    for (std::size_t j = 0; j < 50; ++j) {
        square += static_cast<double>(probe[j] * probe[j]);
        CHECK(probe[50 + j] == 0);
    }
    CHECK(square == Approx(1).margin(0.6));
}

TEST_CASE("flow matching: an empty sequence is 0, a mask is 0 or 1")
{
    const std::vector<double> pred(12, 1.0), target(12, 0.0);
    std::vector<double> g(12, 5.0), each(2);
    const auto batch = [](auto& v) { return view(v.data(), {2, 3, 2}); };
    double mask[2][3] = {{1, 0, 1}, {0, 0, 0}};
    const MaskedFlowLoss loss;
    CHECK(loss(batch(pred), batch(target), mask, into(batch(g)), per_sample(into(each))) == 0.5);
    CHECK(each == std::vector<double>{1, 0});
    CHECK(g[0] == 0.25);
    for (std::size_t i = 6; i < 12; ++i)
        CHECK(g[i] == 0);
    mask[1][2] = 0.5;
    CHECK_THROWS_WITH(loss(batch(pred), batch(target), mask),
                      "MaskedFlowLoss: mask is 0.5, must be 0 or 1");
}

TEST_CASE("clean estimates invert the noise, at steps of a schedule or at levels")
{
    const Eigen::MatrixXd x = Eigen::MatrixXd::Random(3, 4);
    const Eigen::MatrixXd e = Eigen::MatrixXd::Random(3, 4);
    const std::vector<double> table{0.9, 0.5, 0.1, 0.0};
    const std::vector<int> t{2, 0, 2};
    Eigen::MatrixXd noisy(3, 4), back(3, 4);
    X0FromEps{}.noised(x, at_steps(table, t), e, into(noisy));
    X0FromEps{}.forward(noisy, at_steps(table, t), e, into(back));
    CHECK((back - x).norm() < 1e-12);
    X0FromEps{}.noised(x, 0.25, e, into(noisy));
    X0FromEps{}.forward(noisy, 0.25, e, into(back));
    CHECK((back - x).norm() < 1e-12);
    const std::vector<int> last{3, 0, 0};
    CHECK_THROWS_AS(X0FromEps{}.forward(noisy, at_steps(table, last), e, into(back)), RangeError);
    const std::vector<int> beyond{4, 0, 0};
    CHECK_THROWS_AS(X0FromEps{}.forward(noisy, at_steps(table, beyond), e, into(back)), RangeError);
}

TEST_CASE("a wave obeys the wave equation")
{
    // u = sin(<w, z> + s t): u_tt = -s^2 u, Laplacian -|w|^2 u, hence c = s / |w|.
    const double u = 0.3, w2 = 4, s = 3;
    const std::vector<double> u_tt{-s * s * u};
    const double laplacian[1][1] = {{-w2 * u}};
    double gc = 0;
    const WavePotentialLoss loss;
    CHECK(loss.wave(u_tt, laplacian, 1.5) == Approx(0).margin(1e-12));
    CHECK(loss.wave(u_tt, laplacian, 1.0, discard, discard, into(gc)) > 0);
    CHECK(gc < 0); // faster
    const double jvp[1][2] = {{1, 2}};
    CHECK(loss.motion(jvp) == -2.5);
    CHECK((WavePotentialLoss{.w_rest = 0, .w_wave = 0, .w_motion = 2}(jvp, u_tt, laplacian, 1.0,
                                                                      jvp)) == -5);
}
