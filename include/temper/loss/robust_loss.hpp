// SPDX-License-Identifier: BSL-1.0
#pragma once

// Robust loss: a kernel rho of the squared residual, so that outliers count for less than their square.
//
//   element:  s_ij = (x_ij - y_ij)^2        mean:  L = sum_i w_i sum_j rho(s_ij) / (d sum_i w_i)
//             dL/dx_ij = W_i 2 rho'(s_ij) (x_ij - y_ij)
//   sample:   s_i = sum_j (x_ij - y_ij)^2   mean:  L = sum_i w_i rho(s_i) / sum_i w_i
//             dL/dx_ij = W_i 2 rho'(s_i) (x_ij - y_ij)
//
// x predictions [n, d], y targets [n, d] (dL/dy = -dL/dx), w sample weights [n], 1 where not given; the
// sum has no denominator. W_i is what w_i is multiplied and divided by in L. Which form: of an element,
// every entry is an outlier or not; of a sample, all its entries shrink together, which is what the
// consistency-model papers do, and with a c that grows with sqrt(d). Kernels: see robust_kernels.hpp.
// Curvature: W_i (2 rho' + 4 r_ij^2 max(rho'', 0)), r_ij the residual: exact where rho'' >= 0, else the
// Gauss-Newton part, which a concave rho never exceeds, so that a Newton step does not overshoot.
// Per sample: of elements the mean (sum) of rho over the d entries; of samples rho(s_i).
//
// Residual 0: gradient 0 for every kernel; where rho' is infinite (L1) so is the curvature taken to be.
// Residuals above the root of the largest number (1e19 in float) overflow: value infinite for kernels
// that grow, gradient 0 for all but L2. n = 0 or d = 0: value 0.
// Throws ShapeError, RangeError for the kernel's hyper-parameters.
// Huber, Robust Estimation of a Location Parameter (1964).

#include <temper/core/component.hpp>
#include <temper/loss/robust_kernels.hpp>
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

enum class Form { element, sample };

template <class Kernel>
struct RobustLoss {
    static_assert(
        RobustKernel<Kernel>,
        "temper: a robust kernel has `template <class V> temper::Rho<V> operator()(V s) const` "
        "(or takes a double), which returns {rho(s), rho'(s), rho''(s)} of the squared "
        "residual s");
    static constexpr std::string_view name = "RobustLoss";
    Kernel kernel{};
    Form form = Form::element;
    Reduction reduction = Reduction::mean;

    /// (x, y [, sample_weights(w)] [, into(gx), into(gy)] [, per_sample(into(v)), curvature(into(h))])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& y, const Rest&... rest) const;

    friend bool operator==(const RobustLoss&, const RobustLoss&) = default;
};

namespace kernel {

/// A pack through a kernel, lane by lane where the kernel takes plain numbers only.
template <class Kernel, class V>
[[nodiscard]] Rho<V> rho_of(const Kernel& kernel, V s)
{
    if constexpr (requires {
                      { kernel(s) } -> std::same_as<Rho<V>>;
                  })
        return kernel(s);
    else {
        using T = typename V::Scalar;
        constexpr auto size = static_cast<std::size_t>(V::size);
        std::array<std::array<T, size>, 3> lanes;
        s.store(lanes[0].data());
        for (std::size_t l = 0; l < size; ++l) {
            const Rho<double> rho = kernel(static_cast<double>(lanes[0][l]));
            lanes[0][l] = static_cast<T>(rho.value);
            lanes[1][l] = static_cast<T>(rho.first);
            lanes[2][l] = static_cast<T>(rho.second);
        }
        return {V::load(lanes[0].data()), V::load(lanes[1].data()), V::load(lanes[2].data())};
    }
}

template <class T, class Kernel>
struct RobustLoss {
    using V = simd::Pack<T>;
    static constexpr double infinity = std::numeric_limits<double>::infinity();

