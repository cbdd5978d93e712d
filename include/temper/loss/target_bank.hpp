// SPDX-License-Identifier: BSL-1.0
#pragma once

// A distribution for each sample of the data set, remembered between its visits: what early-learning
// regularization and self-distillation by past predictions share.
//
//   observe   t_i <- momentum t_i + (1 - momentum) c_i / sum_j c_ij
//             c = clamp(softmax(z), clamp, 1 - clamp)        without a clamp softmax(z) itself
//
// t [samples, k], 0 at first, so that the sum of t_i is 1 - momentum^m after m visits (it is not debiased);
// or at first the one-hot labels. ids [n] say which samples the rows of z [n, k] are. Of an id that occurs
// twice in a batch the last row counts, and all rows start from what was there before the batch.
// samples x k numbers, no more; momentum 0 overwrites. The numbers' type need not be that of the logits.

#include <temper/core/component.hpp>

#include <cstdint>
#include <vector>

namespace temper::inline TEMPER_ABI {

template <class T>
struct TargetBank {
    std::vector<T> targets; ///< [samples, classes], by rows
    Index classes = 0;

    TargetBank() = default;
    TargetBank(Index samples, Index k) : targets(static_cast<std::size_t>(samples * k)), classes(k)
    {
    }
    /// At first the one-hot labels of all samples.
    template <class V>
    TargetBank(const Labels<V>& labels, Index k) : TargetBank(labels.view.size(), k)
    {
        Border<T> border("TargetBank");
        const Index n = samples();
        const auto* y = border.labels("labels", labels, n, k);
        for (Index i = 0; i < n; ++i)
            targets[static_cast<std::size_t>(i * k + y[i])] = 1;
    }

    [[nodiscard]] Index samples() const
    {
        return classes == 0 ? 0 : static_cast<Index>(targets.size()) / classes;
    }
    [[nodiscard]] MatrixView<const T> view() const
    {
        return {targets.data(), {samples(), classes}, {classes, 1}};
    }
    template <class Archive>
    void fields(Archive& a)
    {
        a.extent("classes", classes)("targets", targets);
    }
    friend bool operator==(const TargetBank&, const TargetBank&) = default;
};

namespace kernel {
template <class T>
struct TargetBank {
    /// rows <- momentum rows + (1 - momentum) c / sum c
    static void update(MatrixView<const T> z, MatrixView<T> rows, double momentum, double clamp);
};
} // namespace kernel

namespace detail {

/// The ids of a batch, checked against a bank.
template <class T, class S, class Ids>
const std::int64_t* bank_ids(Border<T>& border, const TargetBank<S>& bank, const Ids& ids, Index n,
                             Index k)
{
    border.require(bank.classes == k, "state.classes", static_cast<double>(bank.classes),
                   "the number of columns of the logits");
    return border.indices("ids", ids, n, bank.samples());
}

/// The rows of a bank in scratch that lives as long as the call.
template <class T, class S>
MatrixView<T> bank_rows(Border<T>& border, const TargetBank<S>& bank, const std::int64_t* ids,
                        Index n)
{
    const auto rows = border.scratch().template matrix<T>(n, bank.classes);
    for (Index i = 0; i < n; ++i) {
        const S* from = bank.targets.data() + ids[i] * bank.classes;
        T* to = rows.data + i * rows.strides[0];
        for (Index j = 0; j < bank.classes; ++j)
            to[j] = static_cast<T>(from[j]);
    }
    return rows;
}

template <class S, class Ids, class Z>
void observe_targets(std::string_view component, TargetBank<S>& bank, const Ids& ids, const Z& z,
                     double momentum, double clamp)
{
    using T = KernelScalarOf<Z>;
    Border<T> border(component);
    border.require(momentum >= 0 && momentum <= 1, "beta", momentum, "from 0 to 1");
    border.require(clamp >= 0 && clamp < 0.5, "clamp", clamp, "from 0 to below 1/2");
    const auto zs = border.samples("logits", z);
    const Index n = zs.rows();
    const auto* id = bank_ids(border, bank, ids, n, zs.cols());
    const auto rows = bank_rows(border, bank, id, n);
    kernel::TargetBank<T>::update(zs, rows, momentum, clamp);
    for (Index i = 0; i < n; ++i) {
        const T* from = rows.data + i * rows.strides[0];
        S* to = bank.targets.data() + id[i] * bank.classes;
        for (Index j = 0; j < bank.classes; ++j)
            to[j] = static_cast<S>(from[j]);
    }
}

} // namespace detail

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <temper/simd/softmax.hpp>

namespace temper::inline TEMPER_ABI {

template <class T>
void kernel::TargetBank<T>::update(MatrixView<const T> z, MatrixView<T> rows, double momentum,
                                   double clamp)
{
    using V = simd::Pack<T>;
    const MatrixView<const T> before = rows;
    const Destination<T, 2> after{rows, 1, Mode::overwrite};
    (void)simd::sum_tiles<T>(simd::operands(z, before), 1, [&](const auto& tile) {
        const auto s = simd::softmax(tile, z, tile.scratch(0));
        auto factor = tile.numbers();
        for (Index i = 0; i < tile.rows(); ++i)
            factor[i] = 1 / s.sum[i];
        if (clamp > 0) {
            const auto kept = tile.sum([=](auto at) {
                const V p = at(s.e) * at(factor);
                // A minimum or maximum would lose NaN.
                const V c =
                    select(p < V(clamp), V(clamp), select(p > V(1 - clamp), V(1 - clamp), p));
                at.put(s.e, c);
                return c;
            });
            for (Index i = 0; i < tile.rows(); ++i)
                factor[i] = static_cast<T>(1 / kept[i]);
        }
        tile.each([=](auto at) {
            at.put(after, V(momentum) * at(before) + V(1 - momentum) * at(factor) * at(s.e));
        });
        return 0.0;
    });
}

TEMPER_INSTANTIATE(kernel::TargetBank);

} // namespace temper::inline TEMPER_ABI
#endif
