// SPDX-License-Identifier: BSL-1.0
#pragma once

// Which blocks of a denoiser are computed at a step and which repeat what they gave at an earlier one: a
// learned router, soft while it is trained, hard when samples are made.
//
//   forward     y_l = q_l c_l + (1 - q_l) k_l            q_l = sigmoid(r_l)
//   pullback    gc_l = q_l gy_l,  gr_l = q_l (1 - q_l) <gy_l, c_l - k_l>
//   refresh     1 where q_l > threshold, else 0
//   advance     y_l = c_l where refreshed, else k_l: the output at inference, and the cache after the step
//
// logits r [L] of the step's row of the router, computed c and cached k [L, ...]; nothing comes back to the
// cache. The mix is by the sigmoid itself, not a straight-through 0 or 1. Training walks whole trajectories,
// each step from what the cached prediction made, so that errors add up as they will; the first step always
// refreshes (logit 5, frozen), and logits are clamped to [-5, 5] after each update. The objective is IepoLoss.
// At a threshold of 0.1 most blocks of an untrained router are computed. Throws ShapeError.
// Huang et al., HarmoniCa: Harmonizing Training and Inference for Better Feature Cache in Diffusion
// Transformer Acceleration (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct CacheRouter {
    static constexpr std::string_view name = "CacheRouter";
    double threshold = 0.1;

    /// (logits, computed, cached, into(mixed))
    template <class R, class C, class K, class D>
    void forward(const R& logits, const C& computed, const K& cached, const D& mixed) const;
    /// (logits, computed, cached, gy, into(g_logits), into(g_computed))
    template <class R, class C, class K, class G, class... Rest>
    void pullback(const R& logits, const C& computed, const K& cached, const G& upstream,
                  const Rest&... rest) const;
    /// (logits, into(refresh)), std::int64_t [L]
    template <class R, class D>
    void refresh(const R& logits, const D& out) const;
    /// (logits, computed, cached, into(output)); the output may be the cache itself.
    template <class R, class C, class K, class D>
    void advance(const R& logits, const C& computed, const K& cached, const D& out) const;
    /// Is a block of this logit computed?
    [[nodiscard]] bool refreshes(double logit) const
    {
        return 1 / (1 + std::exp(-logit)) > threshold;
    }

    friend bool operator==(const CacheRouter&, const CacheRouter&) = default;

  private:
    template <class T>
    struct Blocks {
        VectorView<const T> logits;
        AnyView<const T> computed, cached;
    };
    template <class T, class R, class C, class K>
    static Blocks<T> blocks(Border<T>& border, const R& logits, const C& computed, const K& cached)
    {
        Blocks<T> b{border.vector("logits", logits), border.tensor("computed", computed),
                    border.tensor("cached", cached)};
        border.same_shape("cached", b.cached, "computed", b.computed);
        if (b.computed.rank == 0)
            fail<ShapeError>(name, "computed", "is a number", "[blocks, ...]");
        border.expect_shape("logits", b.logits, {b.computed.extent(0)}, "a number for each block");
        return b;
    }
};

namespace kernel {
template <class T>
struct CacheRouter {
    /// y = q c + (1 - q) k for each block, q given.
    static void mix(const double* q, const AnyView<const T>& computed,
                    const AnyView<const T>& cached, const AnyDestination<T>& y);
    static void pullback(VectorView<const T> logits, const AnyView<const T>& computed,
                         const AnyView<const T>& cached, const AnyView<const T>& gy,
                         const Destination<T, 1>& g_logits, const AnyDestination<T>& g_computed);
};
} // namespace kernel

template <class R, class C, class K, class D>
void CacheRouter::forward(const R& logits, const C& computed, const K& cached, const D& mixed) const
{
    using T = KernelScalarOf<R, C, K>;
    Border<T> border(name);
    const auto b = blocks(border, logits, computed, cached);
    const auto to = border.gradient("mixed", b.computed, mixed);
    auto* const q = border.scratch().template take<double>(b.logits.extents[0]);
    for (Index l = 0; l < b.logits.extents[0]; ++l)
        q[l] = 1 / (1 + std::exp(-static_cast<double>(b.logits(l))));
    if (to)
        kernel::CacheRouter<T>::mix(q, b.computed, b.cached, to);
    border.finish();
}

