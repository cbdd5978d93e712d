// SPDX-License-Identifier: BSL-1.0
#pragma once

// How the samples of a batch are related to each other shall be as it is among their targets: no feature of
// the one is compared with a feature of the other, so their widths need not agree.
//
//   L = f sum_ij (<a_i, a_j> - <b_i, b_j>)^2       a, b unit rows of x and t, or (dot) the rows themselves
//   dL/dA = 4 f (A A' - B B') A,  dL/dB = -4 f (A A' - B B') B,  from there back through the lengths
//   f = 1 / n^2   mean over entries (the default)        1 / n   mean over samples        1   nothing
//
// x [n, d], t [n, e]. A target held fixed gets no destination. A row no longer than epsilon gets no gradient,
// by convention, and is related to nothing. Needs n x n numbers. n = 0: 0.
// Throws ShapeError; RangeError for a negative epsilon.
// Tung and Mori, Similarity-preserving knowledge distillation (2019), which normalises rows of the Gram
// matrix instead; Park et al., Relational knowledge distillation (2019).

#include <temper/representation/similarity.hpp>

namespace temper::inline TEMPER_ABI {

struct GramAlignment {
    static constexpr std::string_view name = "GramAlignment";
    Similarity similarity = Similarity::cosine;
    MeanOver mean_over = MeanOver::entries;
    double epsilon = 1e-12;

    /// (x, t [, into(gx), into(gt)])
    template <class X, class Y, class... Rest>
    double operator()(const X& x, const Y& t, const Rest&... rest) const;

    friend bool operator==(const GramAlignment&, const GramAlignment&) = default;
};

namespace kernel {
template <class T>
struct GramAlignment {
    static double run(const temper::GramAlignment& how, MatrixView<const T> x,
                      MatrixView<const T> t, const Destination<T, 2>& gx,
                      const Destination<T, 2>& gt);
};
} // namespace kernel

template <class X, class Y, class... Rest>
double GramAlignment::operator()(const X& x, const Y& t, const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<X, Y>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto xs = border.samples("x", x);
    const auto ts = border.samples("t", t);
    border.expect_shape("t", ts, {xs.rows(), ts.cols()}, "with the rows of x");
    const auto gx = border.gradient("x", xs, positional<0>(rest...));
    const auto gt = border.gradient("t", ts, positional<1>(rest...));
    return border.finish(kernel::GramAlignment<T>::run(*this, xs, ts, gx, gt));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::GramAlignment<T>::run(const temper::GramAlignment& how, MatrixView<const T> x,
                                     MatrixView<const T> t, const Destination<T, 2>& gx,
                                     const Destination<T, 2>& gt)
{
    const Index n = x.rows();
    if (n == 0)
        return 0;
    const auto count = static_cast<double>(n);
    const double factor = how.mean_over == MeanOver::entries   ? 1 / (count * count)
                          : how.mean_over == MeanOver::samples ? 1 / count
                                                               : 1;
    Workspace::Frame frame;
    const MatrixView<T> a = frame.matrix_like(x);
    const MatrixView<T> b = frame.matrix_like(t);
    const detail::ComparedRows<T> of_x(frame, how.similarity, how.epsilon, x, a);
    const detail::ComparedRows<T> of_t(frame, how.similarity, how.epsilon, t, b);
    const MatrixView<T> apart = frame.matrix<T>(n, n);
    linalg::product(apart, 1, a, a.transposed(), 0);
    linalg::product(apart, -1, b, b.transposed(), 1);
    const double value = factor * linalg::squared_norm(MatrixView<const T>(apart));
    const auto pull = [&](const detail::ComparedRows<T>& of, MatrixView<const T> rows, double sign,
                          const Destination<T, 2>& to) {
        if (!to)
            return;
        Workspace::Frame inner;
        const MatrixView<T> g = inner.matrix_like(rows);
        linalg::product(g, sign * 4 * factor, apart, rows, 0);
        of.pull(g, to);
    };
    pull(of_x, a, 1, gx);
    pull(of_t, b, -1, gt);
    return value;
}

TEMPER_INSTANTIATE(kernel::GramAlignment);

} // namespace temper::inline TEMPER_ABI
#endif
