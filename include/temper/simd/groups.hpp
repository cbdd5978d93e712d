// SPDX-License-Identifier: BSL-1.0
#pragma once

// The loop of every penalty on groups: norms -> a factor for each group -> groups scaled by it.
//
//   double value = simd::each_group(w, groups, gw, simd::Plain{},
//       [&](Index g, double norm) { return simd::GroupTerm{d[g] * norm, d[g]}; }, simd::Directed{});
//
// The norm is that of `of(x)` over the group's entries x. The rule gets it and returns what the group
// adds to the sum that comes back, and its factor; it is called once for each group, in any order and on
// any thread. `to` makes an entry's result of the entry, 1 / norm (0 of a zero group, so that
// x * inverse is an entry of the unit vector, or 0) and the factor. Formulas see packs, or plain numbers
// where groups are said by ids. A group is scaled while it is in the cache.
//
// Norms neither overflow nor vanish, but where groups are said by ids: squares are summed in double.

#include <temper/core/groups.hpp>
#include <temper/simd/columns.hpp>

namespace temper::inline TEMPER_ABI::simd {

struct GroupTerm {
    double value;
    double factor;
};

/// A function (group, norm) -> GroupTerm, referred to: the loops are compiled once for all rules.
class GroupRule {
  public:
    template <class F>
    GroupRule(const F& f) // NOLINT(google-explicit-constructor): it stands for f
        : f_(&f), call_([](const void* rule, Index g, double norm) {
              return (*static_cast<const F*>(rule))(g, norm);
          })
    {
    }
    GroupTerm operator()(Index g, double norm) const { return call_(f_, g, norm); }

