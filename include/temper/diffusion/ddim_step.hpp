// SPDX-License-Identifier: BSL-1.0
#pragma once

// A step of a deterministic or stochastic sampler (DDIM), from what the denoiser says the data is.
//
//   e = (x - sqrt(a) x0) / sqrt(1 - a)                               the noise that this implies
//   var = eta^2 (1 - a') / (1 - a) (1 - a / a')
//   x' = sqrt(a') x0 + sqrt(1 - a' - var) e + sqrt(var) z
//
// x, x0 and z [n, d], a and a' the cumulative products (alpha bar) before and after, a < a' <= 1. eta = 0, the
// default, is deterministic and z may be left out; eta = 1 is DDPM. Networks that predict the noise give
// x0 = (x - sqrt(1 - a) e) / sqrt(a): `data_of` does that. Throws ShapeError; RangeError unless
// 0 < a < a' <= 1 and eta in [0, 1].
// Song, Meng and Ermon, Denoising Diffusion Implicit Models (2021).

#include <temper/diffusion/noise_levels.hpp>

namespace temper::inline TEMPER_ABI {

struct DdimStep {
    static constexpr std::string_view name = "DdimStep";
    double eta = 0;

    /// (x, x0, a, a', into(x')) or (x, x0, z, a, a', into(x')); x' may be x
    template <class X, class F, class D>
    void operator()(const X& x, const F& x0, double a, double next, const D& out) const;
    template <class X, class F, class Z, class D>
    void operator()(const X& x, const F& x0, const Z& z, double a, double next, const D& out) const;
    /// (x, noise prediction, a, into(x0))
    template <class X, class E, class D>
    static void data_of(const X& x, const E& noise, double a, const D& x0);

    friend bool operator==(const DdimStep&, const DdimStep&) = default;

  private:
    struct Factors {
        double x, x0, z;
    };
    [[nodiscard]] Factors factors(double a, double next) const
    {
        require(a > 0 && a < 1, name, "a", a, "in (0, 1)");
        require(next > a && next <= 1, name, "next", next, "above a, 1 at most");
        require(eta >= 0 && eta <= 1, name, "eta", eta, "in [0, 1]");
        const double var = eta * eta * (1 - next) / (1 - a) * (1 - a / next);
        const double toward = std::sqrt((std::max)(0.0, 1 - next - var) / (1 - a));
        return {toward, std::sqrt(next) - toward * std::sqrt(a), std::sqrt(var)};
    }
};

namespace kernel {
/// out = sum_k factor_k x_k, entry by entry.
template <class T>
struct LinearCombination {
    static void run(double a, MatrixView<const T> x, double b, MatrixView<const T> y,
                    const Destination<T, 2>& out);
    static void run(double a, MatrixView<const T> x, double b, MatrixView<const T> y, double c,
                    MatrixView<const T> z, const Destination<T, 2>& out);
};
} // namespace kernel

template <class X, class F, class D>
void DdimStep::operator()(const X& x, const F& x0, double a, double next, const D& out) const
{
    using T = KernelScalarOf<X, F>;
    Border<T> border(name);
    const auto xs = border.samples("x", x);
    const auto data = border.samples("x0", x0);
    border.same_shape("x0", data, "x", xs);
    border.require(eta == 0, "eta", eta, "0 where no noise is given");
    const Factors f = factors(a, next);
    const auto to = border.template output<2>("x'", out, xs.extents, InPlace::allowed);
    kernel::LinearCombination<T>::run(f.x, xs, f.x0, data, to);
    border.finish();
}

template <class X, class F, class Z, class D>
void DdimStep::operator()(const X& x, const F& x0, const Z& z, double a, double next,
                          const D& out) const
{
    using T = KernelScalarOf<X, F, Z>;
    Border<T> border(name);
    const auto xs = border.samples("x", x);
    const auto data = border.samples("x0", x0);
    const auto noise = border.samples("z", z);
    border.same_shape("x0", data, "x", xs);
    border.same_shape("z", noise, "x", xs);
    const Factors f = factors(a, next);
    const auto to = border.template output<2>("x'", out, xs.extents, InPlace::allowed);
    kernel::LinearCombination<T>::run(f.x, xs, f.x0, data, f.z, noise, to);
    border.finish();
}

template <class X, class E, class D>
void DdimStep::data_of(const X& x, const E& noise, double a, const D& x0)
{
    using T = KernelScalarOf<X, E>;
    Border<T> border(name);
    border.require(a > 0 && a <= 1, "a", a, "in (0, 1]");
    const auto xs = border.samples("x", x);
    const auto e = border.samples("noise", noise);
    border.same_shape("noise", e, "x", xs);
    const auto to = border.template output<2>("x0", x0, xs.extents, InPlace::allowed);
    kernel::LinearCombination<T>::run(1 / std::sqrt(a), xs, -std::sqrt(1 / a - 1), e, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::LinearCombination<T>::run(double a, MatrixView<const T> x, double b,
                                       MatrixView<const T> y, const Destination<T, 2>& out)
{
    if (out)
        simd::map(simd::in(x, y), simd::out(out), [=](auto u, auto v, auto& w) {
            using V = decltype(u);
            w = fma(V(a), u, V(b) * v);
        });
}
template <class T>
void kernel::LinearCombination<T>::run(double a, MatrixView<const T> x, double b,
                                       MatrixView<const T> y, double c, MatrixView<const T> z,
                                       const Destination<T, 2>& out)
{
    if (out)
        simd::map(simd::in(x, y, z), simd::out(out), [=](auto u, auto v, auto r, auto& w) {
            using V = decltype(u);
            w = fma(V(a), u, fma(V(b), v, V(c) * r));
        });
}

TEMPER_INSTANTIATE(kernel::LinearCombination);

} // namespace temper::inline TEMPER_ABI
#endif
