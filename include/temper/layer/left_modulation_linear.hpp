// SPDX-License-Identifier: BSL-1.0
#pragma once

// LeFT: the weight of a linear layer, frozen, modulated for a task by a few numbers, of low rank, that
// multiply it and that are added to it.
//
//   forward     W' = W o (O I') + A B'                            o entry by entry
//   pullback    gO = (G o W) I,  gI = (G o W)' O,  gA = G B,  gB = G' A
//
// W [out, in] as stored; factors out = O [out, r], in = I [in, r], add_out = A [out, q], add_in = B [in, q];
// without A and B nothing is added. G the gradient of W'. init makes O I' = 1: O and I are 1 / sqrt(r), and
// A = 0. The published code also starts B at 0, where neither A nor B ever gets a gradient; here B is normal
// with deviation `additive`. Rank 1 is the paper's. A task is left by using W itself. Throws ShapeError.
// Seo et al., LFS-GAN: Lifelong Few-Shot Image Generation (2023).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

namespace temper::inline TEMPER_ABI {

struct LeftModulationLinear {
    static constexpr std::string_view name = "LeftModulationLinear";
    double additive = 0.01;

    template <class T>
    struct Factors {
        MatrixView<const T> out{}, in{}, add_out{}, add_in{};
    };
    template <class T>
    struct Gradients {
        Into<T> out{.mode = Mode::discard}, in{.mode = Mode::discard};
        Into<T> add_out{.mode = Mode::discard}, add_in{.mode = Mode::discard};
    };

    /// (W, factors, into(W'))
    template <class W, class T, class D>
    void forward(const W& weight, const Factors<T>& factors, const D& modulated) const;
    /// (W, factors, G, gradients)
    template <class W, class T, class G>
    void pullback(const W& weight, const Factors<T>& factors, const G& upstream,
                  const Gradients<T>& out) const;
    /// Writes factors to start from.
    template <BitGenerator R, class T>
    void init(R& rng, const Gradients<T>& out) const;

    friend bool operator==(const LeftModulationLinear&, const LeftModulationLinear&) = default;

