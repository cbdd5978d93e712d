// SPDX-License-Identifier: BSL-1.0
#pragma once

// The one helper that every public call hands its arguments to. It makes views, checks shapes, refuses
// overlaps, turns samples that stand in columns, reads half-precision inputs through float, and writes
// destinations of another floating type, all before and after the kernel, so that kernels see matrices
// of one scalar type and nothing else:
//
//   Border<T> border("BarlowTwins");
//   const auto a = border.samples("z_a", z_a);
//   const auto b = border.samples("z_b", z_b);
//   border.same_shape("z_b", b, "z_a", a);
//   const auto ga = border.gradient("z_a", a, positional<0>(rest...));
//   const auto gb = border.gradient("z_b", b, positional<1>(rest...));
//   return border.finish(kernel::BarlowTwins<T>::run(*this, a, b, ga, gb));
//
// Inputs are announced first, then destinations; each announcement checks itself against all before.

#include <temper/core/destination.hpp>
#include <temper/core/overlap.hpp>
#include <temper/core/targets.hpp>
#include <temper/core/workspace.hpp>

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

namespace temper::inline TEMPER_ABI {

// ---- reading the arguments after the inputs ------------------------------------------------------

namespace detail {
struct Absent {};

template <template <class> class Name, class A>
inline constexpr bool is_named = false;
template <template <class> class Name, class D>
inline constexpr bool is_named<Name, Name<D>> = true;

template <class A, template <class> class... Names>
inline constexpr bool is_one_of = (is_named<Names, A> || ...);

template <std::size_t>
constexpr const Discard& positional_or()
{
    return discard;
}
template <std::size_t I, class First, class... Rest>
constexpr decltype(auto) positional_or(const First& first, const Rest&... rest)
{
    if constexpr (is_destination<First>) {
        if constexpr (I == 0)
            return (first);
        else
            return positional_or<I - 1>(rest...);
    }
    else
        return positional_or<I>(rest...);
}
} // namespace detail

/// The I-th destination among the arguments, discard where there are fewer.
template <std::size_t I, class... A>
constexpr decltype(auto) positional(const A&... arguments)
{
    return detail::positional_or<I>(arguments...);
}

/// The argument said by this name (PerSample, Curvature, SampleWeights, ...), or detail::Absent.
template <template <class> class Name>
constexpr detail::Absent named()
{
    return {};
}
template <template <class> class Name, class First, class... Rest>
constexpr auto named(const First& first, const Rest&... rest)
{
    if constexpr (detail::is_named<Name, First>)
        return first;
    else
        return named<Name>(rest...);
}

/// Refuses, with a sentence, what this component does not take after its inputs.
template <int max_destinations, template <class> class... Names, class... A>
constexpr void accept(const A&...)
{
    static_assert(
        ((is_destination<A> || detail::is_one_of<A, Names...>) && ...),
        "temper: this argument is not understood here; after the inputs come the gradient "
        "destinations (into, add_to, discard) in the order of the inputs, then what has a "
        "name");
    static_assert((0 + ... + (is_destination<A> ? 1 : 0)) <= max_destinations,
                  "temper: more destinations than differentiable inputs");
}

// ---- scalar types --------------------------------------------------------------------------------

/// Half-precision numbers of other libraries: read through float.
template <class S>
concept HalfScalar =
    !std::is_arithmetic_v<S> && sizeof(S) == 2 && requires(const S& s) { static_cast<float>(s); };

namespace detail {
/// Of what is no view, anything will do: the border says what is wrong with it.
template <class A>
struct ArgumentScalar {
    using type = float;
};
template <class A>
    requires ViewLike<const A>
struct ArgumentScalar<A> {
    using type = ScalarOf<const A>;
};
template <class V>
struct ArgumentScalar<Turned<V>> {
    using type = typename V::Scalar;
};
template <class S>
struct KernelScalar {
    static_assert(std::is_same_v<S, float> || std::is_same_v<S, double> || HalfScalar<S>,
                  "temper: inputs are float, double or a half-precision type");
    using type = std::conditional_t<std::is_same_v<S, double>, double, float>;
};
template <class First, class... Rest>
struct OneScalar {
    using type = typename KernelScalar<typename ArgumentScalar<First>::type>::type;
    static_assert(
        (std::is_same_v<type, typename KernelScalar<typename ArgumentScalar<Rest>::type>::type> &&
         ...),
        "temper: all inputs of a call have one scalar type; convert float to double or the reverse "
        "first");
};
} // namespace detail

/// The scalar type that a call with these inputs computes in.
template <class... Inputs>
using KernelScalarOf = typename detail::OneScalar<std::remove_cvref_t<Inputs>...>::type;

// ---- the border ----------------------------------------------------------------------------------

/// May a destination be exactly one of the inputs?
enum class InPlace { refused, allowed };

template <class T>
class Border {
  public:
    explicit Border(std::string_view component) : component_(component) {}
    Border(const Border&) = delete;
    Border& operator=(const Border&) = delete;

