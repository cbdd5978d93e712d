// SPDX-License-Identifier: BSL-1.0
#pragma once

// Features of several models, averaged with weights that differ from place to place.
//
//   forward    A_k = softmax over k of l_k        y_c = sum_k A_k f_k,c
//   pullback   gf_k,c = A_k g_c                   gl_k = A_k (q_k - sum_j A_j q_j),  q_k = sum_c g_c f_k,c
//
// f [k, n, c, h, w], logits l [k, n, h, w], y and g [n, c, h, w]: all channels of a place share its weights.
// The logits come from a small network that is trained while all else stands still. k = 1: y = f, gl = 0.
// k = 0: zeros.
// Logits of any size are fine. attention(into(A)), [k, n, h, w]. Throws ShapeError.
// Wang et al., Ensembling Diffusion Models via Adaptive Feature Aggregation (2024); that the weights are a
// softmax is assumed.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct Attention {
    D destination;
};
/// The weights that features or values were summed with.
template <class D>
[[nodiscard]] Attention<D> attention(const D& destination)
{
    return {destination};
}

struct SpatialSoftmaxAggregate {
    static constexpr std::string_view name = "SpatialSoftmaxAggregate";

    /// (f, l, into(y) [, attention(into(A))])
    template <class F, class L, class... Rest>
    void forward(const F& features, const L& logits, const Rest&... rest) const;
    /// (f, l, g [, into(gf), into(gl)])
    template <class F, class L, class G, class... Rest>
    void pullback(const F& features, const L& logits, const G& g, const Rest&... rest) const;

    friend bool operator==(const SpatialSoftmaxAggregate&,
                           const SpatialSoftmaxAggregate&) = default;

  private:
    template <class T>
    static void check(const AnyView<const T>& f, const AnyView<const T>& l)
    {
        if (f.rank != 5)
            fail<ShapeError>(name, "features", joined({"has shape ", shape_text(f)}),
                             "[k, n, c, h, w]");
        if (l.rank != 4 || l.extent(0) != f.extent(0) || l.extent(1) != f.extent(1) ||
            l.extent(2) != f.extent(3) || l.extent(3) != f.extent(4))
            fail<ShapeError>(name, "logits", joined({"has shape ", shape_text(l)}),
                             "[k, n, h, w] as features");
    }
    template <class T>
    static AnyView<const T> like(const AnyView<const T>& f)
    {
        AnyView<const T> y;
        y.rank = 4;
        y.extents = {f.extent(1), f.extent(2), f.extent(3), f.extent(4), 1, 1};
        return y;
    }
};

namespace kernel {
template <class T>
struct SpatialSoftmaxAggregate {
    static void forward(const View<const T, 5>& f, const View<const T, 4>& l,
                        const Destination<T, 4>& y, const Destination<T, 4>& a);
    static void pullback(const View<const T, 5>& f, const View<const T, 4>& l,
                         const View<const T, 4>& g, const Destination<T, 5>& gf,
                         const Destination<T, 4>& gl);
};
} // namespace kernel

template <class F, class L, class... Rest>
void SpatialSoftmaxAggregate::forward(const F& features, const L& logits, const Rest&... rest) const
{
    accept<1, Attention>(rest...);
    using T = KernelScalarOf<F, L>;
    Border<T> border(name);
    const auto f = border.tensor("features", features);
    const auto l = border.tensor("logits", logits);
    check(f, l);
    const auto y = border.gradient("y", like(f), positional<0>(rest...));
    AnyDestination<T> a;
    if constexpr (!std::is_same_v<decltype(named<Attention>(rest...)), detail::Absent>)
        a = border.gradient("attention", l, named<Attention>(rest...).destination);
    kernel::SpatialSoftmaxAggregate<T>::forward(f.template as<5>(), l.template as<4>(),
                                                y.template as<4>(), a.template as<4>());
    border.finish();
}

