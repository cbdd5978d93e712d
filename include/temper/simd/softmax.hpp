// SPDX-License-Identifier: BSL-1.0
#pragma once

// Softmax and log-sum-exp of rows.
//
//   p_ij = exp(z_ij - m_i) / s_i      m_i = max_j z_ij      s_i = sum_j exp(z_ij - m_i)
//   log sum_j exp(z_ij) = m_i + log s_i
//
// Logits of any size are fine; minus infinity is a probability of 0. A row with NaN or plus infinity, or
// of nothing but minus infinity, has no softmax: NaN. Over no columns the log-sum-exp is minus infinity.

#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// For the rows of a tile: the exponentials are in `e`.
template <class T, Lanes lanes>
struct Softmax {
    TileMatrix<T> e;
    PerRow<T, lanes> largest;
    PerRow<T, lanes> sum;
};

/// Of logits that a formula gives, or of a matrix of them.
template <class T, Lanes lanes, class Logits>
[[nodiscard]] Softmax<T, lanes> softmax(const Tile<T, lanes>& tile, const Logits& logits,
                                        const TileMatrix<T>& e)
{
    const auto largest = tile.max([=](auto at) {
        const auto x = logits(at);
        at.put(e, x);
        return x;
    });
    const auto sum = tile.sum([=](auto at) {
        const auto x = exp(at(e) - at(largest));
        at.put(e, x);
        return x;
    });
    return {e, largest, sum.narrow()};
}
template <class T, Lanes lanes>
[[nodiscard]] Softmax<T, lanes> softmax(const Tile<T, lanes>& tile, const View<const T, 2>& z,
                                        const TileMatrix<T>& e)
{
    return softmax(tile, [=](auto at) { return at(z); }, e);
}

/// The same, with one entry of each row set apart, and what rounding would lose of a probability next to
/// 1 kept: `others` is the sum without that entry, which stands in `one`, and `loss` is minus the logarithm
/// of its probability. A row of which none is set apart (negative) counts for nothing, whatever is in it:
/// all is 0, and the sum 1.
template <class T, Lanes lanes>
struct SoftmaxOfOne {
    TileMatrix<T> e;
    PerRow<T, lanes> largest;
    PerRow<T, lanes> one;
    PerRow<T, lanes> others;
    PerRow<T, lanes> sum;
    PerRow<T, lanes> loss;
};

template <class T, Lanes lanes, class Logits, class Which>
[[nodiscard]] SoftmaxOfOne<T, lanes> softmax_of_one(const Tile<T, lanes>& tile,
                                                    const Logits& logits, const TileMatrix<T>& e,
                                                    const Which& which)
{
    SoftmaxOfOne<T, lanes> r{e, {}, {}, {}, {}, {}};
    const auto largest = r.largest = tile.max([=](auto at) {
        const auto x = logits(at);
        at.put(e, x);
        return x;
    });
    auto logit = tile.numbers();
    for (Index i = 0; i < tile.rows(); ++i)
        if (const Index j = which(tile.row(i)); j >= 0) {
            T& apart = tile.entry(e, i, j);
            logit[i] = apart;
            apart = -std::numeric_limits<T>::infinity();
        }
    r.others = tile.sum([=](auto at) {
                       const auto x = exp(at(e) - at(largest));
                       at.put(e, x);
                       return x;
                   })
                   .narrow();
    tile.each_row([&](auto at) {
        using V = Pack<T>;
        const V below = at(logit) - at(r.largest);
        const V one = exp(below);
        const V others = at(r.others);
        at.put(r.one, one);
        at.put(r.sum, one + others);
        // The largest entry's probability may be next to 1; that of any other is below 1/2.
        at.put(r.loss, log1p(select(below == V(0), others, one + others - V(1))) - below);
    });
    for (Index i = 0; i < tile.rows(); ++i)
        if (const Index j = which(tile.row(i)); j >= 0)
            tile.entry(e, i, j) = r.one[i];
        else {
            r.one[i] = r.others[i] = r.loss[i] = 0;
            r.sum[i] = 1;
            for (Index column = 0; column < tile.columns(); ++column)
                tile.entry(e, i, column) = 0;
        }
    return r;
}
template <class T, Lanes lanes, class Which>
[[nodiscard]] SoftmaxOfOne<T, lanes> softmax_of_one(const Tile<T, lanes>& tile,
                                                    const View<const T, 2>& z,
                                                    const TileMatrix<T>& e, const Which& which)
{
    return softmax_of_one(tile, [=](auto at) { return at(z); }, e, which);
}

/// p = softmax of the rows of z.
template <class T>
void softmax_rows(const View<const T, 2>& z, const Destination<T, 2>& p)
{
    (void)sum_tiles<T>(operands(z, p), 1, [&](const auto& tile) {
        const auto s = softmax(tile, z, tile.scratch(0));
        tile.each([=](auto at) { at.put(p, at(s.e) / at(s.sum)); });
        return 0.0;
    });
}

/// l_i = log sum_j exp(z_ij).
template <class T>
void log_sum_exp_rows(const View<const T, 2>& z, const Destination<T, 1>& l)
{
    (void)sum_tiles<T>(operands(z), 1, [&](const auto& tile) {
        const auto s = softmax(tile, z, tile.scratch(0));
        for (Index i = 0; i < tile.rows(); ++i)
            l.put(l.view(tile.row(i)), s.largest[i] + std::log(s.sum[i]));
        return 0.0;
    });
}

} // namespace temper::inline TEMPER_ABI::simd
