// SPDX-License-Identifier: BSL-1.0
#pragma once

// Rows divided by their lengths, unit(x) = x / max(|x|, epsilon), and what comes back through that:
// dx = (du - u <u, du>) / |x|. By the library's convention a row no longer than epsilon sends back
// nothing (differentiating x / epsilon would multiply the gradient by up to 1e12).

#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// The lengths of rows, also where their squares are too large or too small for T.
template <class T, Lanes lanes>
[[nodiscard]] PerRow<T, lanes, double> norms(const Tile<T, lanes>& tile, const View<const T, 2>& x)
{
    using Limits = std::numeric_limits<T>;
    PerRow<T, lanes, double> out = tile.sum([=](auto at) { return at(x) * at(x); });
    bool safe = true;
    for (Index i = 0; i < tile.rows(); ++i) {
        safe = safe && out[i] > 1e10 * static_cast<double>(Limits::min()) &&
               out[i] < 1e-10 * static_cast<double>(Limits::max());
        out[i] = std::sqrt(out[i]);
    }
    if (safe) [[likely]]
        return out;

    const auto largest = tile.max([=](auto at) { return abs(at(x)); });
    auto divisor = tile.numbers();
    for (Index i = 0; i < tile.rows(); ++i) // 0 divides nothing; infinity and NaN are the length
        divisor[i] = largest[i] > 0 ? largest[i] : T(1);
    out = tile.sum([=](auto at) {
        const auto u = at(x) / at(divisor);
        return u * u;
    });
    for (Index i = 0; i < tile.rows(); ++i)
        out[i] = largest[i] <= Limits::max() ? static_cast<double>(divisor[i]) * std::sqrt(out[i])
                                             : static_cast<double>(largest[i]);
    return out;
}

/// The two factors of each row: forward 1 / max(length, epsilon), and the same backward, or 0 where
/// nothing comes back. Lengths that T cannot invert count as epsilon does.
template <class T, Lanes lanes>
struct UnitScale {
    PerRow<T, lanes> forward;
    PerRow<T, lanes> backward;
};
template <class T, Lanes lanes>
[[nodiscard]] UnitScale<T, lanes> unit_scale(const Tile<T, lanes>& tile, const View<const T, 2>& x,
                                             double epsilon)
{
    UnitScale<T, lanes> scale;
    const auto length = norms(tile, x);
    const double floor = (std::max)(epsilon, static_cast<double>(std::numeric_limits<T>::min()));
    for (Index i = 0; i < tile.rows(); ++i) {
        const bool degenerate = length[i] <= floor;
        scale.forward[i] = static_cast<T>(1 / (degenerate ? floor : length[i]));
        scale.backward[i] = degenerate ? T(0) : scale.forward[i];
    }
    return scale;
}

/// The unit rows of x in the workspace, or in u, and what their pullback takes.
template <class T>
struct UnitRows {
    MatrixView<T> u{};
    T* backward = nullptr;

    UnitRows(Workspace::Frame& frame, MatrixView<const T> x, double epsilon)
        : UnitRows(frame, x, epsilon, frame.matrix_like(x))
    {
    }
    UnitRows(Workspace::Frame& frame, MatrixView<const T> x, double epsilon, MatrixView<T> in)
        : u(in), backward(frame.take<T>(x.rows()))
    {
        const Destination<T, 2> to{u, 1, Mode::overwrite};
        (void)sum_tiles<T>(operands(x, u), 0, [&](const auto& tile) {
            const auto scale = unit_scale(tile, x, epsilon);
            for (Index i = 0; i < tile.rows(); ++i)
                backward[tile.row(i)] = scale.backward[i];
            tile.each([=](auto at) { at.put(to, at(x) * at(scale.forward)); });
            return 0.0;
        });
    }
    void pull(MatrixView<const T> p, const Destination<T, 2>& gx) const
    {
        pull(u, backward, p, gx);
    }
    static void pull(MatrixView<const T> unit, const T* backward, MatrixView<const T> p,
                     const Destination<T, 2>& gx)
    {
        (void)sum_tiles<T>(operands(unit, p, gx), 0, [&](const auto& tile) {
            const auto along = tile.sum([=](auto at) { return at(unit) * at(p); }).narrow();
            auto factor = tile.numbers();
            for (Index i = 0; i < tile.rows(); ++i)
                factor[i] = backward[tile.row(i)];
            tile.each([=](auto at) { at.put(gx, (at(p) - at(unit) * at(along)) * at(factor)); });
            return 0.0;
        });
    }
};