  private:
    template <class T>
    static Factors<T> announced(Border<T>& border, MatrixView<const T> w, const Factors<T>& f)
    {
        Factors<T> seen{border.matrix("out", f.out), border.matrix("in", f.in),
                        border.matrix("add_out", f.add_out), border.matrix("add_in", f.add_in)};
        border.expect_shape("out", seen.out, {w.rows(), f.out.cols()}, "as weight has rows");
        border.expect_shape("in", seen.in, {w.cols(), f.out.cols()},
                            "as weight has columns and out has");
        if (f.add_out.data != nullptr || f.add_in.data != nullptr) {
            border.expect_shape("add_out", seen.add_out, {w.rows(), f.add_out.cols()},
                                "as weight has rows");
            border.expect_shape("add_in", seen.add_in, {w.cols(), f.add_out.cols()},
                                "as weight has columns and add_out has");
        }
        return seen;
    }
};

namespace kernel {
template <class T>
struct LeftModulationLinear {
    using Factors = temper::LeftModulationLinear::Factors<T>;
    struct Gradients {
        Destination<T, 2> out, in, add_out, add_in;
    };
    static void forward(MatrixView<const T> w, const Factors& f, const Destination<T, 2>& to);
    static void pullback(MatrixView<const T> w, const Factors& f, MatrixView<const T> g,
                         const Gradients& to);
};
} // namespace kernel

template <class W, class T, class D>
void LeftModulationLinear::forward(const W& weight, const Factors<T>& factors,
                                   const D& modulated) const
{
    static_assert(std::is_same_v<KernelScalarOf<W>, T>,
                  "temper: all inputs of a call have one scalar type");
    Border<T> border(name);
    const auto w = border.matrix("weight", weight);
    const auto f = announced(border, w, factors);
    const auto to = border.stored_gradient("modulated", w, modulated);
    if (to)
        kernel::LeftModulationLinear<T>::forward(w, f, to);
    border.finish();
}

template <class W, class T, class G>
void LeftModulationLinear::pullback(const W& weight, const Factors<T>& factors, const G& upstream,
                                    const Gradients<T>& out) const
{
    static_assert(std::is_same_v<KernelScalarOf<W, G>, T>,
                  "temper: all inputs of a call have one scalar type");
    Border<T> border(name);
    const auto w = border.matrix("weight", weight);
    const auto f = announced(border, w, factors);
    const auto g = border.matrix("upstream", upstream);
    border.same_shape("upstream", g, "weight", w);
    const auto destination = [&](std::string_view what, MatrixView<const T> like,
                                 const Into<T>& to) -> Destination<T, 2> {
        if (to.mode == Mode::discard)
            return {};
        return border.stored_gradient(what, like, to);
    };
    kernel::LeftModulationLinear<T>::pullback(w, f, g,
                                              {destination("out", f.out, out.out),
                                               destination("in", f.in, out.in),
                                               destination("add_out", f.add_out, out.add_out),
                                               destination("add_in", f.add_in, out.add_in)});
    border.finish();
}

template <BitGenerator R, class T>
void LeftModulationLinear::init(R& rng, const Gradients<T>& out) const
{
    Border<T> border(name);
    const auto fill = [&](std::string_view what, const Into<T>& to, const auto& number) {
        if (to.mode == Mode::discard)
            return;
        const auto d = border.template output<2>(what, to, {to.view.extent(0), to.view.extent(1)});
        for (Index i = 0; i < d.view.rows(); ++i)
            for (Index j = 0; j < d.view.cols(); ++j)
                d.put(d.view(i, j), static_cast<T>(number(static_cast<double>(d.view.cols()))));
    };
    fill("out", out.out, [](double r) { return 1 / std::sqrt(r); });
    fill("in", out.in, [](double r) { return 1 / std::sqrt(r); });
    fill("add_out", out.add_out, [](double) { return 0.0; });
    fill("add_in", out.add_in, [&](double) { return additive * normal(rng); });
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::LeftModulationLinear<T>::forward(MatrixView<const T> w, const Factors& f,
                                              const Destination<T, 2>& to)
{
    Workspace::Frame frame;
    const MatrixView<T> p = frame.matrix_like(w);
    linalg::product(p, 1, f.out, f.in.transposed(), 0);
    simd::map(simd::in(w, MatrixView<const T>(p)),
              simd::out(Destination<T, 2>{p, 1, Mode::overwrite}),
              [](auto x, auto m, auto& y) { y = x * m; });
    if (f.add_out.cols() > 0)
        linalg::product(p, 1, f.add_out, f.add_in.transposed(), 1);
    simd::map(simd::in(MatrixView<const T>(p)), simd::out(to), [](auto x, auto& y) { y = x; });
}

template <class T>
void kernel::LeftModulationLinear<T>::pullback(MatrixView<const T> w, const Factors& f,
                                               MatrixView<const T> g, const Gradients& to)
{
    Workspace::Frame frame;
    const MatrixView<T> h = frame.matrix_like(w);
    simd::map(simd::in(w, g), simd::out(Destination<T, 2>{h, 1, Mode::overwrite}),
              [](auto x, auto y, auto& z) { z = x * y; });
    const auto put = [](const Destination<T, 2>& d, MatrixView<const T> a, MatrixView<const T> b) {
        if (d)
            linalg::product(d.view, d.scale, a, b, d.adds() ? 1 : 0);
    };
    put(to.out, h, f.in);
    put(to.in, MatrixView<const T>(h).transposed(), f.out);
    put(to.add_out, g, f.add_in);
    put(to.add_in, g.transposed(), f.add_out);
}

TEMPER_INSTANTIATE(kernel::LeftModulationLinear);

} // namespace temper::inline TEMPER_ABI
#endif
