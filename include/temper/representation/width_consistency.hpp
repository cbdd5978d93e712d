// SPDX-License-Identifier: BSL-1.0
#pragma once

// CI-KD, configuration-invariant distillation: what a slimmed encoder says of a batch shall be what the full
// one says, whichever widths are drawn.
//
//   d_c = (1 / (n d)) sum_i |x_ci - f_i|^2         Distance::squared
//         (1 / n) sum_i (1 - cos(x_ci, f_i))       Distance::cosine
//   L = (1 / C) sum_c d_c                          gradients by x, those of L2Alignment and CosineAlignment
//
// slim x [C, n, d], the features of one batch in C configurations, full f [n, d] of the full width, held
// fixed. per_configuration: d_c [C]. A step of training: the task's losses at full width, then C random
// widths with the task's losses and a weight times this. Which distance the paper takes could not be
// checked. C = 0 or n = 0: 0. Throws ShapeError.
// Aich et al., Efficient Controllable Multi-Task Architectures (2023).

#include <temper/representation/cosine_alignment.hpp>
#include <temper/representation/l2_alignment.hpp>

namespace temper::inline TEMPER_ABI {

template <class D>
struct PerConfiguration {
    D destination;
};
/// The distance of each configuration, [C].
template <class D>
[[nodiscard]] PerConfiguration<D> per_configuration(const D& destination)
{
    return {destination};
}

struct WidthConsistency {
    static constexpr std::string_view name = "WidthConsistency";
    enum class Distance { squared, cosine };
    Distance distance = Distance::squared;
    double epsilon = 1e-12; ///< of the cosine

    /// (slim, full [, into(g_slim)] [, per_configuration(into(d))])
    template <class X, class F, class... Rest>
    double operator()(const X& slim, const F& full, const Rest&... rest) const;

    friend bool operator==(const WidthConsistency&, const WidthConsistency&) = default;
};

using CiKd = WidthConsistency;

template <class X, class F, class... Rest>
double WidthConsistency::operator()(const X& slim, const F& full, const Rest&... rest) const
{
    accept<1, PerConfiguration>(rest...);
    using T = KernelScalarOf<X, F>;
    Border<T> border(name);
    border.require(epsilon >= 0, "epsilon", epsilon, "non-negative");
    const auto x = border.tensor("slim", slim);
    const auto f = border.samples("full", full);
    if (x.rank != 3 || x.extent(1) != f.rows() || x.extent(2) != f.cols())
        fail<ShapeError>(name, "slim", joined({"has shape ", shape_text(x)}),
                         joined({"[configurations, ", text(f.rows()), ", ", text(f.cols()),
                                 "], the shape of full each time"}));
    const Index count = x.extent(0);
    const auto gx = border.gradient("slim", x, positional<0>(rest...));
    const auto each = border.template named_into<1>("per_configuration",
                                                    named<PerConfiguration>(rest...), {count});
    double value = 0;
    const double share = count == 0 ? 0 : 1 / static_cast<double>(count);
    const auto slice = [](const auto& v,
                          Index c) -> View<std::remove_pointer_t<decltype(v.data)>, 2> {
        return {v.data + c * v.stride(0), {v.extent(1), v.extent(2)}, {v.stride(1), v.stride(2)}};
    };
    auto scale = row_scale<T>(Reduction::mean, f.rows(), {});
    scale.factor *= share;
    for (Index c = 0; c < count; ++c) {
        Destination<T, 2> to;
        if (gx)
            to = {slice(gx.view, c), gx.scale, gx.mode};
        const MatrixView<const T> of_c = slice(x, c);
        const double term =
            distance == Distance::squared
                ? kernel::L2Alignment<T>::plain(of_c, f, entry_scale(MeanOver::entries, f.cols()),
                                                scale, to, {}, {})
                : kernel::CosineAlignment<T>::run(CosineForm::distance, epsilon, of_c, f, scale, to,
                                                  {}, {});
        value += term;
        if (each)
            each.put(each.view(c), static_cast<T>(term / share));
    }
    return border.finish(value);
}

} // namespace temper::inline TEMPER_ABI
