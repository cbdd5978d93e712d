// SPDX-License-Identifier: BSL-1.0
#pragma once

// Batches with standardised columns in the workspace, for objectives that are written on them, and the way
// back through the standardisation (see standard_columns.hpp) for several of them at once.

#include <temper/simd/standard_columns.hpp>

namespace temper::inline TEMPER_ABI::simd {

/// A standardised batch in the workspace, for objectives that are written on one.
template <class T>
struct StandardBatch {
    MatrixView<T> y{};
    const T* inverse = nullptr;
    const T* share = nullptr;

    /// y is stored by rows or by columns as `like` is.
    StandardBatch(Workspace::Frame& frame, const ColumnScaling& how, MatrixView<const T> x,
                  MatrixView<const T> like, const ColumnMoments<T>& moments)
        : y(frame.matrix_like(like)), inverse(moments.inverse), share(moments.share)
    {
        standardize(how, x, moments, {y, 1, Mode::overwrite});
    }
    /// The sums down columns [begin, begin + width) of y (g + factor z).
    void sum_dots(MatrixView<const T> g, const T* factor, MatrixView<const T> z, Index begin,
                  Index width, double* dots) const
    {
        column_sum(std::array<const T*, 1>{factor + begin}, strips(g, z, begin, width),
                   dots + begin, [](auto e, auto v, auto u, auto w) { return v * (u + e * w); });
    }
    /// gx for gy = g + factor z, whose columns sum to 0 already, given those sums.
    void pull(MatrixView<const T> g, const T* factor, MatrixView<const T> z, Index begin,
              Index width, const double* dots, const Destination<T, 2>& gx) const
    {
        T along[max_strip];
        for (Index j = 0; j < width; ++j)
            along[j] = static_cast<T>(dots[begin + j] * static_cast<double>(share[begin + j]));
        column_map(std::array<const T*, 3>{factor + begin, along, inverse + begin},
                   strips(g, z, begin, width), std::array{columns_of(gx, begin, width)},
                   [](auto e, auto a, auto q, auto v, auto u, auto w, auto& to) {
                       to = ((u + e * w) - a * v) * q;
                   });
    }

  private:
    [[nodiscard]] std::array<MatrixView<const T>, 3>
    strips(MatrixView<const T> g, MatrixView<const T> z, Index begin, Index width) const
    {
        const Index n = y.rows();
        return {y.block(0, begin, n, width), g.block(0, begin, n, width),
                z.block(0, begin, n, width)};
    }
};

/// K batches standardised, over ranks in two rounds.
template <class T, std::size_t K>
[[nodiscard]] std::array<StandardBatch<T>, K>
standard_batches(Workspace::Frame& frame, const ColumnScaling& how, const Ranks<T>& ranks,
                 const std::array<MatrixView<const T>, K>& x, MatrixView<const T> like)
{
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
        std::array<ColumnMoments<T>, K> moments{
            (static_cast<void>(k), ColumnMoments<T>(frame, like.cols()))...};
        if (ranks)
            measure_globally(how, ranks, x, global_means(frame, ranks, x), moments);
        return std::array<StandardBatch<T>, K>{
            StandardBatch<T>(frame, how, x[k], like, moments[k])...};
    }(std::make_index_sequence<K>{});
}

/// Does every column of a gradient sum to 0? That of a mixture of batches by one coefficient does.
enum class Centered : bool { no, yes };

/// Gradients on their way back through the standardisation of their batches. In one process each is
/// written as it comes; over ranks they wait for one round, of the sums of all of them.
template <class T>
class StandardPullbacks {
  public:
    StandardPullbacks(Workspace::Frame& frame, const Ranks<T>& ranks, Index d)
        : frame_(frame), ranks_(ranks), d_(d), sums_(frame.take<double>(2 * most * d))
    {
    }
    /// gx for gy = g + factor z, where the columns of z sum to 0. g is scratch, over ranks until finish().
    void add(const StandardBatch<T>& of, MatrixView<T> g, const T* factor, MatrixView<const T> z,
             const Destination<T, 2>& gx, Centered centered = Centered::yes)
    {
        if (!gx)
            return;
        const Waiting w{&of, g, factor, z, gx, centered, sums_ + used_};
        each_strip(g.rows(), d_, [&](Index begin, Index width) {
            of.sum_dots(g, factor, z, begin, width, w.dots);
            if (centered == Centered::no)
                column_sum(std::array<const T*, 0>{},
                           std::array<MatrixView<const T>, 1>{strip(g, begin, width)},
                           w.dots + d_ + begin, [](auto u) { return u; });
            if (!ranks_)
                pull(w, begin, width, static_cast<double>(g.rows()));
        });
        if (!ranks_)
            return;
        waiting_[place(n_++)] = w;
        used_ += centered == Centered::no ? 2 * d_ : d_;
    }
    /// The same for a g that fill(g) makes.
    template <class Fill>
    void add_made(const StandardBatch<T>& of, const T* factor, MatrixView<const T> z,
                  const Destination<T, 2>& gx, Centered centered, const Fill& fill)
    {
        if (!gx)
            return;
        const auto make = [&](Workspace::Frame& frame) {
            const MatrixView<T> g = frame.matrix_like(of.y);
            fill(g);
            add(of, g, factor, z, gx, centered);
        };
        if (ranks_)
            return make(frame_);
        Workspace::Frame frame;
        make(frame);
    }
    void finish() const
    {
        ranks_.sum(sums_, used_);
        for (int i = 0; i < n_; ++i) {
            const Waiting& w = waiting_[place(i)];
            const auto rows = static_cast<double>(ranks_.all_rows(w.g.rows()));
            each_strip(w.g.rows(), d_,
                       [&](Index begin, Index width) { pull(w, begin, width, rows); });
        }
    }

  private:
    static constexpr int most = 3;
    struct Waiting {
        const StandardBatch<T>* of = nullptr;
        MatrixView<T> g{};
        const T* factor = nullptr;
        MatrixView<const T> z{};
        Destination<T, 2> gx{};
        Centered centered = Centered::yes;
        double* dots = nullptr; ///< [d], and the column sums of g after them
    };
    [[nodiscard]] static MatrixView<T> strip(const MatrixView<T>& g, Index begin, Index width)
    {
        return g.block(0, begin, g.rows(), width);
    }
    void pull(const Waiting& w, Index begin, Index width, double rows) const
    {
        if (w.centered == Centered::no) {
            const MatrixView<T> g = strip(w.g, begin, width);
            T mean[max_strip];
            for (Index j = 0; j < width; ++j)
                mean[j] = static_cast<T>(w.dots[d_ + begin + j] / rows);
            column_map(std::array<const T*, 1>{mean}, std::array<MatrixView<const T>, 1>{g},
                       std::array{Destination<T, 2>{g, 1, Mode::overwrite}},
                       [](auto m, auto u, auto& v) { v = u - m; });
        }
        w.of->pull(w.g, w.factor, w.z, begin, width, w.dots, w.gx);
    }

    Workspace::Frame& frame_;
    const Ranks<T>& ranks_;
    Index d_;
    double* sums_;
    Index used_ = 0;
    std::array<Waiting, static_cast<std::size_t>(most)> waiting_{};
    int n_ = 0;
};

} // namespace temper::inline TEMPER_ABI::simd
