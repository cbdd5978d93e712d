// SPDX-License-Identifier: BSL-1.0
#pragma once

// LeFT for convolutions: a frozen kernel modulated for a task by factors of low rank, with an activation in
// between.
//
//   M_aop = relu( sum_b O_ob X_abp + sum_q A_oq B_pq )        a, b < r, p a place of the window
//   N_ocp = sum_a I_ca M_aop
//   W'_ocp = W_ocp N_ocp + sum_q C_cq D_pq
//
// W [out, in, kh, kw], p over kh kw. factors: out = O [out, r], core = X [r, r, kh kw], add_out = A [out, q],
// add_place = B [kh kw, q], in = I [in, r], late_in = C [in, q'], late_place = D [kh kw, q']. Factors of the
// two sums that are left out add nothing; relu = false leaves the activation out. At a number of exactly 0 the
// activation sends nothing back. init makes N = 1: O, X and I are r^(-2/3), A = 0, C = 0, and B and D, which
// the published code starts at 0 where nothing of either pair ever gets a gradient, normal with deviation
// `additive`. Throws ShapeError.
// Seo et al., LFS-GAN: Lifelong Few-Shot Image Generation (2023).

#include <temper/core/component.hpp>
#include <temper/core/random.hpp>

namespace temper::inline TEMPER_ABI {

struct LeftModulationConv {
    static constexpr std::string_view name = "LeftModulationConv";
    bool relu = true;
    double additive = 0.01;

    template <class T>
    struct Factors {
        MatrixView<const T> out{};
        View<const T, 3> core{};
        MatrixView<const T> add_out{}, add_place{}, in{}, late_in{}, late_place{};
    };
    template <class T>
    struct Gradients {
        Into<T> out{.mode = Mode::discard}, core{.mode = Mode::discard};
        Into<T> add_out{.mode = Mode::discard}, add_place{.mode = Mode::discard};
        Into<T> in{.mode = Mode::discard};
        Into<T> late_in{.mode = Mode::discard}, late_place{.mode = Mode::discard};
    };

    /// (W, factors, into(W'))
    template <class W, class T, class D>
    void forward(const W& weight, const Factors<T>& factors, const D& modulated) const;
    /// (W, factors, G, gradients), G the gradient of W'
    template <class W, class T, class G>
    void pullback(const W& weight, const Factors<T>& factors, const G& upstream,
                  const Gradients<T>& out) const;
    /// Writes factors to start from.
    template <BitGenerator R, class T>
    void init(R& rng, const Gradients<T>& out) const;

    friend bool operator==(const LeftModulationConv&, const LeftModulationConv&) = default;

