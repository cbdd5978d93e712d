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

template <class T, class Kernel>
struct RobustLoss {
    static double run(const temper::RobustLoss<Kernel>& loss, MatrixView<const T> x,
                      MatrixView<const T> y, RowScale<T> scale, const Destination<T, 2>& gx,
                      const Destination<T, 2>& gy, const Destination<T, 1>& per_sample,
                      const Destination<T, 2>& curvature);
};

/// Complete where robust_loss.kernel.hpp is included.
template <class T>
struct RobustTiles;

template <class Kernel, class... Kernels>
inline constexpr bool is_one_of = (std::is_same_v<Kernel, Kernels> || ...);

/// Kernels that the compiled library has.
template <class Kernel>
inline constexpr bool is_compiled =
    is_one_of<Kernel, L2Residual, HalfL2Residual, L1Residual, Charbonnier, PseudoHuber,
              PseudoHuberScaled, Cauchy, Huber, SmoothL1, Welsch, GemanMcClure, Barron>;

} // namespace kernel

template <class Kernel>
template <class X, class Y, class... Rest>
double RobustLoss<Kernel>::operator()(const X& x, const Y& y, const Rest&... rest) const
{
    accept<2, SampleWeights, PerSample, Curvature>(rest...);
    using T = KernelScalarOf<X, Y>;
    static_assert(
        !TEMPER_COMPILED || temper::kernel::is_compiled<Kernel> ||
            requires { sizeof(temper::kernel::RobustTiles<T>); },
        "temper: a robust kernel of your own is compiled with your program: include "
        "<temper/loss/robust_loss.kernel.hpp>");
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

#if !TEMPER_COMPILED
#include <temper/loss/robust_loss.kernel.hpp>
#endif