    // ---- inputs ----

    /// A sample-major matrix [n, d]; turned if the caller said in_columns.
    template <class A>
    [[nodiscard]] MatrixView<const T> samples(std::string_view name, const A& argument)
    {
        if constexpr (is_turned<A>)
            return input<2>(name, argument.view).transposed();
        else
            return input<2>(name, argument);
    }
    /// A matrix as it is stored; weights are never turned.
    template <class A>
    [[nodiscard]] MatrixView<const T> matrix(std::string_view name, const A& argument)
    {
        if constexpr (is_turned<A>)
            return input<2>(name, argument.view);
        else
            return input<2>(name, argument);
    }
    template <class A>
    [[nodiscard]] VectorView<const T> vector(std::string_view name, const A& argument)
    {
        if constexpr (is_turned<A>)
            return input<1>(name, argument.view);
        else
            return input<1>(name, argument);
    }
    /// Samples of any rank, [n, ...]; the last axis comes first if the caller said in_columns.
    template <class A>
    [[nodiscard]] AnyView<const T> sample_tensor(std::string_view name, const A& argument)
    {
        if constexpr (is_turned<A>)
            return last_axis_first(read(name, argument.view));
        else
            return read(name, argument);
    }
    /// Any shape, as it is stored.
    template <class A>
    [[nodiscard]] AnyView<const T> tensor(std::string_view name, const A& argument)
    {
        if constexpr (is_turned<A>)
            return read(name, argument.view);
        else
            return read(name, argument);
    }
    /// A list of tensors, as tensors(w1, b1, ...) or a span of views.
    template <class L>
    [[nodiscard]] std::span<const AnyView<const T>> list(std::string_view name, const L& argument)
    {
        static_assert(TensorList<L>, "temper: a list of tensors is said as tensors(a, b, ...)");
        const auto views = std::span(argument);
        auto* out = frame_.template take<AnyView<const T>>(static_cast<Index>(views.size()));
        for (std::size_t i = 0; i < views.size(); ++i)
            out[i] = read(name, views[i]);
        return {out, views.size()};
    }
    /// Optional named input of rank 1, of either floating type: an empty view where it was not said.
    template <class A>
    [[nodiscard]] VectorView<const T> optional_vector(std::string_view name, const A& argument,
                                                      Index n, std::string_view as_what)
    {
        if constexpr (std::is_same_v<A, detail::Absent>)
            return {};
        else {
            const auto v = input<1, true>(name, argument.view);
            if (v.extents[0] != n)
                fail<ShapeError>(component_, name, joined({"has shape ", shape_text(v)}),
                                 joined({"[", text(n), "] ", as_what}));
            return v;
        }
    }
    /// Class indices as dense int64 numbers, each checked to be in [0, k) or `ignored`, which becomes -1.
    template <class L>
    [[nodiscard, gnu::noinline]] const std::int64_t*
    labels(std::string_view name, const L& argument, Index n, Index k,
           const std::optional<std::int64_t>& ignored = std::nullopt)
    {
        static_assert(is_labels<L>, "temper: class indices are said as labels(y)");
        using S = typename decltype(argument.view)::Scalar;
        const auto v = of_rank<1>(name, AnyView<const S>(argument.view));
        if (v.extents[0] != n)
            fail<ShapeError>(component_, name, joined({"has shape ", shape_text(v)}),
                             joined({"[", text(n), "], a label for each sample"}));
        auto* dense = frame_.template take<std::int64_t>(n);
        for (Index i = 0; i < n; ++i) {
            const S raw = v(i);
            dense[i] = static_cast<std::int64_t>(raw);
            const bool is_integer = static_cast<S>(dense[i]) == raw;
            if (ignored.has_value() && dense[i] == *ignored && is_integer)
                dense[i] = -1;
            else if (dense[i] < 0 || dense[i] >= k || !is_integer) [[unlikely]]
                fail<RangeError>(
                    component_, name,
                    joined({"is ", text(static_cast<double>(raw)), " at ", text(i)}),
                    joined({"an integer from 0 to ", text(k - 1),
                            ignored ? " or the ignored index " : "",
                            ignored ? text(static_cast<Index>(*ignored)) : std::string()}));
        }
        return dense;
    }
    /// A distribution per sample [n, k], said as probabilities(p); turned if the caller said in_columns.
    template <class P>
    [[nodiscard]] MatrixView<const T> probabilities(std::string_view name, const P& argument)
    {
        static_assert(is_probabilities<P>, "temper: distributions are said as probabilities(p)");
        const auto p = input<2>(name, argument.view);
        return argument.turned ? p.transposed() : p;
    }
    /// Predictions of a teacher [n, k], said as teacher_logits(t); turned likewise.
    template <class L>
    [[nodiscard]] MatrixView<const T> teacher_logits(std::string_view name, const L& argument)
    {
        static_assert(is_teacher_logits<L>, "temper: a teacher is said as teacher_logits(t)");
        const auto t = input<2>(name, argument.view);
        return argument.turned ? t.transposed() : t;
    }
    /// Indices [n] into something of extent `limit`, as dense numbers.
    template <class A>
    [[nodiscard]] const std::int64_t* indices(std::string_view name, const A& argument, Index n,
                                              Index limit)
    {
        if constexpr (is_turned<A>)
            return labels(name, Labels<decltype(argument.view)>{argument.view}, n, limit);
        else
            return labels(name, Labels<ViewOf<const A>>{view(argument)}, n, limit);
    }
    /// Indices [n] that name each of n things once.
    template <class A>
    [[nodiscard]] const std::int64_t* permutation(std::string_view name, const A& argument, Index n)
    {
        const std::int64_t* const order = indices(name, argument, n, n);
        Workspace::Frame frame;
        char* const seen = frame.take_zeros<char>(n);
        for (Index i = 0; i < n; ++i)
            if (seen[order[i]]++ != 0)
                fail<RangeError>(component_, name,
                                 joined({"has ", text(Index{order[i]}), " twice"}),
                                 "a permutation");
        return order;
    }

