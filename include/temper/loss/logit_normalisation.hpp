// SPDX-License-Identifier: BSL-1.0
#pragma once

// Logits on one scale, whatever size the model gives them: bounded, so that a loss of them is.
//
//   none            u = z
//   l1              u = z / s         s = sum_j |z_j| / k
//   softplus_mean   u = a / s         a_j = log(1 + exp(z_j)), s = sum_j a_j / k
//
// z [n, k], each row by itself; |u_j| <= k. The derivatives of a loss with gradient g with respect to u:
//
//   dz_j = r_j (b_j g_j - c_j <g, u> / k)       none            b = 1            c = 0            r = 1
//                                               l1              b = 1            c = sign z       r = 1 / s
//                                               softplus_mean   b = sigmoid z    c = sigmoid z    r = 1 / s
//
// A row of zeros (or with an s that has no inverse) under l1: u = 0 and r = 0, so that no gradient comes
// back. Of very negative logits softplus is taken relative to the largest, so that u is softmax(z) k in
// that limit and nothing divides by 0.
// Zhu et al., Label Distributionally Robust Losses for Multi-class Classification: Consistency, Robustness
// and Adaptivity (2023).

#include <temper/core/config.hpp>

namespace temper::inline TEMPER_ABI {

enum class LogitNormalisation { none, l1, softplus_mean };

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// For the rows of a tile: u is a / size. Numbers with a common factor in a, size and 1 / rate.
template <class T, Lanes lanes>
struct NormalisedLogits {
    LogitNormalisation kind;
    TileMatrix<T> a;
    TileMatrix<T> c; ///< not written where there is no normalisation
    PerRow<T, lanes, double> size;
    PerRow<T, lanes> rate; ///< r

    [[nodiscard]] Pack<T> b_at(const Cursor<T, lanes>& at) const
    {
        return kind == LogitNormalisation::softplus_mean ? at(c) : Pack<T>(1);
    }
    [[nodiscard]] Pack<T> c_at(const Cursor<T, lanes>& at) const
    {
        return kind == LogitNormalisation::none ? Pack<T>(0) : at(c);
    }
};

template <class T, Lanes lanes>
[[nodiscard]] NormalisedLogits<T, lanes>
normalised_logits(const Tile<T, lanes>& tile, const View<const T, 2>& z, LogitNormalisation kind,
                  const TileMatrix<T>& a, const TileMatrix<T>& c)
{
    using V = Pack<T>;
    constexpr T rounding = std::numeric_limits<T>::epsilon();
    NormalisedLogits<T, lanes> u{kind, a, c, {}, {}};
    if (kind == LogitNormalisation::none) {
        tile.each([=](auto at) { at.put(a, at(z)); });
        for (Index i = 0; i < tile.rows(); ++i)
            u.size[i] = u.rate[i] = 1;
        return u;
    }
    if (kind == LogitNormalisation::l1)
        u.size = tile.sum([=](auto at) {
            const V x = at(z);
            at.put(a, x);
            at.put(c, sign(x));
            return abs(x);
        });
    else {
        const auto largest = tile.max([=](auto at) { return at(z); });
        auto shift = tile.numbers(); // a is softplus(z) / factor
        auto factor = tile.numbers();
        auto inverse = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            shift[i] = largest[i] > 0 ? T(0) : largest[i];
            factor[i] = std::exp(shift[i]);
            inverse[i] = factor[i] < rounding ? T(0) : 1 / factor[i];
        }
        u.size = tile.sum([=](auto at) {
            const V x = at(z);
            const V e = exp(-abs(x) - at(shift));
            const V y = at(factor) * e; // exp(-|z|), if need be 0
            const V tail = select(at(factor) < V(rounding), e, log1p(y) * at(inverse));
            const V soft = tail + max(x, V(0));
            at.put(a, soft);
            at.put(c, select(x > V(0), V(1), e) / (V(1) + y));
            return soft;
        });
    }
    for (Index i = 0; i < tile.rows(); ++i) {
        const double size = u.size[i] / static_cast<double>(tile.columns());
        const bool vanishes = size < static_cast<double>(std::numeric_limits<T>::min());
        u.size[i] = vanishes ? 1 : size;
        u.rate[i] = vanishes ? T(0) : static_cast<T>(1 / size);
    }
    return u;
}

} // namespace temper::inline TEMPER_ABI::simd
#endif
