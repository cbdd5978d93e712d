// SPDX-License-Identifier: BSL-1.0
#pragma once

// Spectral restricted isometry property (SRIP): the largest distance of a squared singular value from 1.
//
//   M = W' W - I_n (side columns) or W W' - I_m (rows), sigma = its largest |eigenvalue|
//   f(W) = sigma^2, or sigma where squared is false
//
// W [m, n]. f(w) is exact: M's eigenvalues are s_i^2 - 1 over the singular values of W, and -1 if W has
// more vectors on that side than entries in each. f(w, plan) estimates sigma from below by power
// iteration, without M, in 4 (iterations) products of W with a vector, from a start that was drawn:
//
//   u = u0 / max(|u0|, epsilon);  repeat:  v = M u / max(|M u|, epsilon),  u = M v / max(|M v|, epsilon)
//   sigma = u' M v
//
// The gradient goes back through all of that, as in the published code, or treats u and v as constants
// where `through` is false: df/dM = 2 sigma u v' (exact: 2 sigma sign(lambda) q q', q the eigenvector).
// As in that code, too: a start is drawn for every call, sigma is squared (the paper does not), and the
// side is columns even where n > m, where sigma cannot fall below 1; GramSide::automatic says what is
// possible. The code's weights: 0.1, after epochs 20, 50 and 70 times 1e-3, 1e-4 and 1e-6, from 120 on 0.
// A vector no longer than epsilon sends nothing back, and a sigma that is no more than rounding (8 vectors
// epsilon of the scalar type) has gradient 0: so orthonormal W has value and gradient 0. W = 0: value 1,
// gradient 0. An empty matrix: value 0. Throws ShapeError; RangeError for iterations < 1, epsilon <= 0.
// Bansal et al., Can We Gain More from Orthogonality Regularizations in Training Deep CNNs? (2018).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>
#include <temper/regularizer/gram_side.hpp>

namespace temper::inline TEMPER_ABI {

struct Srip {
    static constexpr std::string_view name = "Srip";
    GramSide side = GramSide::columns;
    bool squared = true;
    Index iterations = 1;
    bool through = true;
    double epsilon = 1e-12;

    /// Where power iteration starts: a number for each vector of the side.
    struct Plan {
        std::vector<double> start;
        friend bool operator==(const Plan&, const Plan&) = default;
    };
    /// A start for W [m, n].
    template <BitGenerator G>
    [[nodiscard]] Plan draw(G& rng, Index m, Index n) const
    {
        Plan plan;
        draw(rng, m, n, plan);
        return plan;
    }
    template <BitGenerator G>
    void draw(G& rng, Index m, Index n, Plan& plan) const
    {
        plan.start.resize(static_cast<std::size_t>(means_rows(side, m, n) ? m : n));
        for (double& number : plan.start)
            number = normal(rng);
    }

    /// (w, plan [, into(gw)]): by power iteration
    template <class W, class... Rest>
    double operator()(const W& w, const Plan& plan, const Rest&... rest) const;
    /// (w [, into(gw)]): exactly
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;

