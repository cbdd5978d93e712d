// SPDX-License-Identifier: BSL-1.0
#pragma once

// Softmax and log-sum-exp of rows.
//
//   p_ij = exp(z_ij - m_i) / s_i      s_i = sum_j exp(z_ij - m_i)
//   log sum_j exp(z_ij) = m_i + log s_i
//
// m_i is about the largest logit of the row. A glance at a long row finds a number that will do, nearly
// always, and spares a pass over it: no more than 20 below the largest, so that no exponential is too large
// for its sum. Logits of any size are fine; minus infinity is a probability of 0. A row with NaN or plus
// infinity, or of nothing but minus infinity, has no softmax: NaN. Over no columns the log-sum-exp is minus
// infinity.

#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// For the rows of a tile: the exponentials are in `e`.
template <class T, Lanes lanes>
struct Softmax {
    TileMatrix<T> e;
    PerRow<T, lanes> shift; ///< m_i
    PerRow<T, lanes> sum;
};

namespace detail {

/// A matrix of logits, as a formula.
template <class T>
struct Entries {
    View<const T, 2> z;
    template <class At>
    [[nodiscard, gnu::always_inline]] Pack<T> operator()(const At& at) const
    {
        return at(z);
    }
};

/// Logits that are looked at twice. Those that are not dense in memory are kept in `copy` the first time.
template <class T, Lanes lanes, class Formula = Entries<T>>
struct Logits {
    Formula formula;
    TileMatrix<T> copy;

    [[nodiscard]] PerRow<T, lanes> glance(const Tile<T, lanes>& tile) const
    {
        return tile.glance([*this](auto at) {
            const auto x = formula(at);
            if constexpr (lanes != Lanes::along)
                at.put(copy, x);
            return x;
        });
    }
    [[nodiscard]] PerRow<T, lanes> top(const Tile<T, lanes>& tile) const
    {
        return tile.top(formula);
    }
    template <class At>
    [[nodiscard, gnu::always_inline]] Pack<T> again(const At& at) const
    {
        if constexpr (lanes == Lanes::along)
            return formula(at);
        else
            return at(copy);
    }
    [[nodiscard]] T entry(const Tile<T, lanes>& tile, Index i, Index column) const
    {
        if constexpr (std::is_same_v<Formula, Entries<T>>)
            return formula.z(tile.row(i), column);
        else
            return tile.value(formula, i, column);
    }
    /// exp of a logit that is `below` the shift. Above it, it is cut off: enough for `failed`.
    [[nodiscard, gnu::always_inline]] static Pack<T> raised(Pack<T> below)
    {
        return bounded_exp(lanes == Lanes::along ? min(Pack<T>(T(40)), below) : below);
    }
    /// Was a glance not enough?
    [[nodiscard]] static bool failed(const Tile<T, lanes>& tile,
                                     const PerRow<T, lanes, double>& sum)
    {
        bool failed = false;
        for (Index i = 0; lanes == Lanes::along && i < tile.rows(); ++i)
            failed = failed || !(sum[i] < 4.8e8); // about exp 20
        return failed;
    }
};
template <class T, Lanes lanes, class Formula>
[[nodiscard]] Logits<T, lanes, Formula> logits_of(const Tile<T, lanes>&, const Formula& formula,
                                                  const TileMatrix<T>& copy)
{
    return {formula, copy};
}
template <class T, Lanes lanes>
[[nodiscard]] Logits<T, lanes> logits_of(const Tile<T, lanes>&, const View<const T, 2>& z,
                                         const TileMatrix<T>& copy)
{
    return {{z}, copy};
}

} // namespace detail

/// Of logits that a formula gives, or of a matrix of them, with N further sums on the way: those of the
/// packs that more(at, logit - shift) gives. The formula may be asked for an entry twice.
template <std::size_t N, class T, Lanes lanes, class Formula, class More>
[[nodiscard]] auto softmax(const Tile<T, lanes>& tile, const Formula& formula,
                           const TileMatrix<T>& e, const More& more)
{
    const auto logits = detail::logits_of(tile, formula, e);
    const auto sums_with = [&](const PerRow<T, lanes>& shift) {
        return tile.template sums<N + 1>([=](auto at) {
            const auto below = logits.again(at) - at(shift);
            std::array<Pack<T>, N + 1> all;
            all[0] = logits.raised(below);
            at.put(e, all[0]);
            const std::array<Pack<T>, N> rest = more(at, below);
            std::copy(rest.begin(), rest.end(), all.begin() + 1);
            return all;
        });
    };
    auto shift = logits.glance(tile);
    auto sums = sums_with(shift);
    if (logits.failed(tile, sums[0])) {
        shift = logits.top(tile);
        sums = sums_with(shift);
    }
    std::array<PerRow<T, lanes, double>, N> rest;
    std::copy(sums.begin() + 1, sums.end(), rest.begin());
    return std::pair{Softmax<T, lanes>{e, shift, sums[0].narrow()}, rest};
}
template <class T, Lanes lanes, class Formula>
[[nodiscard]] Softmax<T, lanes> softmax(const Tile<T, lanes>& tile, const Formula& formula,
                                        const TileMatrix<T>& e)
{
    return softmax<0>(tile, formula, e, [](auto, auto) { return std::array<Pack<T>, 0>{}; }).first;
}

