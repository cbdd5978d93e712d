// SPDX-License-Identifier: BSL-1.0

// Averages of weights: what counts, what is read out, and what averaging is good for.

#include <temper/core/random.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/ema.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/gradient/swa.hpp>

#include <Eigen/Core>

#include "support/catch.hpp"

#include <limits>

using namespace temper;

TEST_CASE("the weights that count are averaged, and no others")
{
    const auto mean_of = [](const Swa& swa) {
        Eigen::VectorXd w = Eigen::VectorXd::Zero(1), g = Eigen::VectorXd::Constant(1, -1), a(1);
        const auto update = chain(Sgd{.learning_rate = 1, .momentum = 0}, swa);
        auto state = update.init(w);
        for (int t = 0; t < 10; ++t) // w = 1, ..., 10
            update.step(state, w, g);
        swa.average(state.get<Swa>(), into(a));
        return a[0];
    };
    CHECK(mean_of({}) == Approx(5.5));
    CHECK(mean_of({.start = 5}) == Approx(8));
    CHECK(mean_of({.start = 4, .every = 3}) == Approx(8.5)); // 7 and 10
    CHECK(mean_of({.start = 20}) == 0);

    Eigen::VectorXf a = Eigen::VectorXf::Constant(3, std::numeric_limits<float>::quiet_NaN());
    const Eigen::VectorXf w = Eigen::VectorXf::Random(3);
    Swa{}.observe(a, w, 1);
    CHECK(a == w);
    CHECK_THROWS_AS(Swa{}.observe(a, w, 0), RangeError);
    auto state = chain(Swa{}).init(w);
    CHECK_THROWS_AS(chain(Swa{.every = 0}).step(state, a, w), RangeError);
}

TEST_CASE("an average is read into tensors of any layout and kind")
{
    Eigen::MatrixXf w = Eigen::MatrixXf::Random(4, 3);
    Eigen::VectorXf b = Eigen::VectorXf::Random(2);
    const auto state = Ema{}.init(tensors(w, b));
    Eigen::MatrixXf w1(4, 3);
    Eigen::VectorXf b1(2);
    Ema{}.average(state, into(tensors(w1, b1)));
    CHECK(w1 == w);
    CHECK(b1 == b);
    Ema{}.average(state, add_to(tensors(w1, b1), 2));
    CHECK(w1.isApprox(3 * w));
    const auto alone = Ema{}.init(b);
    Eigen::VectorXd wide(2);
    Ema{}.average(alone, into(wide));
    CHECK(wide == b.cast<double>());
    CHECK_THROWS_AS(Ema{}.average(state, into(b1)), RangeError);
}

// Under a constant rate, noise keeps SGD at a distance from the minimum that its average does not have.
TEST_CASE("averages of a noisy run are closer to the minimum than where it ends")
{
    Stream bits = stream(5, 0, "noise");
    const Index d = 50;
    Eigen::VectorXd w = Eigen::VectorXd::Constant(d, 3.0), g(d), averaged(d), moving(d);
    const Swa swa{.start = 500};
    const Ema ema{.decay = 0.99};
    const auto update = chain(Sgd{.learning_rate = 0.2, .momentum = 0}, swa, ema);
    auto state = update.init(w);
    for (int t = 0; t < 2000; ++t) {
        for (Index j = 0; j < d; ++j) // of |w|^2 / 2
            g[j] = w[j] + normal(bits);
        update.step(state, w, g);
    }
    swa.average(state.get<Swa>(), into(averaged));
    ema.average(state.get<Ema>(), into(moving));
    CHECK(moving.norm() < w.norm() / 2);
    CHECK(averaged.norm() < w.norm() / 5);
}
