// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/regularizer/sorsa_regularizer.hpp>

#include <Eigen/Dense>

#include <string>
#include <vector>

using namespace temper;

TEST_CASE("SORSA: no gradient right after the initialisation by singular vectors", "[regularizer]")
{
    const Eigen::MatrixXd w = Eigen::MatrixXd::Random(40, 30);
    const Eigen::JacobiSVD<Eigen::MatrixXd> svd(w, Eigen::ComputeThinU | Eigen::ComputeThinV);
    const Eigen::MatrixXf b = svd.matrixU().leftCols(8).cast<float>();
    Eigen::MatrixXf a = svd.matrixV().leftCols(8).transpose().cast<float>();
    Eigen::MatrixXf ga = a, gb = b;
    CHECK(SorsaRegularizer{}(a, b, into(ga), into(gb)) < 1e-5);
    CHECK(ga.isZero(0));
    CHECK(gb.isZero(0));

    a *= 1.01F; // the direction of growth, of length 2 / (2 L) = 1
    CHECK(SorsaRegularizer{}(a, b, into(ga), into(gb)) ==
          Approx(0.5 * 0.0201 * std::sqrt(8.0)).epsilon(1e-3));
    CHECK(ga.norm() == Approx(1.01).epsilon(1e-3));
    CHECK(gb.isZero(0));
}

TEST_CASE("SORSA: layers in a list, layers in a stack, and none", "[regularizer]")
{
    using Rows = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
    const Rows a = Rows::Random(2 * 3, 5), b = Rows::Random(2 * 4, 3);
    Rows ga(6, 5), gb(8, 3), ga_stack(6, 5), gb_stack(8, 3);
    const SorsaRegularizer sorsa{};
    const auto b1 = b.topRows(4), b2 = b.bottomRows(4);
    auto g1 = gb.topRows(4), g2 = gb.bottomRows(4);
    auto ga1 = ga.topRows(3), ga2 = ga.bottomRows(3);
    const double value = sorsa(tensors(a.topRows(3), a.bottomRows(3)), tensors(b1, b2),
                               into(tensors(ga1, ga2)), into(tensors(g1, g2)));
    CHECK(sorsa(view(a.data(), {2, 3, 5}), view(b.data(), {2, 4, 3}),
                into(view(ga_stack.data(), {2, 3, 5})),
                into(view(gb_stack.data(), {2, 4, 3}))) == value);
    CHECK(ga == ga_stack);
    CHECK(gb == gb_stack);
    CHECK((0.5 * sorsa)(tensors(a.topRows(3), a.bottomRows(3)), tensors(b1, b2), discard,
                        into(tensors(g1, g2))) == Approx(0.5 * value));
    CHECK(gb.isApprox(0.5 * gb_stack));

    const std::vector<AnyView<const double>> none;
    CHECK(sorsa(none, none) == 0);
}

TEST_CASE("SORSA: errors", "[regularizer]")
{
    const auto message_of = [](const auto& a, const auto& b) -> std::string {
        try {
            (void)SorsaRegularizer{}(a, b);
        }
        catch (const Error& error) {
            return error.what();
        }
        return "no error";
    };
    const Eigen::MatrixXd a = Eigen::MatrixXd::Random(3, 5), b = Eigen::MatrixXd::Random(4, 3);
    const std::vector<double> numbers(3, 1.0);
    CHECK(message_of(tensors(a, a), tensors(b)) ==
          "SorsaRegularizer: b has 1 matrices, must be a list of 2 as a");
    CHECK(message_of(tensors(a, a), tensors(b, a)) ==
          "SorsaRegularizer: b[1] has shape [3, 5], must be [o, 3], as a[1] has rows");
    CHECK(message_of(a, numbers) == "SorsaRegularizer: b has a tensor of shape [3], must be a list "
                                    "of matrices, or of stacks of them");
}
