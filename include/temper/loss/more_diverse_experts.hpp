// SPDX-License-Identifier: BSL-1.0
#pragma once

// More diverse experts with consistency self-distillation (MDCS), for long-tailed data: each of three experts
// is trained as if the classes were more, as much, or less imbalanced than they are, and learns to predict of
// a strongly augmented view what it predicts of a weak one.
//
//   z'_e = z_e + log(counts^tau_e + epsilon)                                          (logit adjustment)
//   D = sum_e mean over all 2n rows of CE(z'_e, y)
//   C = sum_e mean over S_e of KL(q_ei || p_ei)       q = softmax(z'_e, weak) held still, p = (strong)
//   L = D + distillation C                            S_e = rows whose weak view has its largest z' at y
//
// z a list of three logits [2n, k], tensors(z1, z2, z3): rows 0 .. n - 1 the weak views, n .. 2n - 1 the strong
// views of the same samples; labels(y) [n]; counts [k] of the classes in the training data, raw. The
// selection asks for a right prediction, not for a sure one; C is divided by the size of S_e, and an expert
// without any has none. at(epoch): distillation grows linearly over warm_up epochs. To predict, average the
// logits WITHOUT the shifts. n = 0: value 0.
// Throws ShapeError (an odd number of rows among them), RangeError for labels outside [0, k), counts as in
// LogitAdjustedCrossEntropy.
// Zhao et al., MDCS: More Diverse Experts with Consistency Self-distillation for Long-tailed
// Recognition (2023).

#include <temper/core/tensor_list.hpp>
#include <temper/loss/logit_adjusted_cross_entropy.hpp>
#include <temper/schedule/ramp_schedule.hpp>

namespace temper::inline TEMPER_ABI {

/// How many samples each expert was distilled on, [experts].
template <class D>
struct Selected {
    D destination;
};
template <class D>
[[nodiscard]] Selected<D> selected(const D& destination)
{
    return {destination};
}

struct MoreDiverseExperts {
    static constexpr std::string_view name = "MoreDiverseExperts";
    std::array<double, 3> taus{-0.5, 1, 2.5};
    double epsilon = 1e-9;
    double distillation = 0.6;
    Index warm_up = 20;

    /// The loss at an epoch.
    [[nodiscard]] MoreDiverseExperts at(Index epoch) const
    {
        MoreDiverseExperts now = *this;
        now.distillation *= RampSchedule{RampSchedule::Shape::linear_up, warm_up}(epoch);
        return now;
    }
    /// (tensors(z1, z2, z3), labels(y), counts [, into(tensors(g1, g2, g3))] [, selected(into(count))])
    template <class L, class Y, class C, class... Rest>
    double operator()(const L& experts, const Y& targets, const C& counts,
                      const Rest&... rest) const;

