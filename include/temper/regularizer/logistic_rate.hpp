// SPDX-License-Identifier: BSL-1.0
#pragma once

// The rate of a code: how many bits its numbers take when an entropy coder knows a logistic density for each
// channel.
//
//   p_ij = S((z_ij + 1/2 - mu_j) / s_j) - S((z_ij - 1/2 - mu_j) / s_j)        s_j = exp(log_scale_j)
//   bits_ij = -log2 max(p_ij, bound)
//   L = f sum_ij bits_ij        f = 1          MeanOver::nothing
//                                   1 / n      MeanOver::samples (the default)
//                                   1 / (n d)  MeanOver::entries
//
// z [n, d], rounded, or with uniform noise of [-1/2, 1/2) while training; mean mu [d], log_scale [d]. All
// three get gradients. Below the bound, far in the tails, a number costs -log2(bound) and has gradient 0;
// pass_through takes the slope at the bound instead, as compression libraries do. bits(into(b)): [n, d].
// At z = mu the gradient is 0. n = 0: 0. Throws ShapeError; RangeError for a bound outside (0, 1).
// Matsubara, Yang, Levorato and Mandt, Supervised Compression for Resource-Constrained Edge Computing
// Systems (2022), with a logistic in the place of their factorised prior (FactorizedPriorRate).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Bits {
    D destination;
};
/// The bits of each number, [n, d].
template <class D>
[[nodiscard]] Bits<D> bits(const D& destination)
{
    return {destination};
}

namespace detail {
/// The factor of all bits.
[[nodiscard]] inline double rate_scale(MeanOver mean_over, Index n, Index d)
{
    const Index of = mean_over == MeanOver::nothing   ? Index{1}
                     : mean_over == MeanOver::samples ? n
                                                      : n * d;
    return of == 0 ? 0 : 1 / static_cast<double>(of);
}
} // namespace detail

struct LogisticRate {
    static constexpr std::string_view name = "LogisticRate";
    MeanOver mean_over = MeanOver::samples;
    double bound = 1e-9;
    bool pass_through = false;

    /// (z, mean, log_scale [, into(gz), into(g_mean), into(g_log_scale)] [, bits(into(b))])
    template <class Z, class M, class S, class... Rest>
    double operator()(const Z& z, const M& mean, const S& log_scale, const Rest&... rest) const;

    friend bool operator==(const LogisticRate&, const LogisticRate&) = default;
};

namespace kernel {
template <class T>
struct LogisticRate {
    struct Outputs {
        Destination<T, 2> gz;
        Destination<T, 1> g_mean, g_log_scale;
        Destination<T, 2> bits;
    };
    static double run(const temper::LogisticRate& how, double factor, MatrixView<const T> z,
                      VectorView<const T> mean, VectorView<const T> log_scale, const Outputs& out);
};
} // namespace kernel

template <class Z, class M, class S, class... Rest>
double LogisticRate::operator()(const Z& z, const M& mean, const S& log_scale,
                                const Rest&... rest) const
{
    accept<3, Bits>(rest...);
    using T = KernelScalarOf<Z, M, S>;
    Border<T> border(name);
    border.require(bound > 0 && bound < 1, "bound", bound, "between 0 and 1");
    const auto zs = border.samples("z", z);
    const Index d = zs.cols();
    const auto mu = border.vector("mean", mean);
    border.expect_shape("mean", mu, {d}, "as z has columns");
    const auto s = border.vector("log_scale", log_scale);
    border.expect_shape("log_scale", s, {d}, "as z has columns");
    typename kernel::LogisticRate<T>::Outputs out;
    out.gz = border.gradient("z", zs, positional<0>(rest...));
    out.g_mean = border.gradient("mean", mu, positional<1>(rest...));
    out.g_log_scale = border.gradient("log_scale", s, positional<2>(rest...));
    out.bits = border.template named_into<2>("bits", named<Bits>(rest...), {zs.rows(), d});
    return border.finish(kernel::LogisticRate<T>::run(
        *this, detail::rate_scale(mean_over, zs.rows(), d), zs, mu, s, out));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/regularizer/bin_rate.hpp>
#include <temper/simd/columns.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::LogisticRate<T>::run(const temper::LogisticRate& how, double factor,
                                    MatrixView<const T> z, VectorView<const T> mean,
                                    VectorView<const T> log_scale, const Outputs& out)
{
    const Index n = z.rows();
    const Index d = z.cols();
    Workspace::Frame frame;
    T* const inverse = frame.take<T>(d);
    for (Index j = 0; j < d; ++j)
        inverse[j] = std::exp(-log_scale(j));
    // Numbers of the columns beside all rows.
    const MatrixView<const T> mu{mean.data, {n, d}, {0, mean.strides[0]}};
    const MatrixView<const T> sharpness{inverse, {n, d}, {0, 1}};
    Destination<T, 2> by_mean;
    Destination<T, 2> by_scale;
    if (out.g_mean)
        by_mean = {frame.matrix_like(z), 1, Mode::overwrite};
    if (out.g_log_scale)
        by_scale = {frame.matrix_like(z), 1, Mode::overwrite};
    const double total =
        simd::map_sum(simd::in(z, mu, sharpness), simd::out(out.bits, out.gz, by_mean, by_scale),
                      [=, bound = how.bound, through = how.pass_through](
                          auto x, auto m, auto r, auto& b, auto& gz, auto& gm, auto& gs) {
                          using V = decltype(x);
                          const V lower = (x - m - V(0.5)) * r;
                          const V upper = (x - m + V(0.5)) * r;
                          const auto rate = bin_rate(lower, upper, r, bound, through);
                          b = rate.bits;
                          gz = V(factor) * (rate.by_lower + rate.by_upper) * r;
                          gm = -gz;
                          const V along = rate.by_lower * lower + rate.by_upper * upper;
                          gs = V(-factor) * along;
                          return rate.bits;
                      });
    const auto sum_columns = [&](const Destination<T, 2>& of, const Destination<T, 1>& to) {
        if (!to)
            return;
        auto* const sums = frame.take_zeros<double>(d);
        simd::each_strip(n, d, [&](Index begin, Index width) {
            simd::column_sum(std::array<const T*, 0>{},
                             std::array{MatrixView<const T>(of.view.block(0, begin, n, width))},
                             sums + begin, [](auto u) { return u; });
        });
        for (Index j = 0; j < d; ++j)
            to.put(to.view(j), static_cast<T>(sums[j]));
    };
    sum_columns(by_mean, out.g_mean);
    sum_columns(by_scale, out.g_log_scale);
    return factor * total;
}

TEMPER_INSTANTIATE(kernel::LogisticRate);

} // namespace temper::inline TEMPER_ABI
#endif
