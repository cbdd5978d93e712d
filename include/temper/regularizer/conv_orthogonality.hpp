// SPDX-License-Identifier: BSL-1.0
#pragma once

// Orthogonality of a convolution, as the linear map that it is: all correlations of its filters with each
// other at shifts by multiples of the stride shall vanish, but for each filter with itself at shift 0.
//
//   R[i,j,d] = sum_{c,p} K[i,c,p+d] K[j,c,p] - [i = j and d = 0]        p, d in the plane, K 0 outside
//   lorth:     f(K) = sum_{i,j,d} R^2 over d = 0, +-S, +-2S, ... < k, minus M - C S^2 if that is positive
//              df/dK[i,c,p] = 4 sum_{j,d} R[i,j,d] K[j,c,p-d]
//   published: f(K) = (sum_{i,j,d} R^2)^(1/2) over d = -P, -P + S, ..., and 1 where i = j is taken from the
//              middle one of these shifts
//
// K [M, C, k, k] (filters, channels), stride S, padding P. For signals of S N x S N pixels, S N >= 2k - 1,
// wrapped at the edges, lorth is |A A' - I|^2 / N^2 of the layer's matrix A, or |A' A - I|^2 / N^2 where A has
// more rows than columns (M > C S^2); x -> K x keeps lengths in the second case, its transpose in the first.
// Orthogonality of the flattened filters alone (SoftOrthogonality) bounds neither. The second case is
// computed as what it is: the S^2 phases of the channels are correlated instead of the filters, which needs
// (C S^2 / M)^2 of the products, and nothing is subtracted. Only half of the shifts is visited, R[j,i,-d]
// being R[i,j,d]. A sum: papers weigh it with 0.1 (published, summed over layers) and 1e-1 to 1e-5.
// published reproduces the code of Wang et al. and is for nothing else: its padding 1 leaves out the shifts
// by 2 of a 3 x 3 kernel, and at stride 2 its middle shift is not 0. Where f is no more than rounding
// leaves of it (8 M epsilon), published has gradient 0.
// k = 1 and M <= C S^2: SoftOrthogonality of the rows. K = 0: min(M, C S^2) (published: its root). An empty
// kernel has value 0. Throws ShapeError; RangeError for stride < 1 or padding < 0.
// Achour et al., Existence, Stability and Scalability of Orthogonal Convolutional Neural Networks (2022);
// Wang et al., Orthogonal Convolutional Neural Networks (2020).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

/// Is there an orthogonal convolution of this shape at all, with signals wrapped at their edges? (With
/// zeros outside there are next to none.)
[[nodiscard]] constexpr bool orthogonal_exists(Index filters, Index channels, Index k, Index stride)
{
    return filters <= channels * stride * stride ? filters <= channels * k * k : stride <= k;
}

struct ConvOrthogonality {
    static constexpr std::string_view name = "ConvOrthogonality";
    enum class Form { lorth, published };

    Index stride = 1;
    Form form = Form::lorth;
    Index padding = 1; ///< of the published form

    /// (kernel [, into(g_kernel)])
    template <class K, class... Rest>
    double operator()(const K& kernel, const Rest&... rest) const;

    friend bool operator==(const ConvOrthogonality&, const ConvOrthogonality&) = default;
};

namespace kernel {
template <class T>
struct ConvOrthogonality {
    static double run(const temper::ConvOrthogonality& how, const View<const T, 4>& k,
                      const Destination<T, 4>& gk);
};
} // namespace kernel

