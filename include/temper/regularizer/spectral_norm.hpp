// SPDX-License-Identifier: BSL-1.0
#pragma once

// Spectral norm, the largest factor by which a layer stretches its input, by power iteration: as a penalty,
// and as the divisor that makes a layer 1-Lipschitz (spectral normalisation).
//
//   observe     `iterations` times: v = W' u / max(|W' u|, epsilon), u = W v / max(|W v|, epsilon)
//   value       sigma = u' W v                                  at most the largest singular value
//   gradient    u v'                                            u and v count as constants
//   forward     y = W / sigma
//   pullback    gw = (gy - <gy, W> u v' / sigma) / sigma
//
// W [m, n] as it is stored, u [m], v [n]. u and v are the state: observe(state, w) once in each training
// step, BEFORE the state is used, and not at all in evaluation; one iteration follows slowly moving
// weights. init(rng, w) draws u and warms it up on w. W = 0: u and v become zero and stay so, value and
// gradient are 0. Where sigma <= epsilon, forward copies W and pullback gy. m = 1 or n = 1 is exact after
// one iteration. forward and pullback may write onto W or gy. Throws ShapeError; RangeError for negative
// iterations or epsilon.
// Miyato et al., Spectral Normalization for Generative Adversarial Networks (2018); as a penalty: Yoshida
// and Miyato, Spectral Norm Regularization for Improving the Generalizability of Deep Learning (2017).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

struct SpectralNorm {
    static constexpr std::string_view name = "SpectralNorm";
    Index iterations = 1;
    double epsilon = 1e-12;