    template <bool curved, class Tile>
    static auto elements(const Kernel& kernel, const Tile& tile, MatrixView<const T> x,
                         MatrixView<const T> y, const typename Tile::Numbers& w,
                         const Destination<T, 2>& gx, const Destination<T, 2>& gy,
                         const Destination<T, 2>& curvature)
    {
        return tile.sum([=](auto at) {
            const V r = at(x) - at(y);
            const V s = r * r;
            const Rho<V> rho = rho_of(kernel, s);
            const V steep = select(rho.first == V(infinity), V(0), V(2) * rho.first);
            const V g = at(w) * (steep * r);
            at.put(gx, g);
            at.put(gy, -g);
            if constexpr (curved) {
                const V bend = select(rho.second > V(0), V(4) * s * rho.second, V(0));
                at.put(curvature, at(w) * (steep + bend));
            }
            return rho.value;
        });
    }

    static double run(const temper::RobustLoss<Kernel>& loss, MatrixView<const T> x,
                      MatrixView<const T> y, RowScale<T> scale, const Destination<T, 2>& gx,
                      const Destination<T, 2>& gy, const Destination<T, 1>& per_sample,
                      const Destination<T, 2>& curvature)
    {
        const bool whole = loss.form == Form::sample;
        const bool writes = gx || gy || curvature;
        const double share = !whole && loss.reduction == Reduction::mean && x.cols() > 0
                                 ? 1 / static_cast<double>(x.cols())
                                 : 1;
        return simd::sum_tiles<T>(
            simd::operands(x, y, gx, gy, curvature), 0, [&](const auto& tile) {
                auto w = tile.numbers();
                for (Index i = 0; i < tile.rows(); ++i)
                    w[i] = static_cast<T>(scale(tile.row(i)));
                auto sums = tile.totals();
                if (whole) {
                    const auto s = tile.sum([=](auto at) {
                        const V r = at(x) - at(y);
                        return r * r;
                    });
                    auto slope = tile.numbers();
                    auto bend = tile.numbers();
                    for (Index i = 0; i < tile.rows(); ++i) {
                        const Rho<double> rho = loss.kernel(s[i]);
                        const double steep = rho.first == infinity ? 0 : 2 * rho.first;
                        sums[i] = rho.value;
                        slope[i] = static_cast<T>(scale(tile.row(i)) * steep);
                        bend[i] = static_cast<T>(
                            rho.second > 0 ? scale(tile.row(i)) * 4 * rho.second : 0);
                    }
                    if (writes)
                        tile.each([=](auto at) {
                            const V r = at(x) - at(y);
                            const V g = at(slope) * r;
                            at.put(gx, g);
                            at.put(gy, -g);
                            at.put(curvature, fma(at(bend) * r, r, at(slope)));
                        });
                }
                else if (curvature)
                    sums = elements<true>(loss.kernel, tile, x, y, w, gx, gy, curvature);
                else
                    sums = elements<false>(loss.kernel, tile, x, y, w, gx, gy, curvature);
                double total = 0;
                for (Index i = 0; i < tile.rows(); ++i) {
                    total += scale(tile.row(i)) * sums[i];
                    if (per_sample)
                        per_sample.put(per_sample.view(tile.row(i)),
                                       static_cast<T>(share * sums[i]));
                }
                return total;
            });
    }
};

} // namespace kernel

template <class Kernel>
template <class X, class Y, class... Rest>
double RobustLoss<Kernel>::operator()(const X& x, const Y& y, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample, Curvature>(rest...);
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    if constexpr (requires { kernel.check(name); })
        kernel.check(name);
    const auto xs = border.samples("x", x);
    const auto ys = border.samples("y", y);
    border.same_shape("y", ys, "x", xs);
    const Index n = xs.rows();
    const Index d = xs.cols();
    const auto weights =
        border.optional_vector("sample_weights", named<SampleWeights>(rest...), n, "as x has rows");
    const auto gx = border.gradient("x", xs, positional<0>(rest...));
    const auto gy = border.gradient("y", ys, positional<1>(rest...));
    const auto each = border.template named_into<1>("per_sample", named<PerSample>(rest...), {n});
    const auto h = border.template named_into<2>("curvature", named<Curvature>(rest...), {n, d});
    return border.finish(temper::kernel::RobustLoss<T, Kernel>::run(
        *this, xs, ys, row_scale(reduction, n, weights, form == Form::element ? d : 1), gx, gy,
        each, h));
}

} // namespace temper::inline TEMPER_ABI
