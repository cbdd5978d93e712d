// SPDX-License-Identifier: BSL-1.0
#pragma once

// ICON's loss of mixed lesions: yes-or-no attributes of a lesion and of the partner it was mixed with.
//
//   e(t)_ij = w(t_ij) (log(1 + e^z_ij) - t_ij z_ij)        w(t) = 1 + positive_weight_j [t = 1]; 0 where t is padding
//   paired     L = (1 / (n m)) sum_ij (f_i e(y)_ij + (1 - f_i) e(y')_ij)
//   official   L = (1 / (n m)) sum_ij (f_i e(y)_ij + (1 - f) e(y')_ij)       1 - f the mean of 1 - f_i
//   dL/dz_ij = the same with w(t_ij) (sigmoid(z_ij) - t_ij) for e
//
// z logits [n, m], labels y and partner's labels y' [n, m], 0, 1 or `padding`; f the factor, a number, [1]
// or [n] (a plan's lambda: 1 where a lesion has no partner); positive_weight(w) [m], 0 where not given. The
// published code averages the partners' errors before it weighs them, so that lesions without a partner
// learn their partner's labels, their own, nevertheless; `paired` weighs each lesion's own. Padding
// counts in the divisor. reduction sum: without it. All padding, or n = 0: 0.
// Throws ShapeError; RangeError for other labels, negative weights.
// Hou et al., ICON: Improving Inter-Report Consistency of Radiology Report Generation via Lesion-aware
// Mix-up Augmentation (2024).

#include <temper/core/coefficients.hpp>
#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

template <class V>
struct PositiveWeight {
    V view;
};
/// How much more a yes counts, for each attribute [m].
template <class O>
[[nodiscard]] auto positive_weight(const O& owner)
{
    return PositiveWeight<detail::ConstViewOf<O>>{view(owner)};
}

enum class LesionMode { paired, official };

struct LesionMixupLoss {
    static constexpr std::string_view name = "LesionMixupLoss";
    LesionMode mode = LesionMode::paired;
    std::int64_t padding = -100;
    Reduction reduction = Reduction::mean;

    /// (z, labels(y), labels(partners' y), factor [, positive_weight(w)] [, into(gz)])
    template <class Z, class Y, class P, class F, class... Rest>
    double operator()(const Z& z, const Y& targets, const P& partner_targets, const F& factor,
                      const Rest&... rest) const;

    friend bool operator==(const LesionMixupLoss&, const LesionMixupLoss&) = default;

  private:
    /// Labels as dense numbers, -1 for padding.
    template <bool in_columns, class T, class Y>
    const signed char* attributes(Border<T>& border, std::string_view argument, const Y& y,
                                  MatrixView<const T> z) const;
};

namespace kernel {
template <class T>
struct LesionMixupLoss {
    static double run(MatrixView<const T> z, const signed char* y, const signed char* partner,
                      const double* own, const double* other, VectorView<const T> positive_weight,
                      double scale, const Destination<T, 2>& gz);
};
} // namespace kernel

template <bool in_columns, class T, class Y>
const signed char* LesionMixupLoss::attributes(Border<T>& border, std::string_view argument,
                                               const Y& y, MatrixView<const T> z) const
{
    static_assert(is_labels<Y>, "temper: attributes are said as labels(y)");
    using S = typename decltype(y.view)::Scalar;
    AnyView<const S> v(y.view);
    if (in_columns) {
        std::swap(v.extents[0], v.extents[1]);
        std::swap(v.strides[0], v.strides[1]);
    }
    if (v.rank != 2 || v.extent(0) != z.rows() || v.extent(1) != z.cols())
        fail<ShapeError>(name, argument, joined({"has shape ", shape_text(v)}),
                         joined({shape_text(z), " as logits"}));
    auto* dense = border.scratch().template take<signed char>(v.size());
    for (Index i = 0; i < z.rows(); ++i)
        for (Index j = 0; j < z.cols(); ++j) {
            const S raw = v.data[i * v.stride(0) + j * v.stride(1)];
            const bool is_padding = raw == static_cast<S>(padding);
            border.require(is_padding || raw == S(0) || raw == S(1), argument,
                           static_cast<double>(raw), "0, 1 or the padding");
            dense[i * z.cols() + j] = is_padding ? -1 : static_cast<signed char>(raw == S(1));
        }
    return dense;
}

template <class Z, class Y, class P, class F, class... Rest>
double LesionMixupLoss::operator()(const Z& z, const Y& targets, const P& partner_targets,
                                   const F& factor, const Rest&... rest) const
{
    accept<1, PositiveWeight>(rest...);
    using T = KernelScalarOf<Z>;
    Border<T> border(name);
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const auto* y = attributes<is_turned<Z>>(border, "labels", targets, zs);
    const auto* partner = attributes<is_turned<Z>>(border, "partner_labels", partner_targets, zs);
    const auto f = coefficients(border, "factor", factor, n);
    const auto weight = border.optional_vector("positive_weight", named<PositiveWeight>(rest...),
                                               zs.cols(), "as logits has columns");
    for (Index j = 0; j < weight.size() && weight.data != nullptr; ++j)
        border.require(!(weight(j) < T(0)), "positive_weight", static_cast<double>(weight(j)),
                       "non-negative");
    const auto gz = border.gradient("logits", zs, positional<0>(rest...));
    auto* own = border.scratch().template take<double>(n);
    auto* other = border.scratch().template take<double>(n);
    double mean = 0;
    for (Index i = 0; i < n; ++i) {
        own[i] = f[i];
        other[i] = 1 - f[i];
        mean += (1 - f[i]) / static_cast<double>(n);
    }
    if (mode == LesionMode::official)
        std::fill(other, other + n, mean);
    return border.finish(kernel::LesionMixupLoss<T>::run(
        zs, y, partner, own, other, weight, row_scale<T>(reduction, n, {}, zs.cols()).factor, gz));
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
namespace temper::inline TEMPER_ABI {

template <class T>
double kernel::LesionMixupLoss<T>::run(MatrixView<const T> z, const signed char* y,
                                       const signed char* partner, const double* own,
                                       const double* other, VectorView<const T> positive_weight,
                                       double scale, const Destination<T, 2>& gz)
{
    const Index m = z.cols();
    double sum = 0;
    for (Index i = 0; i < z.rows(); ++i)
        for (Index j = 0; j < m; ++j) {
            const double positive =
                positive_weight.data == nullptr ? 1 : 1 + static_cast<double>(positive_weight(j));
            // How much a yes and a no count.
            double yes = 0;
            double no = 0;
            const auto count = [&](signed char label, double weight) {
                if (label == 1)
                    yes += weight * positive;
                else if (label == 0)
                    no += weight;
            };
            count(y[i * m + j], own[i]);
            count(partner[i * m + j], other[i]);
            if (yes == 0 && no == 0) {
                if (gz)
                    gz.put(gz.view(i, j), T(0));
                continue;
            }
            const auto x = static_cast<double>(z(i, j));
            const double e = std::exp(-std::abs(x));
            const double small = std::log1p(e); // of the side that the logit is on
            sum += yes * (small + (std::max)(-x, 0.0)) + no * (small + (std::max)(x, 0.0));
            const double p = (x > 0 ? 1 : e) / (1 + e);
            const double q = (x > 0 ? e : 1) / (1 + e);
            if (gz)
                gz.put(gz.view(i, j), static_cast<T>(scale * (no * p - yes * q)));
        }
    return scale * sum;
}

TEMPER_INSTANTIATE(kernel::LesionMixupLoss);

} // namespace temper::inline TEMPER_ABI
#endif