    /// Estimates of the singular vectors of the largest singular value.
    template <class T>
    struct State {
        std::vector<T> u; ///< [m]
        std::vector<T> v; ///< [n]
        template <class Archive>
        void fields(Archive& a)
        {
            a("u", u)("v", v);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    /// A random start, and `warm_up` iterations on w.
    template <class Rng, class W>
    [[nodiscard]] auto init(Rng& rng, const W& w, Index warm_up = 15) const;
    template <class T, class W>
    void observe(State<T>& state, const W& w) const;

    /// (state, w [, into(gw)])
    template <class T, class W, class... Rest>
    double operator()(const State<T>& state, const W& w, const Rest&... rest) const;
    /// (state, w, into(y))
    template <class T, class W, class D>
    void forward(const State<T>& state, const W& w, const D& y) const;
    /// (state, w, gy, into(gw))
    template <class T, class W, class G, class D>
    void pullback(const State<T>& state, const W& w, const G& gy, const D& gw) const;

    friend bool operator==(const SpectralNorm&, const SpectralNorm&) = default;

  private:
    template <class T, class W>
    [[nodiscard]] MatrixView<const T> weights(Border<T>& border, const W& w,
                                              const State<T>& state) const
    {
        static_assert(std::is_same_v<T, KernelScalarOf<W>>,
                      "temper: the state has another scalar type than w");
        border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
        const auto m = border.matrix("w", w);
        border.expect_shape("state.u", view(state.u), {m.rows()}, "as w has rows");
        border.expect_shape("state.v", view(state.v), {m.cols()}, "as w has columns");
        return m;
    }
};

namespace kernel {
template <class T>
struct SpectralNorm {
    static void observe(Index iterations, double epsilon, MatrixView<const T> w, VectorView<T> u,
                        VectorView<T> v);
    static double value(MatrixView<const T> w, VectorView<const T> u, VectorView<const T> v,
                        const Destination<T, 2>& gw);
    static void forward(double epsilon, MatrixView<const T> w, VectorView<const T> u,
                        VectorView<const T> v, const Destination<T, 2>& y);
    static void pullback(double epsilon, MatrixView<const T> w, VectorView<const T> u,
                         VectorView<const T> v, MatrixView<const T> gy,
                         const Destination<T, 2>& gw);
};
} // namespace kernel

template <class Rng, class W>
auto SpectralNorm::init(Rng& rng, const W& w, Index warm_up) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto v = border.matrix("w", w);
    State<T> state{std::vector<T>(static_cast<std::size_t>(v.rows())),
                   std::vector<T>(static_cast<std::size_t>(v.cols()))};
    for (T& number : state.u)
        number = static_cast<T>(normal(rng));
    SpectralNorm{warm_up, epsilon}.observe(state, w);
    return state;
}

template <class T, class W>
void SpectralNorm::observe(State<T>& state, const W& w) const
{
    Border<T> border(name);
    border.require(iterations >= 0, "iterations", static_cast<double>(iterations), "non-negative");
    const auto m = weights(border, w, state);
    kernel::SpectralNorm<T>::observe(iterations, epsilon, m, view(state.u), view(state.v));
}

template <class T, class W, class... Rest>
double SpectralNorm::operator()(const State<T>& state, const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    Border<T> border(name);
    const auto m = weights(border, w, state);
    const auto gw = border.stored_gradient("w", m, positional<0>(rest...));
    return border.finish(kernel::SpectralNorm<T>::value(m, view(state.u), view(state.v), gw));
}

template <class T, class W, class D>
void SpectralNorm::forward(const State<T>& state, const W& w, const D& y) const
{
    Border<T> border(name);
    const auto m = weights(border, w, state);
    const auto out = border.stored_gradient("y", m, y, InPlace::allowed);
    kernel::SpectralNorm<T>::forward(epsilon, m, view(state.u), view(state.v), out);
    border.finish();
}

template <class T, class W, class G, class D>
void SpectralNorm::pullback(const State<T>& state, const W& w, const G& gy, const D& gw) const
{
    Border<T> border(name);
    const auto m = weights(border, w, state);
    const auto g = border.matrix("gy", gy);
    border.same_shape("gy", g, "w", m);
    const auto out = border.stored_gradient("w", m, gw, InPlace::allowed);
    kernel::SpectralNorm<T>::pullback(epsilon, m, view(state.u), view(state.v), g, out);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

template <class T>
[[nodiscard]] MatrixView<T> as_row(VectorView<T> x)
{
    return {x.data, {1, x.extents[0]}, {x.extents[0], x.strides[0]}};
}

/// u' W v
template <class T>
[[nodiscard]] double bilinear(VectorView<const T> u, MatrixView<const T> w, VectorView<const T> v)
{
    Workspace::Frame frame;
    const VectorView<T> wv{frame.take<T>(w.rows()), {w.rows()}, {1}};
    linalg::product(wv, 1, w, v, 0);
    return linalg::inner(as_row(u), as_row(VectorView<const T>(wv)));
}

/// out = x / divisor
template <class T>
void divide(MatrixView<const T> x, double divisor, const Destination<T, 2>& out)
{
    simd::map(simd::in(x), simd::out(out), [divisor](auto a, auto& y) {
        using V = decltype(a);
        y = a * V(1 / divisor);
    });
}

/// out = (g - c u v') / divisor along the longer runs of out; without a g, out = -c u v' / divisor.
template <class T>
void subtract_outer(MatrixView<const T> g, double c, VectorView<const T> u, VectorView<const T> v,
                    double divisor, Destination<T, 2> out)
{
    if (std::abs(out.view.strides[0]) < std::abs(out.view.strides[1])) {
        out.view = out.view.transposed();
        g = g.transposed();
        std::swap(u, v);
    }
    parallel_for(out.view.rows(), out.view.size(), [&](Index i) {
        const double factor = c * static_cast<double>(u(i));
        if (g.data == nullptr)
            simd::row_map(out.view.cols(), std::array{simd::source(v)},
                          std::array{simd::sink(out, i, -factor / divisor)},
                          [](auto x, auto& y) { y = x; });
        else
            simd::row_map(out.view.cols(), std::array{simd::source(g.row(i)), simd::source(v)},
                          std::array{simd::sink(out, i, 1 / divisor)},
                          [factor](auto x, auto y, auto& z) {
                              using V = decltype(x);
                              z = x - V(factor) * y;
                          });
    });
}

} // namespace detail

template <class T>
void kernel::SpectralNorm<T>::observe(Index iterations, double epsilon, MatrixView<const T> w,
                                      VectorView<T> u, VectorView<T> v)
{
    const auto unit_product = [&](VectorView<T> y, MatrixView<const T> a, VectorView<const T> x) {
        linalg::product(y, 1, a, x, 0);
        const double norm = std::sqrt(linalg::squared_norm(detail::as_row(y)));
        const double divisor = norm < epsilon ? epsilon : norm;
        for (Index i = 0; i < y.extents[0]; ++i)
            y(i) = divisor == 0 ? T(0) : static_cast<T>(static_cast<double>(y(i)) / divisor);
    };
    for (Index i = 0; i < iterations; ++i) {
        unit_product(v, w.transposed(), u);
        unit_product(u, w, v);
    }
}

template <class T>
double kernel::SpectralNorm<T>::value(MatrixView<const T> w, VectorView<const T> u,
                                      VectorView<const T> v, const Destination<T, 2>& gw)
{
    if (gw)
        detail::subtract_outer<T>({}, -1, u, v, 1, gw);
    return detail::bilinear(u, w, v);
}

template <class T>
void kernel::SpectralNorm<T>::forward(double epsilon, MatrixView<const T> w, VectorView<const T> u,
                                      VectorView<const T> v, const Destination<T, 2>& y)
{
    const double sigma = detail::bilinear(u, w, v);
    detail::divide(w, sigma <= epsilon ? 1 : sigma, y);
}

template <class T>
void kernel::SpectralNorm<T>::pullback(double epsilon, MatrixView<const T> w, VectorView<const T> u,
                                       VectorView<const T> v, MatrixView<const T> gy,
                                       const Destination<T, 2>& gw)
{
    if (!gw)
        return;
    const double sigma = detail::bilinear(u, w, v);
    if (sigma <= epsilon)
        return detail::divide(gy, 1, gw);
    detail::subtract_outer(gy, linalg::inner(gy, w) / sigma, u, v, sigma, gw);
}

TEMPER_INSTANTIATE(kernel::SpectralNorm);

} // namespace temper::inline TEMPER_ABI
#endif
