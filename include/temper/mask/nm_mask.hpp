// SPDX-License-Identifier: BSL-1.0
#pragma once

// N:M sparsity: of every M consecutive entries along an axis, the N of largest magnitude live.
//
//   mask_i = 1 if fewer than N entries of its block beat |w_i|, else 0; on a tie the HIGHER index lives
//
// w of any rank >= 1, mask of its shape. axis -1 is the last one: for a matrix as stored, blocks along
// each row; 0 for blocks along each column; 1 for the input channels of a convolution's
// [out, in, kh, kw]. N = M keeps all, N = 0 none. Throws ShapeError where the axis is not a multiple of M;
// RangeError unless 0 <= N <= M, 1 <= M, and the axis exists.
// Mishra et al., Accelerating Sparse Deep Neural Networks (2021).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct NmMask {
    static constexpr std::string_view name = "NmMask";
    Index n = 2;
    Index m = 4;
    int axis = -1;

    /// (w, into(mask))
    template <class W, class D>
    void apply(const W& w, const D& mask) const;

    friend bool operator==(const NmMask&, const NmMask&) = default;
};

namespace kernel {
template <class T>
struct NmMask {
    static void apply(Index n, Index m, int axis, const AnyView<const T>& w,
                      const AnyDestination<T>& mask);
};
} // namespace kernel

template <class W, class D>
void NmMask::apply(const W& w, const D& mask) const
{
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    border.require(m >= 1, "m", static_cast<double>(m), "at least 1");
    border.require(n >= 0 && n <= m, "n", static_cast<double>(n), "from 0 to m");
    const auto v = border.tensor("w", w);
    border.require(axis >= -1 && axis < v.rank && v.rank > 0, "axis", axis, "an axis of w, or -1");
    const int along = axis == -1 ? v.rank - 1 : axis;
    if (v.extent(along) % m != 0)
        fail<ShapeError>(name, "w", joined({"has shape ", shape_text(v)}),
                         joined({"a multiple of ", text(m), " along axis ", text(Index{along})}));
    const auto out = border.gradient("w", v, mask);
    kernel::NmMask<T>::apply(n, m, along, v, out);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::NmMask<T>::apply(Index n, Index m, int axis, const AnyView<const T>& w,
                              const AnyDestination<T>& mask)
{
    if (!mask || w.size() == 0)
        return;
    const Index step = w.stride(axis);
    const Index out_step = mask.view.stride(axis);
    const Index blocks_along = w.extent(axis) / m;
    const Index count = w.size() / m;
    parallel_for(count, w.size() * m, [&](Index block) {
        // The block's first entry: its place along the axis, then along all other dimensions.
        Index rest = block / blocks_along;
        const Index first = block % blocks_along * m;
        const T* p = w.data + first * step;
        T* q = mask.view.data + first * out_step;
        for (int d = w.rank - 1; d >= 0; --d) {
            if (d == axis)
                continue;
            p += rest % w.extent(d) * w.stride(d);
            q += rest % w.extent(d) * mask.view.stride(d);
            rest /= w.extent(d);
        }
        for (Index i = 0; i < m; ++i) {
            const T own = std::abs(p[i * step]);
            Index better = 0;
            for (Index j = 0; j < m; ++j) {
                const T other = std::abs(p[j * step]);
                better += other > own || (other == own && j > i) ? 1 : 0;
            }
            const T live = static_cast<T>(better < n ? mask.scale : 0);
            q[i * out_step] = mask.adds() ? q[i * out_step] + live : live;
        }
    });
}

TEMPER_INSTANTIATE(kernel::NmMask);

} // namespace temper::inline TEMPER_ABI
#endif
