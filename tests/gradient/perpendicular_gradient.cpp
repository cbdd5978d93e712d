// SPDX-License-Identifier: BSL-1.0

// The perpendicular gradient on numbers of all sizes, next to parallel, and what it is for: a network
// that has fitted its data stops growing its weights.

#include <temper/core/random.hpp>
#include <temper/gradient/perpendicular_gradient.hpp>
#include <temper/gradient/sgd.hpp>
#include <temper/loss/softmax_cross_entropy.hpp>

#include <Eigen/Core>

#include "support/catch.hpp"

#include <vector>

using namespace temper;

namespace {

template <class Vector>
double cosine(const Vector& a, const Vector& b)
{
    const Eigen::VectorXd x = a.template cast<double>(), y = b.template cast<double>();
    return x.stableNormalized().dot(y.stableNormalized());
}

} // namespace

TEST_CASE("what is left stands at right angles to the weights, as long as the gradient was")
{
    const auto check = [](auto scalar, double w_size, double g_size) {
        using Vector = Eigen::Vector<decltype(scalar), Eigen::Dynamic>;
        const double rounding =
            static_cast<double>(std::numeric_limits<decltype(scalar)>::epsilon());
        const Vector w = (Eigen::VectorXd::Random(9001) * w_size).cast<decltype(scalar)>();
        const Vector g = (Eigen::VectorXd::Random(9001) * g_size).cast<decltype(scalar)>();
        Vector p(9001);
        PerpendicularGradient{.epsilon = 0}.apply(w, g, into(p));
        CHECK(std::abs(cosine(w, p)) < 10 * rounding);
        CHECK(cosine(g, p) > 0.99);
        const Eigen::VectorXd before = g.template cast<double>() / g_size,
                              after = p.template cast<double>() / g_size;
        CHECK(after.norm() == Approx(before.norm()).epsilon(10 * rounding));
    };
    for (const auto& [w, g] : {std::pair(1.0, 1.0),
                               {1e-6, 1e-20},
                               {1.0, 1e-30},
                               {1e25, 1.0},
                               {1.0, 1e25},
                               {1e25, 1e25}}) {
        check(float{}, w, g);
        check(double{}, w, g);
    }
    check(double{}, 1e200, 1e-100);
}

TEST_CASE("next to nothing left beside the weights is still accurate, and nothing is nothing")
{
    const Eigen::VectorXf w = Eigen::VectorXf::Random(5000);
    Eigen::VectorXf side = Eigen::VectorXf::Random(5000);
    PerpendicularGradient{.rescale = false}.apply(w, side, into(side));
    for (const float part : {1e-1F, 1e-3F, 1e-4F}) {
        const Eigen::VectorXf g = w + part * side;
        Eigen::VectorXf p(5000);
        PerpendicularGradient{}.apply(w, g, into(p));
        CHECK(p.norm() == Approx(g.norm()).epsilon(1e-3));
        CHECK(cosine(p, side) > 0.999);
        PerpendicularGradient{.min_ratio = 0.5}.apply(w, g, into(p));
        CHECK(p.isZero(0));
    }
    for (const float along : {1.0F, -2.0F, 0.3F, 1e-12F}) {
        const Eigen::VectorXf g = along * w;
        Eigen::VectorXf p(5000);
        PerpendicularGradient{}.apply(w, g, into(p));
        CHECK(p.isZero(0));
    }
    Eigen::VectorXf g = side;
    PerpendicularGradient{}.apply(Eigen::VectorXf::Zero(5000).eval(), g, into(g));
    CHECK(g.isApprox(side, 1e-6F));
}

// After all samples are classified, softmax cross-entropy falls on by scaling the weights up. Without
// that direction in the gradient a small step leaves their norm, and the loss keeps a gradient.
TEST_CASE("weights that have fitted their data stop growing")
{
    Stream bits = stream(3, 0, "separable");
    const Index n = 60, d = 8, k = 3;
    Eigen::MatrixXf x(n, d);
    std::vector<int> y;
    for (Index i = 0; i < n; ++i) {
        y.push_back(static_cast<int>(i % k));
        for (Index j = 0; j < d; ++j)
            x(i, j) = 0.3F * static_cast<float>(normal(bits)) + (j == i % k ? 2.0F : 0.0F);
    }
    const auto train = [&](bool perpendicular) {
        Eigen::MatrixXf w = 0.3F * x.topRows(d).leftCols(k), z(n, k), gz(n, k), g(d, k);
        const Sgd sgd{.learning_rate = 0.05, .momentum = 0};
        auto state = sgd.init(w);
        std::vector<float> norms;
        for (int t = 0; t < 2000; ++t) {
            z = x * w;
            SoftmaxCrossEntropy{}(z, labels(y), into(gz));
            g = x.transpose() * gz;
            if (perpendicular)
                PerpendicularGradient{}.apply(w, g, into(g));
            sgd.step(state, w, g);
            norms.push_back(w.norm());
        }
        Index right = 0;
        z = x * w;
        for (Index i = 0; i < n; ++i) {
            Index best = 0;
            z.row(i).maxCoeff(&best);
            right += best == y[static_cast<std::size_t>(i)] ? 1 : 0;
        }
        CHECK(right == n);
        return norms.back() / norms.front();
    };
    CHECK(train(false) > 2.5F);
    CHECK(train(true) < 1.1F);
}
