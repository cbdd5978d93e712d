// SPDX-License-Identifier: BSL-1.0

#include <temper/core/random.hpp>
#include <temper/core/state.hpp>
#include <temper/regularizer/nuclear_norm.hpp>
#include <temper/regularizer/spectral_norm.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

using namespace temper;
using Eigen::MatrixXd;
using Eigen::MatrixXf;

namespace {

MatrixXd random_matrix(Index rows, Index cols)
{
    Stream bits = stream(6, 0, "spectral norm");
    MatrixXd w(rows, cols);
    for (double& x : w.reshaped())
        x = normal(bits);
    return w;
}

} // namespace

TEST_CASE("observing leads to the largest singular value, and the call changes nothing")
{
    const MatrixXd w = random_matrix(30, 20);
    const double largest = NuclearNorm{}.dual_norm(w);
    const SpectralNorm norm;
    Stream bits = stream(1, 0, "start");
    auto state = norm.init(bits, w, 0);
    double before = 0;
    for (int step = 0; step < 300; ++step) {
        norm.observe(state, w);
        const auto copy = state;
        const double sigma = norm(state, w);
        CHECK(state == copy);
        CHECK(sigma >= before * (1 - 1e-12));
        CHECK(sigma <= largest * (1 + 1e-12));
        before = sigma;
    }
    CHECK(before == Approx(largest).epsilon(1e-9));
    const auto warm = norm.init(bits, w);
    CHECK(norm(warm, w) == Approx(largest).epsilon(0.05));

    // A layer divided by its norm stretches nothing.
    MatrixXd y = w;
    norm.forward(state, y, into(y));
    CHECK(NuclearNorm{}.dual_norm(y) == Approx(1).epsilon(1e-9));
}

TEST_CASE("a state of the spectral norm can be saved")
{
    const MatrixXd w = random_matrix(5, 4);
    const SpectralNorm norm;
    Stream bits = stream(1, 0, "start");
    const auto state = norm.init(bits, w);
    SpectralNorm::State<double> other;
    load(other, save(state));
    CHECK(other == state);
}

TEST_CASE("weights of any size have a spectral norm")
{
    const MatrixXf w = random_matrix(6, 7).cast<float>();
    const SpectralNorm norm{.iterations = 200};
    Stream bits = stream(1, 0, "start");
    auto state = norm.init(bits, w);
    norm.observe(state, w);
    const double sigma = norm(state, w);
    for (const float size : {1e-6F, 1e18F, 1e25F}) {
        const MatrixXf scaled = size * w;
        norm.observe(state, scaled);
        CHECK(norm(state, scaled) == Approx(static_cast<double>(size) * sigma).epsilon(1e-5));
    }
}

TEST_CASE("a state of another layer is refused")
{
    const MatrixXd w = random_matrix(5, 4);
    Stream bits = stream(1, 0, "start");
    auto state = SpectralNorm{}.init(bits, random_matrix(4, 4));
    const auto copy = state;
    CHECK_THROWS_AS(SpectralNorm{}.observe(state, w), ShapeError);
    CHECK_THROWS_AS(SpectralNorm{}(state, w), ShapeError);
    CHECK(state == copy);
}