/// Pairs of rows as unit vectors a and b, seen through e = b - a, which is accurate near a = b.
template <class T, Lanes lanes>
struct UnitPairs {
    UnitScale<T, lanes> a;
    UnitScale<T, lanes> b;
    PerRow<T, lanes, double> distance2; ///< |e|^2
    PerRow<T, lanes, double> cosine;    ///< <a, b>
    PerRow<T, lanes, double> opening;   ///< 1 - <a, b>
    PerRow<T, lanes> along_a;           ///< <a, e>
    PerRow<T, lanes> along_b;           ///< <b, e>
};
template <class T, Lanes lanes>
[[nodiscard]] UnitPairs<T, lanes> unit_pairs(const Tile<T, lanes>& tile, const View<const T, 2>& x,
                                             const View<const T, 2>& y, double epsilon)
{
    UnitPairs<T, lanes> p;
    p.a = unit_scale(tile, x, epsilon);
    p.b = unit_scale(tile, y, epsilon);
    const auto sum = [&](auto term) {
        return tile.sum([=, of_a = p.a.forward, of_b = p.b.forward](auto at) {
            const auto a = at(x) * at(of_a);
            return term(a, at(y) * at(of_b) - a);
        });
    };
    p.distance2 = sum([](auto, auto e) { return e * e; });
    const auto along = sum([](auto a, auto e) { return a * e; });
    bool units = true;
    for (Index i = 0; i < tile.rows(); ++i) {
        units = units && p.a.backward[i] != 0 && p.b.backward[i] != 0;
        p.opening[i] = p.distance2[i] / 2;
        p.along_a[i] = static_cast<T>(along[i]);
        p.along_b[i] = static_cast<T>(along[i] + p.distance2[i]);
    }
    if (!units) [[unlikely]] {
        const auto cosine = sum([](auto a, auto e) { return a * (a + e); });
        for (Index i = 0; i < tile.rows(); ++i)
            if (p.a.backward[i] == 0 || p.b.backward[i] == 0)
                p.opening[i] = 1 - cosine[i];
    }
    for (Index i = 0; i < tile.rows(); ++i)
        p.cosine[i] = 1 - p.opening[i];
    return p;
}
/// Writes the gradients of -factor_i <a_i, b_i>: with a a unit vector, b - <a, b> a = e - <a, e> a.
template <class T, Lanes lanes>
void pull_unit_pairs(const Tile<T, lanes>& tile, const View<const T, 2>& x,
                     const View<const T, 2>& y, const UnitPairs<T, lanes>& p,
                     const PerRow<T, lanes>& factor, const Destination<T, 2>& gx,
                     const Destination<T, 2>& gy)
{
    if (!gx && !gy)
        return;
    tile.each([=, of_a = p.a, of_b = p.b, along_a = p.along_a, along_b = p.along_b](auto at) {
        const auto a = at(x) * at(of_a.forward);
        const auto b = at(y) * at(of_b.forward);
        const auto e = b - a;
        at.put(gx, (at(along_a) * a - e) * at(of_a.backward) * at(factor));
        at.put(gy, (e - at(along_b) * b) * at(of_b.backward) * at(factor));
    });
}

} // namespace temper::inline TEMPER_ABI::simd
