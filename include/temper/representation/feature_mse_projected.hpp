// SPDX-License-Identifier: BSL-1.0
#pragma once

// A student's features, projected to the width of the teacher's, and their squared distance.
//
//   E = X W' + 1 b' - T         L = f |E|^2 (sum of squares)
//   dL/dX = 2 f E W             dL/dW = 2 f E' X            dL/db = 2 f sum_i E_i
//   f = 1 / (n d_t)   mean over entries (the default)
//       1 / n         mean over samples
//       1             sum
//
// X student [n, d_s], W [d_t, d_s] and b [d_t] the trainable projection (stored as libtorch's Linear does),
// T teacher [n, d_t], held fixed. W = 1 and b = 0 is L2Alignment. n = 0: 0. Throws ShapeError.
// Romero et al., FitNets: hints for thin deep nets (2015).

#include <temper/representation/l2_alignment.hpp>

namespace temper::inline TEMPER_ABI {

struct FeatureMseProjected {
    static constexpr std::string_view name = "FeatureMseProjected";
    MeanOver mean_over = MeanOver::entries;

    /// (student, weight, bias, teacher [, into(g_student), into(g_weight), into(g_bias)])
    template <class X, class W, class B, class Y, class... Rest>
    double operator()(const X& student, const W& weight, const B& bias, const Y& teacher,
                      const Rest&... rest) const;

    friend bool operator==(const FeatureMseProjected&, const FeatureMseProjected&) = default;
};

namespace kernel {
template <class T>
struct FeatureMseProjected {
    static double run(double factor, MatrixView<const T> x, MatrixView<const T> w,
                      VectorView<const T> b, MatrixView<const T> t, const Destination<T, 2>& gx,
                      const Destination<T, 2>& gw, const Destination<T, 1>& gb);
};
} // namespace kernel

template <class X, class W, class B, class Y, class... Rest>
double FeatureMseProjected::operator()(const X& student, const W& weight, const B& bias,
                                       const Y& teacher, const Rest&... rest) const
{
    accept<3>(rest...);
    using T = KernelScalarOf<X, W, B, Y>;
    Border<T> border(name);
    const auto x = border.samples("student", student);
    const auto w = border.matrix("weight", weight);
    const auto b = border.vector("bias", bias);
    const auto t = border.samples("teacher", teacher);
    border.expect_shape("weight", w, {w.rows(), x.cols()}, "with the columns of student");
    border.expect_shape("bias", b, {w.rows()}, "as weight has rows");
    border.expect_shape("teacher", t, {x.rows(), w.rows()},
                        "with the rows of student and a column for each row of weight");
    const auto gx = border.gradient("student", x, positional<0>(rest...));
    const auto gw = border.stored_gradient("weight", w, positional<1>(rest...));
    const auto gb = border.gradient("bias", b, positional<2>(rest...));
    const double factor = entry_scale(mean_over, t.cols()) *
                          row_scale<T>(reduction_of(mean_over), t.rows(), {}).factor;
    return border.finish(kernel::FeatureMseProjected<T>::run(factor, x, w, b, t, gx, gw, gb));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/columns.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::FeatureMseProjected<T>::run(double factor, MatrixView<const T> x,
                                           MatrixView<const T> w, VectorView<const T> b,
                                           MatrixView<const T> t, const Destination<T, 2>& gx,
                                           const Destination<T, 2>& gw, const Destination<T, 1>& gb)
{
    Workspace::Frame frame;
    const MatrixView<T> e = frame.matrix_like(t);
    linalg::product(e, 1, x, w.transposed(), 0);
    const Destination<T, 2> onto{e, 1, Mode::overwrite};
    const double value =
        factor * simd::sum_tiles<T>(simd::operands(e, t), 0, [&](const auto& tile) {
            const auto squares = tile.sum([=, before = MatrixView<const T>(e)](auto at) {
                const auto u = (at(before) + at(b)) - at(t);
                at.put(onto, u);
                return u * u;
            });
            double total = 0;
            for (Index i = 0; i < tile.rows(); ++i)
                total += squares[i];
            return total;
        });
    if (gx)
        linalg::product(gx.view, 2 * factor * gx.scale, e, w, gx.adds() ? 1 : 0);
    if (gw)
        linalg::product(gw.view, 2 * factor * gw.scale, e.transposed(), x, gw.adds() ? 1 : 0);
    if (gb) {
        auto* const sums = frame.take<double>(t.cols());
        simd::column_sum(std::array<const T*, 0>{}, std::array{MatrixView<const T>(e)}, sums,
                         [](auto u) { return u; });
        for (Index j = 0; j < t.cols(); ++j)
            gb.put(gb.view(j), static_cast<T>(2 * factor * sums[j]));
    }
    return value;
}

TEMPER_INSTANTIATE(kernel::FeatureMseProjected);

} // namespace temper::inline TEMPER_ABI
#endif
