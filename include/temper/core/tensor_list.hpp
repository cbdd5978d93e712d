// SPDX-License-Identifier: BSL-1.0
#pragma once

// Transforms over a model's parameters work on lists of tensors: tensors(w1, b1, w2, b2), a span of
// views, or one owner, which is a list of one. What a transform remembers of each entry (momentum,
// second moments) is one flat array, the tensors one after another in the order of the list, each in the
// order in which its entries are stored.

#include <temper/core/border.hpp>

namespace temper::inline TEMPER_ABI {

/// A list as it is, an owner as a list of one.
template <class L>
[[nodiscard]] auto as_list(L&& list)
{
    if constexpr (TensorList<std::remove_cvref_t<L>>)
        return std::span(list);
    else
        return tensors(list);
}

namespace detail {
template <class L>
struct ListScalar {
    using type = ScalarOf<L>;
};
template <TensorList L>
struct ListScalar<L> {
    using type = typename std::remove_cvref_t<decltype(std::span(std::declval<L&>())[0])>::Scalar;
};
} // namespace detail

/// The scalar of a list or an owner.
template <class L>
using ListScalarOf = typename detail::ListScalar<std::remove_reference_t<L>>::type;

/// Entries of all tensors together.
template <class L>
[[nodiscard]] Index total_size(const L& list)
{
    Index n = 0;
    for (const auto& tensor : list)
        n += tensor.size();
    return n;
}

/// Throws unless the tensors of two lists have the same shapes.
template <class T>
void same_shapes(std::string_view component, std::string_view name,
                 std::span<const AnyView<const T>> list, std::string_view like_name,
                 std::span<const AnyView<const T>> like)
{
    if (list.size() != like.size())
        fail<ShapeError>(component, name,
                         joined({"has ", text(static_cast<Index>(list.size())), " tensors"}),
                         joined({text(static_cast<Index>(like.size())), " as ", like_name}));
    for (std::size_t i = 0; i < list.size(); ++i)
        if (list[i].rank != like[i].rank || list[i].extents != like[i].extents)
            fail<ShapeError>(component, joined({name, "[", text(static_cast<Index>(i)), "]"}),
                             joined({"has shape ", shape_text(list[i])}),
                             joined({shape_text(like[i]), " as ", like_name}));
}

// ---- the order of storage --------------------------------------------------------------------------

/// A window on dense memory for the entries of v, in the order in which v stores them.
template <class T, class S>
[[nodiscard]] AnyView<T> stored_like(T* memory, const AnyView<S>& v)
{
    const auto size = [](Index stride) { return stride < 0 ? -stride : stride; };
    AnyView<T> dense;
    dense.data = memory;
    dense.rank = v.rank;
    dense.extents = v.extents;
    for (int i = 0; i < v.rank; ++i) {
        Index stride = 1; // of all dimensions that are walked within this one
        for (int j = 0; j < v.rank; ++j)
            if (size(v.stride(j)) < size(v.stride(i)) ||
                (size(v.stride(j)) == size(v.stride(i)) && j > i))
                stride *= v.extent(j);
        dense.strides[place(i)] = stride;
    }
    return dense;
}

/// Do the entries stand one after another, so that size() numbers from data on are all of them?
template <class T>
[[nodiscard]] bool stored_flat(const AnyView<T>& v)
{
    const AnyView<T> dense = stored_like(v.data, v);
    for (int i = 0; i < v.rank; ++i)
        if (v.extent(i) > 1 && v.stride(i) != dense.stride(i))
            return false;
    return true;
}

/// All entries of a tensor that is stored flat, as a vector.
template <class T>
[[nodiscard]] AnyView<T> flattened(const AnyView<T>& v)
{
    return View<T, 1>{v.data, {v.size()}, {1}};
}

/// Are two tensors of one shape walked alike?
template <class T, class S>
[[nodiscard]] bool stored_alike(const AnyView<T>& a, const AnyView<S>& b)
{
    for (int i = 0; i < a.rank; ++i)
        if (a.extent(i) > 1 && a.stride(i) != b.stride(i))
            return false;
    return true;
}

// ---- lists of matrices ---------------------------------------------------------------------------

/// A matrix and where its gradient goes.
template <class T>
struct MatrixAndGradient {
    MatrixView<const T> matrix{};
    Destination<T, 2> gradient{};
};

/// The matrices of a list, whose tensors are matrices or stacks of matrices, rank 3.
template <class T>
[[nodiscard]] std::span<const MatrixAndGradient<T>>
matrices(Border<T>& border, std::string_view name, std::span<const AnyView<const T>> list,
         std::span<const AnyDestination<T>> gradients)
{
    Index n = 0;
    for (const auto& tensor : list) {
        if (tensor.rank != 2 && tensor.rank != 3)
            fail<ShapeError>(border.component(), name,
                             joined({"has a tensor of shape ", shape_text(tensor)}),
                             "a list of matrices, or of stacks of them");
        n += tensor.rank == 2 ? 1 : tensor.extent(0);
    }
    const auto slice = [](auto v, Index i) -> View<std::remove_pointer_t<decltype(v.data)>, 2> {
        if (v.rank == 2)
            return v.template as<2>();
        return {v.data + i * v.stride(0), {v.extent(1), v.extent(2)}, {v.stride(1), v.stride(2)}};
    };
    auto* const out = border.scratch().template take<MatrixAndGradient<T>>(n);
    Index at = 0;
    for (std::size_t l = 0; l < list.size(); ++l) {
        const AnyDestination<T>& to = gradients[l];
        for (Index i = 0; i < (list[l].rank == 2 ? 1 : list[l].extent(0)); ++i) {
            out[at] = {slice(list[l], i), {}};
            if (to)
                out[at].gradient = {slice(to.view, i), to.scale, to.mode};
            ++at;
        }
    }
    return {out, static_cast<std::size_t>(n)};
}

/// The same matrices, and destinations, on their sides.
template <class T>
[[nodiscard]] std::span<const MatrixAndGradient<T>>
transposed(Border<T>& border, std::span<const MatrixAndGradient<T>> list)
{
    auto* const out =
        border.scratch().template take<MatrixAndGradient<T>>(static_cast<Index>(list.size()));
    for (std::size_t l = 0; l < list.size(); ++l) {
        const Destination<T, 2>& to = list[l].gradient;
        out[l] = {list[l].matrix.transposed(), {to.view.transposed(), to.scale, to.mode}};
    }
    return {out, list.size()};
}

/// Throws unless b and a are factors of products b_l a_l.
template <class T>
void require_factors(std::string_view component, std::span<const MatrixAndGradient<T>> a,
                     std::span<const MatrixAndGradient<T>> b)
{
    if (a.size() != b.size())
        fail<ShapeError>(component, "b",
                         joined({"has ", text(static_cast<Index>(b.size())), " matrices"}),
                         joined({"a list of ", text(static_cast<Index>(a.size())), " as a"}));
    for (std::size_t l = 0; l < a.size(); ++l)
        if (b[l].matrix.cols() != a[l].matrix.rows())
            fail<ShapeError>(component, joined({"b[", text(static_cast<Index>(l)), "]"}),
                             joined({"has shape ", shape_text(b[l].matrix)}),
                             joined({"[o, ", text(a[l].matrix.rows()), "], as a[",
                                     text(static_cast<Index>(l)), "] has rows"}));
}

} // namespace temper::inline TEMPER_ABI
