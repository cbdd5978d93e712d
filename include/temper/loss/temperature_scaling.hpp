// SPDX-License-Identifier: BSL-1.0
#pragma once

// Temperature scaling: one number by which all logits are divided, fitted after the training on data
// that was not trained on.
//
//   f(b) = mean_i (log sum_j exp(b z_ij) - b z_i,y)           b = 1 / T, p = softmax(b z)
//   f'(b) = mean_i (<p_i, z_i> - z_i,y)       f''(b) = mean_i Var_p(z_i) >= 0
//   fit: the T of least f, 1 / T in [least, most]. f is convex: Newton's method on a bracket that halves.
//   as a loss: df/dz = b (p - e_y) / n, df/dT = -b^2 f'(b)
//
// z logits [n, k]. Where every sample is right and more so the larger b is, T = 1 / most; where b should
// be negative, T = 1 / least; where no T is better than another (equal logits, n = 0), T = 1. It changes no
// prediction, and on the data it was fitted to it never makes the negative log-likelihood worse. The fit
// is exact to 1e-10; codes that take 50 steps of L-BFGS on T may not be.
// Throws ShapeError; RangeError for labels outside [0, k), T <= 0, least or most outside
// 0 < least <= 1 <= most.
// Guo et al., On Calibration of Modern Neural Networks (2017); what it cannot repair: Chidambaram and Ge, On the
// Limitations of Temperature Scaling for Distributions with Overlaps (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct TemperatureFit {
    double temperature = 1;
    double nll_before = 0; ///< at T = 1
    double nll_after = 0;
};

struct TemperatureScaling {
    static constexpr std::string_view name = "TemperatureScaling";
    double least = 1e-3; ///< of 1 / T
    double most = 1e3;

    /// (z, labels(y)): the best temperature
    template <class Z, class Y>
    [[nodiscard]] TemperatureFit fit(const Z& z, const Y& targets) const;
    /// z / T: (z, T, into(out))
    template <class Z, class D>
    void forward(const Z& z, double temperature, const D& out) const;
    /// The negative log-likelihood at a temperature: (z, labels(y), T [, into(gz), into(gT)])
    template <class Z, class Y, class... Rest>
    double operator()(const Z& z, const Y& targets, double temperature, const Rest&... rest) const;

    friend bool operator==(const TemperatureScaling&, const TemperatureScaling&) = default;
};

namespace kernel {
template <class T>
struct TemperatureScaling {
    struct Point {
        double value, slope, curve;
    };
    static Point at(MatrixView<const T> z, const std::int64_t* y, double beta,
                    const Destination<T, 2>& gz);
    static TemperatureFit fit(const temper::TemperatureScaling& how, MatrixView<const T> z,
                              const std::int64_t* y);
    static void scale(MatrixView<const T> z, double beta, const Destination<T, 2>& out);
};
} // namespace kernel

template <class Z, class Y>
TemperatureFit TemperatureScaling::fit(const Z& z, const Y& targets) const
{
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    border.require(least > 0 && least <= 1, "least", least, "above 0, at most 1");
    border.require(most >= 1, "most", most, "at least 1");
    const auto zs = border.samples("logits", z);
    const auto* y = border.labels("labels", targets, zs.rows(), zs.cols());
    return kernel::TemperatureScaling<T>::fit(*this, zs, y);
}

template <class Z, class D>
void TemperatureScaling::forward(const Z& z, double temperature, const D& out) const
{
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    const auto zs = border.samples("logits", z);
    const auto to = border.template output<2>("logits", out, zs.extents);
    kernel::TemperatureScaling<T>::scale(zs, 1 / temperature, to);
    border.finish();
}