    friend bool operator==(const MoreDiverseExperts&, const MoreDiverseExperts&) = default;
};

/// The paper's name.
using Mdcs = MoreDiverseExperts;

namespace kernel {
template <class T>
struct MoreDiverseExperts {
    /// right[i]: is the largest entry of row i at its label (the first of equal ones)?
    static Index right(MatrixView<const T> z, const std::int64_t* labels, char* right);
    /// factor * sum over chosen rows of KL(softmax(weak) || softmax(strong)), its gradient added to g.
    static double distil(MatrixView<const T> weak, MatrixView<const T> strong, const char* chosen,
                         double factor, const Destination<T, 2>& g);
};
} // namespace kernel

template <class L, class Y, class C, class... Rest>
double MoreDiverseExperts::operator()(const L& experts, const Y& targets, const C& counts,
                                      const Rest&... rest) const
{
    if constexpr (!is_labels<Y>)
        static_assert(is_labels<Y>, "temper: targets come second, as labels(y)");
    else {
        accept<1, Selected>(rest...);
        using T = std::remove_const_t<ListScalarOf<L>>;
        Border<T> border(name);
        const auto z = border.list("logits", experts);
        const auto members = static_cast<Index>(z.size());
        border.require(z.size() == taus.size(), "the number of experts",
                       static_cast<double>(members), "3, as there are taus");
        const Index rows = z[0].rank == 2 ? z[0].extents[0] : 0;
        const Index k = z[0].rank == 2 ? z[0].extents[1] : 0;
        const Index n = rows / 2;
        for (const auto& expert : z)
            border.expect_shape("logits", expert, {2 * n, k},
                                "weak views, then as many strong ones");
        const auto* y = border.labels("labels", targets, n, k);
        const auto gz = border.gradient("logits", z, positional<0>(rest...));
        AnyView<std::int64_t> selected_rows{};
        const auto& chosen_by = named<Selected>(rest...);
        if constexpr (!std::is_same_v<std::remove_cvref_t<decltype(chosen_by)>, detail::Absent>)
            selected_rows = border.integers("selected", chosen_by.destination, {members});

        std::array<const T*, 3> shift{};
        for (std::size_t e = 0; e < 3; ++e)
            shift[e] = LogitAdjustedCrossEntropy{.tau = taus[e], .epsilon = epsilon}.shifts(
                border, counts, k);
        auto* twice = border.scratch().template take<std::int64_t>(2 * n);
        std::copy(y, y + n, twice);
        std::copy(y, y + n, twice + n);
        const VectorView<const std::int64_t> both{twice, {2 * n}, {1}};
        auto* right = border.scratch().template take<char>(n);
        const auto adjusted = border.scratch().template matrix<T>(2 * n, k);
        double value = 0;
        for (std::size_t e = 0; e < z.size(); ++e) {
            kernel::LogitAdjustedCrossEntropy<T>::adjust(z[e].template as<2>(), shift[e], adjusted);
            const MatrixView<const T> own = adjusted;
            const AnyDestination<T>& g = gz[e];
            if (g)
                value += SoftmaxCrossEntropy{}(own, labels(both), Into<T>{g.view, g.scale, g.mode});
            else
                value += SoftmaxCrossEntropy{}(own, labels(both));
            const auto weak = own.block(0, 0, n, k);
            const Index count = kernel::MoreDiverseExperts<T>::right(weak, y, right);
            if (selected_rows.data != nullptr)
                selected_rows.data[static_cast<Index>(e) * selected_rows.strides[0]] = count;
            if (count == 0 || distillation == 0)
                continue;
            Destination<T, 2> strong{};
            if (g)
                strong = {g.view.template as<2>().block(n, 0, n, k), g.scale, Mode::add};
            value += kernel::MoreDiverseExperts<T>::distil(
                weak, own.block(n, 0, n, k), right, distillation / static_cast<double>(count),
                strong);
        }
        return border.finish(value);
    }
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED

namespace temper::inline TEMPER_ABI {

template <class T>
Index kernel::MoreDiverseExperts<T>::right(MatrixView<const T> z, const std::int64_t* labels,
                                           char* right)
{
    Index count = 0;
    for (Index i = 0; i < z.rows(); ++i) {
        Index best = 0;
        for (Index j = 1; j < z.cols(); ++j)
            if (z(i, j) > z(i, best))
                best = j;
        right[i] = best == labels[i] ? 1 : 0;
        count += right[i];
    }
    return count;
}

template <class T>
double kernel::MoreDiverseExperts<T>::distil(MatrixView<const T> weak, MatrixView<const T> strong,
                                             const char* chosen, double factor,
                                             const Destination<T, 2>& g)
{
    using V = simd::Pack<T>;
    return simd::sum_tiles<T>(simd::operands(weak, strong, g), 2, [&](const auto& tile) {
        const auto q = simd::softmax(tile, weak, tile.scratch(0));
        const auto p = simd::softmax(tile, strong, tile.scratch(1));
        auto of_q = tile.numbers();
        auto of_p = tile.numbers();
        auto log_ratio = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            of_q[i] = 1 / q.sum[i];
            of_p[i] = 1 / p.sum[i];
            log_ratio[i] = std::log(p.sum[i] / q.sum[i]);
        }
        const auto divergence = tile.sum([=](auto at) {
            const V share = at(q.e) * at(of_q);
            const V further = (at(weak) - at(q.shift)) - (at(strong) - at(p.shift));
            return select(share == V(0), share, share * (further + at(log_ratio)));
        });
        double total = 0;
        auto use = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i) {
            const bool counts = chosen[tile.row(i)] != 0;
            use[i] = counts ? static_cast<T>(factor) : T(0);
            total += counts ? factor * divergence[i] : 0;
        }
        if (g)
            tile.each([=](auto at) {
                const V difference = at(p.e) * at(of_p) - at(q.e) * at(of_q);
                at.put(g, select(at(use) == V(0), V(0), at(use) * difference));
            });
        return total;
    });
}

TEMPER_INSTANTIATE(kernel::MoreDiverseExperts);

} // namespace temper::inline TEMPER_ABI
#endif
