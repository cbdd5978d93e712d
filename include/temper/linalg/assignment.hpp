// SPDX-License-Identifier: BSL-1.0
#pragma once

// The assignment problem: to each row of a square matrix of costs a column of its own, at the least cost in
// all. Exact, by shortest augmenting paths after Jonker and Volgenant, A Shortest Augmenting Path Algorithm
// for Dense and Sparse Linear Assignment Problems (1987): column reduction, reduction transfer, two rounds of
// augmenting row reduction, then a path for each row that is left. O(n^3) at worst; the loops over columns
// are packs. Rows are dense, `stride` apart, a multiple of the pack, and what stands behind the n columns is
// overwritten.
//
// Duals (prices of columns) are doubles: the result is optimal up to rounding of n sums of costs. Of equal
// optima it takes any, always the same one. NaN in a cost gives some permutation.

#include <temper/core/workspace.hpp>
#include <temper/simd/pack.hpp>

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <utility>

namespace temper::inline TEMPER_ABI::linalg {

namespace detail {

class Assignment {
    using V = simd::Pack<double>;
    static constexpr double far = std::numeric_limits<double>::max() / 4;

  public:
    /// The stride of n columns.
    static Index stride(Index n) { return (n + V::size - 1) / V::size * V::size; }

    Assignment(MatrixView<double> costs, Workspace::Frame& frame)
        : c_(costs), n_(costs.rows()), padded_(stride(n_)),
          price_(frame.take_zeros<double>(padded_)), column_of_(frame.take<Index>(n_)),
          row_of_(frame.take<Index>(n_)), free_(frame.take<Index>(n_)),
          distance_(frame.take<double>(padded_)), before_(frame.take<double>(padded_)),
          closed_(frame.take<double>(padded_)), scanned_(frame.take<Index>(n_))
    {
        for (Index i = 0; i < n_; ++i)
            for (Index j = n_; j < padded_; ++j)
                row(i)[j] = far;
    }

    void solve(std::int64_t* column_of)
    {
        if (n_ > 0) {
            reduce_columns();
            reduce_rows();
            reduce_rows();
            while (n_free_ > 0)
                augment(free_[--n_free_]);
        }
        for (Index i = 0; i < n_; ++i)
            column_of[i] = column_of_[i];
    }

  private:
    [[nodiscard]] double* row(Index i) const { return c_.data + i * c_.strides[0]; }

    /// Each column's price is its least cost; a row that is the cheapest of some column takes the last of
    /// them. What the row would lose with its second best column is then taken off the price.
    void reduce_columns()
    {
        double* const cheapest = before_;
        for (Index j = 0; j < padded_; j += V::size) {
            V::load(row(0) + j).store(price_ + j);
            V(0.0).store(cheapest + j);
        }
        for (Index i = 1; i < n_; ++i)
            for (Index j = 0; j < padded_; j += V::size) {
                const V cost = V::load(row(i) + j);
                const V best = V::load(price_ + j);
                const auto less = cost < best;
                select(less, cost, best).store(price_ + j);
                select(less, V(static_cast<double>(i)), V::load(cheapest + j)).store(cheapest + j);
            }
        for (Index j = n_; j < padded_; ++j)
            price_[j] = 0;
        Index* const wins = scanned_;
        for (Index i = 0; i < n_; ++i) {
            column_of_[i] = -1;
            wins[i] = 0;
        }
        for (Index j = n_; j-- > 0;) {
            const auto i = static_cast<Index>(cheapest[j]);
            row_of_[j] = wins[i]++ == 0 ? i : -1;
            if (row_of_[j] >= 0)
                column_of_[i] = j;
        }
        for (Index i = 0; i < n_; ++i) {
            if (wins[i] == 0)
                free_[n_free_++] = i;
            else if (wins[i] == 1 && n_ > 1) {
                const Index mine = column_of_[i];
                const double kept = row(i)[mine];
                row(i)[mine] = far;
                const double second = two_least(i).least;
                row(i)[mine] = kept;
                if (second < far / 2)
                    price_[mine] -= second;
            }
        }
    }

    struct TwoLeast {
        double least;
        double second;
        Index at;
    };
    /// Of cost minus price over row i.
    [[nodiscard]] TwoLeast two_least(Index i) const
    {
        const double* const cost = row(i);
        V first(far);
        V second(far);
        V at(0.0);
        V column = V::lanes();
        for (Index j = 0; j < padded_; j += V::size) {
            const V reduced = V::load(cost + j) - V::load(price_ + j);
            const auto less = reduced < first;
            second = select(less, first, min(second, reduced));
            first = select(less, reduced, first);
            at = select(less, column, at);
            column += V(static_cast<double>(V::size));
        }
        std::array<double, static_cast<std::size_t>(V::size)> a, b, where;
        first.store(a.data());
        second.store(b.data());
        at.store(where.data());
        TwoLeast out{far, far, 0};
        for (std::size_t l = 0; l < a.size(); ++l) {
            if (a[l] < out.least || (a[l] == out.least && static_cast<Index>(where[l]) < out.at)) {
                out.second = (std::min)(out.second, out.least);
                out.least = a[l];
                out.at = static_cast<Index>(where[l]);
            }
            else
                out.second = (std::min)(out.second, a[l]);
            out.second = (std::min)(out.second, b[l]);
        }
        return out;
    }