    // ---- checks ----

    template <class V>
    void expect_shape(std::string_view name, const V& v, std::initializer_list<Index> extents,
                      std::string_view as_what) const
    {
        const AnyView<const typename V::Scalar> any(v);
        if (has_shape(any, extents)) [[likely]]
            return;
        wrong_shape(name, shape_text(v), any, extents, as_what);
    }
    template <class V, class W>
    void same_shape(std::string_view name, const V& v, std::string_view like_name,
                    const W& like) const
    {
        if (v.extents == like.extents) [[likely]]
            return;
        if constexpr (std::is_same_v<V, MatrixView<const T>>)
            expect_shape(name, v, {like.extents[0], like.extents[1]}, joined({"as ", like_name}));
        else
            fail<ShapeError>(component_, name, joined({"has shape ", shape_text(v)}),
                             joined({shape_text(like), " as ", like_name}));
    }
    /// Throws "component: argument is value, must be ..." unless ok.
    void require(bool ok, std::string_view argument, double value, std::string_view must_be) const
    {
        temper::require(ok, component_, argument, value, must_be);
    }
    [[nodiscard]] std::string_view component() const { return component_; }

    // ---- destinations ----

    /// The gradient of the sample-major matrix `input`, and of the same shape.
    template <class D>
    [[nodiscard]] Destination<T, 2> gradient(std::string_view input, MatrixView<const T> like,
                                             const D& argument, InPlace in_place = InPlace::refused)
    {
        return output<2>(input, argument, {like.extents[0], like.extents[1]}, in_place);
    }
    template <class D>
    [[nodiscard]] Destination<T, 1> gradient(std::string_view input, VectorView<const T> like,
                                             const D& argument, InPlace in_place = InPlace::refused)
    {
        return output<1>(input, argument, {like.extents[0]}, in_place);
    }
    /// The gradient of a matrix as it is stored.
    template <class D>
    [[nodiscard]] Destination<T, 2> stored_gradient(std::string_view input,
                                                    MatrixView<const T> like, const D& argument,
                                                    InPlace in_place = InPlace::refused)
    {
        return gradient(input, AnyView<const T>(like), argument, in_place).template as<2>();
    }
    /// The gradient of samples of any rank.
    template <class D>
    [[nodiscard]] AnyDestination<T> sample_gradient(std::string_view input,
                                                    const AnyView<const T>& like, const D& argument,
                                                    InPlace in_place = InPlace::refused)
    {
        if constexpr (std::is_same_v<D, Discard>)
            return {};
        else {
            auto turned = argument;
            if (argument.turned)
                turned.view = last_axis_first(argument.view);
            return gradient(input, like, turned, in_place);
        }
    }
    /// The gradient of a tensor as it is stored.
    template <class D>
    [[nodiscard]] AnyDestination<T> gradient(std::string_view input, const AnyView<const T>& like,
                                             const D& argument, InPlace in_place = InPlace::refused)
    {
        if constexpr (std::is_same_v<D, Discard>)
            return {};
        else {
            const auto v = argument.view;
            if (v.rank != like.rank || v.extents != like.extents)
                fail<ShapeError>(component_, named_output(input),
                                 joined({"has shape ", shape_text(v)}), shape_text(like));
            return announce(input, argument, v, in_place);
        }
    }
    /// The gradients of a list of tensors, each of the shape of its tensor.
    template <class D>
    [[nodiscard]] std::span<const AnyDestination<T>>
    gradient(std::string_view input, std::span<const AnyView<const T>> like, const D& argument,
             InPlace in_place = InPlace::refused)
    {
        auto* out = frame_.template take<AnyDestination<T>>(static_cast<Index>(like.size()));
        if constexpr (std::is_same_v<D, Discard>) {
            for (std::size_t i = 0; i < like.size(); ++i)
                out[i] = {};
        }
        else if constexpr (!requires { argument.views; }) { // one destination for a list of one
            const std::array views{argument.view};
            return gradient(input, like,
                            IntoList<typename decltype(argument.view)::Scalar>{
                                views, argument.scale, argument.mode},
                            in_place);
        }
        else {
            if (argument.views.size() != like.size())
                fail<ShapeError>(
                    component_, named_output(input),
                    joined({"has ", text(static_cast<Index>(argument.views.size())), " tensors"}),
                    joined({"a list of ", text(static_cast<Index>(like.size()))}));
            for (std::size_t i = 0; i < like.size(); ++i)
                out[i] = gradient(input, like[i],
                                  Into{argument.views[i], argument.scale, argument.mode}, in_place);
        }
        return {out, like.size()};
    }
    /// An output of this shape.
    template <int R, class D>
    [[nodiscard]] Destination<T, R> output(std::string_view name, const D& argument,
                                           const std::array<Index, static_cast<std::size_t>(R)>& n,
                                           InPlace in_place = InPlace::refused)
    {
        if constexpr (std::is_same_v<D, Discard>)
            return {};
        else {
            auto v = of_rank<R>(name, argument.view, true);
            if constexpr (R == 2)
                if (argument.turned)
                    v = v.transposed();
            if (v.extents != n) [[unlikely]]
                wrong_output(name, v, n);
            return announce(name, argument, v, in_place);
        }
    }
    /// A named output (PerSample, Curvature, ...) of this shape; discarded where it was not said.
    template <int R, class N>
    [[nodiscard]] Destination<T, R>
    named_into(std::string_view name, const N& argument,
               const std::array<Index, static_cast<std::size_t>(R)>& n)
    {
        if constexpr (std::is_same_v<N, detail::Absent>)
            return {};
        else
            return output<R>(name, argument.destination, n);
    }
    /// Integers: written plainly, so neither added to nor converted.
    template <class D>
    [[nodiscard]] AnyView<std::int64_t> integers(std::string_view name, const D& argument,
                                                 std::initializer_list<Index> extents)
    {
        static_assert(std::is_same_v<D, Into<std::int64_t>>,
                      "temper: integer outputs are written into std::int64_t");
        if (!has_shape(argument.view, extents))
            wrong_shape(name, shape_text(argument.view), argument.view, extents, "");
        add(name, argument.view, true);
        return argument.view;
    }