template <class K, class... Rest>
double ConvOrthogonality::operator()(const K& kernel, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<K>;
    Border<T> border(name);
    border.require(stride >= 1, "stride", static_cast<double>(stride), "positive");
    border.require(padding >= 0, "padding", static_cast<double>(padding), "non-negative");
    const auto k = border.tensor("kernel", kernel);
    if (k.rank != 4 || k.extent(2) != k.extent(3))
        fail<ShapeError>(name, "kernel", joined({"has shape ", shape_text(k)}),
                         "[filters, channels, k, k]");
    const auto gk = border.gradient("kernel", k, positional<0>(rest...));
    return border.finish(
        temper::kernel::ConvOrthogonality<T>::run(*this, k.template as<4>(), gk.template as<4>()));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {
/// What is correlated with each other: `vectors` images of taps x taps entries with `depth` numbers each,
/// dense in this order. They are filters with channels in depth, or else the stride^2 phases of channels,
/// each of its own taps, with filters in depth.
template <class T>
struct ConvBank {
    Index vectors, taps, depth;
    Index filter, channel; ///< strides
    Index phases;
    T* data = nullptr;

    [[nodiscard]] Index size() const { return vectors * taps * taps * depth; }
    /// The numbers of all filters and channels at tap (y, x) of the kernel.
    [[nodiscard]] MatrixView<T> at(Index y, Index x, Index filters, Index channels) const
    {
        const Index phase = (y % phases) * phases + x % phases;
        const Index tap = (phase * taps + y / phases) * taps + x / phases;
        return {data + tap * depth, {filters, channels}, {filter, channel}};
    }
    /// `count` taps of all vectors from (y, x) on.
    [[nodiscard]] MatrixView<T> run(Index y, Index x, Index count) const
    {
        const Index row = taps * taps * depth;
        return {data + (y * taps + x) * depth, {vectors, count * depth}, {row, 1}};
    }
};
} // namespace kernel

template <class T>
double kernel::ConvOrthogonality<T>::run(const temper::ConvOrthogonality& how,
                                         const View<const T, 4>& k, const Destination<T, 4>& gk)
{
    const bool published = how.form == temper::ConvOrthogonality::Form::published;
    const auto [filters, channels, side, same] = k.extents;
    if (k.size() == 0)
        return 0;
    const Index s = how.stride;
    const bool by_filters = published || filters <= channels * s * s;
    const Index taps = by_filters ? side : (side + s - 1) / s;
    const Index image = taps * taps;
    ConvBank<T> z =
        by_filters ? ConvBank<T>{filters, taps, channels, image * channels, 1, 1}
                   : ConvBank<T>{channels * s * s, taps, filters, 1, s * s * image * filters, s};
    ConvBank<T> g = z;
    Workspace::Frame frame;
    z.data = frame.take_zeros<T>(z.size());
    g.data = gk ? frame.take_zeros<T>(g.size()) : nullptr;
    for (Index y = 0; y < side; ++y)
        for (Index x = 0; x < side; ++x) {
            const MatrixView<const T> tap{
                &k(Index{0}, Index{0}, y, x), {filters, channels}, {k.strides[0], k.strides[1]}};
            simd::map(
                simd::in(tap),
                simd::out(Destination<T, 2>{z.at(y, x, filters, channels), 1, Mode::overwrite}),
                [](auto from, auto& to) { to = from; });
        }

    // weight |R|^2 of one shift, and weight times half of its gradient: that of <X, Y>, X Y' being the
    // taps p + (dy, dx) by the taps p, in runs that are dense.
    const MatrixView<T> r = frame.matrix<T>(z.vectors, z.vectors);
    const auto correlate = [&](Index dy, Index dx, bool identity, double weight) {
        const Index height = taps - std::abs(dy);
        const Index width = taps - std::abs(dx);
        const Index rows = width == taps ? height : 1; // in a run
        const auto each_run = [&](const auto& f) {
            if (width > 0)
                for (Index y = 0; y < height; y += rows) {
                    const auto x_of = [&](const ConvBank<T>& bank) {
                        return bank.run(y + (std::max)(dy, Index{0}), (std::max)(dx, Index{0}),
                                        rows * width);
                    };
                    const auto y_of = [&](const ConvBank<T>& bank) {
                        return bank.run(y + (std::max)(-dy, Index{0}), (std::max)(-dx, Index{0}),
                                        rows * width);
                    };
                    f(x_of, y_of);
                }
        };
        const bool with_itself = dy == 0 && dx == 0;
        std::fill_n(r.data, r.size(), T(0));
        each_run([&](const auto& x_of, const auto& y_of) {
            if (with_itself)
                linalg::gram(r, 1, x_of(z), 1);
            else
                linalg::product(r, 1, x_of(z), y_of(z).transposed(), 1);
        });
        if (identity)
            for (Index i = 0; i < z.vectors; ++i)
                r(i, i) -= T(1);
        if (gk)
            each_run([&](const auto& x_of, const auto& y_of) {
                linalg::product(x_of(g), with_itself ? 2 * weight : weight, r, y_of(z), 1);
                if (!with_itself)
                    linalg::product(y_of(g), weight, r.transposed(), x_of(z), 1);
            });
        return weight * linalg::squared_norm(r);
    };

    double value = 0;
    double slope = 2;
    if (published) {
        const Index shifts = 2 * how.padding / s + 1;
        for (Index a = 0; a < shifts; ++a)
            for (Index b = 0; b < shifts; ++b)
                value += correlate(a * s - how.padding, b * s - how.padding,
                                   a == shifts / 2 && b == shifts / 2, 1);
        value = std::sqrt(value);
        const double rounding =
            8 * static_cast<double>(filters) * std::numeric_limits<T>::epsilon();
        slope = value <= rounding ? 0 : 1 / value;
    }
    else {
        const Index step = by_filters ? s : 1;
        const Index reach = (taps - 1) / step * step;
        for (Index dy = 0; dy <= reach; dy += step)
            for (Index dx = dy == 0 ? 0 : -reach; dx <= reach; dx += step) {
                const bool centre = dy == 0 && dx == 0;
                value += correlate(dy, dx, centre, centre ? 1 : 2);
            }
    }
    if (gk)
        for (Index y = 0; y < side; ++y)
            for (Index x = 0; x < side; ++x) {
                const Destination<T, 2> tap{{&gk.view(Index{0}, Index{0}, y, x),
                                             {filters, channels},
                                             {gk.view.strides[0], gk.view.strides[1]}},
                                            slope * gk.scale,
                                            gk.mode};
                simd::map(simd::in(g.at(y, x, filters, channels)), simd::out(tap),
                          [](auto from, auto& to) { to = from; });
            }
    return value;
}

TEMPER_INSTANTIATE(kernel::ConvOrthogonality);

} // namespace temper::inline TEMPER_ABI
#endif
