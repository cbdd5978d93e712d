// SPDX-License-Identifier: BSL-1.0
#pragma once

// Double soft orthogonality: soft orthogonality of rows and of columns at once.
//
//   f(W) = |W W' - I_m|^2 + |W' W - I_n|^2          df/dW = 8 (W W' - I) W = 8 W (W' W - I)
//
// W [m, n]. The two terms differ by the constant m - n and have one gradient, so that for any shape this is
// twice SoftOrthogonality of the smaller side, plus |m - n|, which is the least value there is: it has the
// minimisers of soft orthogonality, and twice its weight. W = 0: m + n, with gradient 0. An empty matrix has
// value 0. Throws ShapeError.
// Bansal et al., Can We Gain More from Orthogonality Regularizations in Training Deep CNNs? (2018).

#include <temper/regularizer/soft_orthogonality.hpp>

namespace temper::inline TEMPER_ABI {

struct DoubleSoftOrthogonality {
    static constexpr std::string_view name = "DoubleSoftOrthogonality";

    /// (w [, into(gw)])
    template <class W, class... Rest>
    double operator()(const W& w, const Rest&... rest) const;

    friend bool operator==(const DoubleSoftOrthogonality&,
                           const DoubleSoftOrthogonality&) = default;
};

template <class W, class... Rest>
double DoubleSoftOrthogonality::operator()(const W& w, const Rest&... rest) const
{
    accept<1>(rest...);
    using T = KernelScalarOf<W>;
    Border<T> border(name);
    const auto v = border.matrix("w", w);
    auto twice = border.stored_gradient("w", v, positional<0>(rest...));
    twice.scale *= 2;
    const double fewer = kernel::SoftOrthogonality<T>::run(SoftOrthogonality{}, v, twice);
    const Index unequal = v.size() == 0 ? 0 : v.rows() - v.cols();
    return border.finish(2 * fewer + std::abs(static_cast<double>(unequal)));
}

} // namespace temper::inline TEMPER_ABI