template <class R, class C, class K, class G, class... Rest>
void CacheRouter::pullback(const R& logits, const C& computed, const K& cached, const G& upstream,
                           const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<R, C, K, G>;
    Border<T> border(name);
    const auto b = blocks(border, logits, computed, cached);
    const auto g = border.tensor("upstream", upstream);
    border.same_shape("upstream", g, "computed", b.computed);
    const auto g_logits = border.gradient("logits", b.logits, positional<0>(rest...));
    const auto g_computed = border.gradient("computed", b.computed, positional<1>(rest...));
    kernel::CacheRouter<T>::pullback(b.logits, b.computed, b.cached, g, g_logits, g_computed);
    border.finish();
}

template <class R, class D>
void CacheRouter::refresh(const R& logits, const D& out) const
{
    using T = KernelScalarOf<R>;
    Border<T> border(name);
    const auto r = border.vector("logits", logits);
    const auto to = border.integers("refresh", out, {r.extents[0]});
    for (Index l = 0; l < r.extents[0]; ++l)
        to.data[l * to.strides[0]] = refreshes(static_cast<double>(r(l))) ? 1 : 0;
}

template <class R, class C, class K, class D>
void CacheRouter::advance(const R& logits, const C& computed, const K& cached, const D& out) const
{
    using T = KernelScalarOf<R, C, K>;
    Border<T> border(name);
    const auto b = blocks(border, logits, computed, cached);
    const auto to = border.gradient("output", b.computed, out, InPlace::allowed);
    auto* const q = border.scratch().template take<double>(b.logits.extents[0]);
    for (Index l = 0; l < b.logits.extents[0]; ++l)
        q[l] = refreshes(static_cast<double>(b.logits(l))) ? 1 : 0;
    if (to)
        kernel::CacheRouter<T>::mix(q, b.computed, b.cached, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {
/// Block l of a tensor [blocks, ...], with an extent of 1 in front.
template <class S>
[[nodiscard]] AnyView<S> block_of(AnyView<S> v, Index l)
{
    v.data += l * v.strides[0];
    v.extents[0] = 1;
    return v;
}
template <class T>
[[nodiscard]] AnyDestination<T> block_of(AnyDestination<T> d, Index l)
{
    if (d)
        d.view = block_of(d.view, l);
    return d;
}
} // namespace detail

template <class T>
void kernel::CacheRouter<T>::mix(const double* q, const AnyView<const T>& computed,
                                 const AnyView<const T>& cached, const AnyDestination<T>& y)
{
    for (Index l = 0; l < computed.extent(0); ++l) {
        const auto c = detail::block_of(computed, l);
        const auto k = detail::block_of(cached, l);
        const auto to = detail::block_of(y, l);
        if (q[l] == 0 || q[l] == 1) // what is not taken counts for nothing, whatever is in it
            simd::map(simd::in(q[l] == 0 ? k : c), simd::out(to), [](auto x, auto& z) { z = x; });
        else
            simd::map(simd::in(c, k), simd::out(to), [share = q[l]](auto x, auto old, auto& z) {
                using V = decltype(x);
                z = fma(V(share), x - old, old);
            });
    }
}

template <class T>
void kernel::CacheRouter<T>::pullback(VectorView<const T> logits, const AnyView<const T>& computed,
                                      const AnyView<const T>& cached, const AnyView<const T>& gy,
                                      const Destination<T, 1>& g_logits,
                                      const AnyDestination<T>& g_computed)
{
    for (Index l = 0; l < computed.extent(0); ++l) {
        const double q = 1 / (1 + std::exp(-static_cast<double>(logits(l))));
        const double rest = 1 / (1 + std::exp(static_cast<double>(logits(l))));
        const double along = simd::map_sum(
            simd::in(detail::block_of(computed, l), detail::block_of(cached, l),
                     detail::block_of(gy, l)),
            simd::out(detail::block_of(g_computed, l)), [q](auto x, auto old, auto g, auto& to) {
                to = decltype(x)(q) * g;
                return g * (x - old);
            });
        if (g_logits)
            g_logits.put(g_logits.view(l), static_cast<T>(q * rest * along));
    }
}

TEMPER_INSTANTIATE(kernel::CacheRouter);

} // namespace temper::inline TEMPER_ABI
#endif
