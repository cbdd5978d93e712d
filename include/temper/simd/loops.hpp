// SPDX-License-Identifier: BSL-1.0
#pragma once

// The loops that kernels are written in. A formula sees packs; memory order, tails, strides, block sums,
// modes of destinations and threads are settled here.
//
//   double value = simd::map_sum(simd::in(w), simd::out(gw), [](auto w, auto& g) {
//       g = sign(w);
//       return abs(w);
//   });
//
//   map(in, out, f)        all entries of tensors of one shape, f(x..., y&...) -> void
//   map_sum(in, out, f)    the same, f returns what is summed; the sum is carried in double
//   map_max(in, f)         the largest f(x...)
//   row_map, row_sum       the same over vectors, on the calling thread: rows of a matrix
//   row_max                the largest entry of a vector
//   update                 dense arrays in place, f(x&...) on the calling thread
//
// Sums of floats are added in packs over at most 1024 entries, and those sums in double.

#include <temper/core/destination.hpp>
#include <temper/core/overlap.hpp>
#include <temper/core/parallel.hpp>
#include <temper/simd/pack.hpp>

#include <algorithm>
#include <limits>

namespace temper::inline TEMPER_ABI::simd {

template <class T>
struct Source {
    const T* p = nullptr;
    Index stride = 1;
};
template <class T>
struct Sink {
    T* p = nullptr;
    Index stride = 1;
    T scale = 1;
    Mode mode = Mode::discard;
};

// ---- one run of entries --------------------------------------------------------------------------

namespace detail {

/// What becomes of the numbers that a formula returns. Sums are carried in double.
struct Plus {
    template <class T>
    using Total = double;
    template <class T>
    static constexpr T identity = T(0);
    template <class V>
    static V fold(V a, V b)
    {
        return a + b;
    }
    template <class T>
    static T lanes(Pack<T> a)
    {
        return a.sum();
    }
};
/// The largest of what is not NaN, or NaN.
struct Top {
    template <class T>
    using Total = T;
    template <class T>
    static constexpr T identity = -std::numeric_limits<T>::infinity();
    template <class V>
    static V fold(V a, V b)
    {
        using math::max;
        return max(a, b);
    }
    template <class T>
    static T lanes(Pack<T> a)
    {
        return a.maximum();
    }
};
/// The largest; NaN wins.
struct Largest {
    template <class T>
    using Total = T;
    template <class T>
    static constexpr T identity = -std::numeric_limits<T>::infinity();
    template <class V>
    static V fold(V a, V b)
    {
        using math::select;
        return select(b > a, b, select(b == b, a, b));
    }
    template <class T>
    static T lanes(Pack<T> a)
    {
        T each[static_cast<std::size_t>(Pack<T>::size)];
        a.store(each);
        T largest = each[0];
        for (Index i = 1; i < Pack<T>::size; ++i)
            largest = fold(largest, each[i]);
        return largest;
    }
};

template <class T>
[[gnu::always_inline]] inline Pack<T> gather(const Source<T>& s, Index i, Index n)
{
    if (n == Pack<T>::size)
        return s.stride == 1 ? Pack<T>::load(s.p + i)
                             : Pack<T>::gather(s.p + i * s.stride, s.stride);
    T lanes[static_cast<std::size_t>(Pack<T>::size)];
    const T* p = s.p + i * s.stride;
    for (Index l = 0; l < Pack<T>::size; ++l) {
        lanes[l] = *p; // lanes beyond n repeat the last one
        p += l + 1 < n ? s.stride : 0;
    }
    return Pack<T>::load(lanes);
}

template <class T>
void scatter(const Sink<T>& s, Index i, Index n, Pack<T> value)
{
    if (s.mode == Mode::discard)
        return;
    T lanes[static_cast<std::size_t>(Pack<T>::size)];
    (value * Pack<T>(s.scale)).store(lanes);
    T* p = s.p + i * s.stride;
    if (s.mode == Mode::overwrite)
        for (Index l = 0; l < n; ++l, p += s.stride)
            *p = lanes[l];
    else
        for (Index l = 0; l < n; ++l, p += s.stride)
            *p += lanes[l];
}

template <class T>
void store(const Sink<T>& s, Index i, Pack<T> value)
{
    if (s.mode == Mode::overwrite) [[likely]]
        (value * Pack<T>(s.scale)).store(s.p + i);
    else if (s.mode == Mode::add)
        fma(value, Pack<T>(s.scale), Pack<T>::load(s.p + i)).store(s.p + i);
}

/// `value` in the first n lanes, `otherwise` in the others.
template <class T>
[[gnu::always_inline]] inline Pack<T> first_lanes(Pack<T> value, Index n, Pack<T> otherwise)
{
    return select(Pack<T>::lanes() < Pack<T>(static_cast<T>(n)), value, otherwise);
}

/// As store, but what stands in the first `seen` lanes stays.
template <class T>
void store_unseen(const Sink<T>& s, Index i, Pack<T> value, Index seen)
{
    if (s.mode == Mode::discard)
        return;
    const Pack<T> before = Pack<T>::load(s.p + i);
    const Pack<T> scale(s.scale);
    const Pack<T> after = s.mode == Mode::add ? fma(value, scale, before) : value * scale;
    first_lanes(before, seen, after).store(s.p + i);
}

/// f on one pack of sources; its results go to `results`, what it returns is returned (or nothing).
template <class T, std::size_t I, std::size_t O, class F>
[[gnu::always_inline]] inline auto apply(const F& f, const std::array<Pack<T>, I>& x,
                                         std::array<Pack<T>, O>& y)
{
    return [&]<std::size_t... i, std::size_t... o>(std::index_sequence<i...>,
                                                   std::index_sequence<o...>) {
        return f(x[i]..., y[o]...);
    }(std::make_index_sequence<I>{}, std::make_index_sequence<O>{});
}

template <class T, std::size_t I, std::size_t O, class F>
inline constexpr bool returns =
    !std::is_void_v<decltype(apply<T, I, O>(std::declval<const F&>(),
                                            std::declval<const std::array<Pack<T>, I>&>(),
                                            std::declval<std::array<Pack<T>, O>&>()))>;

/// Do n dense entries of each sink lie outside those of all sources?
template <class T, std::size_t I, std::size_t O>
bool are_apart(Index n, const std::array<Source<T>, I>& in, const std::array<Sink<T>, O>& out)
{
    const auto region = [n](auto* p) {
        return Region(View<std::remove_pointer_t<decltype(p)>, 1>{p, {n}, {1}});
    };
    return std::all_of(out.begin(), out.end(), [&](const Sink<T>& y) {
        return y.mode == Mode::discard ||
               std::all_of(in.begin(), in.end(),
                           [&](const Source<T>& x) { return apart(region(y.p), region(x.p)); });
    });
}

inline constexpr Index chunk = 1024;

/// Sources, sinks and the formula are copies, so that stores are seen to leave them alone: the formula's
/// numbers are then converted and spread once, not for every pack. Flattened: in units of many kernels
/// g++ stops to inline formulas, and calls them for every pack.
template <class Fold, class T, std::size_t I, std::size_t O, class F>
[[gnu::flatten]] typename Fold::template Total<T> run(Index n, std::array<Source<T>, I> in,
                                                      std::array<Sink<T>, O> out, F f)
{
    constexpr bool reduces = returns<T, I, O, F>;
    constexpr Index width = Pack<T>::size;
    bool dense = true;
    for (const auto& s : in)
        dense = dense && s.stride == 1;
    for (const auto& s : out)
        dense = dense && (s.stride == 1 || s.mode == Mode::discard);

    using Total = typename Fold::template Total<T>;
    Total total = Fold::template identity<Total>;
    const Pack<T> identity(Fold::template identity<T>);
    const auto step = [&](auto load, auto save, Pack<T>& sum) {
        const auto x = [&]<std::size_t... i>(std::index_sequence<i...>) {
            return std::array<Pack<T>, I>{load(in[i])...};
        }(std::make_index_sequence<I>{});
        std::array<Pack<T>, O> y{};
        if constexpr (reduces)
            sum = Fold::fold(sum, apply<T, I, O>(f, x, y));
        else
            apply<T, I, O>(f, x, y);
        std::size_t k = 0;
        for (const auto& s : out)
            save(s, y[k++]);
    };
    for (Index begin = 0; begin < n; begin += chunk) {
        const Index end = (std::min)(n, begin + chunk);
        Pack<T> sum = identity;
        Index i = begin;
        if (dense) {
            Pack<T> other = identity;
            for (; i + 2 * width <= end; i += 2 * width) {
                step([&](const Source<T>& s) { return Pack<T>::load(s.p + i); },
                     [&](const Sink<T>& s, Pack<T> y) { store(s, i, y); }, sum);
                step([&](const Source<T>& s) { return Pack<T>::load(s.p + i + width); },
                     [&](const Sink<T>& s, Pack<T> y) { store(s, i + width, y); }, other);
            }
            sum = Fold::fold(sum, other);
            for (; i < end && end >= width; i += width) { // the last pack ends with the last entry
                const Index at = (std::min)(i, end - width);
                const Index seen = i - at;
                const bool once = seen == 0; // else a formula may see what it has written
                const bool again = once || are_apart(n, in, out);
                Pack<T> last = identity;
                step([&](const Source<T>& s) { return Pack<T>::load(s.p + at); },
                     [&](const Sink<T>& s, Pack<T> y) {
                         if (once || (again && s.mode == Mode::overwrite))
                             store(s, at, y);
                         else
                             store_unseen(s, at, y, seen);
                     },
                     last);
                sum = Fold::fold(sum, first_lanes(identity, seen, last));
            }
        }
        if constexpr (reduces)
            total = Fold::fold(total, static_cast<Total>(Fold::lanes(sum)));
        for (; i < end; i += width) {
            const Index live = (std::min)(width, end - i);
            Pack<T> last = identity;
            step([&](const Source<T>& s) { return gather(s, i, live); },
                 [&](const Sink<T>& s, Pack<T> y) { scatter(s, i, live, y); }, last);
            if constexpr (reduces) {
                T lanes[static_cast<std::size_t>(width)];
                last.store(lanes);
                for (Index l = 0; l < live; ++l)
                    total = Fold::fold(total, static_cast<Total>(lanes[l]));
            }
        }
    }
    return total;
}

/// The common loop nest of tensors of one shape: dimensions that all of them walk alike are one.
template <std::size_t N>
struct Nest {
    int rank = 0;
    std::array<Index, max_rank> extents{};
    std::array<std::array<Index, max_rank>, N> strides{};

