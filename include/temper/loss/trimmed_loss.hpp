// SPDX-License-Identifier: BSL-1.0
#pragma once

// The mean over some of the samples' losses: those that are large, or those that have something to say.
//
//   m_i = 1 where l_i > the ratio-quantile of l (between two samples: linear), else 0
//   m_i = 1 where sample i has a label other than 0 (background), with labels(y)
//   L = sum_i m_i l_i / sum_i m_i
//   dL/dl_i = m_i / sum_i m_i
//
// l losses [n], y labels [n, ...]. It keeps the LARGE losses: where labels are sparse, as in segmentation,
// the small ones are of samples without foreground. Nothing kept (n <= 1, equal losses): value and
// gradient 0. kept: m_i. Throws ShapeError, RangeError for a ratio outside [0, 1].
// The baselines "trim-ratio" and "trim-sparse" of Yuan et al., Adaptively Weighted Data Augmentation
// Consistency Regularization for Robust Optimization under Concept Shift (2023); in one file of the
// published code the former has no gradient, by mistake.

#include <temper/core/component.hpp>
#include <temper/core/selection.hpp>

namespace temper::inline TEMPER_ABI {

struct TrimmedLoss {
    static constexpr std::string_view name = "TrimmedLoss";
    double ratio = 1 - 1280.0 / 2211.0;

    /// (l [, labels(y)] [, into(gl)] [, kept(into(m))])
    template <class L, class... Rest>
    double operator()(const L& losses, const Rest&... rest) const
    {
        accept<1, Labels, Kept>(rest...);
        using T = KernelScalarOf<L>;
        Border<T> border(name);
        border.require(ratio >= 0 && ratio <= 1, "ratio", ratio, "from 0 to 1");
        const auto l = border.vector("losses", losses);
        const Index n = l.extents[0];
        auto* live = border.scratch().template take_zeros<char>(n);
        constexpr bool by_labels =
            !std::is_same_v<decltype(named<Labels>(rest...)), detail::Absent>;
        if constexpr (by_labels)
            foreground(named<Labels>(rest...).view, n, live);
        const auto gl = border.gradient("losses", l, positional<0>(rest...));
        const auto kept = border.template named_into<1>("kept", named<Kept>(rest...), {n});
        if constexpr (!by_labels) {
            const double limit = quantile(l, border.scratch().template take<T>(n));
            for (Index i = 0; i < n; ++i)
                live[i] = static_cast<double>(l(i)) <= limit ? 0 : 1; // NaN is kept, and shows
        }
        double total = 0;
        Index count = 0;
        for (Index i = 0; i < n; ++i)
            if (live[i] != 0) {
                total += static_cast<double>(l(i));
                ++count;
            }
        const double factor = count == 0 ? 0 : 1 / static_cast<double>(count);
        for (Index i = 0; i < n; ++i) {
            if (gl)
                gl.put(gl.view(i), static_cast<T>(live[i] != 0 ? factor : 0));
            if (kept)
                kept.put(kept.view(i), static_cast<T>(live[i]));
        }
        return border.finish(factor * total);
    }

    friend bool operator==(const TrimmedLoss&, const TrimmedLoss&) = default;

  private:
    template <class T>
    [[nodiscard]] double quantile(VectorView<const T> l, T* sorted) const
    {
        const Index n = l.extents[0];
        if (n == 0)
            return 0;
        for (Index i = 0; i < n; ++i)
            sorted[i] = l(i);
        const double at = ratio * static_cast<double>(n - 1);
        const auto low = static_cast<Index>(at);
        const auto below_of = [](T a, T b) { return a < b || (a == a && b != b); }; // NaN last
        std::nth_element(sorted, sorted + low, sorted + n, below_of);
        const auto below = static_cast<double>(sorted[low]);
        if (low + 1 == n)
            return below;
        const auto above =
            static_cast<double>(*std::min_element(sorted + low + 1, sorted + n, below_of));
        return below + (at - static_cast<double>(low)) * (above - below);
    }
    template <class V>
    static void foreground(const V& view, Index n, char* live)
    {
        using S = typename V::Scalar;
        const AnyView<const S> y(view);
        if (y.rank < 1 || y.extent(0) != n)
            fail<ShapeError>(name, "labels", joined({"has shape ", shape_text(y)}),
                             joined({"[", text(n), ", ...], a first axis as losses"}));
        for (Index at = 0; at < y.size(); ++at) {
            Index rest = at;
            Index offset = 0;
            for (int d = y.rank - 1; d >= 0; --d) {
                offset += rest % y.extent(d) * y.stride(d);
                rest /= y.extent(d);
            }
            if (y.data[offset] != S(0))
                live[at / (y.size() / n)] = 1;
        }
    }
};

} // namespace temper::inline TEMPER_ABI