/// Two distributions p = softmax(t / T) and q = softmax(s / T) over the same columns: log(p / q) is log_of
/// plus the logarithm of the ratio of the sums.
template <class T, Lanes lanes>
struct SoftmaxPair {
    Softmax<T, lanes> p;
    Softmax<T, lanes> q;
    T sharpness;

    template <class At>
    [[nodiscard, gnu::always_inline]] Pack<T> log_of(const At& at, const View<const T, 2>& t,
                                                     const View<const T, 2>& s) const
    {
        return ((at(t) - at(p.shift)) - (at(s) - at(q.shift))) * Pack<T>(sharpness);
    }
};
template <class T, Lanes lanes>
[[nodiscard]] SoftmaxPair<T, lanes>
softmax_pair(const Tile<T, lanes>& tile, double temperature, const View<const T, 2>& t,
             const TileMatrix<T>& e_t, const View<const T, 2>& s, const TileMatrix<T>& e_s)
{
    const auto sharpness = static_cast<T>(1 / temperature);
    const detail::Logits<T, lanes> of_t{{t}, e_t};
    const detail::Logits<T, lanes> of_s{{s}, e_s};
    const auto sums_with = [&](const PerRow<T, lanes>& shift_t, const PerRow<T, lanes>& shift_s) {
        return tile.template sums<2>([=](auto at) {
            using V = Pack<T>;
            const V x = (of_t.again(at) - at(shift_t)) * V(sharpness);
            const V y = (of_s.again(at) - at(shift_s)) * V(sharpness);
            const V p = of_t.raised(x);
            const V q = of_s.raised(y);
            at.put(e_t, p);
            at.put(e_s, q);
            return std::array{p, q};
        });
    };
    auto shift_t = of_t.glance(tile);
    auto shift_s = of_s.glance(tile);
    auto sums = sums_with(shift_t, shift_s);
    if (of_t.failed(tile, sums[0]) || of_s.failed(tile, sums[1])) {
        shift_t = of_t.top(tile);
        shift_s = of_s.top(tile);
        sums = sums_with(shift_t, shift_s);
    }
    return {{e_t, shift_t, sums[0].narrow()}, {e_s, shift_s, sums[1].narrow()}, sharpness};
}

/// A softmax with one entry of each row set apart, and what rounding would lose of a probability next to
/// 1 kept: `others` is the sum without that entry, which stands in `one`, and `loss` is minus the logarithm
/// of its probability. A row of which none is set apart (negative) counts for nothing, whatever is in it:
/// all is 0, and the sum 1.
template <class T, Lanes lanes>
struct SoftmaxOfOne {
    TileMatrix<T> e;
    PerRow<T, lanes> shift;
    PerRow<T, lanes> one;
    PerRow<T, lanes> others;
    PerRow<T, lanes> sum;
    PerRow<T, lanes> loss;
};

template <class T, Lanes lanes, class Formula, class Which>
[[nodiscard]] SoftmaxOfOne<T, lanes> softmax_of_one(const Tile<T, lanes>& tile,
                                                    const Formula& formula, const TileMatrix<T>& e,
                                                    const Which& which)
{
    const auto s = softmax(tile, formula, e);
    const auto logits = detail::logits_of(tile, formula, e);
    SoftmaxOfOne<T, lanes> r{e, s.shift, {}, {}, {}, {}};
    auto below = tile.numbers();
    bool is_next_to_1 = false;
    for (Index i = 0; i < tile.rows(); ++i)
        if (const Index j = which(tile.row(i)); j >= 0) {
            std::swap(r.one[i], tile.entry(e, i, j));
            r.others[i] = s.sum[i] - r.one[i];
            below[i] = logits.entry(tile, i, j) - s.shift[i];
            is_next_to_1 = is_next_to_1 || r.one[i] > r.others[i];
        }
    if (is_next_to_1)
        r.others = tile.sum([=](auto at) { return at(e); }).narrow();
    tile.each_row([&](auto at) {
        using V = Pack<T>;
        const V one = at(r.one);
        const V others = at(r.others);
        const V rest = others / one;
        at.put(r.sum, one + others);
        at.put(r.loss, select(one > others, log1p(rest), log(one + others) - at(below)));
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
            l.put(l.view(tile.row(i)), s.shift[i] + std::log(s.sum[i]));
        return 0.0;
    });
}

} // namespace temper::inline TEMPER_ABI::simd
