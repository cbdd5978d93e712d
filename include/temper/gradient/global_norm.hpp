// SPDX-License-Identifier: BSL-1.0
#pragma once

// The norm over all tensors of a list, which neither overflows nor underflows where it is itself a finite
// number: what clipping and sharpness-aware steps measure.

#include <temper/core/component.hpp>
#include <temper/core/tensor_list.hpp>

namespace temper::inline TEMPER_ABI {

namespace kernel {
template <class T>
struct GlobalNorm {
    using List = std::span<const AnyView<const T>>;
    /// sqrt(sum g^2)
    static double of(List g);
    /// sqrt(sum (w g)^2), entry by entry
    static double of_products(List w, List g);
};
} // namespace kernel

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/loops.hpp>

namespace temper::inline TEMPER_ABI {

namespace detail {
/// The norm of entry(x...), x from each of the lists of n tensors.
template <class T, class Entry, class... List>
double robust_norm(std::size_t n, const Entry& entry, const List&... lists)
{
    double squares = 0;
    for (std::size_t i = 0; i < n; ++i)
        squares += simd::map_sum(simd::in(lists[i]...), simd::none<T>(), [&entry](auto... x) {
            const auto u = entry(x...);
            return u * u;
        });
    constexpr double safe = static_cast<double>((std::numeric_limits<T>::min)()) * 1e8;
    if (std::isnan(squares) || (std::isfinite(squares) && squares > safe))
        return std::sqrt(squares);
    // Squares may have left the range of T: once more, in units of the largest entry.
    T largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const T here =
            simd::map_max(simd::in(lists[i]...), [&entry](auto... x) { return abs(entry(x...)); });
        largest = here <= largest ? largest : here;
    }
    if (!(largest > 0) || !std::isfinite(largest))
        return static_cast<double>(largest);
    squares = 0;
    for (std::size_t i = 0; i < n; ++i)
        squares +=
            simd::map_sum(simd::in(lists[i]...), simd::none<T>(), [&entry, largest](auto... x) {
                const auto scaled = entry(x...);
                const auto u = scaled / decltype(scaled)(largest);
                return u * u;
            });
    return static_cast<double>(largest) * std::sqrt(squares);
}
} // namespace detail

template <class T>
double kernel::GlobalNorm<T>::of(List g)
{
    return detail::robust_norm<T>(g.size(), [](auto x) { return x; }, g);
}
template <class T>
double kernel::GlobalNorm<T>::of_products(List w, List g)
{
    return detail::robust_norm<T>(g.size(), [](auto x, auto y) { return x * y; }, w, g);
}

TEMPER_INSTANTIATE(kernel::GlobalNorm);

} // namespace temper::inline TEMPER_ABI
#endif
