// SPDX-License-Identifier: BSL-1.0

// FRUGAL on lists of matrices: its two ends, its state, and what it is worth.

#include <temper/core/random.hpp>
#include <temper/core/state.hpp>
#include <temper/gradient/adamw.hpp>
#include <temper/gradient/chain.hpp>
#include <temper/gradient/clip_norm.hpp>
#include <temper/gradient/frugal.hpp>

#include <Eigen/Core>

#include "support/catch.hpp"

using namespace temper;

TEST_CASE("everything active is AdamW, by columns and by rows")
{
    for (const auto slices : {Frugal::Slices::columns, Frugal::Slices::rows}) {
        const Frugal frugal{.weight_decay = 0.1, .density = 1, .slices = slices};
        const AdamW adamw{.weight_decay = 0.1};
        Eigen::MatrixXf a = Eigen::MatrixXf::Random(20, 13), b = Eigen::MatrixXf::Random(5, 31);
        Eigen::MatrixXf a1 = a, b1 = b;
        auto state = frugal.init(tensors(a, b));
        auto moments = adamw.init(tensors(a1, b1));
        Stream rng = stream(1, 0, "frugal");
        CHECK(frugal.due(state));
        CHECK_THROWS_AS(frugal.step(state, tensors(a, b), tensors(a, b)), OverlapError);
        const Eigen::MatrixXf ga = Eigen::MatrixXf::Random(20, 13),
                              gb = Eigen::MatrixXf::Random(5, 31);
        CHECK_THROWS_AS(frugal.step(state, tensors(a, b), tensors(ga, gb)), RangeError);
        frugal.choose(state, frugal.draw(rng, tensors(a, b)));
        CHECK(!frugal.due(state));
        for (int t = 0; t < 3; ++t) {
            frugal.step(state, tensors(a, b), tensors(ga, gb));
            adamw.step(moments, tensors(a1, b1), tensors(ga, gb));
        }
        CHECK(a == a1);
        CHECK(b == b1);
    }
}

TEST_CASE("the state is a part of AdamW's, is chosen anew in time, and can be saved")
{
    const Frugal frugal{.update_gap = 3};
    Eigen::MatrixXd w = Eigen::MatrixXd::Random(10, 17);
    const Eigen::MatrixXd g = Eigen::MatrixXd::Random(10, 17);
    auto state = frugal.init(w);
    CHECK(state.first.size() == 40); // 4 of 17 columns
    Stream rng = stream(1, 0, "frugal");
    Index choices = 0;
    for (int t = 0; t < 7; ++t) {
        if (frugal.due(state)) {
            frugal.choose(state, frugal.draw(rng, w));
            ++choices;
        }
        frugal.step(state, w, g);
    }
    CHECK(choices == 3);
    auto loaded = frugal.init(w);
    load(loaded, save(state));
    CHECK(loaded == state);
    CHECK_THROWS_AS(frugal.choose(state, Frugal::Plan(2)), RangeError);
    CHECK_THROWS_AS(frugal.choose(state, Frugal::Plan(1)), RangeError);
    frugal.choose(state, {{0, 1, 2, 17}});
    CHECK_THROWS_AS(frugal.step(state, w, g), RangeError);

    // In a chain, where the caller chooses as well.
    Eigen::MatrixXd v = w, gv = g;
    const auto update = chain(ClipNorm{.max_norm = 1e9}, frugal);
    auto states = update.init(v);
    CHECK_THROWS_AS(update.step(states, v, gv), RangeError);
    frugal.choose(states.get<Frugal>(), {{3, 1, 2, 16}});
    frugal.choose(state, {{3, 1, 2, 16}});
    update.step(states, v, gv);
    frugal.step(state, w, g);
    CHECK(v == w);
}

// Least squares with columns of very different scales: AdamW gets along with them, sign descent less so.
// With a quarter of the moments, FRUGAL ends closer to AdamW than AdamW on that quarter alone.
TEST_CASE("a quarter of the moments is worth more than a quarter of the steps")
{
    const Index n = 12, d = 40;
    const auto loss_after = [&](double density, Frugal::Rest rest) {
        Stream rng = stream(4, 0, "frugal effect");
        Eigen::MatrixXd target(n, d), scale(1, d);
        for (Index i = 0; i < target.size(); ++i)
            target.data()[i] = normal(rng);
        for (Index j = 0; j < d; ++j)
            scale(0, j) = std::exp(2 * normal(rng));
        const Frugal frugal{
            .learning_rate = 0.01, .density = density, .update_gap = 10, .rest = rest};
        Eigen::MatrixXd w = Eigen::MatrixXd::Zero(n, d), g(n, d);
        auto state = frugal.init(w);
        double loss = 0;
        for (int t = 0; t < 300; ++t) {
            const Eigen::MatrixXd e = w - target;
            loss = (e.array().square().rowwise() * scale.row(0).array()).sum();
            g = e.array().rowwise() * scale.row(0).array();
            if (frugal.due(state))
                frugal.choose(state, frugal.draw(rng, w));
            frugal.step(state, w, g);
        }
        return loss;
    };
    const double adamw = loss_after(1, Frugal::Rest::nothing);
    const double frugal = loss_after(0.25, Frugal::Rest::sign_descent);
    const double quarter = loss_after(0.25, Frugal::Rest::nothing);
    CHECK(std::abs(frugal - adamw) < 0.2 * std::abs(quarter - adamw));
}
