// SPDX-License-Identifier: BSL-1.0
#pragma once

// Row-wise loops over matrices that are fast whatever the rows look like. Long dense rows are taken one
// by one, with the lanes of a pack along the row; short rows, and rows that are not dense in memory
// (column-major matrices), are taken many at a time, with a lane for each row. A formula is written
// once, on a cursor:
//
//   double value = simd::sum_tiles(simd::operands(z, gz), 1, [&](const auto& tile) {
//       const auto e = tile.scratch(0);                                     // a matrix of the tile's own
//       const auto largest = tile.max([=](auto at) { return at(z); });      // a number for each row
//       const auto sum = tile.sum([=](auto at) {
//           const auto x = exp(at(z) - at(largest));
//           at.put(e, x);
//           return x;
//       });
//       ...
//   });
//
// at(x) is a pack of a matrix, of a vector that has a number for each column, or of numbers that the tile
// has for each row; at.put(g, x) writes through a destination. All matrices and destinations that
// formulas use are named as operands. Formulas capture by value: what they refer to, a compiler loads
// again after every write. Sums of floats are added in packs over at most 1024 entries, and those sums in
// double.

#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// Where the lanes of a pack are: in a row that is dense in memory, in a column that is, or in a column
/// (or in any) that is not.
enum class Lanes { along, down, gathered };

/// The most rows that a tile has, unless lanes run along rows.
template <class T>
inline constexpr Index tile_rows = 4 * Pack<T>::size;

/// A number of type S for each row of a tile.
template <class T, Lanes lanes, class S = T>
struct PerRow {
    static constexpr bool one = lanes == Lanes::along;
    alignas(32) S of[static_cast<std::size_t>(one ? Pack<T>::size : tile_rows<T>)]{};

    S& operator[](Index i) { return of[i]; }
    S operator[](Index i) const { return of[i]; }
    /// The same numbers in T.
    [[nodiscard]] PerRow<T, lanes> narrow() const
    {
        PerRow<T, lanes> out;
        for (std::size_t i = 0; i < std::size(of); ++i)
            out.of[i] = static_cast<T>(of[i]);
        return out;
    }
};

/// A matrix of a tile's own, stored as suits the tile.
template <class T>
struct TileMatrix {
    T* data;
};

/// Where a formula is: `live` lanes along row `row`, or from there down column `column`.
template <class T, Lanes lanes>
class Cursor {
  public:
    using V = Pack<T>;

    [[gnu::always_inline]] Cursor(Index first, Index in_tile, Index column, Index live)
        : row_(first + in_tile), in_tile_(in_tile), column_(column), live_(live)
    {
    }
    [[gnu::always_inline]] V operator()(const View<const T, 2>& m) const
    {
        if (dense()) {
            const T* p = m.data + row_ * stride(m, 0) + column_ * stride(m, 1);
            prefetch(p + 4 * stride(m, 1));
            return V::load(p);
        }
        const T* p = m.data + row_ * m.strides[0] + column_ * m.strides[1];
        return detail::gather(Source<T>{p, m.strides[down ? 0 : 1]}, 0, live_);
    }
    [[gnu::always_inline]] V operator()(const View<const T, 1>& of_columns) const
    {
        const T* p = of_columns.data + column_ * of_columns.strides[0];
        if (down)
            return V(*p);
        return detail::gather(Source<T>{p, of_columns.strides[0]}, 0, live_);
    }
    [[gnu::always_inline]] V operator()(const PerRow<T, lanes>& of_rows) const
    {
        return down ? V::load(of_rows.of + in_tile_) : V(of_rows.of[0]);
    }
    [[gnu::always_inline]] V operator()(const TileMatrix<T>& m) const
    {
        return V::load(m.data + in_scratch());
    }
    [[gnu::always_inline]] void put(const TileMatrix<T>& m, V value) const
    {
        value.store(m.data + in_scratch());
    }
    [[gnu::always_inline]] void put(const Destination<T, 2>& d, V value) const
    {
        if (!d)
            return;
        const auto scale = static_cast<T>(d.scale);
        if (dense()) {
            T* p = d.view.data + row_ * stride(d.view, 0) + column_ * stride(d.view, 1);
            value = value * V(scale);
            (d.adds() ? V::load(p) + value : value).store(p);
            return;
        }
        T* p = d.view.data + row_ * d.view.strides[0] + column_ * d.view.strides[1];
        detail::scatter(Sink<T>{p, d.view.strides[down ? 0 : 1], scale, d.mode}, 0, live_, value);
    }

  private:
    static constexpr bool down = lanes != Lanes::along;

