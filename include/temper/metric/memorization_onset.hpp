// SPDX-License-Identifier: BSL-1.0
#pragma once

// When a network stops learning and begins to memorise wrong labels, for each class by itself: where its
// learning curve has flattened.
//
//   r(e) = |f'(e) - f'(1)| / f'(1), above 1 taken as 0                   e = 1, ..., epochs - 1
//   onset = 1 + the number of epochs with r(e) <= threshold
//
// The published rule counts the epochs below the threshold, which is the first epoch above it where the
// derivative falls all the way; r above 1 is a derivative that grows. Never above: onset = epochs. A flat
// curve (f'(1) = 0) has no onset: `epochs`.
//
// The state is what was observed: a measure in [0, 1] for each class and each evaluation (the agreement of the
// predictions with the labels they are trained on), at most `limit` of them, the first ones; and which
// classes have been found to be past their onset, once and for all. observe(state, measures) once for each
// evaluation, `per_epoch` of them an epoch, fits the curve of every class (learning_curve.hpp). Evaluations at
// the start of which the measure rises by less than 0.1 are cut off, and their time is added to the onset;
// with fewer than 3 points left there is no fit.
// Throws ShapeError for measures of another number of classes; RangeError for epochs < 2, per_epoch <= 0.
// Liu et al., Adaptive Early-Learning Correction for Segmentation from Noisy
// Annotations (2022).

#include <temper/metric/learning_curve.hpp>

#include <cstdint>
#include <vector>

namespace temper::inline TEMPER_ABI {

struct MemorizationOnset {
    static constexpr std::string_view name = "MemorizationOnset";
    Index epochs = 16;
    double threshold = 0.9;
    double per_epoch = 1; ///< evaluations
    Index limit = 1000;   ///< evaluations that are remembered

    struct State {
        Index classes = 0;
        Index evaluations = 0;
        std::vector<double> measures;      ///< [evaluations, classes]
        std::vector<std::uint8_t> flagged; ///< [classes]
        template <class Archive>
        void fields(Archive& a)
        {
            a.extent("classes", classes)("evaluations", evaluations);
            a.resizable("measures", measures)("flagged", flagged);
        }
        friend bool operator==(const State&, const State&) = default;
    };

    [[nodiscard]] static State init(Index classes)
    {
        return {classes, 0, {}, std::vector<std::uint8_t>(static_cast<std::size_t>(classes))};
    }
    /// r(e)
    [[nodiscard]] static double relative_change(const LearningCurve& curve, Index epoch)
    {
        const double first = std::fabs(curve.derivative(1));
        const double here = std::fabs(curve.derivative(static_cast<double>(epoch)));
        const double r = std::fabs(here - first) / first;
        return r > 1 ? 0 : r;
    }
    /// The onset of a curve.
    [[nodiscard]] Index operator()(const LearningCurve& curve) const
    {
        require(epochs >= 2, name, "epochs", static_cast<double>(epochs), "at least 2");
        if (curve.derivative(1) == 0)
            return epochs;
        Index below = 0;
        for (Index e = 1; e < epochs; ++e)
            below += relative_change(curve, e) <= threshold ? 1 : 0;
        return below + 1;
    }
    /// The measures [classes] of an evaluation.
    void observe(State& state, std::span<const double> measures) const
    {
        require(per_epoch > 0, name, "per_epoch", per_epoch, "positive");
        require(epochs >= 2, name, "epochs", static_cast<double>(epochs), "at least 2");
        if (static_cast<Index>(measures.size()) != state.classes)
            fail<ShapeError>(
                name, "measures",
                joined({"has ", text(static_cast<Index>(measures.size())), " classes"}),
                joined({text(state.classes), " as the state"}));
        const auto classes = static_cast<std::size_t>(state.classes);
        if (static_cast<Index>(state.measures.size()) < limit * state.classes)
            state.measures.insert(state.measures.end(), measures.begin(), measures.end());
        ++state.evaluations;
        const double now = static_cast<double>(state.evaluations) / per_epoch;
        std::vector<double> y;
        std::vector<double> x;
        for (std::size_t c = 0; c < classes; ++c) {
            y.clear();
            for (std::size_t i = c; i < state.measures.size(); i += classes)
                y.push_back(state.measures[i]);
            std::size_t start = 0;
            while (start + 1 < y.size() && y[start + 1] - y[start] < 0.1)
                ++start;
            y.erase(y.begin(), y.begin() + static_cast<Index>(start));
            if (state.flagged[c] != 0 || y.size() < 3)
                continue;
            const auto m = static_cast<double>(y.size());
            x.clear();
            for (std::size_t i = 0; i < y.size(); ++i)
                x.push_back(m / per_epoch * static_cast<double>(i) / (m - 1));
            const LearningCurve curve = LearningCurve::fit(x, y);
            if (curve.derivative(1) == 0)
                continue;
            const double onset =
                static_cast<double>(start) / per_epoch + static_cast<double>((*this)(curve));
            state.flagged[c] = now >= onset ? 1 : 0;
        }
    }
    friend bool operator==(const MemorizationOnset&, const MemorizationOnset&) = default;
};

} // namespace temper::inline TEMPER_ABI
