// SPDX-License-Identifier: BSL-1.0
#include "support/catch.hpp"

#include <temper/core/random.hpp>
#include <temper/regularizer/conv_orthogonality.hpp>
#include <temper/regularizer/soft_orthogonality.hpp>

#include <Eigen/Core>

#include <cmath>
#include <string>
#include <vector>

using namespace temper;

namespace {

std::vector<double> normals(Index n, std::string_view name)
{
    auto rng = stream(11, 0, name);
    std::vector<double> out(static_cast<std::size_t>(n));
    for (double& number : out)
        number = normal(rng);
    return out;
}

/// |K x| / |x| of a convolution with stride 1 and signals of side x side pixels, wrapped at the edges.
double stretch(const View<const double, 4>& k, Index side, const std::vector<double>& x)
{
    double out = 0;
    double in = 0;
    for (const double number : x)
        in += number * number;
    for (Index m = 0; m < k.extents[0]; ++m)
        for (Index row = 0; row < side; ++row)
            for (Index column = 0; column < side; ++column) {
                double sum = 0;
                for (Index c = 0; c < k.extents[1]; ++c)
                    for (Index p = 0; p < k.extents[2]; ++p)
                        for (Index q = 0; q < k.extents[3]; ++q)
                            sum += k(m, c, p, q) *
                                   x[static_cast<std::size_t>((c * side + (row + p) % side) * side +
                                                              (column + q) % side)];
                out += sum * sum;
            }
    return std::sqrt(out / in);
}

} // namespace

TEST_CASE("convolutions: what is small makes an isometry, unlike orthonormal filters",
          "[regularizer]")
{
    constexpr Index filters = 4, channels = 2, side = 3;
    const std::vector<double> start = normals(filters * channels * side * side, "kernel");
    const auto worst_after = [&](const auto& gradient) {
        std::vector<double> k = start;
        for (double& number : k)
            number /= std::sqrt(static_cast<double>(filters * side * side) / 2);
        std::vector<double> g(k.size()), velocity(k.size());
        for (int step = 0; step < 1500; ++step) {
            gradient(k.data(), g.data());
            for (std::size_t i = 0; i < k.size(); ++i) {
                velocity[i] = 0.9 * velocity[i] - 0.005 * g[i];
                k[i] += velocity[i];
            }
        }
        double worst = 0;
        for (const char* name : {"x", "y", "z"})
            worst =
                (std::max)(worst, std::abs(stretch(View<const double, 4>(view(
                                                       k.data(), {filters, channels, side, side})),
                                                   8, normals(channels * 8 * 8, name)) -
                                           1));
        // A constant signal is where filters that are orthonormal only add up the most.
        const std::vector<double> constant(static_cast<std::size_t>(channels * 8 * 8), 1.0);
        return (std::max)(
            worst,
            std::abs(stretch(View<const double, 4>(view(k.data(), {filters, channels, side, side})),
                             8, constant) -
                     1));
    };
    const double as_convolution = worst_after([](const double* k, double* g) {
        (void)ConvOrthogonality{}(view(k, {filters, channels, side, side}),
                                  into(view(g, {filters, channels, side, side})));
    });
    const double as_matrix = worst_after([](const double* k, double* g) {
        (void)SoftOrthogonality{}(view(k, {filters, channels * side * side}),
                                  into(view(g, {filters, channels * side * side})));
    });
    CHECK(as_convolution < 0.01);
    CHECK(as_matrix > 0.1);
}

TEST_CASE("convolutions: 1 x 1 kernels, no kernels, and where orthogonal ones exist",
          "[regularizer]")
{
    const std::vector<double> k = normals(12, "small");
    std::vector<double> g(12), h(12);
    CHECK(ConvOrthogonality{}(view(k.data(), {3, 4, 1, 1}), into(view(g.data(), {3, 4, 1, 1}))) ==
          Approx(SoftOrthogonality{}(view(k.data(), {3, 4}), into(view(h.data(), {3, 4})))));
    for (std::size_t i = 0; i < 12; ++i)
        CHECK(g[i] == Approx(h[i]));

    const std::vector<double> zeros(90, 0.0);
    CHECK(ConvOrthogonality{}(view(zeros.data(), {5, 2, 3, 3})) == 2);
    CHECK(ConvOrthogonality{.stride = 2}(view(zeros.data(), {5, 2, 3, 3})) == 5);
    CHECK(ConvOrthogonality{.form = ConvOrthogonality::Form::published}(
              view(zeros.data(), {5, 2, 3, 3})) == Approx(std::sqrt(5.0)));
    CHECK(ConvOrthogonality{}(view(zeros.data(), {0, 2, 3, 3})) == 0);
    CHECK(ConvOrthogonality{}(view(zeros.data(), {5, 0, 3, 3})) == 0);

    // One filter that hands each channel on is orthogonal, and the root has no direction there.
    std::vector<double> identity(36, 0.0);
    identity[4] = identity[31] = 1;
    std::vector<double> direction(36, 1.0);
    CHECK(ConvOrthogonality{.form = ConvOrthogonality::Form::published}(
              view(identity.data(), {2, 2, 3, 3}), into(view(direction.data(), {2, 2, 3, 3}))) ==
          0);
    CHECK(direction == std::vector<double>(36, 0.0));

    CHECK(orthogonal_exists(9, 1, 3, 3));
    CHECK_FALSE(orthogonal_exists(10, 1, 3, 4)); // 10 <= C S^2, but kernels have 9 entries
    CHECK(orthogonal_exists(64, 3, 3, 1));
    CHECK_FALSE(orthogonal_exists(64, 3, 3, 4)); // steps over pixels
}

TEST_CASE("convolutions: errors", "[regularizer]")
{
    const auto message_of = [](const ConvOrthogonality& conv, const auto& k) -> std::string {
        try {
            (void)conv(k);
        }
        catch (const Error& error) {
            return error.what();
        }
        return "no error";
    };
    const std::vector<float> numbers(24, 1.0F);
    CHECK(message_of({}, view(numbers.data(), {2, 2, 3, 2})) ==
          "ConvOrthogonality: kernel has shape [2, 2, 3, 2], must be [filters, channels, k, k]");
    CHECK(message_of({}, view(numbers.data(), {4, 6})) ==
          "ConvOrthogonality: kernel has shape [4, 6], must be [filters, channels, k, k]");
    CHECK(message_of({.stride = 0}, view(numbers.data(), {6, 1, 2, 2})) ==
          "ConvOrthogonality: stride is 0, must be positive");
    CHECK(message_of({.padding = -1}, view(numbers.data(), {6, 1, 2, 2})) ==
          "ConvOrthogonality: padding is -1, must be non-negative");
}
