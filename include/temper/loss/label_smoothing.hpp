// SPDX-License-Identifier: BSL-1.0
#pragma once

// Label smoothing: class indices as distributions that are not quite sure.
//
//   all_classes     t_ij = (1 - epsilon) [j = y_i] + epsilon / k
//   other_classes   t_ij = 1 - epsilon for the label, epsilon / (k - 1) for the others (k = 1: t = 1)
//
// y labels [n], t [n, k]. For softmax cross-entropy on all_classes, SoftmaxCrossEntropy's own
// label_smoothing does the same without the matrix of targets; use this one for other losses, or to mix
// the targets further. Throws ShapeError, RangeError for labels outside [0, k) and epsilon outside [0, 1].
// Szegedy et al., Rethinking the Inception Architecture for Computer Vision (2016).

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

/// Over which classes epsilon is spread.
enum class Spread { all_classes, other_classes };

struct LabelSmoothing {
    static constexpr std::string_view name = "LabelSmoothing";
    double epsilon = 0.1;
    Spread spread = Spread::all_classes;

    /// (labels(y), k, into(t))
    template <class Y, class D>
    void forward(const Y& y, Index k, const D& targets) const;

    friend bool operator==(const LabelSmoothing&, const LabelSmoothing&) = default;
};

namespace kernel {
template <class T>
struct LabelSmoothing {
    static void forward(const std::int64_t* labels, double sure, double rest,
                        const Destination<T, 2>& targets);
};
} // namespace kernel

template <class Y, class D>
void LabelSmoothing::forward(const Y& y, Index k, const D& targets) const
{
    static_assert(is_labels<Y>, "temper: class indices are said as labels(y)");
    if constexpr (is_labels<Y>) {
        using T = typename detail::KernelScalar<typename decltype(targets.view)::Scalar>::type;
        Border<T> border(name);
        border.require(epsilon >= 0 && epsilon <= 1, "epsilon", epsilon, "from 0 to 1");
        const Index n = y.view.size();
        const auto* labels = border.labels("labels", y, n, k);
        const auto t = border.template output<2>("targets", targets, {n, k});
        const auto size = static_cast<double>(k);
        if (spread == Spread::all_classes || k == 1)
            kernel::LabelSmoothing<T>::forward(labels, 1 - epsilon + epsilon / size, epsilon / size,
                                               t);
        else
            kernel::LabelSmoothing<T>::forward(labels, 1 - epsilon, epsilon / (size - 1), t);
        border.finish();
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/core/parallel.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::LabelSmoothing<T>::forward(const std::int64_t* labels, double sure, double rest,
                                        const Destination<T, 2>& targets)
{
    if (!targets)
        return;
    const Index k = targets.view.cols();
    parallel_for(targets.view.rows(), targets.view.size(), [&](Index i) {
        for (Index j = 0; j < k; ++j)
            targets.put(targets.view(i, j), static_cast<T>(j == labels[i] ? sure : rest));
    });
}

TEMPER_INSTANTIATE(kernel::LabelSmoothing);

} // namespace temper::inline TEMPER_ABI
#endif