    // ---- afterwards ----

    /// Writes what had to go through the workspace, then hands the value back.
    double finish(double value = 0)
    {
        for (int i = 0; i < n_pending_; ++i)
            pending_[i].commit(pending_[i]);
        return value;
    }
    /// Scratch that lives as long as the call.
    [[nodiscard]] Workspace::Frame& scratch() { return frame_; }

  private:
    struct Known {
        std::string_view name;
        Region region;
        bool written;
    };
    struct Pending {
        void (*commit)(const Pending&);
        AnyView<const T> from;
        void* to;
        std::array<Index, max_rank> strides;
        bool adds;
    };
    static std::string named_output(std::string_view name)
    {
        return joined({"the destination for ", name});
    }

    template <class V>
    struct DestinationOf {
        using type = AnyDestination<T>;
    };
    template <class S, int R>
    struct DestinationOf<View<S, R>> {
        using type = Destination<T, R>;
    };
    template <class V>
    using DestinationFor = typename DestinationOf<V>::type;

    template <bool any_floating = false, class A>
    AnyView<const T> read(std::string_view name, const A& argument)
    {
        if constexpr (ViewLike<const A> || LazyExpression<const A>) {
            using V = decltype(view(argument));
            if constexpr (!std::is_void_v<V>) {
                using S = typename V::Scalar;
                const AnyView<const S> v(view(argument));
                if constexpr (std::is_same_v<S, T>) {
                    add(name, v, false);
                    return v;
                }
                else {
                    static_assert((any_floating && std::is_floating_point_v<S>) ||
                                      (HalfScalar<S> && std::is_same_v<T, float>),
                                  "temper: this input has another scalar type than the others");
                    add(name, v, false);
                    return converted(v);
                }
            }
            else
                return {};
        }
        else {
            static_assert(!is_labels<A> && !is_probabilities<A>,
                          "temper: a matrix of numbers is wanted here, not targets; targets come "
                          "second");
            static_assert(!is_destination<A>,
                          "temper: an input is missing; destinations come after the inputs");
            static_assert(
                ViewLike<const A>,
                "temper: no view of this type; it must show data, extents and strides (or "
                "specialise temper::Owner, as temper/adapt/ does for other libraries)");
            return {};
        }
    }
    /// Is the view of an A one of rank R and scalar T?
    template <int R, class A>
    static consteval bool is_of()
    {
        if constexpr (!ViewLike<const A>)
            return false;
        else
            return static_rank<const A>() == R && std::is_same_v<ScalarOf<const A>, T>;
    }

