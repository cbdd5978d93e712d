// SPDX-License-Identifier: BSL-1.0
#pragma once

// Where mixup puts the features of mixed samples if nothing stands in their way (the unconstrained
// features model): for a classifier that is a simplex equiangular tight frame, the optimum of each
// mixture on its own.
//
//   h* = argmin_h CE(softmax(W h), y) + (mu / 2) |h|^2        y = lambda e_a + (1 - lambda) e_b
//   z = W h* solves z = c (y - softmax(z)), c = m^2 k / ((k - 1) mu), sum z = 0; h* = W'(y - softmax(z)) / mu
//
// W [k, d] with WW' = m^2 (k / (k - 1)) (I - 11'/k), m the length of its rows; labels a, b [q], lambda a number,
// [1] or [q]; h* [q, d], z and softmax(z) [q, k]. z is found by Newton's method on a strictly convex function,
// from 0, with steps halved where they overshoot. lambda = 1 or a = b: the optimum without mixing, h* along
// w_a. lambda = 1/2: z_a = z_b. The 1/n of a batch's mean goes into mu.
// Throws ShapeError; RangeError for mu <= 0, labels outside [0, k), k < 2, lambda outside [0, 1], a W whose
// WW' is further than 1 % from the above.
// Fisher, Meng and Papyan, Pushing Boundaries: Mixup's Influence on Neural Collapse (2024).

#include <temper/core/coefficients.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct MixupUfmOptimum {
    static constexpr std::string_view name = "MixupUfmOptimum";
    double mu;

    /// (W, labels(a), labels(b), lambda, into(h) [, into(z), into(p)])
    template <class W, class A, class B, class L, class... Rest>
    void operator()(const W& classifier, const A& labels_a, const B& labels_b, const L& lambda,
                    const Rest&... rest) const;

    friend bool operator==(const MixupUfmOptimum&, const MixupUfmOptimum&) = default;
};

namespace kernel {
template <class T>
struct MixupUfmOptimum {
    static double distance_from_frame(MatrixView<const T> w);
    static void run(double mu, MatrixView<const T> w, const std::int64_t* a, const std::int64_t* b,
                    const Coefficients& lambda, Index q, const Destination<T, 2>& h,
                    const Destination<T, 2>& z, const Destination<T, 2>& p);
};
} // namespace kernel