    [[nodiscard]] bool dense() const { return lanes != Lanes::gathered && live_ == V::size; }
    /// Of a dense operand.
    template <class M>
    [[nodiscard]] static Index stride(const M& m, std::size_t dimension)
    {
        return dimension == (down ? 0 : 1) ? Index{1} : m.strides[dimension];
    }
    [[nodiscard]] Index in_scratch() const
    {
        return down ? column_ * tile_rows<T> + in_tile_ : column_;
    }
    /// Down columns, what comes next is too far away for the processor to see it coming.
    [[gnu::always_inline]] static void prefetch([[maybe_unused]] const T* p)
    {
#ifdef __GNUC__
        if (down)
            __builtin_prefetch(p);
#endif
    }

    Index row_;
    Index in_tile_;
    Index column_;
    Index live_;
};

/// Where a formula is that has nothing to do with columns.
template <class T, Lanes lanes>
struct RowCursor {
    Index in_tile;
    Pack<T> operator()(const PerRow<T, lanes>& of_rows) const
    {
        return Pack<T>::load(of_rows.of + in_tile);
    }
    void put(PerRow<T, lanes>& of_rows, Pack<T> value) const { value.store(of_rows.of + in_tile); }
};

/// Some rows of the matrices of a loop: one if lanes run along rows, else up to tile_rows.
template <class T, Lanes lanes>
class Tile {
  public:
    using V = Pack<T>;
    using Numbers = PerRow<T, lanes>;
    using Totals = PerRow<T, lanes, double>;
    static constexpr Index most_rows = lanes == Lanes::along ? 1 : tile_rows<T>;

    Tile(Index first, Index rows, Index columns, T* memory)
        : first_(first), rows_(rows), columns_(columns), memory_(memory)
    {
    }
    [[nodiscard]] Index rows() const { return rows_; }
    [[nodiscard]] Index columns() const { return columns_; }
    /// The matrix's row that is row i of the tile.
    [[nodiscard]] Index row(Index i) const { return first_ + i; }

    /// A number for each row, 0.
    [[nodiscard]] static Numbers numbers() { return {}; }
    [[nodiscard]] static Totals totals() { return {}; }
    [[nodiscard]] TileMatrix<T> scratch(Index which) const
    {
        return {memory_ + which * scratch_size(columns_)};
    }
    /// One entry of a scratch matrix.
    [[nodiscard]] T& entry(const TileMatrix<T>& m, Index i, Index column) const
    {
        return m.data[column * most_rows + i];
    }
    [[nodiscard]] static Index scratch_size(Index columns) { return columns * most_rows + V::size; }

    /// f(at) everywhere.
    template <class F>
    void each(F f) const
    {
        const Index first = first_;
        const Index rows = rows_;
        const Index columns = columns_;
        if constexpr (lanes != Lanes::along) {
            for (Index j = 0; j < columns; ++j)
                for (Index i = 0; i < rows; i += V::size)
                    f(Cursor<T, lanes>(first, i, j, (std::min)(V::size, rows - i)));
        }
        else {
            Index j = 0;
            for (; j + V::size <= columns; j += V::size)
                f(Cursor<T, lanes>(first, 0, j, V::size));
            if (j < columns)
                f(Cursor<T, lanes>(first, 0, j, columns - j));
        }
    }
    /// f(at) once for each row: at reads and puts numbers that the tile has for each row.
    template <class F>
    void each_row(const F& f) const
    {
        for (Index i = 0; i < rows_; i += V::size)
            f(RowCursor<T, lanes>{i});
    }
    /// The sum of f(at) over each row, 0 if there are no columns.
    template <class F>
    [[nodiscard]] Totals sum(const F& f) const
    {
        return reduce<detail::Plus>(f);
    }
    /// The largest f(at) of each row, NaN if one is NaN, minus infinity if there are no columns.
    template <class F>
    [[nodiscard]] Numbers max(const F& f) const
    {
        return reduce<detail::Largest>(f);
    }