    template <int R, bool any_floating = false, class A>
    View<const T, R> input(std::string_view name, const A& argument)
    {
        if constexpr (ViewLike<const A>)
            static_assert(static_rank<const A>() == any_rank || static_rank<const A>() == R ||
                              (static_rank<const A>() <= 2 && R <= 2),
                          "temper: this argument has another rank than the one wanted here");
        if constexpr (is_of<R, A>()) { // the way that nearly all go
            const View<const T, R> v = view(argument);
            add(name, v, false);
            return v;
        }
        else
            return of_rank<R>(name, read<any_floating>(name, argument));
    }
    template <class S>
    static AnyView<S> last_axis_first(AnyView<S> v)
    {
        for (int i = v.rank - 1; i > 0; --i) {
            std::swap(v.extents[place(i)], v.extents[place(i - 1)]);
            std::swap(v.strides[place(i)], v.strides[place(i - 1)]);
        }
        return v;
    }
    /// n as n x 1 where a matrix is wanted, n x 1 and 1 x n as n where a vector is.
    template <int R, class S>
    View<S, R> of_rank(std::string_view name, const AnyView<S>& v, bool is_output = false) const
    {
        if (v.rank == R) [[likely]]
            return v.template as<R>();
        if constexpr (R == 2)
            if (v.rank == 1)
                return {v.data, {v.extents[0], 1}, {v.strides[0], 1}};
        if constexpr (R == 1)
            if (v.rank == 2 && (v.extents[0] == 1 || v.extents[1] == 1)) {
                const std::size_t d = v.extents[1] == 1 ? 0 : 1;
                return {v.data, {v.extents[d]}, {v.strides[d]}};
            }
        fail<ShapeError>(component_, is_output ? named_output(name) : std::string(name),
                         joined({"has rank ", text(Index{v.rank}), " and shape ", shape_text(v)}),
                         joined({"of rank ", text(Index{R})}));
    }
    template <class S>
    AnyView<const T> converted(const AnyView<const S>& v)
    {
        const AnyView<T> dense = dense_like(v);
        each_pair(v, dense, [](const S& from, T& to) { to = static_cast<T>(from); });
        return dense;
    }
    /// Scratch of the shape of v, with its dimensions in the order that they have in v.
    template <class V>
    AnyView<T> dense_like(const V& v)
    {
        AnyView<T> dense;
        dense.data = frame_.template take<T>(v.size());
        dense.rank = v.rank;
        dense.extents = v.extents;
        dense.strides.fill(0);
        Index stride = 1;
        for (int placed = 0; placed < v.rank; ++placed) {
            const int d = densest(v, dense.strides);
            dense.strides[place(d)] = stride;
            stride *= (std::max)(v.extents[place(d)], Index{1});
        }
        return dense;
    }
    /// The dimension of v in which neighbours are closest, of those that have no stride in `placed` yet; of
    /// equal ones the last.
    template <class V>
    static int densest(const V& v, const std::array<Index, max_rank>& placed)
    {
        const auto size = [&](int d) {
            return v.extents[place(d)] > 1 ? std::abs(v.strides[place(d)])
                                           : std::numeric_limits<Index>::max();
        };
        int densest = -1;
        for (int d = v.rank - 1; d >= 0; --d)
            if (placed[place(d)] == 0 && (densest < 0 || size(d) < size(densest)))
                densest = d;
        return densest;
    }
    /// f(entry of a, entry of b) for tensors of one shape, along the dimension in which b is dense.
    template <class A, class B, class F>
    static void each_pair(AnyView<A> a, AnyView<B> b, const F& f)
    {
        const int inner = (std::max)(0, densest(b, {}));
        const Index n = b.extents[place(inner)];
        const Index step_a = a.strides[place(inner)];
        const Index step_b = b.strides[place(inner)];
        b.extents[place(inner)] = 1;
        if (b.size() == 0)
            return;
        std::array<Index, max_rank> index{};
        while (true) {
            A* from = a.data + offset(index, a);
            B* to = b.data + offset(index, b);
            for (Index i = 0; i < n; ++i)
                f(from[i * step_a], to[i * step_b]);
            int d = b.rank - 1;
            while (d >= 0 && ++index[place(d)] == b.extents[place(d)])
                index[place(d--)] = 0;
            if (d < 0)
                return;
        }
    }
    template <class V>
    static Index offset(const std::array<Index, max_rank>& index, const V& v)
    {
        Index sum = 0;
        for (std::size_t i = 0; i < max_rank; ++i)
            sum += index[i] * v.strides[i];
        return sum;
    }

