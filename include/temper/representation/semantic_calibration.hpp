// SPDX-License-Identifier: BSL-1.0
#pragma once

// Semantic calibration: a bank of features of the pretrained network is brought to where the fine-tuned one
// has its features now, as a whole by a rotation and class by class by a shift.
//
//   X, Y    the unit rows of the pretrained and of the downstream bank, row by row the same samples
//   rotate: X_c, Y_c centred, X_c' Y_c = U S V',  R = V diag(1, ..., 1, det(V U')) U',  X <- X_c R'
//   each class c:  a = softmax over its members of <Y_i, w_c / |w_c|>
//                  X_i <- X_i + sum_i a_i Y_i - mean_i X_i         i in class c
//   out_i = l X_i / |X_i|                                          l the mean length of the batch's rows
//
// pretrained, downstream [K, d], labels(y) of the bank, class_weights W [k, d] (rows of the head), batch
// [b, d], out [K, d]. A map without gradients: the bank is held fixed where it is used
// (DistributionRegularizedCrossEntropy). The rotation costs d^3; the authors do it at every tenth step and
// shift at the others, `rotate = false`, from X uncentred. After the rotation X is not moved back to Y's
// mean, as in their code: the classes' shifts do that. A class of one member is shifted like the others
// (their code averages over features there), one without members does nothing. K <= d leaves R undetermined
// in part; that it is a rotation holds always. K = 0: nothing; b = 0: zeros. Throws ShapeError, RangeError for
// labels outside [0, k).
// Zhou et al., DR-Tune: Improving Fine-tuning of Pretrained Visual Models by Distribution Regularization
// with Semantic Calibration (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct SemanticCalibration {
    static constexpr std::string_view name = "SemanticCalibration";
    bool rotate = true;
    double epsilon = 1e-12; ///< of lengths

    /// (pretrained, downstream, labels(y), class_weights, batch, into(calibrated))
    template <class P, class Q, class Y, class W, class B, class D>
    void forward(const P& pretrained, const Q& downstream, const Y& targets, const W& weights,
                 const B& batch, const D& out) const;

    friend bool operator==(const SemanticCalibration&, const SemanticCalibration&) = default;
};

namespace kernel {
template <class T>
struct SemanticCalibration {
    static void run(const temper::SemanticCalibration& how, MatrixView<const T> pretrained,
                    MatrixView<const T> downstream, const std::int64_t* y,
                    MatrixView<const T> weights, MatrixView<const T> batch,
                    const Destination<T, 2>& out);
};
} // namespace kernel

