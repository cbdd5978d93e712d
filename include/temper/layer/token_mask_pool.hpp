// SPDX-License-Identifier: BSL-1.0
#pragma once

// The mean of some tokens of each sample.
//
//   forward     y_i = sum_t m_it x_it / sum_t m_it
//   pullback    gx_it = m_it gy_i / sum_t m_it
//
// x, gx [n, t, d], mask m [n, t] (0 and 1, or any weights), y, gy [n, d]. A mask of ones is mean pooling.
// A mask that sums to 0 gives zeros and sends zeros back, where the published code divides by 0.
// Throws ShapeError.
// Chen et al., SMMix: Self-Motivated Image Mixing for Vision Transformers (2023).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct TokenMaskPool {
    static constexpr std::string_view name = "TokenMaskPool";

    /// (x, mask, into(y))
    template <class X, class M, class D>
    void forward(const X& x, const M& mask, const D& y) const;
    /// (mask, gy, into(gx))
    template <class M, class G, class D>
    void pullback(const M& mask, const G& gy, const D& gx) const;

    friend bool operator==(const TokenMaskPool&, const TokenMaskPool&) = default;
};

namespace kernel {
template <class T>
struct TokenMaskPool {
    static void forward(const View<const T, 3>& x, MatrixView<const T> mask,
                        const Destination<T, 2>& y);
    static void pullback(MatrixView<const T> mask, MatrixView<const T> gy,
                         const Destination<T, 3>& gx);
};
} // namespace kernel

template <class X, class M, class D>
void TokenMaskPool::forward(const X& x, const M& mask, const D& y) const
{
    using T = KernelScalarOf<X, M>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("x", x);
    const auto ms = border.samples("mask", mask);
    if (xs.rank != 3)
        fail<ShapeError>(name, "x", joined({"has shape ", shape_text(xs)}), "[n, tokens, d]");
    border.expect_shape("mask", ms, {xs.extents[0], xs.extents[1]}, "a number for each token");
    const auto ys = border.template output<2>("y", y, {xs.extents[0], xs.extents[2]});
    if (ys)
        kernel::TokenMaskPool<T>::forward(xs.template as<3>(), ms, ys);
    border.finish();
}

template <class M, class G, class D>
void TokenMaskPool::pullback(const M& mask, const G& gy, const D& gx) const
{
    using T = KernelScalarOf<M, G>;
    Border<T> border(name);
    const auto ms = border.samples("mask", mask);
    const auto gys = border.samples("gy", gy);
    border.expect_shape("gy", gys, {ms.rows(), gys.cols()}, "as mask has rows");
    AnyView<const T> like;
    like.rank = 3;
    like.extents = {ms.rows(), ms.cols(), gys.cols(), 1, 1, 1};
    const auto gxs = border.sample_gradient("x", like, gx);
    if (gxs)
        kernel::TokenMaskPool<T>::pullback(ms, gys, gxs.template as<3>());
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel::token_mask {

/// One over the sum of a row of the mask, 0 for a row that sums to 0.
template <class T>
double share(const VectorView<const T>& mask)
{
    const double sum =
        simd::row_sum(mask.extents[0], std::array{simd::source(mask)}, [](auto m) { return m; });
    return sum == 0 ? 0 : 1 / sum;
}

} // namespace kernel::token_mask

template <class T>
void kernel::TokenMaskPool<T>::forward(const View<const T, 3>& x, MatrixView<const T> mask,
                                       const Destination<T, 2>& y)
{
    const Index n = x.extents[0];
    const Index t = x.extents[1];
    const Index d = x.extents[2];
    const auto blocks = simd::row_blocks(n, t * d);
    parallel_for(blocks.count(), x.size(), [&](Index block) {
        for (Index i = blocks.begin(block); i < blocks.end(block); ++i) {
            const double share = token_mask::share<T>(mask.row(i));
            auto to = simd::sink(y, i);
            const T scale = to.scale;
            if (!y.adds())
                simd::row_map(d, std::array{simd::Source<T>{x.data, 0}}, std::array{to},
                              [](auto, auto& out) { out = decltype(out + out)(0); });
            to.mode = Mode::add;
            for (Index token = 0; token < t && share != 0; ++token) {
                const T m = mask(i, token);
                if (m == T(0))
                    continue;
                to.scale = scale * static_cast<T>(share * static_cast<double>(m));
                simd::row_map(d,
                              std::array{simd::Source<T>{
                                  x.data + i * x.strides[0] + token * x.strides[1], x.strides[2]}},
                              std::array{to}, [](auto in, auto& out) { out = in; });
            }
        }
    });
}

template <class T>
void kernel::TokenMaskPool<T>::pullback(MatrixView<const T> mask, MatrixView<const T> gy,
                                        const Destination<T, 3>& gx)
{
    const Index n = mask.rows();
    const Index t = mask.cols();
    const Index d = gy.cols();
    const auto blocks = simd::row_blocks(n, t * d);
    parallel_for(blocks.count(), n * t * d, [&](Index block) {
        for (Index i = blocks.begin(block); i < blocks.end(block); ++i) {
            const double share = token_mask::share<T>(mask.row(i));
            for (Index token = 0; token < t; ++token) {
                const T factor = static_cast<T>(share * static_cast<double>(mask(i, token)));
                const auto& v = gx.view;
                simd::row_map(
                    d, std::array{simd::source(gy.row(i))},
                    std::array{simd::Sink<T>{v.data + i * v.strides[0] + token * v.strides[1],
                                             v.strides[2], static_cast<T>(gx.scale), gx.mode}},
                    [factor](auto g, auto& out) {
                        using V = decltype(g);
                        out = factor == T(0) ? V(0) : V(factor) * g;
                    });
            }
        }
    });
}

TEMPER_INSTANTIATE(kernel::TokenMaskPool);

} // namespace temper::inline TEMPER_ABI
#endif
