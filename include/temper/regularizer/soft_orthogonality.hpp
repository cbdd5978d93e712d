// SPDX-License-Identifier: BSL-1.0
#pragma once

// Soft orthogonality: pulls the singular values of a weight matrix towards 1, so that a layer keeps the
// lengths of what passes through it, forward and backward.
//
//   E = W W' - I_m (side rows) or W' W - I_n (columns); automatic: whichever is smaller, rows if m = n
//   frobenius_squared:  f(W) = |E|^2      df/dW = 4 E W      (columns: 4 W E)
//   frobenius:          f(W) = |E|        df/dW = 2 E W / |E|
//
// W [m, n], a unit or filter per row; a convolution's kernel is viewed as [out, in k k]. A sum, not a
// mean: papers weigh the square with 1e-6 to 1e-2 (1e-4 is usual), the root with 0.1. Rows can be
// orthonormal only if m <= n; with the wrong side the least f is |m - n| (or its root) instead of 0. Both
// sides have one gradient, since |W W' - I|^2 - m = |W' W - I|^2 - n and E W = W (W' W - I), so that the
// smaller Gram matrix serves both.
// frobenius has no derivative at E = 0: where |E| is no more than rounding leaves of it (8 vectors
// epsilon), the gradient is 0. W = 0: as many as there are vectors (or the root), with gradient 0. An
// empty matrix has value 0. Plain gradient descent needs steps below 1 / (4 s^2), s the largest singular
// value, to converge. Throws ShapeError.
// Brock et al., Neural Photo Editing with Introspective Adversarial Networks (2017); Bansal et al., Can We
// Gain More from Orthogonality Regularizations in Training Deep CNNs? (2018); the root as in the code of
// Wang et al., Orthogonal Convolutional Neural Networks (2020).

#include <temper/core/component.hpp>
#include <temper/regularizer/gram_side.hpp>

namespace temper::inline TEMPER_ABI {

struct SoftOrthogonality {
    static constexpr std::string_view name = "SoftOrthogonality";
    enum class Norm { frobenius_squared, frobenius };

    GramSide side = GramSide::automatic;
    Norm norm = Norm::frobenius_squared;

    /// (w [, into(gw)])
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;

    friend bool operator==(const SoftOrthogonality&, const SoftOrthogonality&) = default;
};

namespace kernel {
template <class T>
struct SoftOrthogonality {
    static double run(const temper::SoftOrthogonality& how, MatrixView<const T> w,
                      const Destination<T, 2>& gw);
};
} // namespace kernel

template <class W, class... Rest>
double SoftOrthogonality::operator()(const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto v = border.matrix("w", w);
    const auto gw = border.stored_gradient("w", v, positional<0>(rest...));
    return border.finish(kernel::SoftOrthogonality<T>::run(*this, v, gw));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::SoftOrthogonality<T>::run(const temper::SoftOrthogonality& how,
                                         MatrixView<const T> w, const Destination<T, 2>& gw)
{
    if (w.size() == 0)
        return 0;
    const Index m = w.rows();
    const Index n = w.cols();
    const Index vectors = means_rows(how.side, m, n) ? m : n;
    const bool turned = m > n;
    const MatrixView<const T> z = turned ? w.transposed() : w;
    const Index fewer = z.rows();

    Workspace::Frame frame;
    const MatrixView<T> e = frame.matrix<T>(fewer, fewer);
    linalg::gram(e, 1, z, 0);
    for (Index i = 0; i < fewer; ++i)
        e(i, i) -= T(1);
    double value = linalg::squared_norm(e) + static_cast<double>(vectors - fewer);
    double slope = 4;
    if (how.norm == temper::SoftOrthogonality::Norm::frobenius) {
        value = std::sqrt(value);
        const double rounding =
            8 * static_cast<double>(vectors) * std::numeric_limits<T>::epsilon();
        slope = value <= rounding ? 0 : 2 / value;
    }
    if (gw)
        linalg::product(turned ? gw.view.transposed() : gw.view, slope * gw.scale, e, z,
                        gw.adds() ? 1 : 0);
    return value;
}

TEMPER_INSTANTIATE(kernel::SoftOrthogonality);

} // namespace temper::inline TEMPER_ABI
#endif
