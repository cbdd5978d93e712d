// SPDX-License-Identifier: BSL-1.0
#pragma once

// A part of a product of matrices on the calling thread: c = beta c + alpha a b for a c with dense rows.
//
// As in Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication (2008): k is cut into
// panels, a panel of b and then one of a are packed into strips that a register block of c reads from
// end to end, and the block of a stays in the second cache while a strip of b stays in the first. An
// entry of c is the same sum in the same order wherever the block lies that it is in, so that a product
// may be cut in any way and has the same bits.

#include <temper/core/parallel.hpp>
#include <temper/simd/pack.hpp>

#include <algorithm>

namespace temper::inline TEMPER_ABI::linalg::detail {

/// n in equal parts of at most about `target`, each but the last a multiple of `step`.
[[nodiscard]] inline Blocks even_blocks(Index n, Index target, Index step)
{
    if (n <= target) // without divisions: small products are paid for by the nanosecond
        return {n, (std::max)(n, Index{1})};
    const Index parts = (n + target - 1) / target;
    return {n, ((n + parts - 1) / parts + step - 1) / step * step};
}

/// The sizes of blocks: what registers hold, and what caches hold beside each other.
template <class T>
struct ProductSizes {
    using V = simd::Pack<T>;
    static constexpr Index rows = 6; ///< 6 x 2 packs of sums, and 3 registers for a and b
    static constexpr Index packs = V::size == 1 ? 8 : 2;
    static constexpr Index cols = packs * V::size;
    static constexpr Index panel = 256;                                       ///< of k
    static constexpr Index block_rows = 768 / static_cast<Index>(sizeof(T));  ///< of a
    static constexpr Index block_cols = 2048 / static_cast<Index>(sizeof(T)); ///< of b
};

/// x [W, W] transposed, for packs of W numbers.
template <class V>
[[gnu::always_inline]] inline void transpose(std::array<V, static_cast<std::size_t>(V::size)>& x)
{
    constexpr auto half = static_cast<std::size_t>(V::size / 2);
    for (std::size_t stage = 1; stage < x.size(); stage *= 2) {
        const auto from = x;
        for (std::size_t i = 0; i < half; ++i) {
            x[2 * i] = zip_low(from[i], from[i + half]);
            x[2 * i + 1] = zip_high(from[i], from[i + half]);
        }
    }
}

/// The rows of m [r, k] in strips of `width`, each stored as [k, width], with zeros for the rows that
/// the last one lacks. Strips are `width * k` apart; a pack beyond the last one may be written.
template <Index width, class T>
[[gnu::flatten]] void pack_strips(MatrixView<const T> m, T* out)
{
    using V = simd::Pack<T>;
    constexpr auto lanes = static_cast<std::size_t>(V::size);
    const Index k = m.cols();
    const Index down = m.strides[0];
    const Index along = m.strides[1];
    Index i = 0;
    for (; i + width <= m.rows(); i += width, out += width * k) {
        const T* from = m.data + i * down;
        Index p = 0;
        if (along == 1 && V::size > 1) {
            // Rows in groups of a pack, each transposed on its own so that registers hold it. Where the last
            // group lacks rows, what it writes for them is overwritten by the next column: then columns
            // are written whole, one after the other.
            constexpr auto groups = static_cast<std::size_t>((width + V::size - 1) / V::size);
            constexpr std::size_t at_once = width % V::size == 0 ? 1 : groups;
            for (; p + V::size <= k; p += V::size)
                for (std::size_t first = 0; first < groups; first += at_once) {
                    std::array<std::array<V, lanes>, at_once> square;
                    for (std::size_t g = 0; g < at_once; ++g) {
                        for (std::size_t l = 0; l < lanes; ++l) {
                            const Index row = static_cast<Index>((first + g) * lanes + l);
                            square[g][l] = V::load(from + (std::min)(row, width - 1) * down + p);
                        }
                        transpose(square[g]);
                    }
                    for (std::size_t l = 0; l < lanes; ++l)
                        for (std::size_t g = 0; g < at_once; ++g)
                            square[g][l].store(out + (p + static_cast<Index>(l)) * width +
                                               static_cast<Index>((first + g) * lanes));
                }
        }
        if (down == 1)
            for (; p < k; ++p)
                for (Index r = 0; r < width; ++r)
                    out[p * width + r] = from[p * along + r];
        for (; p < k; ++p)
            for (Index r = 0; r < width; ++r)
                out[p * width + r] = from[r * down + p * along];
    }
    if (i == m.rows())
        return;
    const Index rest = m.rows() - i;
    for (Index p = 0; p < k; ++p)
        for (Index r = 0; r < width; ++r)
            out[p * width + r] = r < rest ? m(i + r, p) : T(0);
}

/// c = beta c + alpha a b for one register block of packed strips.
template <class T>
[[gnu::flatten]] void multiply_strips(Index k, const T* a, const T* b, T alpha, T beta, T* c,
                                      Index stride)
{
    using S = ProductSizes<T>;
    using V = simd::Pack<T>;
    V sum[S::rows][S::packs];
#pragma GCC unroll 8
    for (auto& row : sum)
#pragma GCC unroll 8
        for (V& s : row)
            s = V(T(0));
    for (Index p = 0; p < k; ++p, a += S::rows, b += S::cols) {
        V right[S::packs];
#pragma GCC unroll 8
        for (Index j = 0; j < S::packs; ++j)
            right[j] = V::load(b + j * V::size);
#pragma GCC unroll 8
        for (Index i = 0; i < S::rows; ++i)
#pragma GCC unroll 8
            for (Index j = 0; j < S::packs; ++j)
                sum[i][j] = fma(V(a[i]), right[j], sum[i][j]);
    }
#pragma GCC unroll 8
    for (Index i = 0; i < S::rows; ++i)
#pragma GCC unroll 8
        for (Index j = 0; j < S::packs; ++j) {
            T* const at = c + i * stride + j * V::size;
            const V product = V(alpha) * sum[i][j];
            (beta == T(0) ? product : fma(V(beta), V::load(at), product)).store(at);
        }
}

/// Room for the packed panels of one thread.
template <class T>
struct Panels {
    T* a = nullptr;
    T* b = nullptr;

