// SPDX-License-Identifier: BSL-1.0
#pragma once

// Loops down the columns of matrices, with numbers per column beside the entries:
//
//   column_map(std::array{mean}, std::array{x}, std::array{y}, [](auto m, auto x, auto& y) { y = x - m; });
//   column_sum(std::array{mean}, std::array{x}, sums, [](auto m, auto x) { return (x - m) * (x - m); });
//
// First come the numbers per column (dense, [d]), then entries [n, d], then results. Where columns are
// stored together the loop goes down one after the other; where rows are, down some packs of columns at
// a time. Both run on the calling thread: a kernel cuts its columns into `column_strips`, each narrow
// enough to be found in the cache by one pass after another.
//
// Sums are added in packs over at most 64 rows (or as in loops.hpp), and those sums in double.

#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// How many columns of n entries make a block of work. Strips are at most max_strip wide.
inline constexpr Index max_strip = 512;
[[nodiscard]] inline Blocks column_strips(Index n, Index d)
{
    const Index width = Index{16384} / (std::max)(Index{1}, n) / 64 * 64;
    return {d, std::clamp(width, Index{64}, max_strip)};
}

/// f(begin, width) for the strips of n x d matrices, in parallel.
template <class F>
void each_strip(Index n, Index d, const F& f)
{
    const auto strips = column_strips(n, d);
    parallel_for(strips.count(), n * d, [&](Index strip) {
        f(strips.begin(strip), strips.end(strip) - strips.begin(strip));
    });
}

/// Columns [begin, begin + width) of a destination.
template <class T>
[[nodiscard]] Destination<T, 2> columns_of(const Destination<T, 2>& d, Index begin, Index width)
{
    if (!d)
        return {};
    return {d.view.block(0, begin, d.view.rows(), width), d.scale, d.mode};
}

