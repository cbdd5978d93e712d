// SPDX-License-Identifier: BSL-1.0
#pragma once

// Components as functions that libtorch's autograd knows.
//
//   const auto barlow = torch_function(0.1 * BarlowTwins{});
//   torch::Tensor loss = barlow(a, b);       value and gradients, in one pass
//   loss.backward();                         the gradients times what comes in
//
// The arguments are the component's own, without destinations:
//
//   torch_function(SoftmaxCrossEntropy{})(z, labels(y), sample_weights(w))
//   torch_function(SpectralNorm{})(state, w)                        plans, states, numbers, views as they are
//   torch_function(FeatureMseProjected{})(x, w, b, held_fixed(t))   for t the component has no destination
//   torch_function(BarlowTwins{})(a, b, over_ranks(...))            batches over ranks
//   torch_function(RowL2Normalize{}).forward(x)                     maps: the result has the shape of x,
//   torch_function(CosineSimilarity{}).forward({n, m}, a, b)        or the one said
//   torch_function(Mixup{}).apply(plan, x)
//
// An input that requires no gradient is discarded. Inputs are float or double, all of them alike, of any
// strides, on the CPU (see torch_view.hpp). Half and bfloat16 are read through float and make float
// results; their gradients are of their own type. Labels and group ids are integers of any type, other
// integers are said as view<std::int64_t>(index). Maps keep copies of plans and states for backward.
// Throws what the component throws, and Error where a tensor is not as said here, where one that has no
// gradient in this component requires one, and where a second derivative is asked for.

#include <temper/adapt/torch_view.hpp>
#include <temper/core/component.hpp>
#include <temper/core/groups.hpp>

#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/scalar_tensor.h>
#include <torch/csrc/autograd/custom_function.h>

#include <functional>
#include <tuple>

namespace temper::inline TEMPER_ABI {

template <class V>
struct HeldFixed {
    V view;
};
/// An input for which the component has no destination.
[[nodiscard]] inline auto held_fixed(const at::Tensor& tensor)
{
    return HeldFixed<AnyView<const at::Tensor>>{view(tensor)};
}

// ---- the arguments of a call on tensors ----------------------------------------------------------

namespace detail {

using Tensors = std::vector<at::Tensor>;
using SeenTensor = AnyView<const at::Tensor>;

template <class A>
inline constexpr bool is_tensor = std::same_as<A, at::Tensor>;
template <class A>
inline constexpr bool holds_tensor = is_tensor<A>;
template <template <class> class Named>
inline constexpr bool holds_tensor<Named<SeenTensor>> = true;
template <class A>
inline constexpr bool holds_integers =
    std::same_as<A, Labels<SeenTensor>> || std::same_as<A, GroupIds<SeenTensor>>;
template <class A>
inline constexpr bool has_gradient = is_tensor<A> || std::same_as<A, Probabilities<SeenTensor>>;
template <class A>
inline constexpr bool is_input =
    is_tensor<A> || is_labels<A> || is_probabilities<A> || ViewLike<A> ||
    std::same_as<A, HeldFixed<SeenTensor>> || std::is_arithmetic_v<A>;

/// How many of these arguments come before the destinations: all but what is said by name at the end.
template <class... A>
constexpr std::size_t inputs_among()
{
    std::size_t n = 0;
    std::size_t i = 0;
    ((++i, n = is_input<A> ? i : n), ...);
    return n;
}
template <std::size_t from, class Tuple, std::size_t... k>
auto slice(const Tuple& t, std::index_sequence<k...>)
{
    return std::tuple<std::tuple_element_t<from + k, Tuple>...>(std::get<from + k>(t)...);
}

/// The tensor of an argument, of a type that components take; of no entries where the argument has none.
template <class A>
at::Tensor tensor_of(const A& argument)
{
    if constexpr (is_tensor<A>) {
        const auto type = argument.scalar_type();
        return type == at::kHalf || type == at::kBFloat16 ? argument.to(at::kFloat) : argument;
    }
    else if constexpr (holds_tensor<A>) {
        const at::Tensor& x = *argument.view.data;
        const bool integers = holds_integers<A> && at::isIntegralType(x.scalar_type(), true);
        return integers ? x.to(at::kLong) : tensor_of(x);
    }
    else
        return at::empty({0}, at::kByte);
}
/// What else there is of an argument. (Autograd keeps the tensors itself.)
template <class A>
A without_tensor(const A& argument)
{
    if constexpr (is_tensor<A>)
        return {};
    else
        return argument;
}

/// Where the gradients go of those tensors that require one.
inline Tensors gradients_of(const Tensors& tensors)
{
    Tensors all(tensors.size());
    for (std::size_t i = 0; i < all.size(); ++i)
        if (tensors[i].requires_grad())
            all[i] = at::empty_like(tensors[i]);
    return all;
}

/// The arguments of a call on tensors as those of a call on views of T, with their destinations.
template <class T>
struct Passing {
    std::string_view component;
    const Tensors& tensors;   ///< one for each argument
    const Tensors& gradients; ///< undefined: discarded

