// SPDX-License-Identifier: BSL-1.0
#pragma once

// How evenly a generator moves along a path through its latent space.
//
//   d_k = | image_{k+1} - image_k |        value = standard deviation of d
//
// images [K, ...], made from K points of one path (slerp gives those between two); d [K - 1]. The deviation is
// divided by K - 1, or (Variance::unbiased) by K - 2; average the values of several paths. K <= 2: 0. No
// gradients. Throws ShapeError.
// Guo et al., Smooth diffusion: crafting smooth latent spaces in diffusion models (2024), which does not say
// which of the two it means.

#include <temper/core/component.hpp>
#include <temper/core/flatten.hpp>

namespace temper::inline TEMPER_ABI {

struct InterpolationStd {
    static constexpr std::string_view name = "InterpolationStd";
    bool unbiased = false;

    /// (images [, into(d)])
    template <class X, class... Rest>
    double operator()(const X& images, const Rest&... rest) const;

    friend bool operator==(const InterpolationStd&, const InterpolationStd&) = default;
};

namespace kernel {
template <class T>
struct InterpolationStd {
    /// |x_{k+1} - x_k|
    static void distances(MatrixView<const T> x, double* d);
};
} // namespace kernel

template <class X, class... Rest>
double InterpolationStd::operator()(const X& images, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<X>;
    Border<T> border(name);
    const auto xs = border.sample_tensor("images", images);
    if (xs.rank == 0)
        fail<ShapeError>(name, "images", "is a number", "of shape [K, ...]");
    const Index n = (std::max)(Index{0}, xs.extent(0) - 1);
    const auto to = border.template output<1>("distances", positional<0>(rest...), {n});
    double* const d = border.scratch().template take<double>(n);
    Flatten<T> flat(border);
    if (n > 0)
        kernel::InterpolationStd<T>::distances(flat.input(xs, 1), d);
    double mean = 0;
    for (Index k = 0; k < n; ++k) {
        mean += d[k] / static_cast<double>(n);
        if (to)
            to.put(to.view(k), static_cast<T>(d[k]));
    }
    double squares = 0;
    for (Index k = 0; k < n; ++k)
        squares += (d[k] - mean) * (d[k] - mean);
    const Index divisor = unbiased ? n - 1 : n;
    return border.finish(n <= 1 ? 0 * mean : std::sqrt(squares / static_cast<double>(divisor)));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/unit_rows.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::InterpolationStd<T>::distances(MatrixView<const T> x, double* d)
{
    const Index n = x.rows() - 1;
    parallel_for(n, n * x.cols(), [&](Index k) {
        d[k] = std::sqrt(simd::row_sum(
            x.cols(), std::array{simd::source<T>(x.row(k + 1)), simd::source<T>(x.row(k))},
            [](auto a, auto b) { return (a - b) * (a - b); }));
    });
}

TEMPER_INSTANTIATE(kernel::InterpolationStd);

} // namespace temper::inline TEMPER_ABI
#endif