    template <class V>
    void add(std::string_view name, const V& v, bool written)
    {
        grow(known_, n_known_, known_room_);
        ::new (static_cast<void*>(known_ + n_known_++)) Known{name, Region(v), written};
    }
    template <class Entry>
    void grow(Entry*& entries, int n, int& room)
    {
        if (n < room) [[likely]]
            return;
        room = room == 0 ? 8 : 2 * room;
        auto* larger = frame_.template take<Entry>(room);
        for (int i = 0; i < n; ++i)
            larger[i] = entries[i];
        entries = larger;
    }
    /// Checks a destination against everything known; returns whether it must go through scratch.
    bool shares(std::string_view name, const Region& region, bool adds, InPlace in_place) const
    {
        bool deferred = false;
        for (int i = 0; i < n_known_; ++i) {
            const Known& other = known_[i];
            if (!overlap(region, other.region))
                continue;
            const bool same = region.same(other.region);
            if (same && other.written && adds)
                deferred = true;
            else if (!(same && !other.written && in_place == InPlace::allowed))
                overlapping(name, other, same);
        }
        return deferred;
    }
    [[noreturn, gnu::cold, gnu::noinline]] void overlapping(std::string_view name,
                                                            const Known& other, bool same) const
    {
        fail<OverlapError>(component_, named_output(name),
                           joined({same ? "is " : "overlaps ",
                                   other.written ? "the destination for " : "", other.name}),
                           same && other.written ? "said as add_to after the first" : "disjoint");
    }
    /// What a kernel writes through to reach v: a destination of v's rank.
    template <class S, class V>
    auto announce(std::string_view name, const Into<S>& argument, const V& v, InPlace in_place)
        -> DestinationFor<V>
    {
        using To = DestinationFor<V>;
        static_assert(std::is_floating_point_v<S> || HalfScalar<S>,
                      "temper: a gradient is written into floating numbers");
        if (argument.mode == Mode::discard)
            return {};
        for (int i = 0; i < v.rank; ++i)
            if (v.strides[place(i)] == 0 && v.extents[place(i)] > 1 && v.size() > 0)
                fail<OverlapError>(component_, named_output(name),
                                   joined({"has stride 0 in dimension ", text(Index{i})}),
                                   "a place of its own for every entry");
        const bool adds = argument.mode == Mode::add;
        const bool deferred = shares(name, Region(v), adds, in_place);
        add(name, v, true);
        if constexpr (std::is_same_v<S, T>)
            if (!deferred) [[likely]]
                return {v, argument.scale, argument.mode};
        return through_scratch<To>(argument, AnyView<S>(v), adds);
    }
    template <class To, class S>
    To through_scratch(const Into<S>& argument, const AnyView<S>& v, bool adds)
    {
        const AnyView<T> dense = dense_like(v);
        grow(pending_, n_pending_, pending_room_);
        pending_[n_pending_++] = {[](const Pending& p) {
                                      AnyView<S> to;
                                      to.data = static_cast<S*>(p.to);
                                      to.rank = p.from.rank;
                                      to.extents = p.from.extents;
                                      to.strides = p.strides;
                                      each_pair(p.from, to, [&](const T& number, S& entry) {
                                          const T before = p.adds ? static_cast<T>(entry) : T{0};
                                          entry = static_cast<S>(number + before);
                                      });
                                  },
                                  dense, v.data, v.strides, adds};
        const AnyDestination<T> to{dense, argument.scale, Mode::overwrite};
        if constexpr (std::is_same_v<To, AnyDestination<T>>)
            return to;
        else
            return to.template as<To::rank>();
    }

