// SPDX-License-Identifier: BSL-1.0
#pragma once

// Nuclear norm, the sum of singular values; drives the rank down as L1 drives entries to zero.
//
//   value       f(W) = sum_i s_i,   W = U diag(s) V'
//   gradient    U_r V_r' over s_i > rank_tolerance s_1: the subgradient of least norm
//   prox        U diag(max(s - step, 0)) V', singular value thresholding; returns the rank that is left
//   project     the nearest point with f <= radius: the prox with the step that reaches it
//   dual norm   s_1
//
// W [m, n] as it is stored. The singular values after prox come out as singular_values(into(s)),
// [min(m, n)], descending. Call prox every few steps, with step = learning rate times the steps in
// between; as a term of the loss singular values become small, but no rank falls. prox and project may
// write onto their input. W = 0 or empty: value and gradient 0. In float, rank_tolerance counts as 1e-6
// at least. Value and gradient come from the polar factor of W, which takes products of matrices alone
// unless W is small or its rank nearly lower than it could be; the rest costs a singular value
// decomposition, about 10 min(m, n) products of W with a vector.
// Throws ShapeError; RangeError for a negative step, radius or tolerance.
// Fazel, Matrix Rank Minimization with Applications (2002); prox: Cai, Candes and Shen, A Singular Value
// Thresholding Algorithm for Matrix Completion (2010).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct SingularValues {
    D destination;
};
/// The singular values of the result, descending.
template <class D>
[[nodiscard]] SingularValues<D> singular_values(const D& destination)
{
    return {destination};
}

struct NuclearNorm {
    static constexpr std::string_view name = "NuclearNorm";
    double rank_tolerance = 1e-12;

    /// (w [, into(gw)])
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;
    /// argmin_V |V - W|^2 / 2 + step f(V): (w, step, into(out) [, singular_values(into(s))]); the rank
    template <class W, class... Rest>
    Index prox(const W& w, double step, const Rest&... rest) const;
    /// argmin_V |V - W|^2 such that f(V) <= radius
    template <class W, class D>
    void project(const W& w, double radius, const D& out) const;
    /// max <W, V> such that f(V) <= 1
    template <class W>
    double dual_norm(const W& w) const;

    friend bool operator==(const NuclearNorm&, const NuclearNorm&) = default;
};

namespace kernel {
template <class T>
struct NuclearNorm {
    static double value(double rank_tolerance, MatrixView<const T> w, const Destination<T, 2>& gw);
    static Index prox(MatrixView<const T> w, double step, const Destination<T, 2>& out,
                      const Destination<T, 1>& s);
    static void project(MatrixView<const T> w, double radius, const Destination<T, 2>& out);
    static double dual_norm(MatrixView<const T> w);
};
} // namespace kernel

template <class W, class... Rest>
double NuclearNorm::operator()(const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(rank_tolerance >= 0, "rank_tolerance", rank_tolerance, "non-negative");
    const auto v = border.matrix("w", w);
    const auto gw = border.stored_gradient("w", v, positional<0>(rest...));
    return border.finish(kernel::NuclearNorm<T>::value(rank_tolerance, v, gw));
}

template <class W, class... Rest>
Index NuclearNorm::prox(const W& w, double step, const Rest&... rest) const
{
    accept<1, SingularValues>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(step >= 0, "step", step, "non-negative");
    const auto v = border.matrix("w", w);
    const auto out = border.stored_gradient("w", v, positional<0>(rest...), InPlace::allowed);
    const auto s = border.template named_into<1>("singular_values", named<SingularValues>(rest...),
                                                 {(std::min)(v.rows(), v.cols())});
    const Index rank = kernel::NuclearNorm<T>::prox(v, step, out, s);
    border.finish();
    return rank;
}

template <class W, class D>
void NuclearNorm::project(const W& w, double radius, const D& out) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(radius >= 0, "radius", radius, "non-negative");
    const auto v = border.matrix("w", w);
    const auto to = border.stored_gradient("w", v, out, InPlace::allowed);
    kernel::NuclearNorm<T>::project(v, radius, to);
    border.finish();
}

template <class W>
double NuclearNorm::dual_norm(const W& w) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    return kernel::NuclearNorm<T>::dual_norm(border.matrix("w", w));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/threshold.hpp>
#include <temper/linalg/polar.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// A decomposition W = U diag(s) V' in scratch.
template <class T>
struct Spectrum {
    MatrixView<T> u;
    VectorView<T> s;
    MatrixView<T> v;