template <class F, class L, class G, class... Rest>
void SpatialSoftmaxAggregate::pullback(const F& features, const L& logits, const G& g,
                                       const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<F, L, G>;
    Border<T> border(name);
    const auto f = border.tensor("features", features);
    const auto l = border.tensor("logits", logits);
    const auto gy = border.tensor("g", g);
    check(f, l);
    const auto wanted = like(f);
    if (gy.rank != 4 || gy.extents != wanted.extents)
        fail<ShapeError>(name, "g", joined({"has shape ", shape_text(gy)}), shape_text(wanted));
    const auto gf = border.gradient("features", f, positional<0>(rest...));
    const auto gl = border.gradient("logits", l, positional<1>(rest...));
    kernel::SpatialSoftmaxAggregate<T>::pullback(f.template as<5>(), l.template as<4>(),
                                                 gy.template as<4>(), gf.template as<5>(),
                                                 gl.template as<4>());
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel::spatial_softmax {

/// The weights of one place of one sample, in double.
template <class T>
void weights(const View<const T, 4>& l, Index i, Index r, Index s, double* a)
{
    const Index models = l.extents[0];
    double largest = -std::numeric_limits<double>::infinity();
    for (Index k = 0; k < models; ++k) {
        a[k] = static_cast<double>(l(k, i, r, s));
        largest = a[k] > largest || a[k] != a[k] ? a[k] : largest;
    }
    double sum = 0;
    for (Index k = 0; k < models; ++k)
        sum += a[k] = std::exp(a[k] - largest);
    for (Index k = 0; k < models; ++k)
        a[k] /= sum;
}

} // namespace kernel::spatial_softmax

template <class T>
void kernel::SpatialSoftmaxAggregate<T>::forward(const View<const T, 5>& f,
                                                 const View<const T, 4>& l,
                                                 const Destination<T, 4>& y,
                                                 const Destination<T, 4>& a)
{
    const Index models = f.extents[0], n = f.extents[1], c = f.extents[2];
    const Index h = f.extents[3], w = f.extents[4];
    Workspace::Frame frame;
    const simd::Slices<double> slices(frame, f.size(), models);
    parallel_for(n * h, f.size(), [&](Index line) {
        double* const at = slices.mine();
        const Index i = line / h;
        const Index r = line % h;
        for (Index s = 0; s < w; ++s) {
            spatial_softmax::weights(l, i, r, s, at);
            for (Index k = 0; a && k < models; ++k)
                a.put(a.view(k, i, r, s), static_cast<T>(at[k]));
            for (Index channel = 0; y && channel < c; ++channel) {
                double sum = 0;
                for (Index k = 0; k < models; ++k)
                    sum += at[k] * static_cast<double>(f(k, i, channel, r, s));
                y.put(y.view(i, channel, r, s), static_cast<T>(sum));
            }
        }
    });
}

template <class T>
void kernel::SpatialSoftmaxAggregate<T>::pullback(const View<const T, 5>& f,
                                                  const View<const T, 4>& l,
                                                  const View<const T, 4>& g,
                                                  const Destination<T, 5>& gf,
                                                  const Destination<T, 4>& gl)
{
    const Index models = f.extents[0], n = f.extents[1], c = f.extents[2];
    const Index h = f.extents[3], w = f.extents[4];
    Workspace::Frame frame;
    const simd::Slices<double> slices(frame, f.size(), 2 * models);
    parallel_for(n * h, f.size(), [&](Index line) {
        double* const a = slices.mine();
        double* const q = a + models;
        const Index i = line / h;
        const Index r = line % h;
        for (Index s = 0; s < w; ++s) {
            spatial_softmax::weights(l, i, r, s, a);
            double mean = 0;
            for (Index k = 0; k < models; ++k) {
                q[k] = 0;
                for (Index channel = 0; channel < c; ++channel) {
                    const auto slope = static_cast<double>(g(i, channel, r, s));
                    q[k] += slope * static_cast<double>(f(k, i, channel, r, s));
                    if (gf)
                        gf.put(gf.view(k, i, channel, r, s), static_cast<T>(a[k] * slope));
                }
                mean += a[k] * q[k];
            }
            for (Index k = 0; gl && k < models; ++k)
                gl.put(gl.view(k, i, r, s), static_cast<T>(a[k] * (q[k] - mean)));
        }
    });
}

TEMPER_INSTANTIATE(kernel::SpatialSoftmaxAggregate);

} // namespace temper::inline TEMPER_ABI
#endif