    template <class V>
    static bool has_shape(const V& v, std::initializer_list<Index> extents)
    {
        return v.rank == static_cast<int>(extents.size()) &&
               std::equal(extents.begin(), extents.end(), v.extents.begin());
    }
    static constexpr std::string_view columns_hint = "; samples in columns? say in_columns(...)";

    template <class V>
    [[noreturn, gnu::cold, gnu::noinline]] void
    wrong_shape(std::string_view name, const std::string& was, const V& v,
                std::initializer_list<Index> extents, std::string_view as_what) const
    {
        std::string must_be = extents_text(extents.begin(), extents.size());
        if (!as_what.empty())
            must_be.append(" ").append(as_what);
        if (extents.size() == 2 && v.rank == 2 && v.extents[0] == extents.begin()[1] &&
            v.extents[1] == extents.begin()[0])
            must_be += columns_hint;
        fail<ShapeError>(component_, name, joined({"has shape ", was}), must_be);
    }
    template <class V, std::size_t R>
    [[noreturn, gnu::cold, gnu::noinline]] void wrong_output(std::string_view name, const V& v,
                                                             const std::array<Index, R>& n) const
    {
        std::string must_be = extents_text(n.data(), R);
        if constexpr (R == 2)
            if (v.extents[0] == n[1] && v.extents[1] == n[0])
                must_be += columns_hint;
        fail<ShapeError>(component_, named_output(name), joined({"has shape ", shape_text(v)}),
                         must_be);
    }

    std::string_view component_;
    Workspace::Frame frame_{};
    Known* known_ = nullptr;
    Pending* pending_ = nullptr;
    int n_known_ = 0;
    int n_pending_ = 0;
    int known_room_ = 0;
    int pending_room_ = 0;
};

} // namespace temper::inline TEMPER_ABI
