// SPDX-License-Identifier: BSL-1.0

// A program of two units, both of which include temper as one header: a loss and its gradient with labels
// as targets, by the unit beside this one, against differences of the loss, and a penalty that calls
// products and a decomposition.

#include "temper.hpp"

#include <Eigen/Core>

#include <array>
#include <cmath>
#include <cstdio>

double loss_of_other_unit(const Eigen::MatrixXd& logits, const std::array<int, 3>& y,
                          Eigen::MatrixXd& gradient);

int main()
{
    Eigen::MatrixXd logits{{2.0, -1.0, 0.5}, {0.0, 1.5, -0.5}, {-1.0, 0.25, 3.0}};
    const std::array<int, 3> y{0, 2, 1};
    Eigen::MatrixXd gradient(3, 3), penalty_gradient(3, 3);
    const temper::SoftmaxCrossEntropy loss;
    const double value = loss_of_other_unit(logits, y, gradient);
    double worst = std::abs(value - loss(logits, temper::labels(y)));
    for (Eigen::Index i = 0; i < 3; ++i)
        for (Eigen::Index k = 0; k < 3; ++k) {
            const double at = logits(i, k), step = 1e-5;
            logits(i, k) = at + step;
            const double above = loss(logits, temper::labels(y));
            logits(i, k) = at - step;
            const double below = loss(logits, temper::labels(y));
            logits(i, k) = at;
            worst = std::max(worst, std::abs((above - below) / (2 * step) - gradient(i, k)));
        }
    // The nuclear norm is its inner product with its own subgradient, the polar factor.
    const double norm = temper::NuclearNorm{}(logits, temper::into(penalty_gradient));
    worst = std::max(worst, std::abs(norm - logits.cwiseProduct(penalty_gradient).sum()));
    std::printf("loss %.6f, nuclear norm %.6f, largest error %.1e\n", value, norm, worst);
    return worst < 1e-7 ? 0 : 1;
}
