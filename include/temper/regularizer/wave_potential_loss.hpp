// SPDX-License-Identifier: BSL-1.0
#pragma once

// A potential u(z, t) whose gradient says how to move through a latent space: it obeys the wave equation,
// starts at rest, and moves the generator's output.
//
//   rest(grad_u)            mean (grad u at t = 0)^2
//   wave(u_tt, h, c)        mean over times, then entries, of (u_tt_i - c^2 h_i)^2
//   motion(jvp)             - mean jvp^2                    jvp = J grad u, J the generator's Jacobian
//   L = rest + wave + motion;   z <- z + grad_z u(z, t) is a step of the traversal
//
// The caller supplies the derivatives, and carries the gradients by them back to the potential's weights.
// grad_u [n, d]; u_tt [T]; c the speed, a number that may learn; jvp [n, m]; h [T, ...]: [T, n] the Laplacian
// of each sample, or [T, n, d], of which the published code takes the rows' sums of the Hessian (it
// differentiates sum(grad u), which is H 1, not the trace), with u_tt that of the batch's sum, one number per
// time. motion has no lower bound: give it a small weight, or clip.
// Gradients: 2 grad_u / N;  of e = u_tt - c^2 h, over N = the entries of h: 2/N sum e_i to u_tt_i, -2 c^2 e / N
// to h, -4 c / N sum e h to c;  -2 jvp / N. Nothing at all has mean 0. Throws ShapeError.
// Song et al., Latent traversals in generative models as potential flows (2023).

#include <temper/core/component.hpp>
#include <temper/core/flatten.hpp>

namespace temper::inline TEMPER_ABI {

struct WavePotentialLoss {
    static constexpr std::string_view name = "WavePotentialLoss";
    double w_rest = 1;
    double w_wave = 1;
    double w_motion = 1;

    /// (grad_u [, into(g)])
    template <class X, class... Rest>
    double rest(const X& grad_u, const Rest&... rest) const
    {
        return mean_square("grad_u", grad_u, 1, rest...);
    }
    /// (jvp [, into(g)])
    template <class X, class... Rest>
    double motion(const X& jvp, const Rest&... rest) const
    {
        return mean_square("jvp", jvp, -1, rest...);
    }
    /// (u_tt, h, c [, into(g_u_tt), into(g_h), into(g_c)]), c a number or a view of one
    template <class U, class H, class C, class... Rest>
    double wave(const U& u_tt, const H& h, const C& c, const Rest&... rest) const;
    /// All three with their weights:
    /// (grad_u, u_tt, h, c, jvp [, into(g_grad_u), into(g_u_tt), into(g_h), into(g_c), into(g_jvp)])
    template <class G, class U, class H, class C, class J, class... Rest>
    double operator()(const G& grad_u, const U& u_tt, const H& h, const C& c, const J& jvp,
                      const Rest&... rest) const
    {
        accept<5>(rest...);
        const auto part = [](const auto& destination, double weight) {
            return temper::detail::scaled_argument(destination, weight);
        };
        check(grad_u, u_tt, h, c, jvp, rest...);
        return w_rest * this->rest(grad_u, part(positional<0>(rest...), w_rest)) +
               w_wave * wave(u_tt, h, c, part(positional<1>(rest...), w_wave),
                             part(positional<2>(rest...), w_wave),
                             part(positional<3>(rest...), w_wave)) +
               w_motion * motion(jvp, part(positional<4>(rest...), w_motion));
    }
    friend bool operator==(const WavePotentialLoss&, const WavePotentialLoss&) = default;

  private:
    /// A plain number as the view of one.
    template <class C>
    static decltype(auto) number(const C& c)
    {
        if constexpr (std::is_arithmetic_v<C>) {
            AnyView<const C> v;
            v.data = &c;
            return v;
        }
        else
            return (c);
    }
    template <class X, class... Rest>
    static double mean_square(std::string_view what, const X& x, double sign, const Rest&... rest);
    template <class T>
    static void fits(const Border<T>& border, VectorView<const T> u, const AnyView<const T>& h)
    {
        if (h.rank == 0)
            fail<ShapeError>(name, "h", "is a number", "of shape [T, ...]");
        border.expect_shape("u_tt", u, {h.extent(0)}, "a number for each time of h");
    }
    /// Everything that can be wrong, before the first of the three parts writes.
    template <class G, class U, class H, class C, class J, class... Rest>
    static void check(const G& grad_u, const U& u_tt, const H& h, const C& c, const J& jvp,
                      const Rest&... rest)
    {
        using T = KernelScalarOf<G, U, H, decltype(number(c)), J>;
        Border<T> border(name);
        const auto x = border.tensor("grad_u", grad_u);
        const auto u = border.vector("u_tt", u_tt);
        const auto hs = border.tensor("h", h);
        const auto speed = border.tensor("c", number(c));
        const auto j = border.tensor("jvp", jvp);
        fits(border, u, hs);
        (void)border.gradient("grad_u", x, positional<0>(rest...));
        (void)border.gradient("u_tt", u, positional<1>(rest...));
        (void)border.gradient("h", hs, positional<2>(rest...));
        (void)border.gradient("c", speed, positional<3>(rest...));
        (void)border.gradient("jvp", j, positional<4>(rest...));
    }
};

namespace kernel {
template <class T>
struct WavePotentialLoss {
    static double mean_square(const AnyView<const T>& x, double factor, const AnyDestination<T>& g);
    static double wave(VectorView<const T> u, MatrixView<const T> h, double c,
                       const Destination<T, 1>& gu, const Destination<T, 2>& gh,
                       const AnyDestination<T>& gc);
};
} // namespace kernel

template <class X, class... Rest>
double WavePotentialLoss::mean_square(std::string_view what, const X& x, double sign,
                                      const Rest&... rest)
{
    accept<1>(rest...);
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.tensor(what, x);
    const auto g = border.gradient(what, xs, positional<0>(rest...));
    const double factor = xs.size() == 0 ? 0 : sign / static_cast<double>(xs.size());
    return border.finish(kernel::WavePotentialLoss<T>::mean_square(xs, factor, g));
}

template <class U, class H, class C, class... Rest>
double WavePotentialLoss::wave(const U& u_tt, const H& h, const C& c, const Rest&... rest) const
{
    accept<3>(rest...);
    using T = KernelScalarOf<U, H, decltype(number(c))>;
    Border<T> border(name);
    const auto u = border.vector("u_tt", u_tt);
    const auto hs = border.tensor("h", h);
    const auto speed = border.tensor("c", number(c));
    fits(border, u, hs);
    if (speed.size() != 1)
        fail<ShapeError>(name, "c", joined({"has shape ", shape_text(speed)}), "a number");
    const auto gu = border.gradient("u_tt", u, positional<0>(rest...));
    const auto gh = border.gradient("h", hs, positional<1>(rest...));
    const auto gc = border.gradient("c", speed, positional<2>(rest...));
    Flatten<T> flat(border);
    const double value = kernel::WavePotentialLoss<T>::wave(
        u, flat.input(hs, 1), static_cast<double>(*speed.data), gu, flat.output(gh, 1), gc);
    flat.finish();
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::WavePotentialLoss<T>::mean_square(const AnyView<const T>& x, double factor,
                                                 const AnyDestination<T>& g)
{
    if (!g)
        return factor * simd::map_sum(simd::in(x), simd::none<T>(), [](auto u) { return u * u; });
    const auto slope = static_cast<T>(2 * factor);
    return factor * simd::map_sum(simd::in(x), simd::out(g), [slope](auto u, auto& to) {
               to = decltype(u)(slope) * u;
               return u * u;
           });
}

template <class T>
double kernel::WavePotentialLoss<T>::wave(VectorView<const T> u, MatrixView<const T> h, double c,
                                          const Destination<T, 1>& gu, const Destination<T, 2>& gh,
                                          const AnyDestination<T>& gc)
{
    const double factor = h.size() == 0 ? 0 : 1 / static_cast<double>(h.size());
    const auto square = static_cast<T>(c * c);
    Workspace::Frame frame;
    auto* const of_rows = frame.take<double>(h.rows()); // sum e h, added in the rows' order below
    const double sum = simd::sum_tiles<T>(simd::operands(h, gh), 0, [&](const auto& tile) {
        auto level = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            level[i] = u(tile.row(i));
        const auto sums = tile.template sums<3>([=](auto at) {
            const auto e = at(level) - decltype(at(h))(square) * at(h);
            return std::array{e * e, e, e * at(h)};
        });
        double total = 0;
        for (Index i = 0; i < tile.rows(); ++i) {
            total += sums[0][i];
            of_rows[tile.row(i)] = sums[2][i];
            if (gu)
                gu.put(gu.view(tile.row(i)), static_cast<T>(2 * factor * sums[1][i]));
        }
        if (gh)
            tile.each([=, slope = static_cast<T>(-2 * factor * c * c)](auto at) {
                using V = decltype(at(h));
                at.put(gh, V(slope) * (at(level) - V(square) * at(h)));
            });
        return total;
    });
    if (gc) {
        double total = 0;
        for (Index i = 0; i < h.rows(); ++i)
            total += of_rows[i];
        const auto g = static_cast<T>(-4 * c * factor * total * gc.scale);
        *gc.view.data = gc.adds() ? *gc.view.data + g : g;
    }
    return factor * sum;
}

TEMPER_INSTANTIATE(kernel::WavePotentialLoss);

} // namespace temper::inline TEMPER_ABI
#endif