template <class Z, class Y, class... Rest>
double TemperatureScaling::operator()(const Z& z, const Y& targets, double temperature,
                                      const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    border.require(temperature > 0, "temperature", temperature, "positive");
    const auto zs = border.samples("logits", z);
    const auto* y = border.labels("labels", targets, zs.rows(), zs.cols());
    AnyView<const T> number;
    const auto gz = border.gradient("logits", zs, positional<0>(rest...));
    const auto gt = border.gradient("temperature", number, positional<1>(rest...));
    const double beta = 1 / temperature;
    const auto point = kernel::TemperatureScaling<T>::at(zs, y, beta, gz);
    if (gt) {
        const auto to = gt.template as<0>();
        to.put(*to.view.data, static_cast<T>(-beta * beta * point.slope));
    }
    return border.finish(point.value);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
typename kernel::TemperatureScaling<T>::Point
kernel::TemperatureScaling<T>::at(MatrixView<const T> z, const std::int64_t* y, double beta,
                                  const Destination<T, 2>& gz)
{
    using V = simd::Pack<T>;
    const Index n = z.rows();
    const double share = n == 0 ? 0 : 1 / static_cast<double>(n);
    Workspace::Frame frame;
    double* const slope = frame.take<double>(n);
    double* const curve = frame.take<double>(n);
    const V b(beta);
    const double value = simd::sum_tiles<T>(simd::operands(z, gz), 1, [&](const auto& tile) {
        // All is said of what is below the largest logit, so that nothing large is subtracted.
        const auto largest = tile.max([=](auto at) { return at(z); });
        const auto s = simd::softmax(
            tile, [=](auto at) { return b * (at(z) - at(largest)); }, tile.scratch(0));
        const auto under = [=](auto at) {
            const V e = at(s.e);
            return select(e == V(0), e, e * (at(largest) - at(z)));
        };
        const auto mean = tile.sum(under);
        const auto square = tile.sum([=](auto at) {
            const V u = under(at);
            return select(u == V(0), u, u * (at(largest) - at(z)));
        });
        double total = 0;
        auto factor = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const Index row = tile.row(i);
            const auto sum = static_cast<double>(s.sum[i]);
            const double below = static_cast<double>(largest[i]) -
                                 static_cast<double>(z(row, static_cast<Index>(y[row])));
            const double m = mean[i] / sum;
            total += std::log(sum) + static_cast<double>(s.shift[i]) + beta * below;
            slope[row] = below - m;
            curve[row] = (std::max)(0.0, square[i] / sum - m * m);
            factor[i] = static_cast<T>(share * beta / sum);
        }
        if (gz) {
            tile.each([=](auto at) { at.put(gz, at(factor) * at(s.e)); });
            for (Index i = 0; i < tile.rows(); ++i)
                gz.view(tile.row(i), static_cast<Index>(y[tile.row(i)])) -=
                    static_cast<T>(gz.scale * share * beta);
        }
        return total;
    });
    Point point{share * value, 0, 0};
    for (Index i = 0; i < n; ++i) {
        point.slope += share * slope[i];
        point.curve += share * curve[i];
    }
    return point;
}

template <class T>
TemperatureFit kernel::TemperatureScaling<T>::fit(const temper::TemperatureScaling& how,
                                                  MatrixView<const T> z, const std::int64_t* y)
{
    const auto f = [&](double beta) { return at(z, y, beta, {}); };
    const Point before = f(1);
    const auto done = [&](double beta) {
        return TemperatureFit{1 / beta, before.value, beta == 1 ? before.value : f(beta).value};
    };
    if (before.slope == 0 || !(before.value == before.value))
        return done(1);
    double low = std::log(how.least);
    double high = std::log(how.most);
    (before.slope > 0 ? high : low) = 0;
    if (before.slope < 0 && !(f(how.most).slope > 0))
        return done(how.most);
    if (before.slope > 0 && !(f(how.least).slope < 0))
        return done(how.least);
    // In x = log b: the slope of f is b f', and b f' + b^2 f'' its second derivative.
    double x = 0;
    Point now = before;
    for (int step = 0; step < 200 && high - low > 1e-12; ++step) {
        const double beta = std::exp(x);
        const double newton = x - now.slope / (now.slope + beta * now.curve);
        const double next = newton > low && newton < high ? newton : (low + high) / 2;
        const double moved = std::abs(next - x);
        x = next;
        now = f(std::exp(x));
        if (now.slope == 0 || moved < 1e-13)
            break;
        (now.slope > 0 ? high : low) = x;
    }
    return done(std::exp(x));
}

template <class T>
void kernel::TemperatureScaling<T>::scale(MatrixView<const T> z, double beta,
                                          const Destination<T, 2>& out)
{
    if (out)
        simd::map(simd::in(z), simd::out(out),
                  [beta](auto x, auto& y) { y = decltype(x)(beta) * x; });
}

TEMPER_INSTANTIATE(kernel::TemperatureScaling);

} // namespace temper::inline TEMPER_ABI
#endif
