// SPDX-License-Identifier: BSL-1.0
#pragma once

// AdaMixUp's intrusion loss: a discriminator tells data from mixtures, over both batches at once.
//
//   v_i = z_i1 - z_i0        L = (sum over real of log(1 + e^-v_i) + sum over mixed of log(1 + e^v_i)) / (p + m)
//   dL/dz_i1 = -dL/dz_i0 = (sigmoid(v_i) - [i is real]) / (p + m)
//
// Logits [p, 2] of real samples and [m, 2] of mixtures, class 1 for real; or [p, 1] and [m, 1], the v
// themselves. reduction sum: without the division. Either batch may be empty; both: 0.
// Classifier, policy and discriminator all minimise it: the policy is led to mixtures that are plainly no
// data, which is what keeps them from intruding into another class. Nothing is adversarial here. The
// paper's batch has p = 2 m: the unmixed members of the pairs, and a half batch of samples not seen; the
// discriminator shares the classifier's features.
// Throws ShapeError.
// Guo, Mao and Zhang, MixUp as Locally Linear Out-Of-Manifold Regularization (2019).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct IntrusionLoss {
    static constexpr std::string_view name = "IntrusionLoss";
    Reduction reduction = Reduction::mean;

    /// (real, mixed [, into(g_real), into(g_mixed)])
    template <class R, class M, class... Rest>
    double operator()(const R& real, const M& mixed, const Rest&... rest) const;

    friend bool operator==(const IntrusionLoss&, const IntrusionLoss&) = default;
};

namespace kernel {
template <class T>
struct IntrusionLoss {
    static double run(MatrixView<const T> z, bool real, double scale, const Destination<T, 2>& gz);
};
} // namespace kernel

template <class R, class M, class... Rest>
double IntrusionLoss::operator()(const R& real, const M& mixed, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<R, M>;
    Border<T> border(name);
    const auto of_real = border.samples("real", real);
    const auto of_mixed = border.samples("mixed", mixed);
    border.expect_shape("real", of_real, {of_real.rows(), of_real.cols() == 1 ? 1 : 2},
                        "logits of mixed and real, or [n, 1]");
    border.expect_shape("mixed", of_mixed, {of_mixed.rows(), of_real.cols()},
                        "as real has columns");
    const auto g_real = border.gradient("real", of_real, positional<0>(rest...));
    const auto g_mixed = border.gradient("mixed", of_mixed, positional<1>(rest...));
    const double scale = row_scale<T>(reduction, of_real.rows() + of_mixed.rows(), {}).factor;
    const double value = kernel::IntrusionLoss<T>::run(of_real, true, scale, g_real) +
                         kernel::IntrusionLoss<T>::run(of_mixed, false, scale, g_mixed);
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::IntrusionLoss<T>::run(MatrixView<const T> z, bool real, double scale,
                                     const Destination<T, 2>& gz)
{
    const Index last = z.cols() - 1;
    double sum = 0;
    for (Index i = 0; i < z.rows(); ++i) {
        // Towards the wrong side: the loss is log(1 + e^v), its slope e^v / (1 + e^v).
        const double v = (real ? -1 : 1) * (static_cast<double>(z(i, last)) -
                                            (last == 0 ? 0 : static_cast<double>(z(i, Index{0}))));
        const double e = std::exp(-std::abs(v));
        sum += (std::max)(v, 0.0) + std::log1p(e);
        const double slope = (real ? -scale : scale) * (v > 0 ? 1 : e) / (1 + e);
        if (gz) {
            gz.put(gz.view(i, last), static_cast<T>(slope));
            if (last == 1)
                gz.put(gz.view(i, Index{0}), static_cast<T>(-slope));
        }
    }
    return scale * sum;
}

TEMPER_INSTANTIATE(kernel::IntrusionLoss);

} // namespace temper::inline TEMPER_ABI
#endif