template <class P, class Q, class Y, class W, class B, class D>
void SemanticCalibration::forward(const P& pretrained, const Q& downstream, const Y& targets,
                                  const W& weights, const B& batch, const D& out) const
{
    using T = KernelScalarOf<P, Q, W, B>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto p = border.samples("pretrained", pretrained);
    const auto q = border.samples("downstream", downstream);
    border.same_shape("downstream", q, "pretrained", p);
    const auto w = border.matrix("class_weights", weights);
    border.expect_shape("class_weights", w, {w.rows(), p.cols()}, "with the columns of pretrained");
    const auto* y = border.labels("labels", targets, p.rows(), w.rows());
    const auto b = border.samples("batch", batch);
    border.expect_shape("batch", b, {b.rows(), p.cols()}, "with the columns of pretrained");
    const auto to = border.gradient("calibrated", p, out);
    if (to)
        kernel::SemanticCalibration<T>::run(*this, p, q, y, w, b, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/linalg/svd.hpp>
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// Is the determinant of a square matrix, which is overwritten, negative?
template <class T>
[[nodiscard]] bool turns_over(MatrixView<T> a)
{
    bool negative = false;
    const Index n = a.rows();
    for (Index k = 0; k < n; ++k) {
        Index pivot = k;
        for (Index i = k + 1; i < n; ++i)
            pivot = std::abs(a(i, k)) > std::abs(a(pivot, k)) ? i : pivot;
        for (Index j = k; pivot != k && j < n; ++j)
            std::swap(a(k, j), a(pivot, j));
        negative ^= (pivot != k) ^ (a(k, k) < T(0));
        for (Index i = k + 1; i < n && a(k, k) != T(0); ++i) {
            const T factor = a(i, k) / a(k, k);
            for (Index j = k + 1; j < n; ++j)
                a(i, j) -= factor * a(k, j);
        }
    }
    return negative;
}

/// Takes the mean off the columns.
template <class T>
void centre_columns(MatrixView<T> x, double* sums)
{
    std::fill_n(sums, x.cols(), 0.0);
    for (Index i = 0; i < x.rows(); ++i)
        for (Index j = 0; j < x.cols(); ++j)
            sums[j] += static_cast<double>(x(i, j));
    for (Index i = 0; i < x.rows(); ++i)
        for (Index j = 0; j < x.cols(); ++j)
            x(i, j) -= static_cast<T>(sums[j] / static_cast<double>(x.rows()));
}

} // namespace detail

template <class T>
void kernel::SemanticCalibration<T>::run(const temper::SemanticCalibration& how,
                                         MatrixView<const T> pretrained,
                                         MatrixView<const T> downstream, const std::int64_t* y,
                                         MatrixView<const T> weights, MatrixView<const T> batch,
                                         const Destination<T, 2>& out)
{
    const Index n = pretrained.rows();
    const Index d = pretrained.cols();
    const Index k = weights.rows();
    if (n == 0 || d == 0)
        return;
    Workspace::Frame frame;
    const simd::UnitRows<T> unit_x(frame, pretrained, how.epsilon, frame.matrix<T>(n, d));
    const simd::UnitRows<T> unit_y(frame, downstream, how.epsilon, frame.matrix<T>(n, d));
    const simd::UnitRows<T> unit_w(frame, weights, how.epsilon, frame.matrix<T>(k, d));
    const MatrixView<T> y_rows = unit_y.u;
    MatrixView<T> x = unit_x.u;

    if (how.rotate) {
        auto* const sums = frame.take<double>(d);
        const MatrixView<T> centred = frame.matrix<T>(n, d);
        simd::map(simd::in(MatrixView<const T>(y_rows)),
                  simd::out(Destination<T, 2>{centred, 1, Mode::overwrite}),
                  [](auto from, auto& to) { to = from; });
        detail::centre_columns(x, sums);
        detail::centre_columns(centred, sums);
        const MatrixView<T> m = frame.matrix<T>(d, d);
        const MatrixView<T> u = frame.matrix<T>(d, d);
        const MatrixView<T> v = frame.matrix<T>(d, d);
        linalg::product(m, 1, x.transposed(), centred, 0);
        linalg::svd(m, u, VectorView<T>{frame.take<T>(d), {d}, {1}}, v);
        linalg::product(m, 1, v, u.transposed(), 0);
        if (detail::turns_over(m))
            for (Index i = 0; i < d; ++i)
                v(i, d - 1) = -v(i, d - 1);
        linalg::product(m, 1, u, v.transposed(), 0); // R'
        linalg::product(centred, 1, x, m, 0);
        x = centred;
    }

    // Of each class: the sums of X, of e^score Y and of e^score.
    auto* const of_x = frame.take_zeros<double>(k * d);
    auto* const of_y = frame.take_zeros<double>(k * d);
    auto* const mass = frame.take_zeros<double>(k);
    auto* const members = frame.take_zeros<double>(k);
    for (Index i = 0; i < n; ++i) {
        const Index c = y[i];
        // A cosine: no exponential is large.
        const double e = std::exp(simd::dot(d, simd::source(MatrixView<const T>(y_rows).row(i)),
                                            simd::source(MatrixView<const T>(unit_w.u).row(c))));
        mass[c] += e;
        members[c] += 1;
        for (Index j = 0; j < d; ++j) {
            of_x[c * d + j] += static_cast<double>(x(i, j));
            of_y[c * d + j] += e * static_cast<double>(y_rows(i, j));
        }
    }
    for (Index i = 0; i < n; ++i)
        for (Index j = 0; j < d; ++j)
            x(i, j) += static_cast<T>(of_y[y[i] * d + j] / mass[y[i]] -
                                      of_x[y[i] * d + j] / members[y[i]]);

    double length = 0;
    for (Index i = 0; i < batch.rows(); ++i)
        length += std::sqrt(simd::squared_norm(d, simd::source(batch.row(i)))) /
                  static_cast<double>(batch.rows());
    const simd::UnitRows<T> moved(frame, x, how.epsilon);
    simd::map(simd::in(MatrixView<const T>(moved.u)), simd::out(out),
              [length](auto from, auto& to) {
                  using V = decltype(from);
                  to = V(length) * from;
              });
}

TEMPER_INSTANTIATE(kernel::SemanticCalibration);

} // namespace temper::inline TEMPER_ABI
#endif
