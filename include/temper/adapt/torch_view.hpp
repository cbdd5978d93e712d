// SPDX-License-Identifier: BSL-1.0
#pragma once

// libtorch's tensors as views, for calls without autograd. (torch.hpp has them as arguments of functions
// that autograd knows.)
//
//   BarlowTwins{}(view<float>(a), view<float>(b), into(view<float>(ga)))
//   AdamW{}.step(state, views<float>(parameters), views<float>(gradients))
//
// A view is a window on the tensor's own numbers, of any strides. The tensor must have the scalar type that
// is said and stand on the CPU; host_copy(z) copies one that stands elsewhere. Throws Error otherwise: for
// undefined, sparse and lazy tensors, other devices and types, and ranks above 6.
//
// Clang takes libtorch 1.13's headers for C++20 only if this one is included before <torch/torch.h>.

#include <temper/core/border.hpp>

#include <ATen/core/ivalue.h> // before all others of libtorch

#include <ATen/core/Tensor.h>

#include <vector>

/// A tensor's scalar type is known at run time only. Until it is said, or torch_function finds it out, a
/// tensor is seen as one entry of type at::Tensor; so labels(y) and the like can be said of tensors.
template <>
struct temper::Owner<at::Tensor> {
    static constexpr int rank = any_rank;
    template <class Tensor>
    static AnyView<Tensor> view(Tensor& tensor)
    {
        return View<Tensor, 0>{&tensor, {}, {}};
    }
};

namespace temper::inline TEMPER_ABI {

namespace detail {

template <std::same_as<at::Tensor> S>
struct KernelScalar<S> {
    static_assert(
        !std::same_as<S, at::Tensor>,
        "temper: a tensor's scalar type is known at run time only; say view<float>(tensor), "
        "or torch_function(component) for the whole call");
    using type = float;
};

template <class T>
inline constexpr at::ScalarType torch_type =
    c10::CppTypeToScalarType<std::remove_const_t<T>>::value;

template <class T>
[[nodiscard]] AnyView<T> view_of(std::string_view component, std::string_view argument,
                                 const at::Tensor& x)
{
    const auto require = [&](bool ok, const std::string& was, std::string_view must_be) {
        if (!ok)
            fail<Error>(component, argument, was, must_be);
    };
    require(x.defined(), "is undefined", "a tensor");
    require(x.is_cpu(), c10::str("is on ", x.device()), "on the CPU; say host_copy(tensor)");
    require(x.layout() == at::kStrided, c10::str("has layout ", x.layout()), "Strided");
    require(x.scalar_type() == torch_type<T>, c10::str("has scalar type ", x.scalar_type()),
            c10::toString(torch_type<T>));
    require(!x.is_neg() && !x._is_zerotensor(), "is lazy", "evaluated; say tensor.clone()");
    require(x.dim() <= max_rank, c10::str("has rank ", x.dim()), "of rank 6 at most");
    AnyView<T> v;
    v.data = static_cast<T*>(x.data_ptr());
    v.rank = static_cast<int>(x.dim());
    std::copy(x.sizes().begin(), x.sizes().end(), v.extents.begin());
    std::copy(x.strides().begin(), x.strides().end(), v.strides.begin());
    return with_usable_strides(v, v.rank);
}

} // namespace detail

/// A window on a tensor of this scalar type: view<float>(z).
template <class T>
[[nodiscard]] AnyView<T> view(const at::Tensor& tensor)
{
    return detail::view_of<T>("view", "the tensor", tensor);
}

/// The same for a list, such as the parameters of a module.
template <class T>
[[nodiscard]] std::vector<AnyView<T>> views(at::TensorList tensors)
{
    std::vector<AnyView<T>> list;
    for (const at::Tensor& x : tensors)
        list.push_back(detail::view_of<T>("views", c10::str("tensor ", list.size()), x));
    return list;
}

/// A tensor that stands on another device, copied to the CPU. Its gradient finds the way back.
[[nodiscard]] inline at::Tensor host_copy(const at::Tensor& tensor) { return tensor.to(at::kCPU); }

} // namespace temper::inline TEMPER_ABI