namespace detail {

template <class T, std::size_t P, std::size_t I, std::size_t O, class F>
[[gnu::always_inline]] inline auto apply(const F& f, const std::array<Pack<T>, P>& p,
                                         const std::array<Pack<T>, I>& x, std::array<Pack<T>, O>& y)
{
    return [&]<std::size_t... a, std::size_t... i, std::size_t... o>(
               std::index_sequence<a...>, std::index_sequence<i...>, std::index_sequence<o...>) {
        return f(p[a]..., x[i]..., y[o]...);
    }(std::make_index_sequence<P>{}, std::make_index_sequence<I>{}, std::make_index_sequence<O>{});
}

/// Column by column, for columns that are stored together.
template <class T, std::size_t P, std::size_t I, std::size_t O, class F>
void along_columns(const std::array<const T*, P>& p, const std::array<MatrixView<const T>, I>& in,
                   const std::array<Destination<T, 2>, O>& out, double* sums, const F& f)
{
    for (Index j = 0; j < in[0].cols(); ++j) {
        std::array<Pack<T>, P> number;
        std::array<Source<T>, I> x;
        std::array<Sink<T>, O> y;
        for (std::size_t k = 0; k < P; ++k)
            number[k] = Pack<T>(p[k][j]);
        for (std::size_t k = 0; k < I; ++k)
            x[k] = {in[k].data + j * in[k].strides[1], in[k].strides[0]};
        for (std::size_t k = 0; k < O; ++k)
            if (out[k])
                y[k] = {out[k].view.data + j * out[k].view.strides[1], out[k].view.strides[0],
                        static_cast<T>(out[k].scale), out[k].mode};
        const double sum = run<Plus>(in[0].rows(), x, y, [&](auto&&... entries) {
            return [&]<std::size_t... a>(std::index_sequence<a...>) {
                return f(number[a]..., entries...);
            }(std::make_index_sequence<P>{});
        });
        if (sums != nullptr)
            sums[j] = sum;
    }
}

/// The same down K packs of columns from column j on, each of `live` columns. Where rows are dense and packs
/// whole, a template parameter says so: a compiler that is not told keeps packs in memory.
template <Index K, bool dense, class T, std::size_t P, std::size_t I, std::size_t O, class F>
[[gnu::flatten]] void down_packs(Index j, Index live, const std::array<const T*, P>& p,
                                 const std::array<MatrixView<const T>, I>& in,
                                 const std::array<Destination<T, 2>, O>& out, double* sums,
                                 const F& f)
{
    constexpr Index width = Pack<T>::size;
    constexpr Index rows = 64;
    std::array<std::array<Pack<T>, P>, static_cast<std::size_t>(K)> number;
    for (std::size_t k = 0; k < place(K); ++k)
        for (std::size_t a = 0; a < P; ++a)
            number[k][a] = gather(Source<T>{p[a], 1}, j + static_cast<Index>(k) * width, live);

    const Index n = in[0].rows();
    for (Index begin = 0; begin < n; begin += rows) {
        const Index end = (std::min)(n, begin + rows);
        std::array<Pack<T>, static_cast<std::size_t>(K)> sum;
        sum.fill(Pack<T>(0));
        for (Index i = begin; i < end; ++i)
            for (std::size_t k = 0; k < place(K); ++k) {
                const Index at = j + static_cast<Index>(k) * width;
                std::array<Pack<T>, I> x;
                std::array<Pack<T>, O> y;
                for (std::size_t a = 0; a < I; ++a) {
                    const Source<T> row{in[a].data + i * in[a].strides[0], in[a].strides[1]};
                    if constexpr (dense)
                        x[a] = Pack<T>::load(row.p + at);
                    else
                        x[a] = gather(row, at, live);
                }
                if constexpr (std::is_void_v<decltype(apply<T, P, I, O>(f, number[k], x, y))>)
                    apply<T, P, I, O>(f, number[k], x, y);
                else
                    sum[k] += apply<T, P, I, O>(f, number[k], x, y);
                for (std::size_t a = 0; a < O; ++a) {
                    const auto row = sink(out[a], i);
                    if constexpr (dense)
                        store(row, at, y[a]);
                    else
                        scatter(row, at, live, y[a]);
                }
            }
        if (sums != nullptr)
            for (std::size_t k = 0; k < place(K); ++k) {
                T lanes[static_cast<std::size_t>(width)];
                sum[k].store(lanes);
                for (Index l = 0; l < live; ++l)
                    sums[j + static_cast<Index>(k) * width + l] += static_cast<double>(lanes[l]);
            }
    }
}

template <class T, std::size_t P, std::size_t I, std::size_t O, class F>
void columns(const std::array<const T*, P>& p, const std::array<MatrixView<const T>, I>& in,
             const std::array<Destination<T, 2>, O>& out, double* sums, const F& f)
{
    static_assert(I > 0);
    if (std::abs(in[0].strides[0]) <= std::abs(in[0].strides[1]) && in[0].cols() > 0 &&
        in[0].rows() > 1)
        return along_columns(p, in, out, sums, f);
    bool dense = true;
    for (const auto& x : in)
        dense = dense && x.strides[1] == 1;
    for (const auto& y : out)
        dense = dense && (!y || y.view.strides[1] == 1);
    constexpr Index width = Pack<T>::size;
    const Index d = in[0].cols();
    if (sums != nullptr)
        std::fill(sums, sums + d, 0.0);
    Index j = 0;
    for (; dense && j + 4 * width <= d; j += 4 * width)
        down_packs<4, true>(j, width, p, in, out, sums, f);
    for (; dense && j + width <= d; j += width)
        down_packs<1, true>(j, width, p, in, out, sums, f);
    for (; j < d; j += width)
        down_packs<1, false>(j, (std::min)(width, d - j), p, in, out, sums, f);
}

} // namespace detail

/// f(p..., x..., y&...) on all entries.
template <class T, std::size_t P, std::size_t I, std::size_t O, class F>
void column_map(const std::array<const T*, P>& per_column,
                const std::array<MatrixView<const T>, I>& in,
                const std::array<Destination<T, 2>, O>& out, const F& f)
{
    detail::columns(per_column, in, out, nullptr, f);
}

/// sums[j] = the sum down column j of f(p..., x...).
template <class T, std::size_t P, std::size_t I, class F>
void column_sum(const std::array<const T*, P>& per_column,
                const std::array<MatrixView<const T>, I>& in, double* sums, const F& f)
{
    detail::columns(per_column, in, std::array<Destination<T, 2>, 0>{}, sums, f);
}

/// dots[j] = the sum down column j of a b, for whole matrices, in parallel.
template <class T>
void column_dots(MatrixView<const T> a, MatrixView<const T> b, double* dots)
{
    each_strip(a.rows(), a.cols(), [&](Index begin, Index width) {
        column_sum(
            std::array<const T*, 0>{},
            std::array{a.block(0, begin, a.rows(), width), b.block(0, begin, a.rows(), width)},
            dots + begin, [](auto u, auto v) { return u * v; });
    });
}

} // namespace temper::inline TEMPER_ABI::simd
