// SPDX-License-Identifier: BSL-1.0
#pragma once

// Row-wise loops over matrices that are fast whatever the rows look like. Long dense rows are taken one
// after the other, with the lanes of a pack along the row; short rows, and rows that are not dense in
// memory (column-major matrices), are taken many at a time, with a lane for each row. A formula is written
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

#include <tuple>

namespace temper::inline TEMPER_ABI::simd {

/// Where the lanes of a pack are: in a row that is dense in memory, in a column that is, or in a column
/// (or in any) that is not.
enum class Lanes { along, down, gathered };

/// The most rows that a tile has. Where lanes run along rows they are several only so that what is done
/// once for each row is done for all of them at once.
template <class T, Lanes lanes>
inline constexpr Index tile_rows = (lanes == Lanes::along ? 1 : 4) * Pack<T>::size;

/// A number of type S for each row of a tile.
template <class T, Lanes lanes, class S = T>
struct PerRow {
    alignas(Pack<T>) S of[static_cast<std::size_t>(tile_rows<T, lanes>)]{};

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

/// A matrix of a tile's own, stored as suits the tile: by rows, `stride` apart, if lanes run along them,
/// else by columns of tile_rows entries.
template <class T>
struct TileMatrix {
    T* data;
    Index stride;
};

/// Where a formula is: along a row from column `column` on, or down from row `in_tile` of the tile. The
/// lanes that count are the first `live`. Where a long row ends, it is the last `live` lanes of its last
/// pack: the others have been seen, and are left as they are.
template <class T, Lanes lanes>
class Cursor {
  public:
    using V = Pack<T>;

