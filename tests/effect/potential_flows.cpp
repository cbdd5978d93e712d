// SPDX-License-Identifier: BSL-1.0

// Latent Traversals in Generative Models as Potential Flows.

#include "effect/alignment.hpp"

#include <temper/regularizer/wave_potential_loss.hpp>

using namespace alignment_effect;
using temper::add_to;
using temper::into;

namespace {

constexpr Index d = 4;      // latent
constexpr Index m = 6;      // output
constexpr Index waves = 12; // of the potential
constexpr Index n = 64;
constexpr Index times = 4;

/// u(z, t) = sum_k a_k sin(<w_k, z> + s_k t + b_k): all its derivatives can be written down.
struct Potential {
    Matrix a, w, s, b;
    float c = 1;

    explicit Potential(temper::Stream& rng)
        : a(normals(rng, 1, waves, 0.3)), w(normals(rng, waves, d, 0.5)),
          s(normals(rng, 1, waves, 1)), b(normals(rng, 1, waves))
    {
    }
    [[nodiscard]] Matrix phase(const Matrix& z, float t) const
    {
        Matrix p = z * w.transpose();
        p.rowwise() += b.row(0) + t * s.row(0);
        return p;
    }
    [[nodiscard]] Matrix gradient(const Matrix& z, float t) const
    {
        return (phase(z, t).array().cos().rowwise() * a.row(0).array()).matrix() * w;
    }
};

struct Traversal {
    double movement = 0; ///< of the output for a latent step of length 1, over a random direction's
    double residual = 0; ///< of the wave equation, over the mean square of its terms
};

Traversal learn(double w_motion, std::uint64_t seed)
{
    auto rng = temper::stream(seed, 0, "potential");
    // A generator that answers to some directions more than to others, and bends.
    Matrix mix = normals(rng, d, 16, 0.3);
    mix.row(0) *= 5.0F;
    const Matrix out = normals(rng, 16, m, 0.4);
    const auto jacobian_times = [&](const Matrix& z, const Matrix& v) {
        const Matrix h = (z * mix).array().tanh();
        return Matrix((v * mix).cwiseProduct(Matrix(1.0F - h.array().square())) * out);
    };
    const auto jacobian_back = [&](const Matrix& z, const Matrix& g) {
        const Matrix h = (z * mix).array().tanh();
        return Matrix((g * out.transpose()).cwiseProduct(Matrix(1.0F - h.array().square())) *
                      mix.transpose());
    };
    Potential u(rng);
    Matrix speed = Matrix::Constant(1, 1, 1.0F);
    Trainable trained({&u.a, &u.w, &u.s, &u.b, &speed}, 5e-3);
    // The potential's size is held by the term at rest; motion decides where it points.
    const temper::WavePotentialLoss loss{.w_rest = 0.3, .w_wave = 1, .w_motion = w_motion};
    for (Index step = 0; step < 1200; ++step) {
        const Matrix z = normals(rng, n, d);
        auto& g = trained.gradients;
        for (Matrix& each : g)
            each.setZero();
        const Matrix at_rest = u.gradient(z, 0.0F);
        const Matrix jvp = jacobian_times(z, at_rest);
        // A row for each time and sample: the wave equation itself, where the published code has the batch's
        // sum on one side.
        std::vector<float> u_tt(times * n);
        Matrix laplacian(times * n, 1);
        const Eigen::RowVectorXf squares = u.w.rowwise().squaredNorm().transpose();
        for (Index i = 0; i < times; ++i) {
            const Matrix waved = u.phase(z, static_cast<float>(i) / times).array().sin().rowwise() *
                                 u.a.row(0).array();
            Eigen::Map<Eigen::VectorXf>(u_tt.data() + i * n, n) =
                -waved * u.s.row(0).array().square().matrix().transpose();
            laplacian.middleRows(i * n, n) = -waved * squares.transpose();
        }
        Matrix g_rest(n, d), g_jvp(n, m), g_lap(times * n, 1);
        std::vector<float> g_u(times * n);
        loss(at_rest, u_tt, laplacian, speed(0, 0), jvp, into(g_rest), into(g_u), into(g_lap),
             into(g[4](0, 0)), into(g_jvp));
        const Matrix g_grad = g_rest + jacobian_back(z, g_jvp);
        // Through grad u = sum a cos(p) w.
        {
            const Matrix p = u.phase(z, 0.0F);
            const Matrix cosines = p.array().cos();
            const Matrix sines = p.array().sin();
            const Matrix along = g_grad * u.w.transpose(); // <g_i, w_k>
            g[0] += cosines.cwiseProduct(along).colwise().sum();
            const Matrix gp = -(sines.cwiseProduct(along).array().rowwise() * u.a.row(0).array());
            g[1] += (cosines.array().rowwise() * u.a.row(0).array()).matrix().transpose() * g_grad +
                    gp.transpose() * z;
            g[3] += gp.colwise().sum();
        }
        // Through u_tt and the Laplacian.
        for (Index i = 0; i < times; ++i) {
            const float t = static_cast<float>(i) / times;
            const Matrix p = u.phase(z, t);
            const Matrix sines = p.array().sin();
            const Matrix cosines = p.array().cos();
            const Eigen::VectorXf gu = Eigen::Map<Eigen::VectorXf>(g_u.data() + i * n, n);
            const Eigen::VectorXf gl = g_lap.middleRows(i * n, n);
            const Eigen::RowVectorXf s2 = u.s.row(0).array().square();
            // d / d sine of each sample and wave: - gu a s^2 - gl a |w|^2
            Matrix gs = -gl * squares - gu * s2;
            g[0] += sines.cwiseProduct(gs).colwise().sum();
            gs.array().rowwise() *= u.a.row(0).array();
            const Matrix gp = gs.cwiseProduct(cosines);
            g[1] += gp.transpose() * z;
            g[2] += t * gp.colwise().sum();
            g[3] += gp.colwise().sum();
            g[2].row(0).array() -=
                2 * (gu.transpose() * sines).array() * u.a.row(0).array() * u.s.row(0).array();
            const Eigen::RowVectorXf g_squares =
                -(gl.transpose() * sines).array() * u.a.row(0).array();
            g[1] += 2 * g_squares.transpose().asDiagonal() * u.w;
        }
        trained.step();
    }
    Traversal result;
    const Matrix z = normals(rng, 500, d);
    const auto movement = [&](const Matrix& v) {
        const Matrix unit = v.rowwise().normalized();
        return static_cast<double>(jacobian_times(z, unit).rowwise().norm().mean());
    };
    result.movement = movement(u.gradient(z, 0.0F)) / movement(normals(rng, 500, d));
    const Matrix sines = u.phase(z, 0.5F).array().sin();
    const Eigen::RowVectorXf squares = u.w.rowwise().squaredNorm().transpose();
    const Matrix tt =
        -(sines.array().rowwise() * (u.a.row(0).array() * u.s.row(0).array().square()));
    const Matrix lap = -(sines.array().rowwise() * (u.a.row(0).array() * squares.array()));
    const float c2 = speed(0, 0) * speed(0, 0);
    const Eigen::VectorXf left = tt.rowwise().sum();
    const Eigen::VectorXf right = c2 * lap.rowwise().sum();
    result.residual = static_cast<double>((left - right).squaredNorm()) /
                      static_cast<double>(left.squaredNorm() + right.squaredNorm());
    return result;
}

} // namespace

TEST_CASE("traversals along a learned potential move the output", "[effect]")
{
    std::array<Traversal, 2> mean;
    constexpr double seeds = 3;
    for (std::uint64_t seed = 1; seed <= 3; ++seed)
        for (const std::size_t with : {0U, 1U}) {
            const Traversal one = learn(with == 0 ? 0 : 0.15, seed);
            mean[with].movement += one.movement / seeds;
            mean[with].residual += one.residual / seeds;
        }
    std::printf("potential flows: output moves %.2f times as far as along a random direction (%.2f "
                "without that term); residual of the wave equation %.3f (%.3f)\n",
                mean[1].movement, mean[0].movement, mean[1].residual, mean[0].residual);
    CHECK(mean[1].movement > mean[0].movement + 0.2);
    CHECK(mean[1].movement > 1.2);
    CHECK(mean[1].residual < 0.3);
}
