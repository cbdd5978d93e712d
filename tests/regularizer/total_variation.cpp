// SPDX-License-Identifier: BSL-1.0
#include <temper/regularizer/total_variation.hpp>

#include "support/catch.hpp"

#include <Eigen/Core>

#include <array>
#include <cmath>
#include <string>
#include <vector>

using namespace temper;

namespace {

/// Value and gradient of one image or volume [d, h, w] by its definition.
struct Plain {
    double value = 0;
    std::vector<double> gradient;

    Plain(const std::vector<double>& x, std::array<Index, 3> n, VariationForm form, double epsilon)
        : gradient(x.size())
    {
        const std::array<Index, 3> step{n[1] * n[2], n[2], 1};
        for (Index i = 0; i < n[0] * n[1] * n[2]; ++i) {
            std::array<double, 3> d{};
            std::array<bool, 3> has{};
            double squares = epsilon;
            for (std::size_t a = 0; a < 3; ++a) {
                has[a] = i / step[a] % n[a] + 1 < n[a];
                if (has[a])
                    d[a] = x[place(i + step[a])] - x[place(i)];
                squares += d[a] * d[a];
            }
            if (form == VariationForm::isotropic)
                value += std::sqrt(squares);
            for (std::size_t a = 0; a < 3; ++a) {
                const double root = std::sqrt(d[a] * d[a] + epsilon);
                double slope = 2 * d[a];
                if (form == VariationForm::isotropic)
                    slope = d[a] / std::sqrt(squares);
                else if (form == VariationForm::anisotropic) {
                    slope = root == 0 ? 0 : d[a] / root;
                    value += n[a] > 1 || a > 0 ? root : 0;
                }
                else
                    value += d[a] * d[a];
                if (has[a]) {
                    gradient[place(i + step[a])] += slope;
                    gradient[place(i)] -= slope;
                }
            }
        }
    }
    static std::size_t place(Index i) { return static_cast<std::size_t>(i); }
};

std::vector<double> some_numbers(Index n)
{
    std::vector<double> x(static_cast<std::size_t>(n));
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = std::sin(static_cast<double>(i * i % 1009));
    return x;
}

constexpr std::array forms{VariationForm::isotropic, VariationForm::anisotropic,
                           VariationForm::squared};

} // namespace

TEST_CASE("images and volumes that are cut into parts")
{
    for (const auto& n :
         {std::array<Index, 3>{1, 700, 333}, {23, 90, 70}, {40, 3, 1100}, {1, 2, 3}})
        for (const VariationForm form : forms)
            for (const double epsilon : {1e-3, 0.0}) {
                const bool is_image = n[0] == 1;
                const auto x = some_numbers(n[0] * n[1] * n[2]);
                const Plain want(x, n, form, epsilon);
                std::vector<double> g(x.size());
                const TotalVariation penalty{
                    .form = form, .epsilon = epsilon, .axes = is_image ? 2 : 3};
                const double value = is_image ? penalty(view(x.data(), {n[1], n[2]}),
                                                        into(view(g.data(), {n[1], n[2]})))
                                              : penalty(view(x.data(), {n[0], n[1], n[2]}),
                                                        into(view(g.data(), {n[0], n[1], n[2]})));
                CHECK(value == Approx(want.value));
                double worst = 0;
                for (std::size_t i = 0; i < g.size(); ++i)
                    worst = (std::max)(worst, std::abs(g[i] - want.gradient[i]));
                CHECK(worst < 1e-12);
            }
}

TEST_CASE("total variation of a step is its height times the length of the edge")
{
    Eigen::MatrixXf x = Eigen::MatrixXf::Zero(10, 8);
    x.rightCols(3).setConstant(5);
    Eigen::MatrixXf g(10, 8);
    for (const VariationForm form : {VariationForm::isotropic, VariationForm::anisotropic}) {
        CHECK(TotalVariation{.form = form, .epsilon = 0}(x, into(g)) == 50);
        CHECK(g.col(4).isConstant(-1));
        CHECK(g.col(5).isConstant(1));
        CHECK(g.cwiseAbs().sum() == 20);
    }
}

TEST_CASE("a constant image, signals, and means")
{
    const Eigen::MatrixXd x = Eigen::MatrixXd::Constant(3, 4, 2);
    Eigen::MatrixXd g(3, 4);
    CHECK(TotalVariation{.epsilon = 1e-6}(x, into(g)) == Approx(12e-3));
    CHECK(g.isZero(0));
    CHECK(TotalVariation{.form = VariationForm::anisotropic, .epsilon = 1e-6}(x) == Approx(24e-3));
    CHECK(TotalVariation{.epsilon = 0}(x, into(g)) == 0);
    CHECK(g.isZero(0));

    Eigen::Matrix<double, 2, 3, Eigen::RowMajor> signals;
    signals << 0, 1, 3, 5, 5, 4;
    const TotalVariation of_signals{.form = VariationForm::anisotropic, .epsilon = 0, .axes = 1};
    TotalVariation mean = of_signals;
    mean.mean_over = MeanOver::entries;
    TotalVariation sum = of_signals;
    sum.mean_over = MeanOver::nothing;
    CHECK(of_signals(signals) == 2);
    CHECK(mean(signals) == Approx(4.0 / 6));
    CHECK(sum(signals) == 4);
    CHECK(sum(Eigen::MatrixXd(0, 3)) == 0);
}

TEST_CASE("what total variation says about bad input")
{
    const std::vector<double> x(4);
    CHECK_THROWS_WITH(TotalVariation{}(x),
                      "TotalVariation: x has shape [4], must be of rank 2 at least");
    CHECK_THROWS_WITH((TotalVariation{.axes = 4}(x)),
                      "TotalVariation: axes is 4, must be 1, 2 or 3");
    CHECK_THROWS_WITH((TotalVariation{.epsilon = -1}(x)),
                      "TotalVariation: epsilon is -1, must be non-negative");
}
