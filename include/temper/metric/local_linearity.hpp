// SPDX-License-Identifier: BSL-1.0
#pragma once

// How far a network is from linear between the samples of a batch.
//
//   (1/n) sum_i |f(l_i x_i + (1 - l_i) x_p(i)) - (l_i f(x_i) + (1 - l_i) f(x_p(i)))|^2
//
// mixed [n, k] what the network says of the mixed samples, plain [n, k] of the samples themselves (logits or
// probabilities), p and l the plan's partners and lambda. No gradients. n = 0: 0.
// Throws ShapeError; RangeError for a plan of another size.
// Guo, Mao and Zhang, MixUp as Locally Linear Out-Of-Manifold Regularization (2019).

#include <temper/augment/mix_plan.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct LocalLinearity {
    static constexpr std::string_view name = "LocalLinearity";

    /// (mixed, plain, plan)
    template <class M, class Z>
    double operator()(const M& mixed, const Z& plain, const MixPlan& plan) const;

    friend bool operator==(const LocalLinearity&, const LocalLinearity&) = default;
};

namespace kernel {
template <class T>
struct LocalLinearity {
    static double run(MatrixView<const T> mixed, MatrixView<const T> plain, const MixPlan& plan);
};
} // namespace kernel

template <class M, class Z>
double LocalLinearity::operator()(const M& mixed, const Z& plain, const MixPlan& plan) const
{
    using T = KernelScalarOf<M, Z>;
    Border<T> border(name);
    const auto m = border.samples("mixed", mixed);
    const auto z = border.samples("plain", plain);
    border.same_shape("plain", z, "mixed", m);
    plan.check(name, m.rows());
    return kernel::LocalLinearity<T>::run(m, z, plan);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::LocalLinearity<T>::run(MatrixView<const T> mixed, MatrixView<const T> plain,
                                      const MixPlan& plan)
{
    const Index n = mixed.rows();
    double sum = 0;
    for (Index i = 0; i < n; ++i) {
        const double l = plan.lambda_of(i);
        const Index j = plan.partner[static_cast<std::size_t>(i)];
        sum +=
            simd::row_sum(mixed.cols(),
                          std::array{simd::source<T>(mixed.row(i)), simd::source<T>(plain.row(i)),
                                     simd::source<T>(plain.row(j))},
                          [l](auto m, auto a, auto b) {
                              using V = decltype(m);
                              const V apart = m - fma(V(l), a, V(1 - l) * b);
                              return apart * apart;
                          });
    }
    return n == 0 ? 0 : sum / static_cast<double>(n);
}

TEMPER_INSTANTIATE(kernel::LocalLinearity);

} // namespace temper::inline TEMPER_ABI
#endif
