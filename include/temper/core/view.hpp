// SPDX-License-Identifier: BSL-1.0
#pragma once

// Views: non-owning, strided windows on somebody else's numbers.
//
//   View<T, R>   rank known at compile time; what components work with
//   AnyView<T>   rank 0 to 6 known at run time; what element-wise techniques work with
//
// view(owner) makes one, without a copy, of whatever shows data, extents and strides: Eigen's matrices,
// arrays, maps, refs, blocks and transposes; xtensor's containers, adaptors and strided views; spans,
// vectors and C arrays; std::mdspan; and view(pointer, extents[, strides]). Owners are recognised by
// their members, so that no header of another library is needed here. A library whose owners have
// other members says so by specialising temper::Owner (see adapt/).

#include <temper/core/error.hpp>

#include <algorithm>
#include <array>
#include <concepts>
#include <initializer_list>
#include <iterator>
#include <type_traits>
#include <utility>

namespace temper {

/// The customisation point: a specialisation for O has `static auto view(O&)` that returns a
/// temper::View or temper::AnyView, and `static constexpr int rank` (temper::any_rank if it is known
/// at run time only). It stands outside the inline namespace so that users can specialise it plainly.
template <class O>
struct Owner;

/// The rank of owners that know theirs at run time only.
inline constexpr int any_rank = -1;

} // namespace temper

namespace temper::inline TEMPER_ABI {

/// The largest rank of a view.
inline constexpr int max_rank = 6;

template <class T, int R>
struct View {
    using Scalar = std::remove_const_t<T>;
    static constexpr int rank = R;

    T* data = nullptr;
    std::array<Index, static_cast<std::size_t>(R)> extents{};
    std::array<Index, static_cast<std::size_t>(R)> strides{};

    template <std::same_as<Index>... I>
        requires(sizeof...(I) == R)
    [[nodiscard]] T& operator()(I... index) const
    {
        Index offset = 0;
        std::size_t dimension = 0;
        ((offset += index * strides[dimension++]), ...);
        return data[offset];
    }
    [[nodiscard]] Index size() const
    {
        Index n = 1;
        for (const Index extent : extents)
            n *= extent;
        return n;
    }
    [[nodiscard]] Index rows() const
        requires(R == 2)
    {
        return extents[0];
    }
    [[nodiscard]] Index cols() const
        requires(R == 2)
    {
        return extents[1];
    }
    [[nodiscard]] View<T, 1> row(Index i) const
        requires(R == 2)
    {
        return {data + i * strides[0], {extents[1]}, {strides[1]}};
    }
    [[nodiscard]] View<T, 1> col(Index j) const
        requires(R == 2)
    {
        return {data + j * strides[1], {extents[0]}, {strides[0]}};
    }
    [[nodiscard]] View block(Index row, Index col, Index n_rows, Index n_cols) const
        requires(R == 2)
    {
        return {data + row * strides[0] + col * strides[1], {n_rows, n_cols}, strides};
    }
    [[nodiscard]] View transposed() const
        requires(R == 2)
    {
        return {data, {extents[1], extents[0]}, {strides[1], strides[0]}};
    }
    operator View<const T, R>() const // NOLINT(google-explicit-constructor): as T* to const T*
        requires(!std::is_const_v<T>)
    {
        return {data, extents, strides};
    }
};

template <class T>
using VectorView = View<T, 1>;
template <class T>
using MatrixView = View<T, 2>;

/// A view of a rank known at run time; dimensions beyond `rank` have extent 1 and stride 0.
template <class T>
struct AnyView {
    using Scalar = std::remove_const_t<T>;

    T* data = nullptr;
    int rank = 0;
    std::array<Index, max_rank> extents{1, 1, 1, 1, 1, 1};
    std::array<Index, max_rank> strides{};