    void add(const AnyView<const char>& shape, const std::array<const Index*, N>& of)
    {
        // Longest stride of the first tensor outermost, so that the innermost runs are dense whatever
        // the storage order is.
        for (int i = 0; i < shape.rank; ++i) {
            if (shape.extent(i) == 1)
                continue;
            int at = rank++;
            for (; at > 0 && size(strides[0][place(at - 1)]) < size(of[0][i]); --at) {
                extents[place(at)] = extents[place(at - 1)];
                for (auto& s : strides)
                    s[place(at)] = s[place(at - 1)];
            }
            extents[place(at)] = shape.extent(i);
            for (std::size_t k = 0; k < N; ++k)
                strides[k][place(at)] = of[k][i];
        }
        int kept = 0;
        for (int i = 0; i < rank; ++i) {
            bool joins = kept > 0;
            for (std::size_t k = 0; joins && k < N; ++k)
                joins = strides[k][place(kept - 1)] == strides[k][place(i)] * extents[place(i)];
            const int to = joins ? kept - 1 : kept++;
            extents[place(to)] = joins ? extents[place(to)] * extents[place(i)] : extents[place(i)];
            for (auto& s : strides)
                s[place(to)] = s[place(i)];
        }
        rank = kept;
    }
    static Index size(Index s) { return s < 0 ? -s : s; }
};

} // namespace detail

// ---- whole tensors -------------------------------------------------------------------------------

template <class... V>
[[nodiscard]] auto in(const V&... views)
{
    using T = std::common_type_t<typename V::Scalar...>;
    return std::array<AnyView<const T>, sizeof...(V)>{AnyView<const T>(views)...};
}
template <class First, class... D>
[[nodiscard]] auto out(const First& first, const D&... destinations)
{
    using T = std::remove_pointer_t<decltype(first.view.data)>;
    return std::array<AnyDestination<T>, 1 + sizeof...(D)>{AnyDestination<T>(first),
                                                           AnyDestination<T>(destinations)...};
}
/// No outputs.
template <class T>
[[nodiscard]] std::array<AnyDestination<T>, 0> none()
{
    return {};
}

namespace detail {

/// Are they vectors, or of entries that lie one after the other, in the same order in all of them?
template <class T, std::size_t I, std::size_t O>
bool alike(const std::array<AnyView<const T>, I>& in, const std::array<AnyDestination<T>, O>& out)
{
    const auto& first = in[0];
    if (first.rank <= 1)
        return true;
    const bool rows_first = first.stride(first.rank - 1) == 1;
    Index dense = 1;
    for (int i = 0; i < first.rank; ++i) {
        const int d = rows_first ? first.rank - 1 - i : i;
        if (first.stride(d) != dense)
            return false;
        for (const auto& x : in)
            if (x.stride(d) != dense)
                return false;
        for (const auto& y : out)
            if (y && y.view.stride(d) != dense)
                return false;
        dense *= first.extent(d);
    }
    return true;
}

template <class Fold, class T, std::size_t I, std::size_t O, class F>
typename Fold::template Total<T> nest(const std::array<AnyView<const T>, I>& in,
                                      const std::array<AnyDestination<T>, O>& out, const F& f)
{
    static_assert(I > 0);
    using Total = typename Fold::template Total<T>;
    const Index n = in[0].size();
    if (n == 0)
        return Fold::template identity<Total>;
    constexpr Index block = 16 * chunk;
    if (n <= block && alike(in, out)) { // one run already
        std::array<Source<T>, I> x;
        std::array<Sink<T>, O> y;
        const auto walk = [](const auto& v) { return v.rank == 1 ? v.strides[0] : Index{1}; };
        for (std::size_t i = 0; i < I; ++i)
            x[i] = {in[i].data, walk(in[i])};
        for (std::size_t i = 0; i < O; ++i)
            y[i] = {out[i].view.data, walk(out[i].view), static_cast<T>(out[i].scale), out[i].mode};
        return run<Fold>(n, x, y, f);
    }
    Nest<I + O> nest;
    AnyView<const char> shape;
    shape.rank = in[0].rank;
    shape.extents = in[0].extents;
    std::array<const Index*, I + O> strides;
    std::size_t tensor = 0;
    for (const auto& x : in)
        strides[tensor++] = x.strides.data();
    for (const auto& y : out)
        strides[tensor++] = (y ? y.view.strides : in[0].strides).data();
    nest.add(shape, strides);

    // Blocks: whole runs while they are short, pieces of a run while it is long.
    const Index length = nest.rank == 0 ? 1 : nest.extents[place(nest.rank - 1)];
    const Index runs = n / length;
    const Blocks pieces{length, block};
    const Index per_run = pieces.count();
    const Index runs_per_block = (std::max)(Index{1}, block / length);
    const Blocks blocks{runs * per_run, per_run > 1 ? Index{1} : runs_per_block};

    const auto sweep = [&](Index from, Index to) {
        Total total = Fold::template identity<Total>;
        for (Index r = from; r < to; ++r) {
            Index outer = r / per_run;
            const Index piece = r % per_run;
            std::array<Index, I + O> offset{};
            for (int d = nest.rank - 2; d >= 0; --d) {
                const std::size_t at = static_cast<std::size_t>(d);
                const Index k = outer % nest.extents[at];
                outer /= nest.extents[at];
                for (std::size_t t = 0; t < I + O; ++t)
                    offset[t] += k * nest.strides[t][at];
            }
            std::array<Source<T>, I> x;
            std::array<Sink<T>, O> y;
            const std::size_t last = static_cast<std::size_t>(nest.rank > 0 ? nest.rank - 1 : 0);
            const Index begin = pieces.begin(piece);
            const auto walk = [&](std::size_t t) {
                return nest.rank > 0 ? nest.strides[t][last] : Index{1};
            };
            std::size_t t = 0;
            for (const auto& v : in) {
                x[t] = {v.data + offset[t] + begin * walk(t), walk(t)};
                ++t;
            }
            for (const auto& d : out) {
                y[t - I] = {d ? d.view.data + offset[t] + begin * walk(t) : nullptr, walk(t),
                            static_cast<T>(d.scale), d.mode};
                ++t;
            }
            total = Fold::fold(total, run<Fold>(pieces.end(piece) - begin, x, y, f));
        }
        return total;
    };
    return parallel_fold(blocks, n, Fold::template identity<Total>, sweep,
                         [](Total a, Total b) { return Fold::fold(a, b); });
}

} // namespace detail

/// Sum over all entries of f(x..., y&...), the y being written where their destinations say.
template <class T, std::size_t I, std::size_t O, class F>
double map_sum(const std::array<AnyView<const T>, I>& in,
               const std::array<AnyDestination<T>, O>& out, const F& f)
{
    return detail::nest<detail::Plus>(in, out, f);
}

/// The largest f(x...); minus infinity of nothing, NaN if one is NaN.
template <class T, std::size_t I, class F>
T map_max(const std::array<AnyView<const T>, I>& in, const F& f)
{
    return detail::nest<detail::Largest>(in, none<T>(), f);
}

/// f(x..., y&...) on all entries.
template <class T, std::size_t I, std::size_t O, class F>
void map(const std::array<AnyView<const T>, I>& in, const std::array<AnyDestination<T>, O>& out,
         const F& f)
{
    (void)map_sum(in, out, f);
}

/// A dense destination in `memory` for entries of the shape of v.
template <class T>
[[nodiscard]] AnyDestination<T> dense_like(T* memory, const AnyView<const T>& v)
{
    return {row_major_like(memory, v), 1, Mode::overwrite};
}

// ---- one row -------------------------------------------------------------------------------------

template <class T>
[[nodiscard]] Source<T> source(const View<const T, 1>& v)
{
    return {v.data, v.strides[0]};
}
template <class T>
[[nodiscard]] Source<T> source(const T* p)
{
    return {p, 1};
}
/// Row i of a destination matrix; its results are multiplied by `factor` as well.
template <class T>
[[nodiscard]] Sink<T> sink(const Destination<T, 2>& d, Index i, double factor = 1)
{
    if (!d)
        return {};
    return {d.view.data + i * d.view.strides[0], d.view.strides[1],
            static_cast<T>(d.scale * factor), d.mode};
}
template <class T>
[[nodiscard]] Sink<T> sink(T* p)
{
    return {p, 1, T(1), Mode::overwrite};
}

/// Sum over n entries of f(x..., y&...), on the calling thread; T from the sources.
template <class T, std::size_t I, std::size_t O, class F>
double row_sum(Index n, const std::array<Source<T>, I>& in, const std::array<Sink<T>, O>& out,
               const F& f)
{
    return detail::run<detail::Plus>(n, in, out, f);
}
template <class T, std::size_t I, class F>
double row_sum(Index n, const std::array<Source<T>, I>& in, const F& f)
{
    return detail::run<detail::Plus>(n, in, std::array<Sink<T>, 0>{}, f);
}
template <class T, std::size_t I, std::size_t O, class F>
void row_map(Index n, const std::array<Source<T>, I>& in, const std::array<Sink<T>, O>& out,
             const F& f)
{
    (void)detail::run<detail::Plus>(n, in, out, f);
}

/// f(x) on all n entries of dense arrays, x a pack of each, which f changes; those that are `written` go to
/// `to`. With no modes and strides to look after it costs memory and formula, nothing else.
template <auto written, class T, std::size_t N, class F>
[[gnu::flatten]] void update(Index n, std::array<const T*, N> from, std::array<T*, N> to, F f)
{
    static_assert(written.size() == N);
    constexpr Index width = Pack<T>::size;
    std::array<Pack<T>, N> x;
    Index i = 0;
    for (; i + width <= n; i += width) {
        for (std::size_t k = 0; k < N; ++k)
            x[k] = Pack<T>::load(from[k] + i);
        f(x);
        for (std::size_t k = 0; k < N; ++k)
            if (written[k])
                x[k].store(to[k] + i);
    }
    if (i == n)
        return;
    for (std::size_t k = 0; k < N; ++k)
        x[k] = detail::gather(Source<T>{from[k], 1}, i, n - i);
    f(x);
    for (std::size_t k = 0; k < N; ++k)
        if (written[k])
            detail::scatter(Sink<T>{to[k], 1, T(1), Mode::overwrite}, i, n - i, x[k]);
}

/// The largest of n entries; minus infinity of none, NaN if one is NaN.
template <class T>
[[nodiscard]] T row_max(Index n, const Source<T>& x)
{
    return detail::run<detail::Largest>(n, std::array{x}, std::array<Sink<T>, 0>{},
                                        [](auto u) { return u; });
}

template <class T>
[[nodiscard]] double dot(Index n, const Source<T>& a, const Source<T>& b)
{
    return row_sum(n, std::array{a, b}, [](auto x, auto y) { return x * y; });
}
template <class T>
[[nodiscard]] double squared_norm(Index n, const Source<T>& a)
{
    return row_sum(n, std::array{a}, [](auto x) { return x * x; });
}
/// y += a x
template <class T>
void axpy(Index n, double a, const Source<T>& x, T* y)
{
    row_map(n, std::array{x}, std::array{Sink<T>{y, 1, static_cast<T>(a), Mode::add}},
            [](auto u, auto& v) { v = u; });
}

// ---- rows of a matrix ----------------------------------------------------------------------------

/// How many rows of d entries make a block of work.
[[nodiscard]] inline Blocks row_blocks(Index n, Index d)
{
    return {n, (std::max)(Index{1}, Index{4096} / (std::max)(Index{1}, d))};
}

/// One slice of scratch for each thread that a loop over `work` entries may use; taken before the loop.
template <class T>
class Slices {
  public:
    Slices(Workspace::Frame& frame, Index work, Index n)
        : n_((n + 15) / 16 * 16), memory_(frame.take<T>(n_ * threads_for(work)))
    {
    }
    /// The slice of the calling thread.
    [[nodiscard]] T* mine() const
    {
#ifdef _OPENMP
        // A nested region's threads are numbered from 0 again, but there we run on one thread, which
        // must not look at its number in the outer team.
        return memory_ + n_ * (threads_ > 1 ? omp_get_thread_num() : 0);
#else
        return memory_;
#endif
    }

  private:
    Index n_;
    T* memory_;
#ifdef _OPENMP
    int threads_ = omp_in_parallel() ? 1 : omp_get_max_threads();
#endif
};

} // namespace temper::inline TEMPER_ABI::simd