    [[gnu::always_inline]] Cursor(Index first, Index in_tile, Index column, Index live,
                                  Index seen = 0)
        : row_(first + in_tile), in_tile_(in_tile), column_(column), live_(live), seen_(seen)
    {
    }
    [[gnu::always_inline]] V operator()(const View<const T, 2>& m) const
    {
        if (lanes != Lanes::gathered && whole()) {
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
        return detail::gather(Source<T>{p, of_columns.strides[0]}, 0, whole() ? V::size : live_);
    }
    [[gnu::always_inline]] V operator()(const PerRow<T, lanes>& of_rows) const
    {
        return down ? V::load(of_rows.of + in_tile_) : V(of_rows.of[in_tile_]);
    }
    [[gnu::always_inline]] V operator()(const TileMatrix<T>& m) const
    {
        if (down || whole())
            return V::load(place(m));
        return detail::gather(Source<T>{place(m), 1}, 0, live_);
    }
    [[gnu::always_inline]] void put(const TileMatrix<T>& m, V value) const
    {
        if (down || whole())
            keeping_seen(value, place(m)).store(place(m));
        else
            detail::scatter(Sink<T>{place(m), 1, T(1), Mode::overwrite}, 0, live_, value);
    }
    [[gnu::always_inline]] void put(const Destination<T, 2>& d, V value) const
    {
        if (!d)
            return;
        const auto scale = static_cast<T>(d.scale);
        if (lanes != Lanes::gathered && whole()) {
            T* p = d.view.data + row_ * stride(d.view, 0) + column_ * stride(d.view, 1);
            value = value * V(scale);
            keeping_seen(d.adds() ? V::load(p) + value : value, p).store(p);
            return;
        }
        T* p = d.view.data + row_ * d.view.strides[0] + column_ * d.view.strides[1];
        detail::scatter(Sink<T>{p, d.view.strides[down ? 0 : 1], scale, d.mode}, 0, live_, value);
    }
    /// `value` in the lanes that have not been seen, `seen` in the others.
    [[gnu::always_inline]] V unseen(V value, V seen) const
    {
        return detail::first_lanes(seen, seen_, value);
    }

  private:
    static constexpr bool down = lanes != Lanes::along;

    /// Are there entries of the row in all lanes?
    [[nodiscard]] bool whole() const { return live_ + seen_ == V::size; }
    [[gnu::always_inline]] V keeping_seen(V value, const T* p) const
    {
        return seen_ == 0 ? value : unseen(value, V::load(p));
    }
    /// Of a dense operand.
    template <class M>
    [[nodiscard]] static Index stride(const M& m, std::size_t dimension)
    {
        return dimension == (down ? 0 : 1) ? Index{1} : m.strides[dimension];
    }
    [[nodiscard]] T* place(const TileMatrix<T>& m) const
    {
        return m.data + (down ? column_ * m.stride + in_tile_ : in_tile_ * m.stride + column_);
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
    Index seen_;
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

/// Some rows of the matrices of a loop, up to tile_rows.
template <class T, Lanes lanes>
class Tile {
  public:
    using V = Pack<T>;
    using Numbers = PerRow<T, lanes>;
    using Totals = PerRow<T, lanes, double>;

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
        return {memory_ + which * scratch_size(columns_),
                lanes == Lanes::along ? columns_ : tile_rows<T, lanes>};
    }
    /// The same in a destination, where it lies there as it would in scratch and nothing has to be kept: for
    /// what is written to `d` last, entry by entry. One matrix less for the cache to hold.
    [[nodiscard]] TileMatrix<T> scratch(Index which, const Destination<T, 2>& d) const
    {
        if (lanes == Lanes::along && d.mode == Mode::overwrite && d.view.strides[1] == 1)
            return {d.view.data + first_ * d.view.strides[0], d.view.strides[0]};
        return scratch(which);
    }
    /// One entry of a scratch matrix.
    [[nodiscard]] T& entry(const TileMatrix<T>& m, Index i, Index column) const
    {
        return m.data[lanes == Lanes::along ? i * m.stride + column : column * m.stride + i];
    }
    /// How many rows a tile has.
    [[nodiscard]] static Index rows_for(Index columns)
    {
        constexpr Index most = tile_rows<T, lanes>;
        return lanes == Lanes::along ? std::clamp(Index{2048} / (columns + 1), Index{1}, most)
                                     : most;
    }
    [[nodiscard]] static Index scratch_size(Index columns)
    {
        return columns * (lanes == Lanes::along ? rows_for(columns) : tile_rows<T, lanes>);
    }

    /// What f(at) is for one entry.
    template <class F>
    [[nodiscard]] T value(const F& f, Index i, Index column) const
    {
        const Index lane = lanes == Lanes::along ? 0 : i % V::size;
        const Index live =
            lanes == Lanes::along ? Index{1} : (std::min)(V::size, rows_ - (i - lane));
        T each[static_cast<std::size_t>(V::size)];
        f(Cursor<T, lanes>(first_, i - lane, column, live)).store(each);
        return each[lane];
    }

    // "flatten" in what follows: a formula that is called for every pack, not inlined, costs four times what
    // it computes, and compilers that find it long do just that.

    /// f(at) everywhere.
    template <class F>
    [[gnu::flatten]] void each(F f) const
    {
        const Index first = first_;
        const Index rows = rows_;
        const Index columns = columns_;
        if constexpr (lanes != Lanes::along) {
            for (Index j = 0; j < columns; ++j)
                for (Index i = 0; i < rows; i += V::size)
                    f(Cursor<T, lanes>(first, i, j, (std::min)(V::size, rows - i)));
        }
        else
            for (Index i = 0; i < rows; ++i) {
                Index j = 0;
                for (; j + V::size <= columns; j += V::size)
                    f(Cursor<T, lanes>(first, i, j, V::size));
                if (j < columns)
                    f(end_of_row(first, i, j, columns));
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
        return reduce<detail::Plus, 1>([f](auto at) { return std::array{f(at)}; })[0];
    }
    /// Several sums at once: f(at) is an array of N packs.
    template <std::size_t N, class F>
    [[nodiscard]] std::array<Totals, N> sums(const F& f) const
    {
        return reduce<detail::Plus, N>(f);
    }
    /// The largest f(at) of each row, NaN if one is NaN, minus infinity if there are no columns.
    template <class F>
    [[nodiscard]] Numbers max(const F& f) const
    {
        return reduce<detail::Largest, 1>([f](auto at) { return std::array{f(at)}; })[0];
    }
    /// The same where NaN does not matter: what comes of a row with NaN is any of its numbers.
    template <class F>
    [[nodiscard]] Numbers top(const F& f) const
    {
        return reduce<detail::Top, 1>([f](auto at) { return std::array{f(at)}; })[0];
    }
    /// The largest of some of each row's f(at), all over a long row; of all where that costs no pass.
    template <class F>
    [[nodiscard]] Numbers glance(const F& f) const
    {
        constexpr Index looks = 16;
        const Index step = columns_ / (looks * V::size) * V::size;
        if (lanes != Lanes::along || step <= V::size)
            return top(f);
        Numbers out;
        for (Index i = 0; i < rows_; ++i) {
            V most(detail::Top::identity<T>);
            for (Index look = 0; look < looks; ++look)
                most =
                    detail::Top::fold(most, f(Cursor<T, lanes>(first_, i, look * step, V::size)));
            out[i] = most.maximum();
        }
        return out;
    }

  private:
    template <class Fold, std::size_t N, class F>
    [[nodiscard]] auto reduce(const F& f) const
    {
        using Total = typename Fold::template Total<T>;
        std::array<PerRow<T, lanes, Total>, N> totals;
        for (auto& total : totals)
            for (Index i = 0; i < rows_; ++i)
                total[i] = Fold::template identity<Total>;
        for (Index from = 0; from < columns_; from += detail::chunk) {
            const Index to = (std::min)(columns_, from + detail::chunk);
            if constexpr (lanes == Lanes::along)
                for (Index i = 0; i < rows_; ++i)
                    along<Fold>(first_, i, from, to, f, totals);
            else if (rows_ == tile_rows<T, lanes>)
                downwards<Fold, 4>(first_, 0, V::size, from, to, f, totals);
            else
                for (Index i = 0; i < rows_; i += V::size)
                    downwards<Fold, 1>(first_, i, (std::min)(V::size, rows_ - i), from, to, f,
                                       totals);
        }
        return totals;
    }
    template <class Fold, std::size_t N>
    [[gnu::always_inline]] static void fold(std::array<V, N>& into, const std::array<V, N>& more)
    {
        for (std::size_t s = 0; s < N; ++s)
            into[s] = Fold::fold(into[s], more[s]);
    }
    /// From column `at` on, where less than a pack is left of the row.
    [[nodiscard, gnu::always_inline]] static Cursor<T, lanes> end_of_row(Index first, Index i,
                                                                         Index at, Index columns)
    {
        const Index live = columns - at;
        return columns < V::size
                   ? Cursor<T, lanes>(first, i, at, live)
                   : Cursor<T, lanes>(first, i, columns - V::size, live, V::size - live);
    }
    // The formula is taken by value here, so that nothing it captured is in reach of a write.
    template <class Fold, class F, class Sums>
    [[gnu::flatten]] static void along(Index first, Index i, Index from, Index to, F f,
                                       Sums& totals)
    {
        constexpr std::size_t N = std::tuple_size_v<Sums>;
        using Total = typename Fold::template Total<T>;
        const V identity(Fold::template identity<T>);
        std::array<V, N> part;
        part.fill(identity);
        std::array<V, N> other = part;
        Index j = from;
        for (; j + 2 * V::size <= to; j += 2 * V::size) {
            fold<Fold>(part, f(Cursor<T, lanes>(first, i, j, V::size)));
            fold<Fold>(other, f(Cursor<T, lanes>(first, i, j + V::size, V::size)));
        }
        for (; j + V::size <= to; j += V::size)
            fold<Fold>(part, f(Cursor<T, lanes>(first, i, j, V::size)));
        if (j < to) {
            const auto at = end_of_row(first, i, j, to);
            std::array<V, N> rest = f(at);
            for (V& each : rest)
                each = to < V::size ? detail::first_lanes(each, to, identity)
                                    : at.unseen(each, identity);
            fold<Fold>(other, rest);
        }
        fold<Fold>(part, other);
        for (std::size_t s = 0; s < N; ++s)
            totals[s][i] = Fold::fold(totals[s][i], static_cast<Total>(Fold::lanes(part[s])));
    }
    template <class Fold, int packs, class F, class Sums>
    [[gnu::flatten]] static void downwards(Index first, Index i, Index live, Index from, Index to,
                                           F f, Sums& totals)
    {
        constexpr std::size_t N = std::tuple_size_v<Sums>;
        using Total = typename Fold::template Total<T>;
        std::array<std::array<V, N>, static_cast<std::size_t>(packs)> part;
        for (auto& one : part)
            one.fill(V(Fold::template identity<T>));
        for (Index j = from; j < to; ++j)
            for (Index p = 0; p < packs; ++p)
                fold<Fold>(part[static_cast<std::size_t>(p)],
                           f(Cursor<T, lanes>(first, i + p * V::size, j, live)));
        for (std::size_t s = 0; s < N; ++s) {
            T last[static_cast<std::size_t>(packs * V::size)];
            for (Index p = 0; p < packs; ++p)
                part[static_cast<std::size_t>(p)][s].store(last + p * V::size);
            for (Index l = 0; l < (packs - 1) * V::size + live; ++l)
                totals[s][i + l] = Fold::fold(totals[s][i + l], static_cast<Total>(last[l]));
        }
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
    const Index rows = Tile<T, lanes>::rows_for(d);
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
    // Beside its entries a row costs a few reductions, or next to nothing.
    const Index few = scratch > 0 ? 32 : 12;
    const bool short_rows = all.columns < few && all.rows > 1;
    if (all.dense_columns && (short_rows || !all.dense_rows))
        return detail::sum_tiles<T, Lanes::down>(all.rows, all.columns, scratch, f);
    if (all.dense_rows && !short_rows)
        return detail::sum_tiles<T, Lanes::along>(all.rows, all.columns, scratch, f);
    return detail::sum_tiles<T, Lanes::gathered>(all.rows, all.columns, scratch, f);
}

} // namespace temper::inline TEMPER_ABI::simd