    friend bool operator==(const Srip&, const Srip&) = default;
};

namespace kernel {
template <class T>
struct Srip {
    static double estimate(const temper::Srip& how, MatrixView<const T> w, const double* start,
                           const Destination<T, 2>& gw);
    static double exact(const temper::Srip& how, MatrixView<const T> w,
                        const Destination<T, 2>& gw);
};
} // namespace kernel

template <class W, class... Rest>
double Srip::operator()(const W& w, const Plan& plan, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(iterations >= 1, "iterations", static_cast<double>(iterations), "positive");
    border.require(epsilon > 0, "epsilon", epsilon, "positive");
    const auto v = border.matrix("w", w);
    border.expect_shape("plan.start", view(plan.start),
                        {means_rows(side, v.rows(), v.cols()) ? v.rows() : v.cols()},
                        "as w has vectors");
    const auto gw = border.stored_gradient("w", v, positional<0>(rest...));
    return border.finish(kernel::Srip<T>::estimate(*this, v, plan.start.data(), gw));
}

template <class W, class... Rest>
double Srip::operator()(const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto v = border.matrix("w", w);
    const auto gw = border.stored_gradient("w", v, positional<0>(rest...));
    return border.finish(kernel::Srip<T>::exact(*this, v, gw));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/linalg/svd.hpp>

namespace temper::inline TEMPER_ABI {

// With z = w or w' and k vectors in its rows, M x = z (z' x) - x. An application a = M b whose result has
// the cotangent c adds c b' to df/dM, so (c b' + b c') z to the gradient of z: c (z' b)' + b (z' c)'.
// Both factors are kept for every application, and one product at the end makes the gradient.
template <class T>
double kernel::Srip<T>::estimate(const temper::Srip& how, MatrixView<const T> w,
                                 const double* start, const Destination<T, 2>& gw)
{
    if (w.size() == 0)
        return 0;
    const bool by_rows = means_rows(how.side, w.rows(), w.cols());
    const MatrixView<const T> z = by_rows ? w : w.transposed();
    const Index k = z.rows();
    const Index steps = 2 * how.iterations;

    Workspace::Frame frame;
    const MatrixView<T> left = frame.matrix<T>(2 * steps, k);         // b_0, c_0, b_1, c_1, ...
    const MatrixView<T> right = frame.matrix<T>(2 * steps, z.cols()); // z'c_0, z'b_0, z'c_1, ...
    const MatrixView<T> image = frame.matrix<T>(1, k);                // M b or M c
    const VectorView<T> a = image.row(0);
    double* const length = frame.take<double>(steps); // |M b_j|
    const auto apply = [&](Index from, Index to) {
        std::copy_n(left.row(from).data, k, a.data);
        linalg::product(right.row(to), 1, z.transposed(), left.row(from), 0);
        linalg::product(a, 1, z, right.row(to), -1);
    };
    const auto put = [&](Index row, double factor) {
        for (Index i = 0; i < k; ++i)
            left(row, i) = static_cast<T>(factor * static_cast<double>(a(i)));
    };

    double squares = 0;
    for (Index i = 0; i < k; ++i)
        squares += start[i] * start[i];
    const double at_start = 1 / (std::max)(std::sqrt(squares), how.epsilon);
    for (Index i = 0; i < k; ++i)
        left(Index{0}, i) = static_cast<T>(start[i] * at_start);
    for (Index j = 0; j < steps; ++j) {
        apply(2 * j, 2 * j + 1);
        length[j] = std::sqrt(linalg::squared_norm(image));
        if (j + 1 < steps)
            put(2 * j + 2, 1 / (std::max)(length[j], how.epsilon));
    }
    const double last = length[steps - 1];
    const double sigma = last * last / (std::max)(last, how.epsilon);
    const double value = how.squared ? sigma * sigma : sigma;
    if (!gw)
        return value;

    const double rounding = 8 * static_cast<double>(k) * std::numeric_limits<T>::epsilon();
    const bool vanishes = last <= (std::max)(rounding, how.epsilon);
    Index first = steps - 1;
    if (!vanishes) {
        put(2 * first + 1, (how.squared ? 2 * sigma : 1) / last);
        for (;; --first) {
            apply(2 * first + 1, 2 * first);
            if (first == 0 || !how.through || length[first - 1] <= how.epsilon)
                break;
            const VectorView<T> b = left.row(2 * first);
            const double along = linalg::inner(left.block(2 * first, 0, 1, k), image);
            for (Index i = 0; i < k; ++i)
                a(i) -= static_cast<T>(along) * b(i);
            put(2 * first - 1, 1 / length[first - 1]);
        }
    }
    const Index terms = 2 * (steps - first);
    // In `left`, b stands before c; in `right`, z'c before z'b.
    linalg::product(by_rows ? gw.view : gw.view.transposed(), vanishes ? 0 : gw.scale,
                    left.block(2 * first, 0, terms, k).transposed(),
                    right.block(2 * first, 0, terms, z.cols()), gw.adds() ? 1 : 0);
    return value;
}

template <class T>
double kernel::Srip<T>::exact(const temper::Srip& how, MatrixView<const T> w,
                              const Destination<T, 2>& gw)
{
    if (w.size() == 0)
        return 0;
    const Index m = w.rows();
    const Index n = w.cols();
    const Index r = (std::min)(m, n);
    const Index k = means_rows(how.side, m, n) ? m : n;
    Workspace::Frame frame;
    const MatrixView<T> u = gw ? frame.matrix<T>(m, r) : MatrixView<T>{};
    const MatrixView<T> v = gw ? frame.matrix<T>(n, r) : MatrixView<T>{};
    const VectorView<T> s{frame.take<T>(r), {r}, {1}};
    linalg::svd(w, u, s, v);

    double sigma = k > r ? 1 : 0; // of vectors that W maps to 0
    double slope = 0;             // d sigma / d s_which
    Index which = 0;
    for (Index i = 0; i < r; ++i) {
        const auto single = static_cast<double>(s(i));
        const double lambda = single * single - 1;
        if (std::abs(lambda) > sigma || std::isnan(lambda)) {
            sigma = std::abs(lambda);
            slope = lambda < 0 ? -2 * single : 2 * single;
            which = i;
        }
    }
    if (sigma <= 8 * static_cast<double>(k) * std::numeric_limits<T>::epsilon())
        slope = 0;
    if (gw)
        linalg::product(gw.view, (how.squared ? 2 * sigma : 1) * slope * gw.scale,
                        u.block(0, which, m, 1), v.block(0, which, n, 1).transposed(),
                        gw.adds() ? 1 : 0);
    return how.squared ? sigma * sigma : sigma;
}

TEMPER_INSTANTIATE(kernel::Srip);

} // namespace temper::inline TEMPER_ABI
#endif