    /// Numbers that panels of a product with c [m, n] and this k take.
    [[nodiscard]] static Index size(Index m, Index n, Index k)
    {
        return size_of_a(m, k) + padded((std::min)(n, ProductSizes<T>::block_cols), k, 32);
    }
    Panels(T* memory, Index m, Index k) : a(memory), b(memory + size_of_a(m, k)) {}

  private:
    [[nodiscard]] static Index size_of_a(Index m, Index k)
    {
        return padded((std::min)(m, ProductSizes<T>::block_rows), k, ProductSizes<T>::rows);
    }
    [[nodiscard]] static Index padded(Index rows, Index k, Index width)
    {
        const Index numbers = (rows + width) * even_blocks(k, ProductSizes<T>::panel, 8).size;
        return (numbers + 63) / 64 * 64 + 64;
    }
};

/// c = beta c + alpha a b for a c with dense rows. Only entries (i, j) with j <= i + `below` are wanted:
/// register blocks without any are left out.
template <class T>
void tile_product(MatrixView<T> c, T alpha, MatrixView<const T> a, MatrixView<const T> b, T beta,
                  const Panels<T>& panels, Index below)
{
    using S = ProductSizes<T>;
    const Index m = c.rows();
    const Index n = c.cols();
    const Blocks inner = even_blocks(a.cols(), S::panel, 8);
    const Blocks rows = even_blocks(m, S::block_rows, S::rows);
    const Blocks cols = even_blocks(n, S::block_cols, S::cols);
    for (Index right = 0; right < cols.count(); ++right)
        for (Index panel = 0; panel < inner.count(); ++panel) {
            const Index p = inner.begin(panel);
            const Index k = inner.end(panel) - p;
            const Index j0 = cols.begin(right);
            const Index width = cols.end(right) - j0;
            const T factor = panel == 0 ? beta : T(1);
            pack_strips<S::cols>(b.block(p, j0, k, width).transposed(), panels.b);
            for (Index left = 0; left < rows.count(); ++left) {
                const Index i0 = rows.begin(left);
                const Index height = rows.end(left) - i0;
                if (j0 > i0 + height - 1 + below)
                    continue;
                pack_strips<S::rows>(a.block(i0, p, height, k), panels.a);
                for (Index j = 0; j < width; j += S::cols)
                    for (Index i = 0; i < height; i += S::rows) {
                        if (j0 + j > i0 + i + S::rows - 1 + below)
                            continue;
                        const T* const strip_a = panels.a + i * k;
                        const T* const strip_b = panels.b + j * k;
                        T* const at = &c(i0 + i, j0 + j);
                        const Index h = (std::min)(S::rows, height - i);
                        const Index w = (std::min)(S::cols, width - j);
                        if (h == S::rows && w == S::cols) {
                            multiply_strips(k, strip_a, strip_b, alpha, factor, at, c.strides[0]);
                            continue;
                        }
                        T edge[S::rows * S::cols]; // the same operations at the edges
                        for (Index r = 0; factor != T(0) && r < S::rows * S::cols; ++r)
                            edge[r] = r / S::cols < h && r % S::cols < w
                                          ? at[r / S::cols * c.strides[0] + r % S::cols]
                                          : T(0);
                        multiply_strips(k, strip_a, strip_b, alpha, factor, edge, S::cols);
                        for (Index r = 0; r < h; ++r)
                            std::copy_n(edge + r * S::cols, w, at + r * c.strides[0]);
                    }
            }
        }
}

} // namespace temper::inline TEMPER_ABI::linalg::detail
