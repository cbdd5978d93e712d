// SPDX-License-Identifier: BSL-1.0
#pragma once

// Low-pass guidance: a sample keeps its details and takes its coarse structure from a reference.
//
//   y = x - P x + P reference        P the mean of each k x k block, at all places of the block
//
// x, reference, y [n, h, w] or [n, c, h, w]. k = 1: y = reference up to rounding; k = h = w: means are
// swapped. y may be x.
// The published code resizes with antialiasing, by 4 or 8, instead. Throws ShapeError; RangeError for k < 1 or
// one that does not divide h and w.
// Hu et al., Phasic Content Fusing Diffusion Model with Directional Distribution Consistency for Few-Shot Model
// Adaption (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct LowPassGuidance {
    static constexpr std::string_view name = "LowPassGuidance";
    Index block = 4; ///< k

    /// (x, reference, into(y))
    template <class X, class R, class D>
    void forward(const X& x, const R& reference, const D& y) const;

    friend bool operator==(const LowPassGuidance&, const LowPassGuidance&) = default;
};

namespace kernel {
template <class T>
struct LowPassGuidance {
    static void run(Index block, const AnyView<const T>& x, const AnyView<const T>& reference,
                    const AnyDestination<T>& y);
};
} // namespace kernel

template <class X, class R, class D>
void LowPassGuidance::forward(const X& x, const R& reference, const D& y) const
{
    using T = KernelScalarOf<X, R>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("x", x);
    const auto refs = border.sample_tensor("reference", reference);
    if (xs.rank != 3 && xs.rank != 4)
        fail<ShapeError>(name, "x", joined({"has shape ", shape_text(xs)}),
                         "[n, h, w] or [n, c, h, w]");
    border.same_shape("reference", refs, "x", xs);
    const Index h = xs.extent(xs.rank - 2);
    const Index w = xs.extent(xs.rank - 1);
    border.require(block >= 1 && h % block == 0 && w % block == 0, "block",
                   static_cast<double>(block), "a divisor of height and width");
    const auto to = border.sample_gradient("y", xs, y, InPlace::allowed);
    if (to)
        kernel::LowPassGuidance<T>::run(block, xs, refs, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::LowPassGuidance<T>::run(Index k, const AnyView<const T>& x,
                                     const AnyView<const T>& reference, const AnyDestination<T>& y)
{
    const auto r = static_cast<std::size_t>(x.rank);
    const Index c = x.rank == 4 ? x.extent(1) : 1;
    const Index planes = x.extent(0) * c;
    const Index rows = x.extents[r - 2] / k;
    const Index columns = x.extents[r - 1] / k;
    const double share = 1 / static_cast<double>(k * k);
    const auto plane = [&](const auto& v, Index p) {
        auto* const data =
            v.data + (p / c) * v.stride(0) + (x.rank == 4 ? (p % c) * v.stride(1) : 0);
        return MatrixView<std::remove_pointer_t<decltype(data)>>{
            data, {rows * k, columns * k}, {v.strides[r - 2], v.strides[r - 1]}};
    };
    parallel_for(planes, x.size(), [&](Index p) {
        const auto from = plane(x, p);
        const auto like = plane(reference, p);
        const Destination<T, 2> to{plane(y.view, p), y.scale, y.mode};
        for (Index i = 0; i < rows * k; i += k)
            for (Index j = 0; j < columns * k; j += k) {
                double shift = 0;
                for (Index a = i; a < i + k; ++a)
                    for (Index b = j; b < j + k; ++b)
                        shift += static_cast<double>(like(a, b)) - static_cast<double>(from(a, b));
                const T mean = static_cast<T>(share * shift);
                for (Index a = i; a < i + k; ++a)
                    for (Index b = j; b < j + k; ++b)
                        to.put(to.view(a, b), from(a, b) + mean);
            }
    });
}

TEMPER_INSTANTIATE(kernel::LowPassGuidance);

} // namespace temper::inline TEMPER_ABI
#endif
