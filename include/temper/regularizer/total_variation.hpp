// SPDX-License-Identifier: BSL-1.0
#pragma once

// Total variation of signals, images and volumes: neighbours shall be equal, but for a few edges.
//
//   D_a x = the difference to the next entry along spatial axis a; 0 where there is none
//   isotropic     L = f sum_p sqrt(sum_a (D_a x)_p^2 + epsilon)          p over all entries
//   anisotropic   L = f sum_p sum_a sqrt((D_a x)_p^2 + epsilon)          |D_a x| for epsilon = 0
//   squared       L = f sum_p sum_a (D_a x)_p^2
//   dL/dx = f sum_a D_a' v_a,   v_a the derivative of what is summed by D_a x, (D_a' v)_p = v_{p-a} - v_p
//   f = 1 / n     mean over samples
//       1         MeanOver::nothing
//       1 / size  mean over entries
//
// x [n, ..., spatial axes]: the last `axes` of its axes, 1 to 3, are space; there may be none before them,
// and then it is one image and n = 1. epsilon is in the root of every entry, also of those at the far
// borders: a constant image has f size sqrt(epsilon), times the number of axes if anisotropic. With
// epsilon = 0 no difference has derivative 0; differences whose square T cannot hold count as none.
// An empty tensor has value 0. Throws ShapeError for fewer axes than `axes`; RangeError for `axes` other
// than 1, 2 or 3 and for a negative epsilon.
// Rudin, Osher and Fatemi, Nonlinear total variation based noise removal algorithms (1992).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

enum class VariationForm { isotropic, anisotropic, squared };

struct TotalVariation {
    static constexpr std::string_view name = "TotalVariation";
    VariationForm form = VariationForm::isotropic;
    double epsilon = 1e-8;
    Index axes = 2;
    MeanOver mean_over = MeanOver::samples;

    /// (x [, into(gx)])
    template <class X, class... Rest>
    double operator()(const X& x, const Rest&... rest) const;

    friend bool operator==(const TotalVariation&, const TotalVariation&) = default;
};

namespace kernel {
template <class T>
struct TotalVariation {
    static double run(const temper::TotalVariation& how, double scale, const AnyView<const T>& x,
                      const AnyDestination<T>& gx);
    template <class Form, int axes>
    static double images(double epsilon, double scale, const AnyView<const T>& x,
                         const AnyDestination<T>& gx);
};
} // namespace kernel