    template <class A>
    decltype(auto) argument(const A& a, std::size_t i) const
    {
        if constexpr (!holds_tensor<A>)
            return (a);
        else {
            using S = std::conditional_t<holds_integers<A>, const std::int64_t, const T>;
            const std::string place = c10::str("argument ", i + 1);
            const AnyView<S> v = view_of<S>(component, place, tensors[i]);
            if constexpr (is_tensor<A> || std::same_as<A, HeldFixed<SeenTensor>>)
                return AnyView<S>(v);
            else {
                if (!has_gradient<A> && at::GradMode::is_enabled() && tensors[i].requires_grad())
                    fail<Error>(component, place, "requires a gradient",
                                "without, for it gets none here; say tensor.detach()");
                return [&]<template <class> class Named>(const Named<SeenTensor>&) {
                    return Named<AnyView<S>>{v};
                }(a);
            }
        }
    }
    template <class A>
    auto destination(std::size_t i) const
    {
        if constexpr (!has_gradient<A>)
            return std::tuple<>();
        else if (gradients[i].defined())
            return std::tuple(into(view<T>(gradients[i])));
        else // its shape is looked at all the same
            return std::tuple(Into<T>{view<T>(tensors[i]), 1, Mode::discard});
    }
    /// call(inputs, destinations, what is said by name), all of them tuples
    template <class F, class... A>
    auto operator()(const F& call, const A&... a) const
    {
        static_assert(
            !(is_destination<A> || ...),
            "temper: a call on tensors has no destinations; the gradients are autograd's");
        return [&]<std::size_t... i>(std::index_sequence<i...>) {
            constexpr std::size_t n = inputs_among<A...>();
            const std::tuple<decltype(argument(a, i))...> all(argument(a, i)...);
            return call(slice<0>(all, std::make_index_sequence<n>()),
                        std::tuple_cat(destination<A>(i)...),
                        slice<n>(all, std::make_index_sequence<sizeof...(A) - n>()));
        }(std::index_sequence_for<A...>());
    }
};

/// The scalar type of a state, which comes first.
template <class... A>
struct StateScalar {
    using type = void;
};
template <template <class> class State, std::floating_point T, class... A>
    requires(!ViewLike<State<T>>)
struct StateScalar<State<T>, A...> {
    using type = T;
};
/// Says the scalar type that a call computes in, and what maps give is like.
inline const at::Tensor& first_floating(const Tensors& tensors)
{
    for (const at::Tensor& x : tensors)
        if (x.is_floating_point())
            return x;
    return tensors.front();
}
/// f of the scalar type that a call computes in.
template <class... A, class F>
at::Tensor with_scalar(const Tensors& tensors, const F& f)
{
    using State = typename StateScalar<A...>::type;
    if constexpr (!std::is_void_v<State>)
        return f(std::type_identity<State>());
    else if (first_floating(tensors).scalar_type() == at::kDouble)
        return f(std::type_identity<double>());
    else
        return f(std::type_identity<float>());
}

/// A node of libtorch's graph: what was computed already, the tensors to save, and how a gradient goes back.
struct TorchNode : torch::autograd::Function<TorchNode> {
    using Context = torch::autograd::AutogradContext;
    using Back = std::function<Tensors(const Tensors& saved, const at::Tensor& incoming)>;
    struct Held : torch::CustomClassHolder {
        Back back;
    };
    static at::Tensor forward(Context* context, at::TensorList /*inputs*/, const at::Tensor* output,
                              const Tensors* saved, const Back* back)
    {
        auto held = c10::make_intrusive<Held>();
        held->back = *back;
        context->saved_data["back"] = c10::IValue::make_capsule(std::move(held));
        context->save_for_backward(*saved);
        return *output;
    }
    static Tensors backward(Context* context, const Tensors& incoming)
    {
        if (at::GradMode::is_enabled())
            fail<Error>("torch_function", "a second derivative", "is asked for by create_graph",
                        "left out, for components have none");
        const auto held = context->saved_data.at("back").toCapsule();
        auto gradients =
            static_cast<Held&>(*held).back(context->get_saved_variables(), incoming[0]);
        gradients.resize(gradients.size() + 3); // of output, saved and back
        return gradients;
    }
};

} // namespace detail

// ---- components as functions on tensors ----------------------------------------------------------

template <Component C>
struct TorchFunction {
    C component{};