  private:
    template <class T>
    static Factors<T> announced(Border<T>& border, const AnyView<const T>& w, const Factors<T>& f)
    {
        if (w.rank != 4)
            fail<ShapeError>(name, "weight", joined({"has shape ", shape_text(w)}),
                             "[out, in, height, width]");
        const Index places = w.extent(2) * w.extent(3);
        const Index r = f.out.cols();
        const auto core = border.tensor("core", f.core);
        Factors<T> seen{border.matrix("out", f.out),
                        f.core,
                        border.matrix("add_out", f.add_out),
                        border.matrix("add_place", f.add_place),
                        border.matrix("in", f.in),
                        border.matrix("late_in", f.late_in),
                        border.matrix("late_place", f.late_place)};
        border.expect_shape("out", seen.out, {w.extent(0), r}, "as weight has outputs");
        border.expect_shape("core", core, {r, r, places}, "twice the rank and the places");
        border.expect_shape("in", seen.in, {w.extent(1), r}, "as weight has inputs and out has");
        const auto pair = [&](std::string_view what, const auto& of, Index rows,
                              std::string_view of_place, const auto& place) {
            if (of.data == nullptr && place.data == nullptr)
                return;
            border.expect_shape(what, of, {rows, of.cols()}, "as weight has channels");
            border.expect_shape(of_place, place, {places, of.cols()}, "as weight has places");
        };
        pair("add_out", seen.add_out, w.extent(0), "add_place", seen.add_place);
        pair("late_in", seen.late_in, w.extent(1), "late_place", seen.late_place);
        return seen;
    }
};

namespace kernel {
template <class T>
struct LeftModulationConv {
    using Factors = temper::LeftModulationConv::Factors<T>;
    struct Gradients {
        AnyDestination<T> out, core, add_out, add_place, in, late_in, late_place;
    };
    static void forward(bool relu, const AnyView<const T>& w, const Factors& f,
                        const AnyDestination<T>& to);
    static void pullback(bool relu, const AnyView<const T>& w, const Factors& f,
                         const AnyView<const T>& g, const Gradients& to);
};
} // namespace kernel

template <class W, class T, class D>
void LeftModulationConv::forward(const W& weight, const Factors<T>& factors,
                                 const D& modulated) const
{
    static_assert(std::is_same_v<KernelScalarOf<W>, T>,
                  "temper: all inputs of a call have one scalar type");
    Border<T> border(name);
    const auto w = border.tensor("weight", weight);
    const auto f = announced(border, w, factors);
    const auto to = border.gradient("modulated", w, modulated);
    if (to)
        kernel::LeftModulationConv<T>::forward(relu, w, f, to);
    border.finish();
}

template <class W, class T, class G>
void LeftModulationConv::pullback(const W& weight, const Factors<T>& factors, const G& upstream,
                                  const Gradients<T>& out) const
{
    static_assert(std::is_same_v<KernelScalarOf<W, G>, T>,
                  "temper: all inputs of a call have one scalar type");
    Border<T> border(name);
    const auto w = border.tensor("weight", weight);
    const auto f = announced(border, w, factors);
    const auto g = border.tensor("upstream", upstream);
    border.same_shape("upstream", g, "weight", w);
    const auto to = [&](std::string_view what, const auto& like,
                        const Into<T>& d) -> AnyDestination<T> {
        if (d.mode == Mode::discard)
            return {};
        return border.gradient(what, AnyView<const T>(like), d);
    };
    kernel::LeftModulationConv<T>::pullback(
        relu, w, f, g,
        {to("out", f.out, out.out), to("core", f.core, out.core),
         to("add_out", f.add_out, out.add_out), to("add_place", f.add_place, out.add_place),
         to("in", f.in, out.in), to("late_in", f.late_in, out.late_in),
         to("late_place", f.late_place, out.late_place)});
    border.finish();
}

template <BitGenerator R, class T>
void LeftModulationConv::init(R& rng, const Gradients<T>& out) const
{
    Border<T> border(name);
    const double rank = static_cast<double>((std::max)(out.out.view.extent(1), Index{1}));
    const double share = std::pow(rank, -2.0 / 3);
    const auto fill = [&](std::string_view what, const Into<T>& to, const auto& number) {
        if (to.mode == Mode::discard)
            return;
        const auto d = border.gradient(what, AnyView<const T>(to.view), to);
        Index index[3];
        for (index[0] = 0; index[0] < d.view.extent(0); ++index[0])
            for (index[1] = 0; index[1] < d.view.extent(1); ++index[1])
                for (index[2] = 0; index[2] < d.view.extent(2); ++index[2]) {
                    T& entry =
                        d.view.data[index[0] * d.view.stride(0) + index[1] * d.view.stride(1) +
                                    index[2] * d.view.stride(2)];
                    entry = static_cast<T>(number());
                }
    };
    const auto constant = [&](double x) { return [x] { return x; }; };
    const auto noise = [&] { return additive * normal(rng); };
    fill("out", out.out, constant(share));
    fill("core", out.core, constant(share));
    fill("in", out.in, constant(share));
    fill("add_out", out.add_out, constant(0));
    fill("add_place", out.add_place, noise);
    fill("late_in", out.late_in, constant(0));
    fill("late_place", out.late_place, noise);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// What the convolution's modulation makes on its way, dense: first [r, out, places], second
/// [out, in, places].
template <class T>
struct LeftModulation {
    Index outputs, inputs, places, rank;
    T* first;
    T* second;

    template <class Factors>
    LeftModulation(Workspace::Frame& frame, bool relu, const AnyView<const T>& w, const Factors& f)
        : outputs(w.extent(0)), inputs(w.extent(1)), places(w.extent(2) * w.extent(3)),
          rank(f.out.cols()), first(frame.take<T>(rank * outputs * places)),
          second(frame.take<T>(outputs * inputs * places))
    {
        for (Index a = 0; a < rank; ++a) {
            const MatrixView<T> m = of_rank(first, a);
            linalg::product(m, 1, f.out, core(f, a), 0);
            if (f.add_out.cols() > 0)
                linalg::product(m, 1, f.add_out, f.add_place.transposed(), 1);
            if (relu)
                simd::map(simd::in(MatrixView<const T>(m)),
                          simd::out(Destination<T, 2>{m, 1, Mode::overwrite}), [](auto x, auto& y) {
                              using V = decltype(x);
                              y = select(x < V(0), V(0), x);
                          });
        }
        for (Index o = 0; o < outputs; ++o)
            linalg::product(of_output(second, o), 1, f.in, of_output_by_rank(first, o), 0);
    }
    template <class Factors>
    static MatrixView<const T> core(const Factors& f, Index a)
    {
        const auto& x = f.core;
        return {
            x.data + a * x.strides[0], {x.extents[1], x.extents[2]}, {x.strides[1], x.strides[2]}};
    }
    /// [out, places] of one a, [in, places] of one o, [r, places] of one o.
    [[nodiscard]] MatrixView<T> of_rank(T* p, Index a) const
    {
        return {p + a * outputs * places, {outputs, places}, {places, 1}};
    }
    [[nodiscard]] MatrixView<T> of_output(T* p, Index o) const
    {
        return {p + o * inputs * places, {inputs, places}, {places, 1}};
    }
    [[nodiscard]] MatrixView<T> of_output_by_rank(T* p, Index o) const
    {
        return {p + o * places, {rank, places}, {outputs * places, 1}};
    }
    /// Dense numbers in the shape of the kernel.
    [[nodiscard]] AnyView<T> like(T* p, const AnyView<const T>& w) const
    {
        AnyView<T> v;
        v.data = p;
        v.rank = 4;
        v.extents = w.extents;
        v.strides = {inputs * places, places, w.extent(3), 1, 0, 0};
        return v;
    }
};

} // namespace detail

template <class T>
void kernel::LeftModulationConv<T>::forward(bool relu, const AnyView<const T>& w, const Factors& f,
                                            const AnyDestination<T>& to)
{
    Workspace::Frame frame;
    const detail::LeftModulation<T> m(frame, relu, w, f);
    const AnyView<T> whole = m.like(m.second, w);
    simd::map(simd::in(w, AnyView<const T>(whole)),
              simd::out(AnyDestination<T>{whole, 1, Mode::overwrite}),
              [](auto x, auto n, auto& y) { y = x * n; });
    for (Index o = 0; f.late_in.cols() > 0 && o < m.outputs; ++o)
        linalg::product(m.of_output(m.second, o), 1, f.late_in, f.late_place.transposed(), 1);
    simd::map(simd::in(AnyView<const T>(whole)), simd::out(to), [](auto x, auto& y) { y = x; });
}

template <class T>
void kernel::LeftModulationConv<T>::pullback(bool relu, const AnyView<const T>& w, const Factors& f,
                                             const AnyView<const T>& g, const Gradients& to)
{
    using View2 = MatrixView<T>;
    Workspace::Frame frame;
    const detail::LeftModulation<T> m(frame, relu, w, f);
    const auto zeros = [&](Index rows, Index cols) -> View2 {
        return {frame.take_zeros<T>(rows * cols), {rows, cols}, {(std::max)(cols, Index{1}), 1}};
    };
    // A product, or nothing, through a destination.
    const auto put = [](const AnyDestination<T>& d, const auto& a, const auto& b) {
        if (d)
            linalg::product(d.view.template as<2>(), d.scale, a, b, d.adds() ? 1 : 0);
    };
    // G summed over outputs is what comes to the late sum; G o W is what comes to the modulation.
    T* const by_second = m.second; // no longer needed
    const View2 late = zeros(m.inputs, m.places);
    const AnyView<T> dense_g = m.like(by_second, w);
    simd::map(simd::in(g), simd::out(AnyDestination<T>{dense_g, 1, Mode::overwrite}),
              [](auto x, auto& y) { y = x; });
    const auto add = [](const View2& from, const View2& sum) {
        simd::map(simd::in(MatrixView<const T>(from)),
                  simd::out(Destination<T, 2>{sum, 1, Mode::add}), [](auto x, auto& y) { y = x; });
    };
    for (Index o = 0; o < m.outputs; ++o)
        add(m.of_output(by_second, o), late);
    put(to.late_in, late, f.late_place);
    put(to.late_place, late.transposed(), f.late_in);
    simd::map(simd::in(w, AnyView<const T>(dense_g)),
              simd::out(AnyDestination<T>{dense_g, 1, Mode::overwrite}),
              [](auto x, auto y, auto& z) { z = x * y; });

    T* const by_first = frame.take<T>(m.rank * m.outputs * m.places);
    const View2 of_in = zeros(m.inputs, m.rank);
    for (Index o = 0; o < m.outputs; ++o) {
        const View2 h = m.of_output(by_second, o);
        linalg::product(of_in, 1, h, m.of_output_by_rank(m.first, o).transposed(), 1);
        linalg::product(m.of_output_by_rank(by_first, o), 1, f.in.transposed(), h, 0);
    }
    const View2 early = zeros(m.outputs, m.places);
    const View2 of_out = zeros(m.outputs, m.rank);
    for (Index a = 0; a < m.rank; ++a) {
        const View2 h = m.of_rank(by_first, a);
        if (relu)
            simd::map(simd::in(MatrixView<const T>(h), MatrixView<const T>(m.of_rank(m.first, a))),
                      simd::out(Destination<T, 2>{h, 1, Mode::overwrite}),
                      [](auto x, auto alive, auto& y) {
                          using V = decltype(x);
                          y = select(alive == V(0), V(0), x);
                      });
        add(h, early);
        linalg::product(of_out, 1, h, m.core(f, a).transposed(), 1);
        if (to.core) {
            const auto& v = to.core.view;
            const View2 slice{
                v.data + a * v.stride(0), {v.extent(1), v.extent(2)}, {v.stride(1), v.stride(2)}};
            linalg::product(slice, to.core.scale, f.out.transposed(), h, to.core.adds() ? 1 : 0);
        }
    }
    const auto copy = [](const View2& from, const AnyDestination<T>& d) {
        if (d)
            simd::map(simd::in(MatrixView<const T>(from)), simd::out(d),
                      [](auto x, auto& y) { y = x; });
    };
    copy(of_in, to.in);
    copy(of_out, to.out);
    put(to.add_out, early, f.add_place);
    put(to.add_place, early.transposed(), f.add_out);
}

TEMPER_INSTANTIATE(kernel::LeftModulationConv);

} // namespace temper::inline TEMPER_ABI
#endif