  private:
    template <class Fold, class F>
    [[nodiscard]] auto reduce(const F& f) const
    {
        using Total = typename Fold::template Total<T>;
        PerRow<T, lanes, Total> totals;
        for (Index i = 0; i < rows_; ++i)
            totals[i] = Fold::template identity<Total>;
        for (Index from = 0; from < columns_; from += detail::chunk) {
            const Index to = (std::min)(columns_, from + detail::chunk);
            if constexpr (lanes == Lanes::along)
                totals[0] = Fold::fold(totals[0], along<Fold, Total>(first_, from, to, f));
            else if (rows_ == tile_rows<T>)
                downwards<Fold, 4>(first_, 0, V::size, from, to, f, totals);
            else
                for (Index i = 0; i < rows_; i += V::size)
                    downwards<Fold, 1>(first_, i, (std::min)(V::size, rows_ - i), from, to, f,
                                       totals);
        }
        return totals;
    }
    // The formula is taken by value here, so that nothing it captured is in reach of a write.
    template <class Fold, class Total, class F>
    [[nodiscard]] static Total along(Index first, Index from, Index to, F f)
    {
        const V identity(Fold::template identity<T>);
        std::array<V, 2> part{identity, identity};
        Index j = from;
        for (; j + 2 * V::size <= to; j += 2 * V::size) {
            part[0] = Fold::fold(part[0], f(Cursor<T, lanes>(first, 0, j, V::size)));
            part[1] = Fold::fold(part[1], f(Cursor<T, lanes>(first, 0, j + V::size, V::size)));
        }
        for (; j + V::size <= to; j += V::size)
            part[0] = Fold::fold(part[0], f(Cursor<T, lanes>(first, 0, j, V::size)));
        auto total = static_cast<Total>(Fold::lanes(Fold::fold(part[0], part[1])));
        if (j < to) {
            T last[static_cast<std::size_t>(V::size)];
            f(Cursor<T, lanes>(first, 0, j, to - j)).store(last);
            for (Index l = 0; l < to - j; ++l)
                total = Fold::fold(total, static_cast<Total>(last[l]));
        }
        return total;
    }
    template <class Fold, int packs, class F, class Sums>
    static void downwards(Index first, Index i, Index live, Index from, Index to, F f, Sums& totals)
    {
        using Total = typename Fold::template Total<T>;
        std::array<V, static_cast<std::size_t>(packs)> part;
        part.fill(V(Fold::template identity<T>));
        for (Index j = from; j < to; ++j)
            for (Index p = 0; p < packs; ++p) {
                V& fold = part[static_cast<std::size_t>(p)];
                fold = Fold::fold(fold, f(Cursor<T, lanes>(first, i + p * V::size, j, live)));
            }
        T last[static_cast<std::size_t>(packs * V::size)];
        for (Index p = 0; p < packs; ++p)
            part[static_cast<std::size_t>(p)].store(last + p * V::size);
        for (Index l = 0; l < (packs - 1) * V::size + live; ++l)
            totals[i + l] = Fold::fold(totals[i + l], static_cast<Total>(last[l]));
    }

    Index first_;
    Index rows_;
    Index columns_;
    T* memory_;
};

/// The matrices that formulas use: their shape, and how all of them lie in memory.
struct Operands {
    Index rows = 0;
    Index columns = 0;
    bool dense_rows = true;
    bool dense_columns = true;

    template <class T>
    void add(const View<T, 2>& m)
    {
        dense_rows = dense_rows && m.strides[1] == 1;
        dense_columns = dense_columns && m.strides[0] == 1;
    }
    template <class T>
    void add(const Destination<T, 2>& d)
    {
        if (d)
            add(d.view);
    }
};
template <class T, class... M>
[[nodiscard]] Operands operands(const View<T, 2>& first, const M&... rest)
{
    Operands all{first.rows(), first.cols()};
    all.add(first);
    (all.add(rest), ...);
    return all;
}

namespace detail {
template <class T, Lanes lanes, class F>
double sum_tiles(Index n, Index d, Index scratch, const F& f)
{
    constexpr Index rows = Tile<T, lanes>::most_rows;
    const Blocks tiles{n, rows};
    const Blocks blocks = row_blocks(tiles.count(), rows * d);
    Workspace::Frame frame;
    const Slices<T> memory(frame, n * d, scratch * Tile<T, lanes>::scratch_size(d));
    return parallel_sum(blocks, n * d, [&](Index begin, Index end) {
        double total = 0;
        for (Index t = begin; t < end; ++t)
            total +=
                f(Tile<T, lanes>(tiles.begin(t), tiles.end(t) - tiles.begin(t), d, memory.mine()));
        return total;
    });
}
} // namespace detail

/// Sum of f(tile) over all rows. A tile has `scratch` matrices of its own.
template <class T, class F>
double sum_tiles(const Operands& all, Index scratch, const F& f)
{
    // Beside its entries a row costs a few reductions and logarithms, or next to nothing.
    const Index few = (scratch > 0 ? 24 : 2) * Pack<T>::size;
    const bool short_rows = all.columns < few && all.rows > 1;
    if (all.dense_columns && (short_rows || !all.dense_rows))
        return detail::sum_tiles<T, Lanes::down>(all.rows, all.columns, scratch, f);
    if (all.dense_rows && !short_rows)
        return detail::sum_tiles<T, Lanes::along>(all.rows, all.columns, scratch, f);
    return detail::sum_tiles<T, Lanes::gathered>(all.rows, all.columns, scratch, f);
}

} // namespace temper::inline TEMPER_ABI::simd