    /// The value, a tensor of rank 0.
    template <class... A>
    [[nodiscard]] at::Tensor operator()(const A&... arguments) const
    {
        using namespace detail;
        const Tensors tensors{tensor_of(arguments)...};
        return with_scalar<A...>(tensors, [&]<class T>(std::type_identity<T>) {
            const auto gradients =
                at::GradMode::is_enabled() ? gradients_of(tensors) : Tensors(sizeof...(A));
            const auto run = [&](const auto&... parts) {
                return std::apply(component, std::tuple_cat(parts...));
            };
            const double value = Passing<T>{C::name, tensors, gradients}(run, arguments...);
            const at::Tensor output = at::scalar_tensor(value, torch_type<T>);
            const TorchNode::Back scale = [](Tensors saved, const at::Tensor& incoming) {
                const auto factor = incoming.item<double>();
                for (at::Tensor& g : saved)
                    if (g.defined() && factor != 1)
                        g = g.mul(factor);
                return saved;
            };
            return TorchNode::apply(at::TensorList(tensors), &output, &gradients, &scale);
        });
    }
    /// component.forward(arguments..., into(y)); y is of the shape of the first tensor, or of the one said.
    template <class... A>
    [[nodiscard]] at::Tensor forward(const A&... arguments) const
    {
        return map<false>({}, arguments...);
    }
    template <class... A>
    [[nodiscard]] at::Tensor forward(at::IntArrayRef shape, const A&... arguments) const
    {
        return map<false>(shape, arguments...);
    }
    /// component.apply(plan, tensors..., into(y))
    template <class Plan, class... A>
    [[nodiscard]] at::Tensor apply(const Plan& plan, const A&... tensors) const
    {
        return map<true>({}, plan, tensors...);
    }

  private:
    template <bool has_plan, class... A>
    at::Tensor map(at::OptionalIntArrayRef shape, const A&... arguments) const
    {
        using namespace detail;
        const Tensors tensors{tensor_of(arguments)...};
        return with_scalar<A...>(tensors, [&]<class T>(std::type_identity<T>) {
            at::Tensor y;
            const auto run = [&](const auto& in, const auto&, const auto& named) {
                const at::Tensor& like = first_floating(tensors);
                y = shape ? at::empty(*shape, like.options()) : at::empty_like(like);
                const auto call = [&](const auto&... a) {
                    if constexpr (has_plan)
                        component.apply(a...);
                    else
                        component.forward(a...);
                };
                std::apply(call, std::tuple_cat(in, std::tuple(into(view<T>(y))), named));
            };
            Passing<T>{C::name, tensors, Tensors(sizeof...(A))}(run, arguments...);

            const auto kept = std::tuple<A...>(without_tensor(arguments)...);
            const TorchNode::Back back = [c = component, kept](const Tensors& saved,
                                                               const at::Tensor& incoming) {
                const Tensors gradients = gradients_of(saved);
                const auto pull = [&](const auto& in, const auto& to, const auto& named) {
                    const auto call = [&](const auto&... a) { c.pullback(a...); };
                    const auto gy = std::tuple(view<const T>(incoming));
                    if constexpr (has_plan) // the rest of `in` is not asked for
                        std::apply(call, std::tuple_cat(std::tie(std::get<0>(in)), gy, to, named));
                    else
                        std::apply(call, std::tuple_cat(in, gy, to, named));
                };
                const Passing<T> passing{C::name, saved, gradients};
                std::apply([&](const A&... a) { passing(pull, a...); }, kept);
                return gradients;
            };
            return TorchNode::apply(at::TensorList(tensors), &y, &tensors, &back);
        });
    }
};

/// The component as a function on tensors.
template <Component C>
[[nodiscard]] TorchFunction<C> torch_function(const C& component)
{
    return {component};
}

} // namespace temper::inline TEMPER_ABI
