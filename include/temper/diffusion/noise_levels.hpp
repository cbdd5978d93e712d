// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the headers of this folder share: a noise level for each sample, and which two neighbours of a grid
// each sample is trained between.
//
// Noise levels are numbers of any floating type [n], or one number for all samples, and are computed with
// in double: differences of neighbouring levels, and of a level to the smallest, lose digits in float.

#include <temper/core/component.hpp>

#include <span>
#include <vector>

namespace temper::inline TEMPER_ABI {

/// Sample i is trained between the levels low[i] < high[i], which are number index[i] and the one after it
/// of a grid of `levels`.
struct NoisePairs {
    std::vector<double> low;
    std::vector<double> high;
    std::vector<Index> index;
    Index levels = 0;

    [[nodiscard]] Index size() const { return static_cast<Index>(index.size()); }

    /// From an ascending grid and an index for each sample; RangeError for an index that names no pair.
    template <class I>
    void assign(std::span<const double> sigmas, const I& indices)
    {
        const auto n = static_cast<Index>(sigmas.size());
        for (Index i = 1; i < n; ++i)
            require(sigmas[at(i)] > sigmas[at(i - 1)], "NoisePairs", "sigmas", sigmas[at(i)],
                    "ascending");
        for (const auto i : indices)
            require(i >= 0 && static_cast<Index>(i) < n - 1, "NoisePairs", "index",
                    static_cast<double>(i), "the lower of two neighbouring levels");
        levels = n;
        index.assign(std::begin(indices), std::end(indices));
        low.resize(index.size());
        high.resize(index.size());
        for (std::size_t i = 0; i < index.size(); ++i) {
            low[i] = sigmas[at(index[i])];
            high[i] = sigmas[at(index[i] + 1)];
        }
    }
    template <class I>
    [[nodiscard]] static NoisePairs of(std::span<const double> sigmas, const I& indices)
    {
        NoisePairs pairs;
        pairs.assign(sigmas, indices);
        return pairs;
    }
    /// Throws unless there is a pair for each of n samples.
    void check(std::string_view component, Index n) const
    {
        require(size() == n && low.size() == index.size() && high.size() == index.size(), component,
                "pairs.size()", static_cast<double>(size()), "of the batch's size");
    }
    friend bool operator==(const NoisePairs&, const NoisePairs&) = default;

  private:
    static constexpr std::size_t at(Index i) { return static_cast<std::size_t>(i); }
};

/// Noise levels as doubles, each checked by check(level). Copied before anything is written.
template <class T, class A, class Check>
[[nodiscard]] const double* noise_levels(Border<T>& border, std::string_view name, const A& levels,
                                         Index n, const Check& check)
{
    double* const out = border.scratch().template take<double>(n);
    if constexpr (std::is_arithmetic_v<A>) {
        for (Index i = 0; i < n; ++i)
            out[i] = static_cast<double>(levels);
    }
    else {
        const auto v = view(levels);
        const AnyView<const typename decltype(v)::Scalar> any(v);
        if (any.rank != 1 || any.extent(0) != n)
            fail<ShapeError>(border.component(), name, joined({"has shape ", shape_text(any)}),
                             joined({"[", text(n), "], a noise level for each sample"}));
        for (Index i = 0; i < n; ++i)
            out[i] = static_cast<double>(any.data[i * any.stride(0)]);
    }
    for (Index i = 0; i < n; ++i)
        check(out[i]);
    return out;
}

namespace kernel {
/// out_i = a_i x_i + b_i y_i: noise added, outputs put together.
template <class T>
struct ScaledRows {
    static void run(const double* a, MatrixView<const T> x, const double* b, MatrixView<const T> y,
                    const Destination<T, 2>& out);
    static void run(const double* a, MatrixView<const T> x, const Destination<T, 2>& out);
};
} // namespace kernel

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/tiles.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::ScaledRows<T>::run(const double* a, MatrixView<const T> x, const double* b,
                                MatrixView<const T> y, const Destination<T, 2>& out)
{
    if (!out)
        return;
    (void)simd::sum_tiles<T>(simd::operands(x, y, out), 0, [&](const auto& tile) {
        auto u = tile.numbers();
        auto v = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            u[i] = static_cast<T>(a[tile.row(i)]);
            v[i] = static_cast<T>(b[tile.row(i)]);
        }
        tile.each([=](auto at) { at.put(out, fma(at(u), at(x), at(v) * at(y))); });
        return 0.0;
    });
}

template <class T>
void kernel::ScaledRows<T>::run(const double* a, MatrixView<const T> x,
                                const Destination<T, 2>& out)
{
    if (!out)
        return;
    (void)simd::sum_tiles<T>(simd::operands(x, out), 0, [&](const auto& tile) {
        auto u = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            u[i] = static_cast<T>(a[tile.row(i)]);
        tile.each([=](auto at) { at.put(out, at(u) * at(x)); });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::ScaledRows);

} // namespace temper::inline TEMPER_ABI
#endif