    Spectrum(Workspace::Frame& frame, MatrixView<const T> w, bool with_vectors = true)
    {
        const Index r = (std::min)(w.rows(), w.cols());
        s = {frame.take<T>(r), {r}, {1}};
        if (with_vectors) { // svd does not compute what has no data
            u = frame.matrix<T>(r, w.rows()).transposed();
            v = frame.matrix<T>(r, w.cols()).transposed();
        }
        linalg::svd(w, u, s, v);
    }
    [[nodiscard]] Index count() const { return s.extents[0]; }
    [[nodiscard]] double operator()(Index i) const { return static_cast<double>(s(i)); }

    /// U V' over the first `rank`.
    void write(Index rank, const Destination<T, 2>& out) const
    {
        linalg::product(out.view, out.scale, u.block(0, 0, u.rows(), rank),
                        v.block(0, 0, v.rows(), rank).transposed(), out.adds() ? 1 : 0);
    }
};

/// out = U diag(s) V' after s = max(s - step, 0); how many of them are left. v is used up.
template <class T>
Index threshold(Spectrum<T>& spectrum, double step, MatrixView<const T> w,
                const Destination<T, 2>& out)
{
    Index rank = 0;
    for (Index i = 0; i < spectrum.count(); ++i) {
        const double left = spectrum(i) - step;
        spectrum.s(i) = static_cast<T>(left < 0 ? 0 : left);
        rank += spectrum.s(i) == 0 ? 0 : 1;
        for (Index j = 0; j < spectrum.v.rows(); ++j)
            spectrum.v(j, i) *= spectrum.s(i);
    }
    if (out && step == 0) // exactly W
        simd::map(simd::in(w), simd::out(out), [](auto x, auto& y) { y = x; });
    else if (out)
        spectrum.write(rank, out);
    return rank;
}

} // namespace detail

template <class T>
double kernel::NuclearNorm<T>::value(double rank_tolerance, MatrixView<const T> w,
                                     const Destination<T, 2>& gw)
{
    const double tolerance =
        (std::max)(rank_tolerance, 8 * static_cast<double>(std::numeric_limits<T>::epsilon()));
    // The subgradient is the polar factor of W, and the value its inner product with W.
    const bool in_place = gw && !gw.adds() && gw.scale == 1;
    Workspace::Frame frame;
    const MatrixView<T> q = in_place ? gw.view : frame.matrix_like(w);
    const double total = linalg::polar<T>(w, q, tolerance).nuclear_norm;
    if (gw && !in_place)
        simd::map(simd::in(AnyView<const T>(q)), simd::out(AnyDestination<T>(gw)),
                  [](auto x, auto& g) { g = x; });
    return total;
}

template <class T>
Index kernel::NuclearNorm<T>::prox(MatrixView<const T> w, double step, const Destination<T, 2>& out,
                                   const Destination<T, 1>& s)
{
    Workspace::Frame frame;
    detail::Spectrum<T> spectrum(frame, w);
    const Index rank = detail::threshold(spectrum, step, w, out);
    for (Index i = 0; s && i < spectrum.count(); ++i)
        s.put(s.view(i), spectrum.s(i));
    return rank;
}

template <class T>
void kernel::NuclearNorm<T>::project(MatrixView<const T> w, double radius,
                                     const Destination<T, 2>& out)
{
    Workspace::Frame frame;
    detail::Spectrum<T> spectrum(frame, w);
    const std::span s(frame.take<double>(spectrum.count()),
                      static_cast<std::size_t>(spectrum.count()));
    for (std::size_t i = 0; i < s.size(); ++i)
        s[i] = spectrum(static_cast<Index>(i));
    const double step = shrinkage_for_radius<double>(s, {}, radius);
    (void)detail::threshold(spectrum, step, w, out);
}

template <class T>
double kernel::NuclearNorm<T>::dual_norm(MatrixView<const T> w)
{
    Workspace::Frame frame;
    const detail::Spectrum<T> spectrum(frame, w, false);
    return spectrum.count() == 0 ? 0 : spectrum(0);
}

TEMPER_INSTANTIATE(kernel::NuclearNorm);

} // namespace temper::inline TEMPER_ABI
#endif