template <class W, class A, class B, class L, class... Rest>
void MixupUfmOptimum::operator()(const W& classifier, const A& labels_a, const B& labels_b,
                                 const L& lambda, const Rest&... rest) const
{
    static_assert(is_labels<A> && is_labels<B>,
                  "temper: the pairs are said as labels(a), labels(b)");
    accept<3>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(mu > 0, "mu", mu, "positive");
    const auto w = border.matrix("classifier", classifier);
    const Index k = w.rows();
    border.require(k >= 2, "classifier's rows", static_cast<double>(k), "at least 2");
    const AnyView<const typename decltype(labels_a.view)::Scalar> pairs(labels_a.view);
    const Index q = pairs.size();
    const auto* a = border.labels("labels_a", labels_a, q, k);
    const auto* b = border.labels("labels_b", labels_b, q, k);
    const auto l = coefficients(border, "lambda", lambda, q);
    for (Index i = 0; i < l.count; ++i)
        border.require(!(l[i] < 0) && !(l[i] > 1), "lambda", l[i], "from 0 to 1");
    const double distance = kernel::MixupUfmOptimum<T>::distance_from_frame(w);
    border.require(!(distance > 0.01), "classifier's distance from a simplex frame", distance,
                   "at most 0.01 of its size");
    const auto h = border.template output<2>("features", positional<0>(rest...), {q, w.cols()});
    const auto z = border.template output<2>("logits", positional<1>(rest...), {q, k});
    const auto p = border.template output<2>("probs", positional<2>(rest...), {q, k});
    kernel::MixupUfmOptimum<T>::run(mu, w, a, b, l, q, h, z, p);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

namespace kernel::ufm {

/// softmax(z) into p; phi(z) = |z|^2 / 2 + c (log sum exp z - <y, z>), of which it is the gradient's part.
inline double objective(Index k, double c, const double* y, const double* z, double* p)
{
    double top = z[0];
    for (Index j = 1; j < k; ++j)
        top = (std::max)(top, z[j]);
    double sum = 0;
    double squares = 0;
    double under = 0; // <y, top - z>
    for (Index j = 0; j < k; ++j) {
        sum += p[j] = std::exp(z[j] - top);
        squares += z[j] * z[j];
        under += y[j] * (top - z[j]);
    }
    for (Index j = 0; j < k; ++j)
        p[j] /= sum;
    return squares / 2 + c * (std::log(sum) + under);
}

} // namespace kernel::ufm

template <class T>
double kernel::MixupUfmOptimum<T>::distance_from_frame(MatrixView<const T> w)
{
    const Index k = w.rows();
    double trace = 0;
    for (Index i = 0; i < k; ++i)
        for (Index j = 0; j < w.cols(); ++j)
            trace += static_cast<double>(w(i, j)) * static_cast<double>(w(i, j));
    // W'W is then trace / (k - 1) times a projection: compare WW' entry by entry.
    const double scale = trace / static_cast<double>(k - 1);
    double apart = 0;
    for (Index a = 0; a < k; ++a)
        for (Index b = 0; b < k; ++b) {
            double sum = 0;
            for (Index j = 0; j < w.cols(); ++j)
                sum += static_cast<double>(w(a, j)) * static_cast<double>(w(b, j));
            const double e = sum - scale * ((a == b) - 1 / static_cast<double>(k));
            apart += e * e;
        }
    return trace == 0 ? 1 : std::sqrt(apart) / trace;
}

template <class T>
void kernel::MixupUfmOptimum<T>::run(double mu, MatrixView<const T> w, const std::int64_t* a,
                                     const std::int64_t* b, const Coefficients& lambda, Index q,
                                     const Destination<T, 2>& h, const Destination<T, 2>& z,
                                     const Destination<T, 2>& p)
{
    Workspace::Frame frame;
    const Index k = w.rows();
    double trace = 0;
    for (Index i = 0; i < k; ++i)
        for (Index j = 0; j < w.cols(); ++j)
            trace += static_cast<double>(w(i, j)) * static_cast<double>(w(i, j));
    const double c = trace / (static_cast<double>(k - 1) * mu);
    auto* y = frame.take<double>(k);
    auto* x = frame.take<double>(k);
    auto* next = frame.take<double>(k);
    auto* step = frame.take<double>(k);
    auto* s = frame.take<double>(k);
    for (Index i = 0; i < q; ++i) {
        std::fill(y, y + k, 0.0);
        y[a[i]] += lambda[i];
        y[b[i]] += 1 - lambda[i];
        std::fill(x, x + k, 0 * c * lambda[i]); // NaN stays NaN
        double now = ufm::objective(k, c, y, x, s);
        for (int iteration = 0; iteration < 200; ++iteration) {
            // The Hessian is I + c (diag p - p p'): its inverse by Sherman and Morrison.
            double along = 0;
            double rest = 0;
            for (Index j = 0; j < k; ++j) {
                const double d = 1 + c * s[j];
                step[j] = (x[j] - c * (y[j] - s[j])) / d;
                along += s[j] * step[j];
                rest += s[j] / d;
            }
            double slope = 0;
            double size = 0;
            double scale = 0;
            for (Index j = 0; j < k; ++j) {
                step[j] += c * along / rest * s[j] / (1 + c * s[j]);
                slope += step[j] * (x[j] - c * (y[j] - s[j]));
                size = (std::max)(size, std::abs(step[j]));
                scale = (std::max)(scale, std::abs(x[j]));
            }
            double t = 1;
            double then = now;
            for (int halved = 0; halved < 60; ++halved, t /= 2) {
                for (Index j = 0; j < k; ++j)
                    next[j] = x[j] - t * step[j];
                then = ufm::objective(k, c, y, next, s);
                if (then <= now - 1e-4 * t * slope)
                    break;
            }
            if (!(then <= now)) { // rounding is all that is left
                now = ufm::objective(k, c, y, x, s);
                break;
            }
            std::copy(next, next + k, x);
            now = then;
            if (size <= 1e-15 * (1 + scale))
                break;
        }
        for (Index j = 0; j < k; ++j) {
            if (z)
                z.put(z.view(i, j), static_cast<T>(x[j]));
            if (p)
                p.put(p.view(i, j), static_cast<T>(s[j]));
        }
        for (Index j = 0; h && j < w.cols(); ++j) {
            double sum = 0; // y - p is z / c at the root, and more accurate so where p is next to y
            for (Index r = 0; r < k; ++r)
                sum += static_cast<double>(w(r, j)) * x[r];
            h.put(h.view(i, j), static_cast<T>(sum / (c * mu)));
        }
    }
}

TEMPER_INSTANTIATE(kernel::MixupUfmOptimum);

} // namespace temper::inline TEMPER_ABI
#endif