  private:
    const void* f_;
    GroupTerm (*call_)(const void*, Index, double);
};

/// The norm is that of the entries themselves.
struct Plain {
    template <class V>
    V operator()(V x) const
    {
        return x;
    }
};
/// The entry times the factor.
struct Scaled {
    template <class V>
    V operator()(V x, V, V factor) const
    {
        return x * factor;
    }
};
/// The entry of the group's unit vector times the factor.
struct Directed {
    template <class V>
    V operator()(V x, V inverse, V factor) const
    {
        return x * inverse * factor;
    }
};

namespace detail {

/// 1 / norm; 0 for norms that T cannot invert.
template <class T>
[[nodiscard]] T inverse_norm(double norm)
{
    const bool vanishes = norm < static_cast<double>(std::numeric_limits<T>::min());
    return vanishes ? T(0) : static_cast<T>(1 / norm);
}

/// The norms of the blocks of x, each `width` columns wide. All arrays have a number for each column.
template <class T, class Of>
void block_norms(MatrixView<const T> x, Index width, double* norms, double* other, T* unit,
                 const Of& of)
{
    using Limits = std::numeric_limits<T>;
    const Blocks blocks{x.cols(), width};
    const Index count = blocks.count();
    const auto sum = [&](double* sums, const auto& per_column, const auto& f) {
        column_sum(per_column, std::array{x}, sums, f);
        for (Index b = 0; width > 1 && b < count; ++b) {
            double total = 0;
            for (Index j = blocks.begin(b); j < blocks.end(b); ++j)
                total += sums[j];
            sums[b] = total; // b is not beyond the columns that are still to be read
        }
    };
    constexpr std::array<const T*, 0> nothing{};
    const auto is_safe = [](double squares) {
        return squares > 1e10 * static_cast<double>(Limits::min()) &&
               squares < 1e-10 * static_cast<double>(Limits::max());
    };
    sum(norms, nothing, [&](auto v) {
        const auto u = of(v);
        return u * u;
    });
    bool rescale = false;
    if (!std::all_of(norms, norms + count, is_safe)) {
        sum(other, nothing, [&](auto v) { return abs(of(v)); });
        for (Index b = 0; b < count; ++b) {
            rescale = rescale || (other[b] != 0 && !is_safe(norms[b]));
            const double size = other[b] > 0 ? other[b] : 1;
            std::fill(unit + blocks.begin(b), unit + blocks.end(b),
                      static_cast<T>((std::min)(size, static_cast<double>(Limits::max()))));
        }
    }
    if (rescale)
        sum(other, std::array<const T*, 1>{unit}, [&](auto size, auto v) {
            const auto u = of(v) / size;
            return u * u;
        });
    for (Index b = 0; b < count; ++b)
        norms[b] = rescale && !is_safe(norms[b])
                       ? static_cast<double>(unit[blocks.begin(b)]) * std::sqrt(other[b])
                       : std::sqrt(norms[b]);
}

template <class T, class Of, class To>
double each_block(MatrixView<const T> w, const GroupLayout& groups, Destination<T, 2> out,
                  const Of& of, const GroupRule& rule, const To& to)
{
    // Lanes run where entries are dense: down the columns of v if blocks are long that way, else over
    // columns side by side.
    const bool dense_rows = std::abs(w.strides[1]) <= std::abs(w.strides[0]);
    const Index run = dense_rows ? groups.cols : groups.rows;
    const bool is_long = run >= 4 * Pack<T>::size || run >= (dense_rows ? w.cols() : w.rows());
    const bool turned = dense_rows == is_long;
    if (turned) {
        w = w.transposed();
        out.view = out.view.transposed();
    }
    const Blocks down{w.rows(), turned ? groups.cols : groups.rows};
    const Index width = turned ? groups.rows : groups.cols;
    // Strips that a cache holds, or that are wide and leave something to do for other threads.
    const Index parts = (std::max)(Index{1}, 4 / down.count());
    const Index strip = is_long ? Index{8192} / down.size
                                : std::clamp(w.cols() / parts / 64 * 64, Index{64}, max_strip);
    const Blocks across{w.cols(), (std::max)(width, strip / width * width)};

    Workspace::Frame frame;
    const Slices<double> sums(frame, w.size(), 2 * across.size);
    const Slices<T> numbers(frame, w.size(), 2 * across.size);
    const Index strips = across.count(); // beside each other
    const Blocks items = row_blocks(down.count() * strips, down.size * across.size);
    return parallel_sum(items, w.size(), [&](Index begin, Index end) {
        double* norms = sums.mine();
        T* inverse = numbers.mine();
        T* factor = inverse + across.size;
        double total = 0;
        for (Index item = begin; item < end; ++item) {
            const Index i = item / strips;
            const Index j = item % strips;
            const Index row = down.begin(i);
            const Index column = across.begin(j);
            const Index height = down.end(i) - row;
            const Blocks blocks{across.end(j) - column, width};
            const Index count = blocks.count();
            const auto x = w.block(row, column, height, blocks.n);
            block_norms(x, width, norms, norms + across.size, inverse, of);
            const Index first = column / width;
            for (Index b = 0; b < count; ++b) {
                const Index beside = first + b;
                const GroupTerm term = rule(
                    turned ? beside * groups.across + i : i * groups.across + beside, norms[b]);
                total += term.value;
                std::fill(inverse + blocks.begin(b), inverse + blocks.end(b),
                          inverse_norm<T>(norms[b]));
                std::fill(factor + blocks.begin(b), factor + blocks.end(b),
                          static_cast<T>(term.factor));
            }
            if (out)
                column_map(std::array<const T*, 2>{inverse, factor}, std::array{x},
                           std::array{Destination<T, 2>{
                               out.view.block(row, column, height, blocks.n), out.scale, out.mode}},
                           [&](auto a, auto c, auto v, auto& y) { y = to(v, a, c); });
        }
        return total;
    });
}

template <class T, class Of, class To>
double each_listed(MatrixView<const T> w, const GroupLayout& groups, const Destination<T, 2>& out,
                   const Of& of, const GroupRule& rule, const To& to)
{
    const Index n = groups.count;
    const Index d = w.cols();
    // Each block has sums of its own; they are large enough for that to cost little.
    const Blocks rows{w.rows(), (std::max)(Index{16384}, 8 * n) / d + 1};
    const Index parts = rows.count();
    Workspace::Frame frame;
    double* sums = frame.take_zeros<double>(parts * n);
    const auto each = [&](const auto& f) {
        parallel_for(parts, w.size(), [&](Index part) {
            for (Index i = rows.begin(part); i < rows.end(part); ++i)
                for (Index j = 0; j < d; ++j)
                    f(part, i, j, groups.ids[i * d + j]);
        });
    };
    each([&](Index part, Index i, Index j, std::int64_t g) {
        const auto u = static_cast<double>(of(w(i, j)));
        sums[part * n + g] += u * u;
    });
    T* inverse = frame.take<T>(n);
    T* factor = frame.take<T>(n);
    double total = 0;
    for (Index g = 0; g < n; ++g) {
        double sum = 0;
        for (Index part = 0; part < parts; ++part)
            sum += sums[part * n + g];
        const GroupTerm term = rule(g, std::sqrt(sum));
        total += term.value;
        inverse[g] = inverse_norm<T>(std::sqrt(sum));
        factor[g] = static_cast<T>(term.factor);
    }
    if (out)
        each([&](Index, Index i, Index j, std::int64_t g) {
            out.put(out.view(i, j), to(w(i, j), inverse[g], factor[g]));
        });
    return total;
}

} // namespace detail

/// See above.
template <class T, class Of, class To>
double each_group(MatrixView<const T> w, const GroupLayout& groups, const Destination<T, 2>& out,
                  const Of& of, const GroupRule& rule, const To& to)
{
    if (w.size() == 0) {
        double total = 0;
        for (Index g = 0; g < groups.count; ++g)
            total += rule(g, 0).value;
        return total;
    }
    return groups.ids != nullptr ? detail::each_listed(w, groups, out, of, rule, to)
                                 : detail::each_block(w, groups, out, of, rule, to);
}

/// The norms of all groups.
template <class T>
void group_norms(MatrixView<const T> w, const GroupLayout& groups, double* norms)
{
    (void)each_group(
        w, groups, Destination<T, 2>{}, Plain{},
        [norms](Index g, double norm) {
            norms[g] = norm;
            return GroupTerm{0, 0};
        },
        Scaled{});
}

} // namespace temper::inline TEMPER_ABI::simd
