// SPDX-License-Identifier: BSL-1.0
#pragma once

// Sampling from a consistency model f in one step or in several.
//
//   x <- f(sigma_max z, sigma_max);     for tau in a decreasing list:  x <- f(x + sqrt(tau^2 - smin^2) z, tau)
//   renoise   y_i = x_i + sqrt(max(tau^2 - smin^2, 0)) z_i
//
// x what the model gave and z new standard normal noise [n, d], tau [n] or one number. `sample` is the loop:
// f(x, tau, into(y)) is called with dense views, z is drawn from stream(seed, k, "consistency sampler") for
// step k, so that a sample is known by its seed. tau <= smin: y = x. Throws ShapeError; RangeError for a tau
// that is negative.
// Song and Dhariwal, Improved Techniques for Training Consistency Models (2023): two steps with tau = 0.821
// (CIFAR-10) or 1.526 (ImageNet 64).

#include <temper/core/random.hpp>
#include <temper/diffusion/noise_levels.hpp>

namespace temper::inline TEMPER_ABI {

struct ConsistencyRenoise {
    static constexpr std::string_view name = "ConsistencyRenoise";
    double sigma_min = 0.002;

    /// (x, noise, tau, into(y)); y may be x
    template <class X, class Z, class L, class D>
    void operator()(const X& x, const Z& noise, const L& tau, const D& y) const;

    friend bool operator==(const ConsistencyRenoise&, const ConsistencyRenoise&) = default;
};

struct ConsistencySampler {
    double sigma_max = 80;
    std::vector<double> taus{}; ///< empty: one step
    ConsistencyRenoise renoise{};

    /// Overwrites x, a view [n, d], with samples.
    template <class F, class T>
    void sample(const F& f, std::uint64_t seed, MatrixView<T> x) const
    {
        std::vector<T> noise(static_cast<std::size_t>(x.size()));
        const auto z = view(noise.data(), {x.rows(), x.cols()});
        const auto draw = [&](Index step, double scale) {
            auto rng = stream(seed, step, "consistency sampler");
            for (T& each : noise)
                each = static_cast<T>(scale * normal(rng));
        };
        draw(0, sigma_max);
        f(MatrixView<const T>(z), sigma_max, into(x));
        std::vector<T> noisy(noise.size());
        const auto y = view(noisy.data(), {x.rows(), x.cols()});
        Index step = 0;
        for (const double tau : taus) {
            draw(++step, 1);
            renoise(MatrixView<const T>(x), z, tau, into(y));
            f(MatrixView<const T>(y), tau, into(x));
        }
    }
    friend bool operator==(const ConsistencySampler&, const ConsistencySampler&) = default;
};

template <class X, class Z, class L, class D>
void ConsistencyRenoise::operator()(const X& x, const Z& noise, const L& tau, const D& y) const
{
    using T = KernelScalarOf<X, Z>;
    Border<T> border(name);
    const auto xs = border.samples("x", x);
    const auto z = border.samples("noise", noise);
    border.same_shape("noise", z, "x", xs);
    const Index n = xs.rows();
    const auto* const levels = noise_levels(border, "tau", tau, n, [&](double level) {
        border.require(level >= 0, "tau", level, "non-negative");
    });
    double* const ones = border.scratch().template take<double>(n);
    double* const factor = border.scratch().template take<double>(n);
    for (Index i = 0; i < n; ++i) {
        ones[i] = 1;
        const double excess = (levels[i] - sigma_min) * (levels[i] + sigma_min);
        factor[i] = excess > 0 ? std::sqrt(excess) : 0;
    }
    const auto to = border.template output<2>("y", y, xs.extents, InPlace::allowed);
    kernel::ScaledRows<T>::run(ones, xs, factor, z, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI
