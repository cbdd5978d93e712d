// SPDX-License-Identifier: BSL-1.0
#pragma once

// The head between a hidden state and what it is aligned with: linear layers with SiLU in between.
//
//   a_0 = x,  u_l = a_{l-1} W_l' + b_l,  a_l = silu(u_l) = u_l sigmoid(u_l),  y = u_L
//   pullback: g_L = gy,  gW_l = g_l' a_{l-1},  gb_l = sum_rows g_l,  g_{l-1} = (g_l W_l) silu'(u_{l-1})
//   silu'(u) = s (1 + u (1 - s)),  s = sigmoid(u)
//
// x [n, ..., h] (samples or tokens, the vectors last), y [n, ..., z]. Parameters as a list, tensors(w1, b1,
// w2, b2, w3, b3), W_l [out, in] as libtorch's Linear stores it, b_l [out]. REPA has three layers of width
// 2048 in between; any number will do, one of them is a linear projector. initialize(rng, parameters): W
// uniform within sqrt(6 / (in + out)) (Glorot), b zero.
// pullback computes the hidden layers anew: a third more products, and nothing to keep between the calls.
// Throws ShapeError, for parameters that do not fit each other as well.
// Yu et al., Representation alignment for generation: training diffusion transformers is easier than you
// think (2025).

#include <temper/core/component.hpp>
#include <temper/core/flatten.hpp>
#include <temper/core/random.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

struct RepaProjector {
    static constexpr std::string_view name = "RepaProjector";

    /// (x, parameters, into(y))
    template <class X, class P, class D>
    void forward(const X& x, const P& parameters, const D& y) const;
    /// (x, parameters, gy [, into(gx), into(tensors(gw1, gb1, ...))])
    template <class X, class P, class G, class... Rest>
    void pullback(const X& x, const P& parameters, const G& gy, const Rest&... rest) const;
    /// (rng, tensors(w1, b1, ...))
    template <BitGenerator R, TensorList P>
    void initialize(R& rng, const P& parameters) const;

    friend bool operator==(const RepaProjector&, const RepaProjector&) = default;

  private:
    /// The shape of y, after everything has been checked.
    template <class T>
    static AnyView<const T> checked(const Border<T>& border, const AnyView<const T>& x,
                                    std::span<const AnyView<const T>> parameters)
    {
        if (x.rank < 2)
            fail<ShapeError>(name, "x", joined({"has shape ", shape_text(x)}), "[n, ..., h]");
        if (parameters.size() < 2 || parameters.size() % 2 != 0)
            fail<ShapeError>(
                name, "parameters",
                joined({"has ", text(static_cast<Index>(parameters.size())), " tensors"}),
                "a weight and a bias for each layer");
        AnyView<const T> y = x;
        Index& width = y.extents[place(x.rank - 1)];
        for (std::size_t i = 0; i < parameters.size(); i += 2) {
            border.expect_shape("weight", parameters[i], {parameters[i].extent(0), width},
                                "with a column for each feature below");
            width = parameters[i].extent(0);
            border.expect_shape("bias", parameters[i + 1], {width}, "as weight has rows");
        }
        return y;
    }
};

namespace kernel {
template <class T>
struct RepaProjector {
    using Parameters = std::span<const AnyView<const T>>;
    static void forward(MatrixView<const T> x, Parameters parameters, const Destination<T, 2>& y);
    static void pullback(MatrixView<const T> x, Parameters parameters, MatrixView<const T> gy,
                         const Destination<T, 2>& gx, std::span<const AnyDestination<T>> g);

  private:
    static void linear(MatrixView<const T> a, const AnyView<const T>& w, const AnyView<const T>& b,
                       const Destination<T, 2>& u);
    static void silu(MatrixView<const T> u, MatrixView<T> a);
    static void pull_silu(MatrixView<const T> u, MatrixView<T> g);
};
} // namespace kernel

template <class X, class P, class D>
void RepaProjector::forward(const X& x, const P& parameters, const D& y) const
{
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("x", x);
    const auto ps = border.list("parameters", parameters);
    const auto like = checked(border, xs, ps);
    const auto to = border.sample_gradient("y", like, y);
    Flatten<T> flat(border);
    const int lead = xs.rank - 1;
    kernel::RepaProjector<T>::forward(flat.input(xs, lead), ps, flat.output(to, lead));
    flat.finish();
    border.finish();
}

template <class X, class P, class G, class... Rest>
void RepaProjector::pullback(const X& x, const P& parameters, const G& gy,
                             const Rest&... rest) const
{
    accept<2>(rest...);
    using T = KernelScalarOf<X, G>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("x", x);
    const auto ps = border.list("parameters", parameters);
    const auto g = border.sample_tensor("gy", gy);
    border.same_shape("gy", g, "y", checked(border, xs, ps));
    const auto gx = border.sample_gradient("x", xs, positional<0>(rest...));
    const auto gp = border.gradient("parameters", ps, positional<1>(rest...));
    Flatten<T> flat(border);
    const int lead = xs.rank - 1;
    const auto rows = flat.input(xs, lead);
    kernel::RepaProjector<T>::pullback(rows, ps, flat.input(g, lead), flat.output(gx, lead), gp);
    flat.finish();
    border.finish();
}

template <BitGenerator R, TensorList P>
void RepaProjector::initialize(R& rng, const P& parameters) const
{
    for (const auto& tensor : std::span(parameters)) {
        using T = std::remove_pointer_t<decltype(tensor.data)>;
        const double bound =
            tensor.rank == 2
                ? std::sqrt(6 / static_cast<double>(tensor.extent(0) + tensor.extent(1)))
                : 0;
        detail::each_entry(tensor, [&](T& entry, Index) {
            entry = bound == 0 ? T(0) : static_cast<T>(bound * (2 * uniform(rng) - 1));
        });
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/columns.hpp>
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::RepaProjector<T>::linear(MatrixView<const T> a, const AnyView<const T>& w,
                                      const AnyView<const T>& b, const Destination<T, 2>& u)
{
    linalg::product(u.view, u.scale, a, w.template as<2>().transposed(), u.adds() ? 1 : 0);
    const Destination<T, 2> onto{u.view, u.scale, Mode::add};
    (void)simd::sum_tiles<T>(simd::operands(u.view), 0, [&](const auto& tile) {
        tile.each([=, bias = b.template as<1>()](auto at) { at.put(onto, at(bias)); });
        return 0.0;
    });
}

template <class T>
void kernel::RepaProjector<T>::silu(MatrixView<const T> u, MatrixView<T> a)
{
    simd::map(simd::in(u), simd::out(Destination<T, 2>{a, 1, Mode::overwrite}),
              [](auto x, auto& y) { y = x / (decltype(x)(1) + exp(-x)); });
}

template <class T>
void kernel::RepaProjector<T>::pull_silu(MatrixView<const T> u, MatrixView<T> g)
{
    simd::map(simd::in(u, MatrixView<const T>(g)),
              simd::out(Destination<T, 2>{g, 1, Mode::overwrite}), [](auto x, auto up, auto& down) {
                  using V = decltype(x);
                  const V s = V(1) / (V(1) + exp(-x));
                  down = up * s * (V(1) + x * (V(1) - s));
              });
}

template <class T>
void kernel::RepaProjector<T>::forward(MatrixView<const T> x, Parameters parameters,
                                       const Destination<T, 2>& y)
{
    if (!y)
        return;
    Workspace::Frame frame;
    MatrixView<const T> a = x;
    for (std::size_t l = 0; l + 2 < parameters.size(); l += 2) {
        const auto u = frame.matrix<T>(x.rows(), parameters[l].extent(0));
        linear(a, parameters[l], parameters[l + 1], {u, 1, Mode::overwrite});
        silu(u, u);
        a = u;
    }
    linear(a, parameters[parameters.size() - 2], parameters.back(), y);
}

template <class T>
void kernel::RepaProjector<T>::pullback(MatrixView<const T> x, Parameters parameters,
                                        MatrixView<const T> gy, const Destination<T, 2>& gx,
                                        std::span<const AnyDestination<T>> g)
{
    Workspace::Frame frame;
    const std::size_t layers = parameters.size() / 2;
    auto* const before = frame.take<MatrixView<const T>>(static_cast<Index>(layers)); // u_l
    auto* const below = frame.take<MatrixView<const T>>(static_cast<Index>(layers));  // a_{l-1}
    below[0] = x;
    for (std::size_t l = 0; l + 1 < layers; ++l) {
        const auto u = frame.matrix<T>(x.rows(), parameters[2 * l].extent(0));
        const auto a = frame.matrix<T>(u.rows(), u.cols());
        linear(below[l], parameters[2 * l], parameters[2 * l + 1], {u, 1, Mode::overwrite});
        silu(u, a);
        before[l] = u;
        below[l + 1] = a;
    }
    MatrixView<const T> up = gy;
    for (std::size_t l = layers; l-- > 0;) {
        const auto w = parameters[2 * l].template as<2>();
        if (const auto gw = g[2 * l].template as<2>())
            linalg::product(gw.view, gw.scale, up.transposed(), below[l], gw.adds() ? 1 : 0);
        if (const auto gb = g[2 * l + 1].template as<1>()) {
            Workspace::Frame inner;
            auto* const sums = inner.take<double>(up.cols());
            simd::column_sum(std::array<const T*, 0>{}, std::array{up}, sums,
                             [](auto u) { return u; });
            for (Index j = 0; j < up.cols(); ++j)
                gb.put(gb.view(j), static_cast<T>(sums[j]));
        }
        if (l > 0) {
            const auto down = frame.matrix<T>(x.rows(), w.cols());
            linalg::product(down, 1, up, w, 0);
            pull_silu(before[l - 1], down);
            up = down;
        }
        else if (gx)
            linalg::product(gx.view, gx.scale, up, w, gx.adds() ? 1 : 0);
    }
}

TEMPER_INSTANTIATE(kernel::RepaProjector);

} // namespace temper::inline TEMPER_ABI
#endif
