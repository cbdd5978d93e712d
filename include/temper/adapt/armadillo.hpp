// SPDX-License-Identifier: BSL-1.0
#pragma once

// Armadillo: dense matrices, cubes and parts of them as views, and any regularizer as the backward step of
// ensmallen's FISTA and FBS.
//
//   arma::Mat, Col, Row, of fixed size too   rank 2 and stored by columns, as Armadillo has them; a Col or
//                                            Row is accepted where rank 1 is wanted (labels, weights)
//   X.cols(a, b), X.row(i), X.submat(...)    the same window on X, as input and as destination
//   arma::Cube, its subcubes and tubes       rank 3, [rows, columns, slices]
//
// Where a column is a sample, as in mlpack, say in_columns(loss)(X, ...): a Row is then one number for each
// sample, and a Cube has a sample in each slice. Expressions (X.t(), A + B, X.elem(i)) are refused with a
// sentence: evaluate them first.
//
//   ProximalPenalty(0.1 * L1{})        f:            Evaluate(x) = f(x), ProximalStep(x, step) = f's prox
//   ProximalConstraint(L1{}, radius)   f <= radius:  Evaluate(x) = 0 inside and infinity outside,
//                                                    ProximalStep(x, step) = the projection, whatever step
//
// Inputs said by name (group_ids, group_weights) follow and are kept as views. "Inside" forgives the square
// root of the machine's epsilon, relative to the radius, so that a projected point is inside. Throws what
// the regularizer throws.
// Beck and Teboulle, A Fast Iterative Shrinkage-Thresholding Algorithm for Linear Inverse Problems (2009).

#include <temper/core/component.hpp>

#include <armadillo>

#include <cmath>
#include <limits>
#include <tuple>

namespace temper::inline TEMPER_ABI {

namespace detail {

template <class O>
concept ArmaMatrix = std::derived_from<O, arma::Mat<typename O::elem_type>> ||
                     std::derived_from<O, arma::subview<typename O::elem_type>>;
template <class O>
concept ArmaCube = std::derived_from<O, arma::Cube<typename O::elem_type>> ||
                   std::derived_from<O, arma::subview_cube<typename O::elem_type>>;

template <int R>
struct ArmaOwner {
    static constexpr int rank = R;

    /// Armadillo's parts refer to a const matrix, whatever they were made of; whether they may be written
    /// to is said by their own constness.
    template <class O>
    static auto view(O& owner)
    {
        using S = typename O::elem_type;
        constexpr bool is_part = requires { owner.aux_col1; };
        const auto& all = [&]() -> const auto& {
            if constexpr (is_part)
                return owner.m;
            else
                return owner;
        }();
        View<std::conditional_t<std::is_const_v<O>, const S, S>, R> v{
            const_cast<S*>(all.memptr()), {}, {1, index(all.n_rows)}};
        v.extents[0] = index(owner.n_rows);
        v.extents[1] = index(owner.n_cols);
        if constexpr (R == 3) {
            v.extents[2] = index(owner.n_slices);
            v.strides[2] = v.strides[1] * index(all.n_cols);
        }
        if constexpr (is_part) {
            v.data += index(owner.aux_row1) + index(owner.aux_col1) * v.strides[1];
            if constexpr (R == 3)
                v.data += index(owner.aux_slice1) * v.strides[2];
        }
        return with_usable_strides(v, R);
    }

  private:
    static Index index(arma::uword i) { return static_cast<Index>(i); }
};

} // namespace detail

/// A regularizer as a term of the objective.
template <Component R, class... Named>
struct ProximalPenalty {
    R regularizer;
    std::tuple<Named...> named;

    explicit ProximalPenalty(const R& what, const Named&... inputs)
        : regularizer(what), named(inputs...)
    {
    }
    template <class M>
    double Evaluate(const M& x) const
    {
        return std::apply([&](const auto&... inputs) { return regularizer(x, inputs...); }, named);
    }
    template <class M>
    void ProximalStep(M& x, double step) const
    {
        std::apply([&](const auto&... inputs) { regularizer.prox(x, step, into(x), inputs...); },
                   named);
    }
};

/// A regularizer that is to stay below a radius.
template <Component R, class... Named>
struct ProximalConstraint {
    ProximalPenalty<R, Named...> penalty;
    double radius;

    explicit ProximalConstraint(const R& what, double largest, const Named&... inputs)
        : penalty(what, inputs...), radius(largest)
    {
    }
    template <class M>
    double Evaluate(const M& x) const
    {
        const double forgiven =
            std::sqrt(double{std::numeric_limits<typename M::elem_type>::epsilon()});
        return penalty.Evaluate(x) <= radius * (1 + forgiven)
                   ? 0
                   : std::numeric_limits<double>::infinity();
    }
    template <class M>
    void ProximalStep(M& x, double) const
    {
        std::apply(
            [&](const auto&... inputs) {
                penalty.regularizer.project(x, radius, into(x), inputs...);
            },
            penalty.named);
    }
};

} // namespace temper::inline TEMPER_ABI

template <temper::detail::ArmaMatrix O>
struct temper::Owner<O> : temper::detail::ArmaOwner<2> {};
template <temper::detail::ArmaCube O>
struct temper::Owner<O> : temper::detail::ArmaOwner<3> {};
