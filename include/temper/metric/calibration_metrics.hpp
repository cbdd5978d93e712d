// SPDX-License-Identifier: BSL-1.0
#pragma once

// How far predicted probabilities can be believed.
//
//   conf_i = max_j p_ij, at the lowest index of ties; correct_i: is that the label?
//   bins (b / M, (b + 1) / M] of conf, acc_b and conf_b their means, n_b their sizes
//   ece              sum_b (n_b / n) |acc_b - conf_b|
//   mce              max over bins that are not empty of |acc_b - conf_b|
//   overconfidence   sum_b (n_b / n) conf_b max(conf_b - acc_b, 0)
//   adaptive_ece     the ece of M bins of equal size (the first n mod M one larger), by conf
//   ace              of each class, M bins of equal size by p_.c: the mean over all M bins of
//                    |mean (y = c) - mean p|, empty ones counting 0; the mean over classes
//   nll              mean_i -log max(p_i,y, 1e-300)
//   brier            mean_i sum_j (p_ij - (y_i = j))^2
//   aurc             samples by descending conf, the mean over i of the error rate of the first i
//   accuracy, mean_confidence
//
// p [n, k] said as probabilities(p), labels [n]. No gradients. Some codes bin by [b / M, (b + 1) / M). Equal
// confidences keep their order. n = 0: all 0. NaN in p: all NaN.
// Throws ShapeError; RangeError for labels outside [0, k), bins < 1, entries outside [0, 1] or rows whose
// sum is further than 1e-3 from 1.
// Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning (2015), for ece and mce; Nixon
// et al., Measuring Calibration in Deep Learning (2019), for the adaptive ones; Geifman et al.,
// Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers (2019), for aurc.

#include <temper/core/component.hpp>

namespace temper::inline TEMPER_ABI {

struct Calibration {
    double ece = 0;
    double mce = 0;
    double overconfidence = 0;
    double adaptive_ece = 0;
    double ace = 0;
    double nll = 0;
    double brier = 0;
    double accuracy = 0;
    double aurc = 0;
    double mean_confidence = 0;
};

struct CalibrationMetrics {
    static constexpr std::string_view name = "CalibrationMetrics";
    Index bins = 15;

    /// (probabilities(p), labels(y))
    template <class P, class Y>
    [[nodiscard]] Calibration operator()(const P& p, const Y& targets) const;

    friend bool operator==(const CalibrationMetrics&, const CalibrationMetrics&) = default;
};

namespace kernel {
template <class T>
struct CalibrationMetrics {
    static Calibration run(MatrixView<const T> p, const std::int64_t* y, Index bins);
};
} // namespace kernel

template <class P, class Y>
Calibration CalibrationMetrics::operator()(const P& p, const Y& targets) const
{
    static_assert(is_probabilities<P> && is_labels<Y>,
                  "temper: calibration is measured of probabilities(p) and labels(y)");
    using T = KernelScalarOf<decltype(p.view)>;
    Border<T> border(name);
    border.require(bins >= 1, "bins", static_cast<double>(bins), "at least 1");
    const auto ps = border.probabilities("probabilities", p);
    const auto* y = border.labels("labels", targets, ps.rows(), ps.cols());
    for (Index i = 0; i < ps.rows(); ++i) {
        double sum = 0;
        for (Index j = 0; j < ps.cols(); ++j) {
            const auto x = static_cast<double>(ps(i, j));
            border.require(!(x < -1e-3) && !(x > 1 + 1e-3), "probabilities", x, "from 0 to 1");
            sum += x;
        }
        border.require(!(std::abs(sum - 1) > 1e-3), "the sum of probabilities", sum, "1");
    }
    return kernel::CalibrationMetrics<T>::run(ps, y, bins);
}

} // namespace temper::inline TEMPER_ABI

#if !TEMPER_COMPILED
#include <algorithm>
#include <numeric>

namespace temper::inline TEMPER_ABI {

namespace kernel::calibration {

/// Sums of confidences and of hits.
struct Bin {
    double size = 0;
    double confidence = 0;
    double hits = 0;

