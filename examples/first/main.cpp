// SPDX-License-Identifier: BSL-1.0
// The example of the README: one step of a self-supervised objective on two batches of features.
#include <temper/augment/mixup.hpp>
#include <temper/regularizer/l1.hpp>
#include <temper/representation/barlow_twins.hpp>

#include <Eigen/Core>

#include <iostream>

int main()
{
    Eigen::MatrixXf za = Eigen::MatrixXf::Random(64, 32),
                    zb = za + 0.1F * Eigen::MatrixXf::Random(64, 32);
    Eigen::MatrixXf ga(64, 32), gb(64, 32);

    const temper::BarlowTwins barlow{.lambda = 0.0051};
    double value = barlow(za, zb, temper::into(ga), temper::into(gb)); // value and both gradients
    value += (1e-4 * temper::L1{})(za, temper::add_to(ga)); // a scaled term, added in place

    std::cout << "loss " << value << ", gradient norms " << ga.norm() << ' ' << gb.norm() << '\n';
}