template <class X, class... Rest>
double TotalVariation::operator()(const X& x, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    border.require(axes >= 1 && axes <= 3, "axes", static_cast<double>(axes), "1, 2 or 3");
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto v = border.tensor("x", x);
    if (v.rank < axes)
        fail<ShapeError>(name, "x", joined({"has shape ", shape_text(v)}),
                         joined({"of rank ", text(axes), " at least"}));
    const auto gx = border.gradient("x", v, positional<0>(rest...));
    const Index n = v.rank > axes ? v.extent(0) : 1;
    const auto count = static_cast<double>(mean_over == MeanOver::samples   ? n
                                           : mean_over == MeanOver::entries ? v.size()
                                                                            : 1);
    return border.finish(v.size() == 0 ? 0
                                       : kernel::TotalVariation<T>::run(*this, 1 / count, v, gx));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

#include <tuple>

namespace temper::inline TEMPER_ABI {

namespace detail {

/// What is summed of the differences of an entry; they become its derivatives.
struct Isotropic {
    template <class V, std::size_t S>
    static V of(std::array<V, S>& d, V epsilon)
    {
        using namespace math;
        V sum = epsilon;
        for (const V each : d)
            sum = fma(each, each, sum);
        const V root = sqrt(sum);
        const V inverse = select(root == V(0), V(0), V(1) / root);
        for (V& each : d)
            each = each * inverse;
        return root;
    }
};
template <class Of>
struct EachAxis {
    template <class V, std::size_t S>
    static V of(std::array<V, S>& d, V epsilon)
    {
        V sum(0);
        for (V& each : d)
            sum += Of::of(each, epsilon);
        return sum;
    }
};
struct Magnitude {
    template <class V>
    static V of(V& d, V)
    {
        using namespace math;
        const V value = abs(d);
        d = sign(d);
        return value;
    }
};
struct SmoothMagnitude {
    template <class V>
    static V of(V& d, V epsilon)
    {
        using namespace math;
        const V value = sqrt(fma(d, d, epsilon));
        d = d / value;
        return value;
    }
};
struct Square {
    template <class V>
    static V of(V& d, V)
    {
        const V value = d * d;
        d = d + d;
        return value;
    }
};

/// f(a) for each axis, a number that the compiler knows.
template <std::size_t S, class F>
void each_axis(const F& f)
{
    [&]<std::size_t... a>(std::index_sequence<a...>) {
        (f(std::integral_constant<std::size_t, a>{}), ...);
    }(std::make_index_sequence<S>{});
}

/// The last S axes, those of longer strides first, so that lines are dense whatever the storage order.
template <std::size_t S, class T>
std::array<int, S> spatial_axes(const AnyView<const T>& x)
{
    std::array<int, S> order{};
    for (std::size_t a = 0; a < S; ++a) {
        const int axis = x.rank - static_cast<int>(S - a);
        std::size_t at = a;
        for (; at > 0 && std::abs(x.stride(order[at - 1])) < std::abs(x.stride(axis)); --at)
            order[at] = order[at - 1];
        order[at] = axis;
    }
    return order;
}

/// Where an image begins, if the first `axes` axes count images.
template <class V>
Index image_offset(const V& v, int axes, Index image)
{
    Index sum = 0;
    for (int a = axes; a-- > 0; image /= v.extent(a))
        sum += image % v.extent(a) * v.stride(a);
    return sum;
}

} // namespace detail

template <class T>
template <class Form, int axes>
double kernel::TotalVariation<T>::images(double epsilon, double scale, const AnyView<const T>& x,
                                         const AnyDestination<T>& gx)
{
    constexpr auto S = static_cast<std::size_t>(axes);
    constexpr std::size_t inner = S - 1;
    const auto order = detail::spatial_axes<S>(x);
    const int outer = x.rank - axes;
    std::array<Index, S> n{}, step{}, g_step{};
    Index size = 1;
    for (std::size_t a = 0; a < S; ++a) {
        n[a] = x.extent(order[a]);
        step[a] = x.stride(order[a]);
        g_step[a] = gx.view.stride(order[a]);
        size *= n[a];
    }
    // An image is cut along its first axis into parts; each repeats the slab of lines before its first.
    const Index width = n[inner];
    const Index lines = axes == 3 ? n[1] : 1;
    const Index slabs = axes == 1 ? 1 : n[0];
    const Blocks parts{slabs, (std::max)(Index{8}, Index{65536} / (lines * width))};
    const Blocks all{x.size() / size * parts.count(), (std::max)(Index{1}, Index{16384} / size)};

    // Rooms for the derivatives along each axis, at this line and at the one before it on that axis.
    const Index room = (width + 31) / 16 * 16;
    const Index rooms = 3 + 2 * lines;
    Workspace::Frame frame;
    const simd::Slices<T> memory(frame, x.size(), room * rooms);

    const auto part = [&](Index image, Index first, Index last) {
        T* const scratch = memory.mine();
        std::fill_n(scratch, room * rooms, T(0));
        double total = 0;
        for (Index slab = gx && first > 0 ? first - 1 : first; slab < last; ++slab)
            for (Index line = 0; line < lines; ++line) {
                std::array<Index, S> at{};
                std::array<T*, S> v{}, before{};
                if constexpr (axes >= 2) {
                    at[0] = slab;
                    v[0] = scratch + room * (3 + 2 * line + slab % 2);
                    before[0] = scratch + room * (3 + 2 * line + (slab + 1) % 2);
                }
                if constexpr (axes == 3) {
                    at[1] = line;
                    v[1] = scratch + room * (1 + line % 2);
                    before[1] = scratch + room * (1 + (line + 1) % 2);
                    if (line == 0)
                        std::fill_n(before[1], width, T(0));
                }
                v[inner] = scratch + 16; // where a 0 is before it
                before[inner] = v[inner] - 1;

                const T* p = x.data + detail::image_offset(x, outer, image);
                for (std::size_t a = 0; a < inner; ++a)
                    p += at[a] * step[a];
                std::array<simd::Source<T>, S + 1>
                    entries; // of the line, and next to it on each axis
                std::array<simd::Sink<T>, S> derivatives;
                entries[0] = {p, step[inner]};
                for (std::size_t a = 0; a < S; ++a) {
                    const bool is_last = a != inner && at[a] + 1 == n[a];
                    entries[a + 1] = {is_last ? p : p + step[a], step[inner]};
                    derivatives[a] = gx ? simd::sink(v[a]) : simd::Sink<T>{};
                }
                double sum = simd::row_sum(width - 1, entries, derivatives, [=](auto&... values) {
                    const auto each = std::tie(values...);
                    using V = simd::Pack<T>;
                    std::array<V, S> d;
                    detail::each_axis<S>(
                        [&](auto a) { d[a] = std::get<a + 1>(each) - std::get<0>(each); });
                    const V value = Form::of(d, V(epsilon));
                    detail::each_axis<S>([&](auto a) { std::get<a + S + 1>(each) = d[a]; });
                    return value;
                });
                std::array<T, S> d{};
                const Index end = (width - 1) * step[inner];
                for (std::size_t a = 0; a < inner; ++a)
                    d[a] = entries[a + 1].p[end] - p[end];
                sum += static_cast<double>(Form::of(d, static_cast<T>(epsilon)));
                total += slab < first ? 0 : sum;
                if (!gx)
                    continue;
                for (std::size_t a = 0; a < S; ++a)
                    v[a][width - 1] = d[a];
                if (slab < first)
                    continue;

                T* g = gx.view.data + detail::image_offset(gx.view, outer, image);
                for (std::size_t a = 0; a < inner; ++a)
                    g += at[a] * g_step[a];
                std::array<simd::Source<T>, 2 * S> pairs;
                for (std::size_t a = 0; a < S; ++a) {
                    pairs[2 * a] = simd::source<T>(before[a]);
                    pairs[2 * a + 1] = simd::source<T>(v[a]);
                }
                const std::array to{
                    simd::Sink<T>{g, g_step[inner], static_cast<T>(gx.scale * scale), gx.mode}};
                simd::row_map(width, pairs, to, [=](auto&... values) {
                    const auto each = std::tie(values...);
                    simd::Pack<T> slope(0);
                    detail::each_axis<S>([&](auto a) {
                        slope += std::get<2 * a>(each) - std::get<2 * a + 1>(each);
                    });
                    std::get<2 * S>(each) = slope;
                });
            }
        return total;
    };
    return scale * parallel_sum(all, x.size(), [&](Index begin, Index end) {
               double total = 0;
               for (Index i = begin; i < end; ++i) {
                   const Index which = i % parts.count();
                   total += part(i / parts.count(), parts.begin(which), parts.end(which));
               }
               return total;
           });
}

template <class T>
double kernel::TotalVariation<T>::run(const temper::TotalVariation& how, double scale,
                                      const AnyView<const T>& x, const AnyDestination<T>& gx)
{
    const auto with = [&](auto form) {
        using Variation = decltype(form);
        return how.axes == 1   ? images<Variation, 1>(how.epsilon, scale, x, gx)
               : how.axes == 2 ? images<Variation, 2>(how.epsilon, scale, x, gx)
                               : images<Variation, 3>(how.epsilon, scale, x, gx);
    };
    if (how.form == VariationForm::isotropic)
        return with(detail::Isotropic{});
    if (how.form == VariationForm::squared)
        return with(detail::EachAxis<detail::Square>{});
    return how.epsilon > 0 ? with(detail::EachAxis<detail::SmoothMagnitude>{})
                           : with(detail::EachAxis<detail::Magnitude>{});
}

TEMPER_INSTANTIATE(kernel::TotalVariation);

} // namespace temper::inline TEMPER_ABI
#endif