    void add(double c, bool hit)
    {
        size += 1;
        confidence += c;
        hits += hit ? 1 : 0;
    }
    /// Mean confidence less accuracy, 0 of nothing.
    [[nodiscard]] double gap() const { return size == 0 ? 0 : (confidence - hits) / size; }
};

/// The order of ascending numbers, equal ones as they stand.
inline void sort(Index* order, Index n, const double* numbers)
{
    std::iota(order, order + n, Index{0});
    std::sort(order, order + n, [numbers](Index a, Index b) {
        return numbers[a] != numbers[b] ? numbers[a] < numbers[b] : a < b;
    });
}
/// f(bin) for `bins` bins of equal size; hit(i) and number of the samples in order.
template <class Hit, class F>
void equal_bins(const Index* order, Index n, Index bins, const double* numbers, const Hit& hit,
                const F& f)
{
    Index at = 0;
    for (Index b = 0; b < bins; ++b) {
        Bin bin;
        for (Index left = n / bins + (b < n % bins ? 1 : 0); left > 0; --left, ++at)
            bin.add(numbers[order[at]], hit(order[at]));
        f(bin);
    }
}

} // namespace kernel::calibration

template <class T>
Calibration kernel::CalibrationMetrics<T>::run(MatrixView<const T> p, const std::int64_t* y,
                                               Index bins)
{
    using namespace calibration;
    Calibration out;
    const Index n = p.rows();
    const Index k = p.cols();
    if (n == 0)
        return out;
    Workspace::Frame frame;
    auto* confidence = frame.take<double>(n);
    auto* correct = frame.take<bool>(n);
    auto* order = frame.take<Index>(n);
    auto* equal_width = frame.take<Bin>(bins);
    std::fill(equal_width, equal_width + bins, Bin{});
    const auto count = static_cast<double>(n);
    const auto width = static_cast<double>(bins);
    for (Index i = 0; i < n; ++i) {
        Index best = 0;
        double squares = 0;
        for (Index j = 0; j < k; ++j) {
            const auto x = static_cast<double>(p(i, j));
            best = p(i, j) > p(i, best) ? j : best;
            squares += (x - (j == y[i])) * (x - (j == y[i]));
        }
        if (!(squares == squares)) {
            const double nan = std::numeric_limits<double>::quiet_NaN();
            return {nan, nan, nan, nan, nan, nan, nan, nan, nan, nan};
        }
        const auto c = confidence[i] = static_cast<double>(p(i, best));
        correct[i] = best == y[i];
        out.brier += squares / count;
        out.nll -=
            std::log((std::max)(static_cast<double>(p(i, static_cast<Index>(y[i]))), 1e-300)) /
            count;
        out.accuracy += (correct[i] ? 1 : 0) / count;
        out.mean_confidence += c / count;
        // The product may be rounded across an edge.
        auto b = static_cast<Index>(std::ceil(c * width)) - 1;
        b = (std::min)((std::max)(b, Index{0}), bins - 1);
        if (b + 1 < bins && c > static_cast<double>(b + 1) / width)
            ++b;
        else if (b > 0 && c <= static_cast<double>(b) / width)
            --b;
        equal_width[b].add(c, correct[i]);
    }
    for (Index b = 0; b < bins; ++b) {
        const Bin& bin = equal_width[b];
        if (bin.size == 0)
            continue;
        out.ece += bin.size / count * std::abs(bin.gap());
        out.mce = (std::max)(out.mce, std::abs(bin.gap()));
        out.overconfidence += bin.confidence / count * (std::max)(bin.gap(), 0.0);
    }
    sort(order, n, confidence);
    equal_bins(
        order, n, bins, confidence, [&](Index i) { return correct[i]; },
        [&](const Bin& bin) { out.adaptive_ece += bin.size / count * std::abs(bin.gap()); });

    // By descending confidence, equal ones as they stand.
    auto* descending = frame.take<double>(n);
    std::transform(confidence, confidence + n, descending, [](double c) { return -c; });
    sort(order, n, descending);
    double errors = 0;
    for (Index i = 0; i < n; ++i) {
        errors += correct[order[i]] ? 0 : 1;
        out.aurc += errors / static_cast<double>(i + 1) / count;
    }
    auto* of_class = descending;
    for (Index c = 0; c < k; ++c) {
        for (Index i = 0; i < n; ++i)
            of_class[i] = static_cast<double>(p(i, c));
        sort(order, n, of_class);
        equal_bins(
            order, n, bins, of_class, [&](Index i) { return y[i] == c; },
            [&](const Bin& bin) {
                out.ace += std::abs(bin.gap()) / (width * static_cast<double>(k));
            });
    }
    return out;
}

TEMPER_INSTANTIATE(kernel::CalibrationMetrics);

} // namespace temper::inline TEMPER_ABI
#endif
