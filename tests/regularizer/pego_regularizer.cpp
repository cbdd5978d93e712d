// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/regularizer/pego_regularizer.hpp>

#include <Eigen/Core>

#include <string>

using namespace temper;

TEST_CASE("PEGO: adapters of different ranks in a list, and nothing at the start", "[regularizer]")
{
    const PegoRegularizer pego{};
    const Eigen::MatrixXf w0 = Eigen::MatrixXf::Random(6, 5);
    const Eigen::MatrixXf a1 = Eigen::MatrixXf::Random(2, 5), a2 = Eigen::MatrixXf::Random(3, 5);
    Eigen::MatrixXf b1 = Eigen::MatrixXf::Random(6, 2), b2 = Eigen::MatrixXf::Random(6, 3);
    Eigen::MatrixXf ga1 = a1, ga2 = a2, gb1 = b1, gb2 = b2;
    const Eigen::MatrixXf d1 = b1 * a1, d2 = b2 * a2;
    const auto magnitude = [](const Eigen::MatrixXf& x, const Eigen::MatrixXf& y) {
        return static_cast<double>((x * y.transpose()).cwiseAbs().sum());
    };
    const double value = pego(w0, tensors(a1, a2), tensors(b1, b2), into(tensors(ga1, ga2)),
                              into(tensors(gb1, gb2)));
    CHECK(value == Approx(magnitude(w0, d1) + magnitude(w0, d2) + magnitude(d1, d2)).epsilon(1e-5));
    // Doubling B_1 doubles all that has to do with it.
    CHECK(b1.cwiseProduct(gb1).sum() ==
          Approx(magnitude(w0, d1) + magnitude(d1, d2)).epsilon(1e-5));
    CHECK(a2.cwiseProduct(ga2).sum() ==
          Approx(magnitude(w0, d2) + magnitude(d1, d2)).epsilon(1e-5));

    b1.setZero();
    b2.setZero();
    CHECK(pego(w0, tensors(a1, a2), tensors(b1, b2), into(tensors(ga1, ga2)),
               into(tensors(gb1, gb2))) == 0);
    CHECK(ga1.isZero(0));
    CHECK(gb2.isZero(0));
}

TEST_CASE("PEGO: errors", "[regularizer]")
{
    const auto message_of = [](const auto& w0, const auto& a, const auto& b) -> std::string {
        try {
            (void)PegoRegularizer{}(w0, a, b);
        }
        catch (const Error& error) {
            return error.what();
        }
        return "no error";
    };
    const Eigen::MatrixXd w0(6, 5), a(2, 5), b(6, 2), wide(2, 7);
    CHECK(message_of(w0, wide, b) ==
          "PegoRegularizer: a has shape [2, 7], must be [r, 5], as w0 has columns");
    CHECK(message_of(w0, a, wide.transpose()) ==
          "PegoRegularizer: b has shape [7, 2], must be [6, r], as w0 has rows");
    CHECK(message_of(w0, a, a) ==
          "PegoRegularizer: b[0] has shape [2, 5], must be [o, 2], as a[0] has rows");
}