    AnyView() = default;
    template <class U, int R>
        requires std::convertible_to<U*, T*>
    AnyView(const View<U, R>& v) // NOLINT(google-explicit-constructor): loses nothing
        : data(v.data), rank(R)
    {
        for (std::size_t i = 0; i < static_cast<std::size_t>(R); ++i) {
            extents[i] = v.extents[i];
            strides[i] = v.strides[i];
        }
    }
    template <class U>
        requires(std::same_as<const U, T>)
    AnyView(const AnyView<U>& v) // NOLINT(google-explicit-constructor): as T* to const T*
        : data(v.data), rank(v.rank), extents(v.extents), strides(v.strides)
    {
    }
    [[nodiscard]] Index size() const
    {
        Index n = 1;
        for (const Index extent : extents)
            n *= extent;
        return n;
    }
    [[nodiscard]] Index extent(int i) const { return extents[static_cast<std::size_t>(i)]; }
    [[nodiscard]] Index stride(int i) const { return strides[static_cast<std::size_t>(i)]; }
    /// The same window with a compile-time rank; the ranks must agree.
    template <int R>
    [[nodiscard]] View<T, R> as() const
    {
        View<T, R> v;
        v.data = data;
        for (std::size_t i = 0; i < static_cast<std::size_t>(R); ++i) {
            v.extents[i] = extents[i];
            v.strides[i] = strides[i];
        }
        return v;
    }
};

/// A dimension as the index that std::array wants.
constexpr std::size_t place(int dimension) { return static_cast<std::size_t>(dimension); }

template <class V>
inline constexpr bool is_view = false;
template <class T, int R>
inline constexpr bool is_view<View<T, R>> = true;
template <class T>
inline constexpr bool is_view<AnyView<T>> = true;

/// "[8, 5]", as error messages show extents.
template <class V>
[[gnu::cold]] std::string shape_text(const V& v)
{
    const int rank = AnyView<const typename V::Scalar>(v).rank;
    return extents_text(v.extents.data(), static_cast<std::size_t>(rank));
}

namespace detail {

template <class O>
concept SpecialOwner = requires { Owner<std::remove_cvref_t<O>>::rank; };

template <class O>
concept EigenShaped = requires(O& o) {
    typename std::remove_cvref_t<O>::Scalar;
    { std::remove_cvref_t<O>::RowsAtCompileTime + 0 } -> std::convertible_to<int>;
    { std::remove_cvref_t<O>::ColsAtCompileTime + 0 } -> std::convertible_to<int>;
    o.rows();
    o.cols();
};
/// Eigen's bit for expressions whose coefficients can be addressed; others declare data() all the same.
template <class O>
concept EigenOwner =
    EigenShaped<O> && (std::remove_cvref_t<O>::Flags & 0x40) != 0 && requires(O& o) {
        o.data();
        o.innerStride();
        o.outerStride();
    };

template <class O>
concept XtensorShaped = requires(O& o) {
    o.shape().size();
    o.dimension();
};
template <class O>
concept XtensorOwner = XtensorShaped<O> && requires(O& o) {
    o.data() + o.data_offset();
    o.strides()[0];
};

template <class O>
concept MdspanOwner = requires(O& o) {
    o.data_handle();
    o.extent(0);
    o.stride(0);
    std::remove_cvref_t<O>::rank();
};

/// Said without <ranges>, which costs what all of this header does to compile.
template <class O>
concept ContiguousOwner = !XtensorShaped<O> && !EigenShaped<O> && requires(O& o) {
    { std::begin(o) } -> std::contiguous_iterator;
    { *std::data(o) } -> std::same_as<std::iter_reference_t<decltype(std::begin(o))>>;
    { std::size(o) } -> std::integral;
    requires std::is_arithmetic_v<std::iter_value_t<decltype(std::begin(o))>>;
    requires !std::same_as<std::iter_value_t<decltype(std::begin(o))>, char>;
};

template <class O>
concept MatrixArray =
    std::is_array_v<std::remove_reference_t<O>> && std::rank_v<std::remove_reference_t<O>> == 2;

template <class O>
consteval int xtensor_rank()
{
    using Shape = std::remove_cvref_t<decltype(std::declval<O&>().shape())>;
    if constexpr (requires { std::tuple_size<Shape>::value; })
        return static_cast<int>(std::tuple_size<Shape>::value);
    else
        return any_rank;
}

/// Where there is no memory there is no way to shift: row(i) of an empty matrix is no offset to nullptr.
template <class V>
V at_rest_if_null(V v)
{
    if (v.data == nullptr)
        v.strides.fill(0);
    return v;
}

/// Extents of 0 or 1 get their contiguous stride: xtensor's 0 there makes BLAS refuse the matrix.
template <class V>
V with_usable_strides(V v, int rank)
{
    Index contiguous = 1;
    for (int i = rank - 1; i >= 0; --i) {
        const auto d = static_cast<std::size_t>(i);
        if (v.extents[d] <= 1)
            v.strides[d] = contiguous;
        contiguous = (std::max)(contiguous, v.strides[d] * (std::max)(v.extents[d], Index{1}));
    }
    return at_rest_if_null(v);
}

} // namespace detail

/// Whatever view() can make a window on.
template <class O>
concept ViewLike = is_view<std::remove_cvref_t<O>> || detail::SpecialOwner<O> ||
                   detail::EigenOwner<O> || detail::XtensorOwner<O> || detail::MdspanOwner<O> ||
                   detail::ContiguousOwner<O> || detail::MatrixArray<O>;

/// Expressions that would have to be evaluated first. What evaluates to itself, as Armadillo's matrices do,
/// is none: it lacks its adapter.
template <class O>
concept LazyExpression =
    !ViewLike<O> && (detail::EigenShaped<O> || detail::XtensorShaped<O> || requires(O& o) {
        requires !std::derived_from<std::remove_cvref_t<O>,
                                    std::remove_cvref_t<decltype(o.eval())>>;
    });

/// The rank of a view of O if the type tells it, else any_rank. An Eigen type that is a vector at
/// compile time has rank 1.
template <class O>
consteval int static_rank()
{
    using Bare = std::remove_cvref_t<O>;
    if constexpr (detail::SpecialOwner<O>)
        return Owner<Bare>::rank;
    else if constexpr (is_view<Bare>) {
        if constexpr (!std::same_as<Bare, AnyView<std::remove_pointer_t<decltype(Bare::data)>>>)
            return Bare::rank;
        else
            return any_rank;
    }
    else if constexpr (detail::EigenOwner<O>)
        return Bare::RowsAtCompileTime == 1 || Bare::ColsAtCompileTime == 1 ? 1 : 2;
    else if constexpr (detail::XtensorOwner<O>)
        return detail::xtensor_rank<O>();
    else if constexpr (detail::MdspanOwner<O>)
        return static_cast<int>(Bare::rank());
    else if constexpr (detail::MatrixArray<O>)
        return 2;
    else
        return 1;
}

/// A window on the owner's numbers: View of the owner's rank, or AnyView where the type has none.
template <class O>
[[nodiscard]] auto view(O&& owner)
{
    using Bare = std::remove_cvref_t<O>;
    if constexpr (LazyExpression<O>) {
        static_assert(!LazyExpression<O>,
                      "temper: this is a lazy expression; evaluate it into a matrix first "
                      "(.eval() in Eigen, xt::eval in xtensor)");
    }
    else if constexpr (!ViewLike<O>) {
        static_assert(ViewLike<O>, "temper: no view of this type; it must show data, extents and "
                                   "strides (or specialise temper::Owner, as temper/adapt/ does "
                                   "for other libraries)");
    }
    else if constexpr (is_view<Bare>)
        return detail::at_rest_if_null(Bare(owner));
    else if constexpr (detail::SpecialOwner<O>)
        return detail::at_rest_if_null(Owner<Bare>::view(owner));
    else if constexpr (detail::EigenOwner<O>) {
        using T = std::remove_pointer_t<decltype(owner.data())>;
        if constexpr (static_rank<O>() == 1)
            return detail::with_usable_strides(
                View<T, 1>{owner.data(), {owner.size()}, {owner.innerStride()}}, 1);
        else if constexpr (Bare::IsRowMajor)
            return detail::with_usable_strides(
                View<T, 2>{owner.data(),
                           {owner.rows(), owner.cols()},
                           {owner.outerStride(), owner.innerStride()}},
                2);
        else
            return detail::with_usable_strides(
                View<T, 2>{owner.data(),
                           {owner.rows(), owner.cols()},
                           {owner.innerStride(), owner.outerStride()}},
                2);
    }
    else if constexpr (detail::XtensorOwner<O>) {
        using T = std::remove_pointer_t<decltype(owner.data() + owner.data_offset())>;
        constexpr int rank = static_rank<O>();
        const auto fill = [&](auto v, std::size_t n) {
            v.data = owner.data() + owner.data_offset();
            for (std::size_t i = 0; i < n; ++i) {
                v.extents[i] = static_cast<Index>(owner.shape()[i]);
                v.strides[i] = static_cast<Index>(owner.strides()[i]);
            }
            return detail::with_usable_strides(v, static_cast<int>(n));
        };
        if constexpr (rank == any_rank) {
            const auto n = static_cast<int>(owner.dimension());
            if (n > max_rank)
                fail<ShapeError>("view", "owner", joined({"has rank ", text(Index{n})}),
                                 "6 at most");
            AnyView<T> v;
            v.rank = n;
            return fill(v, owner.dimension());
        }
        else
            return fill(View<T, rank>{}, static_cast<std::size_t>(rank));
    }
    else if constexpr (detail::MdspanOwner<O>) {
        using T = std::remove_pointer_t<decltype(owner.data_handle())>;
        View<T, static_cast<int>(Bare::rank())> v;
        v.data = owner.data_handle();
        for (std::size_t i = 0; i < Bare::rank(); ++i) {
            v.extents[i] = static_cast<Index>(owner.extent(i));
            v.strides[i] = static_cast<Index>(owner.stride(i));
        }
        return detail::with_usable_strides(v, v.rank);
    }
    else if constexpr (detail::MatrixArray<O>) {
        using T = std::remove_all_extents_t<std::remove_reference_t<O>>;
        constexpr auto rows = static_cast<Index>(std::extent_v<std::remove_reference_t<O>, 0>);
        constexpr auto cols = static_cast<Index>(std::extent_v<std::remove_reference_t<O>, 1>);
        return View<T, 2>{&owner[0][0], {rows, cols}, {cols, 1}};
    }
    else {
        using T = std::remove_pointer_t<decltype(std::data(owner))>;
        return detail::at_rest_if_null(
            View<T, 1>{std::data(owner), {static_cast<Index>(std::size(owner))}, {1}});
    }
}

/// A dense row-major window on memory: view(p, {n, d}).
template <class T, std::size_t R>
[[nodiscard]] View<T, static_cast<int>(R)> view(T* data, const Index (&extents)[R])
{
    View<T, static_cast<int>(R)> v;
    v.data = data;
    Index stride = 1;
    for (std::size_t i = R; i-- > 0;) {
        v.extents[i] = extents[i];
        v.strides[i] = stride;
        stride *= (std::max)(extents[i], Index{1});
    }
    return detail::at_rest_if_null(v);
}

/// A dense row-major window on memory, of the shape of v.
template <class T, class S>
[[nodiscard]] AnyView<T> row_major_like(T* memory, const AnyView<S>& v)
{
    AnyView<T> dense;
    dense.data = memory;
    dense.rank = v.rank;
    dense.extents = v.extents;
    Index stride = 1;
    for (int i = v.rank; i-- > 0;) {
        dense.strides[place(i)] = stride;
        stride *= (std::max)(v.extent(i), Index{1});
    }
    return dense;
}

/// A strided window on memory, strides counted in elements: view(p, {n, d}, {ld, 1}).
template <class T, std::size_t R>
[[nodiscard]] View<T, static_cast<int>(R)> view(T* data, const Index (&extents)[R],
                                                const Index (&strides)[R])
{
    View<T, static_cast<int>(R)> v;
    v.data = data;
    for (std::size_t i = 0; i < R; ++i) {
        v.extents[i] = extents[i];
        v.strides[i] = strides[i];
    }
    return detail::at_rest_if_null(v);
}

/// What view(owner) is, and the scalar it looks at.
template <class O>
using ViewOf = decltype(view(std::declval<O&>()));
template <class O>
using ScalarOf = typename ViewOf<O>::Scalar;

/// A list of tensors of one scalar type: tensors(w1, b1, w2, b2). Copies no numbers.
template <ViewLike First, ViewLike... Rest>
[[nodiscard]] auto tensors(First&& first, Rest&&... rest)
{
    using T = std::remove_pointer_t<decltype(view(first).data)>;
    return std::array<AnyView<T>, 1 + sizeof...(Rest)>{AnyView<T>(view(first)),
                                                       AnyView<T>(view(rest))...};
}

} // namespace temper::inline TEMPER_ABI
