// SPDX-License-Identifier: BSL-1.0
#pragma once

// Mixing coefficients as calls say them: a number for all samples, [1] or [n]. Of either floating type
// whatever the samples are, because those of a plan are doubles.

#include <temper/core/border.hpp>

namespace temper::inline TEMPER_ABI {

struct Coefficients {
    const double* numbers = nullptr;
    Index count = 0; ///< 1 or n
    int rank = 0;    ///< of what was said: 0 or 1

    double operator[](Index i) const { return numbers[count == 1 ? 0 : i]; }
    /// The shape of a gradient.
    template <class T>
    [[nodiscard]] AnyView<const T> like() const
    {
        AnyView<const T> shape;
        shape.rank = rank;
        shape.extents[0] = rank == 0 ? 1 : count;
        return shape;
    }
};

template <class T, class L>
[[nodiscard]] Coefficients coefficients(Border<T>& border, std::string_view name, const L& l,
                                        Index n)
{
    if constexpr (is_turned<L>) // a vector has no columns
        return coefficients(border, name, l.view, n);
    else if constexpr (std::is_arithmetic_v<L>) {
        auto* number = border.scratch().template take<double>(1);
        *number = static_cast<double>(l);
        return {number, 1, 0};
    }
    else {
        const AnyView<const ScalarOf<const L>> v(view(l));
        if (v.rank > 1 || (v.size() != 1 && v.size() != n))
            fail<ShapeError>(border.component(), name, joined({"has shape ", shape_text(v)}),
                             joined({"a number, [1] or [", text(n), "], one for each sample"}));
        auto* numbers = border.scratch().template take<double>(v.size());
        for (Index i = 0; i < v.size(); ++i)
            numbers[i] = static_cast<double>(v.data[i * v.strides[0]]);
        return {numbers, v.size(), v.rank};
    }
}

} // namespace temper::inline TEMPER_ABI
