// SPDX-License-Identifier: BSL-1.0
#pragma once

// Minibatch optimal transport: each sample of a batch gets the noise that is nearest, all in all.
//
//   partner = argmin over permutations p of sum_i |x_i - z_p(i)|^2
//
// x data and z noise [n, d]; `couple` fills a plan with the permutation and the squared distances before and
// after, `apply` gives y_i = z_partner(i). Noise levels do not change the permutation: only the inner products
// x_i z_j matter. Exact (an assignment problem, O(n^3); n = 1024 takes tens of milliseconds); the plan of
// uniform marginals is a permutation, so that no noise is drawn twice, as it is where pairs are
// sampled from it.
// Of equal optima any; n = 0 and n = 1: the identity. Data has no gradient. Throws ShapeError, RangeError for
// a plan that does not fit.
// IndependentCoupling leaves all as it was drawn. A coupling of your own has `couple(x, noise, plan) const`.
// Pooladian et al., Multisample Flow Matching (2023); Dao et al., Improved Training Technique for Latent
// Consistency Models (2025).

#include <temper/core/component.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

/// Row i of the data goes with row partner[i] of the noise.
struct Coupling {
    std::vector<std::int64_t> partner;
    double cost = 0;          ///< sum of squared distances of partners
    double identity_cost = 0; ///< the same of rows as they were
    friend bool operator==(const Coupling&, const Coupling&) = default;
};

struct MinibatchOtCoupling {
    static constexpr std::string_view name = "MinibatchOtCoupling";

    template <class X, class Z>
    void couple(const X& x, const Z& noise, Coupling& plan) const;
    template <class X, class Z>
    [[nodiscard]] Coupling couple(const X& x, const Z& noise) const
    {
        Coupling plan;
        couple(x, noise, plan);
        return plan;
    }
    /// (plan, noise, into(y))
    template <class Z, class D>
    static void apply(const Coupling& plan, const Z& noise, const D& y);

    friend bool operator==(const MinibatchOtCoupling&, const MinibatchOtCoupling&) = default;
};

struct IndependentCoupling {
    template <class X, class Z>
    void couple(const X& x, const Z&, Coupling& plan) const
    {
        plan.partner.resize(
            static_cast<std::size_t>(AnyView<const ScalarOf<const X>>(view(x)).extent(0)));
        for (std::size_t i = 0; i < plan.partner.size(); ++i)
            plan.partner[i] = static_cast<std::int64_t>(i);
    }
    friend bool operator==(const IndependentCoupling&, const IndependentCoupling&) = default;
};

namespace kernel {
template <class T>
struct MinibatchOtCoupling {
    static void couple(MatrixView<const T> x, MatrixView<const T> z, std::int64_t* partner);
    /// sum_i |x_i - z_partner(i)|^2; nullptr is the identity.
    static double cost(MatrixView<const T> x, MatrixView<const T> z, const std::int64_t* partner);
    static void apply(const std::int64_t* partner, MatrixView<const T> z,
                      const Destination<T, 2>& y);
};
} // namespace kernel

template <class X, class Z>
void MinibatchOtCoupling::couple(const X& x, const Z& noise, Coupling& plan) const
{
    using T = KernelScalarOf<X, Z>;
    Border<T> border(name);
    const auto xs = border.samples("x", x);
    const auto zs = border.samples("noise", noise);
    border.same_shape("noise", zs, "x", xs);
    plan.partner.resize(static_cast<std::size_t>(xs.rows()));
    kernel::MinibatchOtCoupling<T>::couple(xs, zs, plan.partner.data());
    plan.cost = kernel::MinibatchOtCoupling<T>::cost(xs, zs, plan.partner.data());
    plan.identity_cost = kernel::MinibatchOtCoupling<T>::cost(xs, zs, nullptr);
}

template <class Z, class D>
void MinibatchOtCoupling::apply(const Coupling& plan, const Z& noise, const D& y)
{
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    const auto zs = border.samples("noise", noise);
    const auto* const partner = border.permutation("plan.partner", plan.partner, zs.rows());
    const auto to = border.template output<2>("y", y, {zs.rows(), zs.cols()});
    kernel::MinibatchOtCoupling<T>::apply(partner, zs, to);
    border.finish();
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/linalg/assignment.hpp>
#include <temper/linalg/product.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::MinibatchOtCoupling<T>::couple(MatrixView<const T> x, MatrixView<const T> z,
                                            std::int64_t* partner)
{
    const Index n = x.rows();
    Workspace::Frame frame;
    const MatrixView<T> products = frame.matrix<T>(n, n);
    linalg::product(products, 1, x, z.transposed(), 0);
    const MatrixView<double> costs =
        frame.matrix<double>(n, linalg::assignment_stride(n)).block(0, 0, n, n);
    // The lengths of rows change no optimum, but prices that begin with distances begin near their end.
    double* const lengths = frame.take<double>(n);
    for (Index j = 0; j < n; ++j)
        lengths[j] = simd::squared_norm(x.cols(), simd::source(z.row(j)));
    for (Index i = 0; i < n; ++i) {
        const double length = simd::squared_norm(x.cols(), simd::source(x.row(i)));
        for (Index j = 0; j < n; ++j)
            costs(i, j) = length + lengths[j] - 2 * static_cast<double>(products(i, j));
    }
    linalg::assign(costs, partner);
}

template <class T>
double kernel::MinibatchOtCoupling<T>::cost(MatrixView<const T> x, MatrixView<const T> z,
                                            const std::int64_t* partner)
{
    double sum = 0;
    for (Index i = 0; i < x.rows(); ++i)
        sum += simd::row_sum(
            x.cols(),
            std::array{
                simd::source(x.row(i)),
                simd::source(z.row(partner == nullptr ? i : static_cast<Index>(partner[i])))},
            [](auto a, auto b) { return (a - b) * (a - b); });
    return sum;
}

template <class T>
void kernel::MinibatchOtCoupling<T>::apply(const std::int64_t* partner, MatrixView<const T> z,
                                           const Destination<T, 2>& y)
{
    for (Index i = 0; y && i < z.rows(); ++i)
        simd::row_map(z.cols(), std::array{simd::source(z.row(static_cast<Index>(partner[i])))},
                      std::array{simd::sink(y, i)}, [](auto a, auto& b) { b = a; });
}

TEMPER_INSTANTIATE(kernel::MinibatchOtCoupling);

} // namespace temper::inline TEMPER_ABI
#endif