    /// Each free row takes its best column, whose price falls until the second best is as good; who had it
    /// is free and goes on at once. Prices that rounding holds still would go on for ever: the number of
    /// moves is bounded, and what is left over is for `augment`.
    void reduce_rows()
    {
        const Index waiting = n_free_;
        Index moves = 0;
        Index k = 0;
        Index left = 0;
        while (k < waiting) {
            const Index i = free_[k++];
            if (++moves > 8 * n_) {
                free_[left++] = i;
                continue;
            }
            const TwoLeast best = two_least(i);
            Index j = best.at;
            const double price = price_[j] - (best.second - best.least);
            const bool cheaper = price < price_[j] && best.second < far / 2;
            if (cheaper)
                price_[j] = price;
            else if (row_of_[j] >= 0)
                j = equal_column(i, best);
            const Index loser = row_of_[j];
            column_of_[i] = j;
            row_of_[j] = i;
            if (loser < 0)
                continue;
            column_of_[loser] = -1;
            if (cheaper)
                free_[--k] = loser;
            else
                free_[left++] = loser;
        }
        n_free_ = left;
    }
    /// Another column that is as good for row i as its best, a free one if there is one.
    [[nodiscard]] Index equal_column(Index i, const TwoLeast& best) const
    {
        const double* const cost = row(i);
        for (Index j = 0; j < n_; ++j)
            if (row_of_[j] < 0 && cost[j] - price_[j] <= best.least)
                return j;
        return best.at;
    }

    /// The shortest path from a free row to a free column (Dijkstra), along which all change columns.
    void augment(Index from)
    {
        const double* cost = row(from);
        for (Index j = 0; j < padded_; j += V::size) {
            (V::load(cost + j) - V::load(price_ + j)).store(distance_ + j);
            V(static_cast<double>(from)).store(before_ + j);
            V(0.0).store(closed_ + j);
        }
        for (Index j = n_; j < padded_; ++j)
            distance_[j] = far;
        Index n_scanned = 0;
        Index j = nearest();
        while (row_of_[j] >= 0) {
            scanned_[n_scanned++] = j;
            closed_[j] = far;
            const Index i = row_of_[j];
            cost = row(i);
            j = scan(cost, cost[j] - price_[j] - distance_[j], i);
        }
        for (Index k = 0; k < n_scanned; ++k)
            price_[scanned_[k]] += distance_[scanned_[k]] - distance_[j];
        for (;;) {
            const auto i = static_cast<Index>(before_[j]);
            row_of_[j] = i;
            std::swap(column_of_[i], j);
            if (i == from)
                return;
        }
    }
    [[nodiscard]] Index nearest() const
    {
        Least least;
        for (Index j = 0; j < padded_; j += V::size)
            least.see(V::load(distance_ + j) + V::load(closed_ + j));
        return open(least.column());
    }
    /// Distances by way of row i, and then the nearest column that is not closed.
    [[nodiscard]] Index scan(const double* cost, double offset, Index i)
    {
        Least least;
        const V away(offset);
        const V by(static_cast<double>(i));
        for (Index j = 0; j < padded_; j += V::size) {
            const V shut = V::load(closed_ + j);
            const V before = V::load(distance_ + j);
            const V now = (V::load(cost + j) - V::load(price_ + j) - away) + shut;
            const auto nearer = now < before;
            const V distance = select(nearer, now, before);
            distance.store(distance_ + j);
            select(nearer, by, V::load(before_ + j)).store(before_ + j);
            least.see(distance + shut);
        }
        return open(least.column());
    }
    /// A column that is not closed, whatever NaN there is.
    [[nodiscard]] Index open(Index j) const
    {
        if (j < n_ && closed_[j] == 0)
            return j;
        for (j = 0; closed_[j] != 0;)
            ++j;
        return j;
    }
    struct Least {
        V value = V(far);
        V at = V(0.0);
        V column_ = V::lanes();

        void see(V x)
        {
            const auto less = x < value;
            value = select(less, x, value);
            at = select(less, column_, at);
            column_ += V(static_cast<double>(V::size));
        }
        [[nodiscard]] Index column() const
        {
            std::array<double, static_cast<std::size_t>(V::size)> a, where;
            value.store(a.data());
            at.store(where.data());
            std::size_t best = 0;
            for (std::size_t l = 1; l < a.size(); ++l)
                if (a[l] < a[best] || (a[l] == a[best] && where[l] < where[best]))
                    best = l;
            return static_cast<Index>(where[best]);
        }
    };

    MatrixView<double> c_;
    Index n_;
    Index padded_;
    double* price_;
    Index* column_of_;
    Index* row_of_;
    Index* free_;
    Index n_free_ = 0;
    double* distance_;
    double* before_; // the row before a column on its path; a double, so that packs can choose
    double* closed_; // 0, or far
    Index* scanned_;
};

} // namespace detail

/// column_of[i] for each row of costs [n, n], whose rows are assignment_stride(n) apart.
[[nodiscard]] inline Index assignment_stride(Index n) { return detail::Assignment::stride(n); }
inline void assign(MatrixView<double> costs, std::int64_t* column_of)
{
    Workspace::Frame frame;
    detail::Assignment(costs, frame).solve(column_of);
}

} // namespace temper::inline TEMPER_ABI::linalg
