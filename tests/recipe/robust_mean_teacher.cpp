// SPDX-License-Identifier: BSL-1.0
#include <temper/core/random.hpp>
#include <temper/recipe/robust_mean_teacher.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <cmath>
#include <vector>

using namespace temper;
using Eigen::MatrixXd;

TEST_CASE("a robust mean teacher is the sum of its parts")
{
    auto rng = stream(1, 0, "rmt");
    const auto random = [&](int n, int d) {
        MatrixXd x(n, d);
        for (Eigen::Index i = 0; i < x.size(); ++i)
            x.data()[i] = normal(rng);
        return x;
    };
    const MatrixXd z = random(4, 3), z2 = random(4, 3), t = random(4, 3);
    const MatrixXd prototypes = random(3, 6), f = random(4, 6), f2 = random(4, 6);
    MatrixXd p(4, 6);
    const RobustMeanTeacher rmt{.target = 2, .contrastive = 3};
    rmt.pair(prototypes, f, into(p));
    std::vector<std::int64_t> nearest(4);
    NearestPrototype{}.forward(prototypes, f, into(nearest));
    for (int i = 0; i < 4; ++i)
        CHECK(p.row(i) == prototypes.row(nearest[static_cast<std::size_t>(i)]));

    const Consistency<SymmetricCrossEntropy> symmetric{};
    std::vector<double> views; // [4, 3, 6]
    for (int i = 0; i < 4; ++i)
        for (const MatrixXd* m : std::vector<const MatrixXd*>{&p, &f, &f2})
            for (int j = 0; j < 6; ++j)
                views.push_back((*m)(i, j));
    const double want = symmetric(z, target_logits(t)) + symmetric(z2, target_logits(t)) +
                        3 * MultiviewContrastive{}(view(views.data(), {4, 3, 6}));
    const RobustMeanTeacher::Inputs<double> in{.logits = view(z),
                                               .augmented = view(z2),
                                               .teacher = view(t),
                                               .prototypes = view(p),
                                               .features = view(f),
                                               .augmented_features = view(f2)};
    CHECK(rmt(in) == Approx(want));
    MatrixXd sum(4, 3);
    rmt.predict(z, t, into(sum));
    CHECK(sum.isApprox(z + t));
    auto wrong = in;
    wrong.features = view(z);
    CHECK_THROWS_AS(rmt(wrong), ShapeError);
}

TEST_CASE("prototypes: empty classes and ties")
{
    MatrixXd f(3, 2), m(3, 2);
    f << 1, 0, 3, 0, 0, 2;
    NearestPrototype{}.build(f, labels(std::vector<int>{0, 0, 2}), 3, into(m));
    MatrixXd want(3, 2);
    want << 2, 0, 0, 0, 0, 2;
    CHECK(m == want);
    std::vector<std::int64_t> y(3);
    const MatrixXd zero = MatrixXd::Zero(3, 2);
    NearestPrototype{}.forward(m, zero, into(y)); // similarity 0 with all: the first
    CHECK(y == std::vector<std::int64_t>(3, 0));
}

TEST_CASE("contrast of one sample, and of anchors without a positive")
{
    MatrixXd one(1, 4), g(1, 4);
    one << 1, 2, 3, 4;
    CHECK(MultiviewContrastive{}(view(one.data(), {1, 1, 4}), into(view(g.data(), {1, 1, 4}))) ==
          0);
    CHECK(g.isZero(0));
    MatrixXd three = MatrixXd::Identity(3, 3), g3(3, 3);
    const auto rows = view(three.data(), {3, 1, 3});
    // Only the first two have a positive; each sees two others at the same distance.
    CHECK(MultiviewContrastive{}(rows, labels(std::vector<int>{0, 0, 1}),
                                 into(view(g3.data(), {3, 1, 3}))) ==
          Approx(2.0 / 3 * std::log(2.0)));
    CHECK(g3.allFinite());
}
