// SPDX-License-Identifier: BSL-1.0
#pragma once

// Points on the arc between two latents, which keep the length that normal noise has.
//
//   y_k = (sin((1 - t_k) w) a + sin(t_k w) b) / sin(w),   w = acos(c),  c the cosine of a and b
//   y_k = (1 - t_k) a + t_k b                             where |c| > threshold: w is next to 0 or pi
//
// a, b [d], t [m], y [m, d]. a and b are not normalised; a vector of zeros has c = 0. No gradients: latents
// and times are data. Throws ShapeError.
// Shoemake, Animating rotation with quaternion curves (1985); Guo et al., Smooth diffusion: crafting smooth
// latent spaces in diffusion models (2024).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct Slerp {
    static constexpr std::string_view name = "Slerp";
    double threshold = 0.9995;

    /// (a, b, t, into(y))
    template <class A, class B, class S, class D>
    void forward(const A& a, const B& b, const S& t, const D& y) const;

    friend bool operator==(const Slerp&, const Slerp&) = default;
};

namespace kernel {
template <class T>
struct Slerp {
    static void run(double threshold, VectorView<const T> a, VectorView<const T> b,
                    VectorView<const T> t, const Destination<T, 2>& y);
};
} // namespace kernel

template <class A, class B, class S, class D>
void Slerp::forward(const A& a, const B& b, const S& t, const D& y) const
{
    using T = KernelScalarOf<A, B, S>;
    Border<T> border(name);
    const auto as = border.vector("a", a);
    const auto bs = border.vector("b", b);
    border.expect_shape("b", bs, {as.extents[0]}, "as a");
    const auto times = border.vector("t", t);
    const auto to = border.template output<2>("y", y, {times.extents[0], as.extents[0]});
    kernel::Slerp<T>::run(threshold, as, bs, times, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::Slerp<T>::run(double threshold, VectorView<const T> a, VectorView<const T> b,
                           VectorView<const T> t, const Destination<T, 2>& y)
{
    const Index d = a.extents[0];
    const auto of_a = simd::source<T>(a);
    const auto of_b = simd::source<T>(b);
    const double lengths =
        std::sqrt(simd::squared_norm(d, of_a)) * std::sqrt(simd::squared_norm(d, of_b));
    const double cosine = lengths == 0 ? 0 : simd::dot(d, of_a, of_b) / lengths;
    const bool straight = std::abs(cosine) > threshold || std::abs(cosine) >= 1;
    const double angle = straight ? 0 : std::acos(cosine);
    for (Index k = 0; k < t.extents[0]; ++k) {
        const auto time = static_cast<double>(t(k));
        const double to_a = straight ? 1 - time : std::sin((1 - time) * angle) / std::sin(angle);
        const double to_b = straight ? time : std::sin(time * angle) / std::sin(angle);
        simd::row_map(
            d, std::array{of_a, of_b}, std::array{simd::sink(y, k)},
            [u = static_cast<T>(to_a), v = static_cast<T>(to_b)](auto p, auto q, auto& out) {
                using V = decltype(p);
                out = V(u) * p + V(v) * q;
            });
    }
}

TEMPER_INSTANTIATE(kernel::Slerp);

} // namespace temper::inline TEMPER_ABI
#endif
