// SPDX-License-Identifier: BSL-1.0
#pragma once

// What the losses over all pairs of rows share: how rows are compared, and how the softmax of an n x m
// matrix of similarities is taken without ever storing it. The matrix is made tile by tile, once for the
// sums of its rows and once more for the gradients: that is less work than to write it to memory and to
// read it again.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

/// <a, b> of unit vectors, or of the rows as they are.
enum class Similarity { cosine, dot };

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/product.hpp>
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI::detail {

/// Rows in scratch as they are compared, and the way back to those they come from.
template <class T>
class ComparedRows {
  public:
    ComparedRows(Workspace::Frame& frame, Similarity by, double epsilon, MatrixView<const T> x,
                 MatrixView<T> in)
        : rows_(in)
    {
        if (by == Similarity::cosine) {
            backward_ = simd::UnitRows<T>(frame, x, epsilon, in).backward;
            return;
        }
        const Destination<T, 2> to{in, 1, Mode::overwrite};
        (void)simd::sum_tiles<T>(simd::operands(x, in), 0, [&](const auto& tile) {
            tile.each([=](auto at) { at.put(to, at(x)); });
            return 0.0;
        });
    }
    /// gx from the gradient by the rows.
    void pull(MatrixView<const T> gradient, const Destination<T, 2>& gx) const
    {
        if (!gx)
            return;
        if (backward_ != nullptr)
            simd::UnitRows<T>::pull(rows_, backward_, gradient, gx);
        else
            simd::map(simd::in(AnyView<const T>(gradient)), simd::out(AnyDestination<T>(gx)),
                      [](auto g, auto& to) { to = g; });
    }

  private:
    MatrixView<T> rows_;
    const T* backward_ = nullptr;
};

/// The largest |x_i|^2.
template <class T>
[[nodiscard]] double largest_square(MatrixView<const T> x)
{
    double largest = 0;
    for (Index i = 0; i < x.rows(); ++i) {
        const double square = simd::squared_norm(x.cols(), simd::source(x.row(i)));
        largest = square > largest || square != square ? square : largest;
    }
    return largest;
}

/// What is taken off every similarity before it is raised, if one number will do for all: none of a size up
/// to `bound` over- or underflows then, nor does their sum. Where there is no such number, rows need their
/// own.
template <class T>
[[nodiscard]] std::optional<double> common_shift(double bound)
{
    constexpr double high = std::is_same_v<T, float> ? 40 : 300;
    constexpr double low = std::is_same_v<T, float> ? -85 : -700;
    if (bound <= high)
        return 0;
    if (bound <= (high - low) / 2)
        return bound - high;
    return std::nullopt;
}

/// -log(e / (e + others)), e = exp(s - shift): a loss next to 0 keeps its digits.
[[nodiscard]] inline double softmax_loss(double s, double shift, double others)
{
    const double below = shift - s;
    return others == 0   ? 0
           : below < 300 ? std::log1p(others * std::exp(below))
                         : below + std::log(others);
}

/// The similarities of some rows and some columns, and a number for each of the columns.
template <class T>
struct SimilarityTile {
    MatrixView<T> s;
    Index row;    ///< the first
    Index column; ///< the first
    T* of_columns;

    [[nodiscard]] Index rows() const { return s.rows(); }
    [[nodiscard]] Index cols() const { return s.cols(); }
    [[nodiscard]] T* operator[](Index i) const { return s.data + i * s.strides[0]; }
    /// The entry of a row and a column of the matrix, null if it is not in the tile.
    [[nodiscard]] T* find(Index r, Index q) const
    {
        const bool is_in = q >= column && q < column + s.cols();
        return is_in ? &s(r - row, q - column) : nullptr;
    }
};

/// sharpness x y' tile by tile, for the body of a loop over pairs of blocks of rows of x and y.
template <class T>
class SimilarityTiles {
  public:
    SimilarityTiles(Workspace::Frame& frame, double sharpness, MatrixView<const T> x,
                    MatrixView<const T> y)
        : rows(blocks_of(x.rows())), cols(blocks_of(y.rows())),
          work(linalg::detail::work_of(x.rows(), y.rows(), x.cols())), x_(x), y_(y),
          sharpness_(sharpness), products_(frame, work),
          memory_(frame, work, apart() * (rows.size + 1))
    {
    }
    const Blocks rows;
    const Blocks cols;
    const Index work;

    /// On the memory of the calling thread, until it makes the next one.
    [[nodiscard]] SimilarityTile<T> make(Index i, Index j) const
    {
        const auto x = block(x_, rows, i);
        const auto y = block(y_, cols, j);
        const MatrixView<T> s{memory_.mine(), {x.rows(), y.rows()}, {apart(), 1}};
        products_(s, sharpness_, x, y.transposed(), 0);
        return {s, rows.begin(i), cols.begin(j), s.data + apart() * rows.size};
    }
    /// Adds the product of the tile and y to the rows of g that are the tile's rows.
    void add_rows(const SimilarityTile<T>& tile, MatrixView<T> g) const
    {
        products_(g.block(tile.row, 0, tile.rows(), g.cols()), sharpness_, tile.s,
                  y_.block(tile.column, 0, tile.cols(), g.cols()), 1);
    }
    /// Adds the product of the tile's transpose and x to the rows of g that are the tile's columns.
    void add_cols(const SimilarityTile<T>& tile, MatrixView<T> g) const
    {
        products_(g.block(tile.column, 0, tile.cols(), g.cols()), sharpness_, tile.s.transposed(),
                  x_.block(tile.row, 0, tile.rows(), g.cols()), 1);
    }

  private:
    /// A multiple of four blocks, so that threads have even shares of a round.
    static Blocks blocks_of(Index n)
    {
        constexpr Index side = linalg::Products<T>::side;
        if (n <= side / 2)
            return {n, (std::max)(n, Index{1})};
        const Index parts = 4 * ((n + 4 * side - 1) / (4 * side));
        return {n, ((n + parts - 1) / parts + 7) / 8 * 8};
    }
    static MatrixView<const T> block(const MatrixView<const T>& of, const Blocks& blocks, Index i)
    {
        return of.block(blocks.begin(i), 0, blocks.end(i) - blocks.begin(i), of.cols());
    }
    [[nodiscard]] Index apart() const { return cols.size + 16; }

    MatrixView<const T> x_;
    MatrixView<const T> y_;
    double sharpness_;
    linalg::Products<T> products_;
    simd::Slices<T> memory_;
};

} // namespace temper::inline TEMPER_ABI::detail
#endif
