// SPDX-License-Identifier: BSL-1.0
#pragma once

// The features of the last batches, as two networks give them, with their labels: a queue of rows, of which
// the oldest are overwritten.
//
//   observe   rows (at + i) mod K <- (downstream_i, pretrained_i, y_i), at <- (at + n) mod K
//
// downstream, pretrained [n, d], labels(y) [n]. The state holds K rows of each, of which `filled` have been
// written; downstream(), pretrained() and labels() are views of those, in no particular order. To warm up,
// put the pretrained features in both. A batch larger than K leaves its last K rows. A batch wraps around the
// end, where the authors' code takes K to be a multiple of n. Throws ShapeError; RangeError for a negative
// label and K < 1.
// Zhou et al., DR-Tune: Improving Fine-tuning of Pretrained Visual Models by Distribution Regularization
// with Semantic Calibration (2023).

#include <temper/core/component.hpp>

#include <vector>

namespace temper::inline TEMPER_ABI {

struct FeatureBank {
    static constexpr std::string_view name = "FeatureBank";
    Index rows = 2048; ///< K

    template <class T>
    struct State {
        std::vector<T> downstream_rows, pretrained_rows; ///< [K, d], by rows
        std::vector<std::int64_t> label_rows;
        Index features = 0;
        Index at = 0;
        Index filled = 0;

        [[nodiscard]] MatrixView<const T> downstream() const
        {
            return {downstream_rows.data(), {filled, features}, {features, 1}};
        }
        [[nodiscard]] MatrixView<const T> pretrained() const
        {
            return {pretrained_rows.data(), {filled, features}, {features, 1}};
        }
        [[nodiscard]] VectorView<const std::int64_t> labels() const
        {
            return {label_rows.data(), {filled}, {1}};
        }
        template <class Archive>
        void fields(Archive& a)
        {
            a("downstream", downstream_rows)("pretrained", pretrained_rows)("labels", label_rows);
            a.extent("features", features)("at", at)("filled", filled);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    template <class T>
    [[nodiscard]] State<T> init(Index features) const
    {
        require(rows >= 1, name, "rows", static_cast<double>(rows), "at least 1");
        State<T> state;
        state.downstream_rows.resize(static_cast<std::size_t>(rows * features));
        state.pretrained_rows.resize(static_cast<std::size_t>(rows * features));
        state.label_rows.resize(static_cast<std::size_t>(rows));
        state.features = features;
        return state;
    }
    /// (state, downstream, pretrained, labels(y))
    template <class T, class A, class B, class Y>
    void observe(State<T>& state, const A& downstream, const B& pretrained, const Y& targets) const
    {
        using S = KernelScalarOf<A, B>;
        Border<S> border(name);
        const auto a = border.samples("downstream", downstream);
        border.expect_shape("downstream", a, {a.rows(), state.features},
                            "with the columns of the state");
        const auto b = border.samples("pretrained", pretrained);
        border.same_shape("pretrained", b, "downstream", a);
        const auto* y =
            border.labels("labels", targets, a.rows(), (std::numeric_limits<Index>::max)());
        const auto capacity = static_cast<Index>(state.label_rows.size());
        for (Index i = 0; i < a.rows(); ++i) {
            const Index row = (state.at + i) % capacity;
            state.label_rows[static_cast<std::size_t>(row)] = y[i];
            for (Index j = 0; j < state.features; ++j) {
                const auto to = static_cast<std::size_t>(row * state.features + j);
                state.downstream_rows[to] = static_cast<T>(a(i, j));
                state.pretrained_rows[to] = static_cast<T>(b(i, j));
            }
        }
        state.at = (state.at + a.rows()) % capacity;
        state.filled = (std::min)(capacity, state.filled + a.rows());
    }

    friend bool operator==(const FeatureBank&, const FeatureBank&) = default;
};

} // namespace temper::inline TEMPER_ABI
